# opencode as a server: the official image with what an agent works with (git, bash, ssh, curl, …) and a user 1000.
#
#   docker build -f docker/opencode.Dockerfile -t opencode:1.18.33 .            # in the repository's folder
#
# The official image has the program and BusyBox, and runs as root. Pin it by its digest where you build for others:
#   --build-arg OPENCODE_IMAGE=ghcr.io/anomalyco/opencode:1.18.33@sha256:…
# Any image with an `opencode` in its PATH and apk or apt-get will do. amd64 and arm64.
ARG OPENCODE_IMAGE=ghcr.io/anomalyco/opencode:1.18.33
FROM ${OPENCODE_IMAGE}
USER root
# tini: as process 1, opencode would be deaf to SIGTERM and would collect no orphans of the agent's.
# The GNU programs: backup and restore need more than BusyBox has.
RUN if command -v apk >/dev/null; then \
      apk add --no-cache bash ca-certificates coreutils curl findutils git git-lfs gzip jq openssh-client-default \
        patch procps-ng python3 ripgrep sqlite tar tini tzdata; \
    else \
      apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends bash ca-certificates \
        curl git git-lfs jq openssh-client patch procps python3 ripgrep sqlite3 tini tzdata wget && \
      rm -rf /var/lib/apt/lists/*; \
    fi && \
    { grep -q '^opencode:' /etc/group || echo 'opencode:x:1000:' >>/etc/group; } && \
    { grep -q '^opencode:' /etc/passwd || \
      echo 'opencode:x:1000:1000:opencode:/home/opencode:/bin/bash' >>/etc/passwd; } && \
    mkdir -p /home/opencode /data /workspaces && chown 1000:1000 /home/opencode /data /workspaces
COPY deploy/workspaces/init-workspace deploy/workspaces/backup deploy/workspaces/restore /usr/local/lib/workspaces/
COPY docker/opencode-entrypoint /usr/local/bin/opencode-entrypoint

ARG REVISION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="opencode" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.description="opencode serve with git, bash, ssh and curl, for use behind opencode-gateway"
# /data: sessions and logins; a volume. /workspaces: what the agent works on; another. /home/opencode: caches.
ENV HOME=/home/opencode SHELL=/bin/bash XDG_DATA_HOME=/data XDG_STATE_HOME=/data/state
USER 1000:1000
WORKDIR /workspaces
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/opencode-entrypoint"]
# On loopback: the gateway shares this network namespace, and it alone is reached from outside.
CMD ["opencode", "serve", "--hostname", "127.0.0.1", "--port", "4096"]
