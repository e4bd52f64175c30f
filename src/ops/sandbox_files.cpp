// Files by Landlock, without a library: Debian 12 has none, and its headers know Landlock up to version 2.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "ocgate/ops/sandbox.hpp"
#include "ocgate/rt/descriptor.hpp"

namespace ocgate::ops {
namespace {

// linux/landlock.h; the same numbers on every architecture.
constexpr long create_ruleset = 444, add_rule = 445, restrict_self = 446;
constexpr std::uint32_t ask_version = 1;
constexpr int rule_path_beneath = 1, rule_net_port = 2;

constexpr std::uint64_t execute = 1U << 0, write_file = 1U << 1, read_file = 1U << 2, read_dir = 1U << 3,
                        remove_file = 1U << 5, make_reg = 1U << 8, make_sock = 1U << 9, truncate = 1U << 14;
constexpr std::uint64_t of_files = execute | write_file | read_file | truncate;
constexpr std::uint64_t bind_tcp = 1U << 0;
constexpr std::uint64_t scope_abstract_socket = 1U << 0, scope_signal = 1U << 1;

struct Ruleset {
    std::uint64_t files = 0, net = 0, scoped = 0;
};
struct [[gnu::packed]] PathRule {
    std::uint64_t allowed = 0;
    std::int32_t parent = -1;
};
struct PortRule {
    std::uint64_t allowed = 0, port = 0;
};

/// All that `version` can refuse.
Ruleset everything(int version) noexcept {
    Ruleset all;
    all.files = (1U << 13) - 1;
    if (version >= 2) all.files |= 1U << 13;  // into another folder
    if (version >= 3) all.files |= truncate;
    if (version >= 4) all.net = bind_tcp;
    if (version >= 5) all.files |= 1U << 15;  // ioctl on devices
    if (version >= 6) all.scoped = scope_abstract_socket | scope_signal;
    return all;
}

std::uint64_t rights_of(Place::Use use) noexcept {
    switch (use) {
        case Place::Use::read:
            return read_file | read_dir;
        case Place::Use::write:
            return read_file | read_dir | write_file | truncate | make_reg | remove_file;
        case Place::Use::append:
            return write_file | make_reg;
        case Place::Use::listen:
            return make_sock | remove_file;
    }
    return 0;
}

Confined last_problem(std::string_view doing) {
    return {0, std::string(doing) + ": " + std::generic_category().message(errno)};
}

}  // namespace

void keep_memory_private() noexcept {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    rlimit const none{0, 0};
    (void)::setrlimit(RLIMIT_CORE, &none);
}

Confined confine_files(std::span<Place const> places, std::span<std::uint16_t const> ports) {
    auto const version = static_cast<int>(::syscall(create_ruleset, nullptr, 0, ask_version));
    if (version < 0) {
        if (errno == ENOSYS) return {0, "this kernel has no Landlock (Linux 5.13)"};
        if (errno == EOPNOTSUPP) return {0, "Landlock is turned off (the kernel's lsm= does not name it)"};
        return last_problem("Landlock");
    }
    auto all = everything(version);
    if (ports.empty()) all.net = 0;
    // An older kernel takes a larger structure whose further fields are 0.
    rt::Descriptor const rules(static_cast<int>(::syscall(create_ruleset, &all, sizeof all, 0)));
    if (!rules) return last_problem("Landlock's rules");
    for (auto const& place : places) {
        rt::Descriptor const folder(::open(place.path.c_str(), O_PATH | O_CLOEXEC));
        struct stat facts {};
        if (!folder || ::fstat(folder.get(), &facts) != 0) continue;
        auto const rights = rights_of(place.use) & all.files & (S_ISDIR(facts.st_mode) ? ~std::uint64_t{0} : of_files);
        PathRule const rule{rights, folder.get()};
        if (rights != 0 && ::syscall(add_rule, rules.get(), rule_path_beneath, &rule, 0) != 0)
            return last_problem("Landlock's rule for " + place.path);
    }
    for (auto const port : all.net != 0 ? ports : ports.first(0)) {
        PortRule const rule{bind_tcp, port};
        if (::syscall(add_rule, rules.get(), rule_net_port, &rule, 0) != 0) return last_problem("Landlock's ports");
    }
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);  // it takes that, or a privilege
    if (::syscall(restrict_self, rules.get(), 0) != 0) return last_problem("Landlock");
    return {version, {}};
}

bool drop_capabilities(std::span<int const> kept) noexcept {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct now[2]{};
    if (::syscall(SYS_capget, &header, now) != 0) return false;
    for (unsigned word = 0; word < 2; ++word) {
        std::uint32_t keep = 0;
        for (int const one : kept)
            if (static_cast<unsigned>(one) / 32 == word) keep |= 1U << (static_cast<unsigned>(one) % 32);
        now[word].effective &= keep;
        now[word].permitted &= keep;
        now[word].inheritable = 0;
    }
    return ::syscall(SYS_capset, &header, now) == 0;
}

}  // namespace ocgate::ops
