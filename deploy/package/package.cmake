# The Debian package: `cmake --build --preset release --target package`.
#
# Libraries come into its dependencies by dpkg-shlibdeps, so it fits the Debian it was built on.

set(OCGATE_MAINTAINER "opencode-gateway <maintainer@localhost>" CACHE STRING "Maintainer named in the Debian package")

set(ocgate_doc ${CMAKE_INSTALL_DATADIR}/doc/opencode-gateway)
install(FILES deploy/systemd/ocgate.service DESTINATION lib/systemd/system)
install(FILES deploy/systemd/ocgate.sysusers DESTINATION lib/sysusers.d RENAME ocgate.conf)
install(FILES deploy/systemd/ocgate.jsonc DESTINATION /etc/ocgate)
install(DIRECTORY DESTINATION /etc/ocgate/credentials DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
install(FILES README.md CHANGELOG.md deploy/RUNBOOK.md DESTINATION ${ocgate_doc} OPTIONAL)
# Its bill of materials: where dpkg knows what it was made of, no package without it.
if(DPKG_QUERY AND CMAKE_BUILD_TYPE STREQUAL "Release")
  install(FILES $<TARGET_FILE:ocgate>.cdx.json DESTINATION ${ocgate_doc})
endif()
install(FILES deploy/package/copyright DESTINATION ${ocgate_doc})
install(FILES config/ocgate.example.jsonc config/ocgate.schema.json deploy/opencode/opencode.host.json
  deploy/systemd/opencode.service
  deploy/systemd/notifications.conf DESTINATION ${ocgate_doc}/examples)
install(PROGRAMS deploy/workspaces/init-workspace deploy/workspaces/backup deploy/workspaces/restore
  DESTINATION lib/opencode-gateway/workspaces)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME opencode-gateway)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_VENDOR opencode-gateway)
set(CPACK_PACKAGE_CONTACT ${OCGATE_MAINTAINER})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "HTTP gateway in front of opencode serve")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
  "Asks for a password in front of opencode's server, passes requests, event
 streams and terminals on at once, exports metrics for Prometheus and tells
 people by ntfy, Discord or webhooks when an agent needs them.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
# Folders that are made on the way, whatever the builder's umask is.
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
  WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# cctz reads the zones' files; targets' certificates are checked; the scripts of the maintainer make a user.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "ca-certificates, passwd, tzdata")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS systemd)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "git, sqlite3")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${CMAKE_CURRENT_LIST_DIR}/conffiles ${CMAKE_CURRENT_LIST_DIR}/postinst ${CMAKE_CURRENT_LIST_DIR}/prerm
  ${CMAKE_CURRENT_LIST_DIR}/postrm)
include(CPack)
