// System calls by seccomp: a list of what a running gateway makes, for everything else EPERM. A list of what is
// forbidden would be shorter, and wrong with each new kernel.
//
// The kernel remembers which numbers are always allowed (since Linux 5.11), so that those cost no run of the filter:
// calls that are made for each request have no rule about their arguments.
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>

#include "ocgate/ops/sandbox.hpp"

namespace ocgate::ops {
namespace {

// Names of another architecture have negative numbers and are passed over; libseccomp knows what they stand for.
constexpr int allowed[] = {
    // bytes
    SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(readv), SCMP_SYS(preadv), SCMP_SYS(write), SCMP_SYS(pwrite64),
    SCMP_SYS(writev), SCMP_SYS(pwritev), SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(dup), SCMP_SYS(dup2),
    SCMP_SYS(dup3), SCMP_SYS(fcntl), SCMP_SYS(pipe), SCMP_SYS(pipe2),
    // waiting
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(futex), SCMP_SYS(futex_waitv), SCMP_SYS(restart_syscall),
    // sockets. No listen. bind is getaddrinfo's (netlink); Landlock says which TCP ports it may name.
    SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(getsockname),
    SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(sendto), SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg), SCMP_SYS(shutdown),
    // files: Landlock says which
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(fstat), SCMP_SYS(lstat), SCMP_SYS(newfstatat),
    SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
    SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd), SCMP_SYS(getdents64), SCMP_SYS(flock),
    SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(fadvise64),
    SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat), SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(umask), SCMP_SYS(inotify_init1),
    SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_rm_watch),
    // memory
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mincore),
    // threads, and what is known of them
    SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(set_tid_address), SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler), SCMP_SYS(membarrier),
    SCMP_SYS(sched_setscheduler), SCMP_SYS(getpriority), SCMP_SYS(setpriority), SCMP_SYS(exit), SCMP_SYS(exit_group),
    SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
    SCMP_SYS(getegid), SCMP_SYS(getgroups), SCMP_SYS(getrlimit), SCMP_SYS(getrusage), SCMP_SYS(times), SCMP_SYS(uname),
    SCMP_SYS(sysinfo), SCMP_SYS(getcpu), SCMP_SYS(getrandom),
    // time, where it is not read without a call
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time),
    // signals of our own
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigpending),
    SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sigaltstack)};

// What neither we nor glibc, OpenSSL or SQLite ever calls, and an intruder soon does.
constexpr int deadly[] = {SCMP_SYS(execve),
                          SCMP_SYS(execveat),
                          SCMP_SYS(ptrace),
                          SCMP_SYS(process_vm_readv),
                          SCMP_SYS(process_vm_writev),
                          SCMP_SYS(bpf),
                          SCMP_SYS(userfaultfd),
                          SCMP_SYS(perf_event_open),
                          SCMP_SYS(io_uring_setup),
                          SCMP_SYS(memfd_create),
                          SCMP_SYS(init_module),
                          SCMP_SYS(finit_module),
                          SCMP_SYS(delete_module),
                          SCMP_SYS(kexec_load),
                          SCMP_SYS(kexec_file_load),
                          SCMP_SYS(mount),
                          SCMP_SYS(umount2),
                          SCMP_SYS(move_mount),
                          SCMP_SYS(open_tree),
                          SCMP_SYS(fsopen),
                          SCMP_SYS(pivot_root),
                          SCMP_SYS(chroot),
                          SCMP_SYS(setns),
                          SCMP_SYS(unshare),
                          SCMP_SYS(add_key),
                          SCMP_SYS(keyctl),
                          SCMP_SYS(request_key),
                          SCMP_SYS(open_by_handle_at),
                          SCMP_SYS(pidfd_getfd),
                          SCMP_SYS(setuid),
                          SCMP_SYS(setgid),
                          SCMP_SYS(setreuid),
                          SCMP_SYS(setregid),
                          SCMP_SYS(setresuid),
                          SCMP_SYS(setresgid),
                          SCMP_SYS(setgroups),
                          SCMP_SYS(capset),
                          SCMP_SYS(reboot),
                          SCMP_SYS(swapon),
                          SCMP_SYS(modify_ldt)};

using Filter = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

scmp_arg_cmp equals(unsigned argument, std::uint64_t value) noexcept { return {argument, SCMP_CMP_EQ, value, 0}; }

/// The bits of `mask` are those of `value`.
scmp_arg_cmp masked(unsigned argument, std::uint64_t mask, std::uint64_t value) noexcept {
    return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

/// Allowed with arguments of a kind only. 0, or the first error.
int add_narrow_rules(scmp_filter_ctx filter) noexcept {
    int why = 0;
    auto const allow = [&](int call, std::initializer_list<scmp_arg_cmp> all) {
        if (why == 0)
            why = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, static_cast<unsigned>(all.size()), all.begin());
    };
    for (int const family : {AF_UNIX, AF_INET, AF_INET6})
        allow(SCMP_SYS(socket), {equals(0, static_cast<std::uint64_t>(family))});
    allow(SCMP_SYS(socket), {equals(0, AF_NETLINK), equals(2, NETLINK_ROUTE)});  // getaddrinfo: which addresses we have
    // Memory is written or run, never both; libraries that getaddrinfo loads are mapped to be run.
    for (std::uint64_t const kind : {0, PROT_WRITE, PROT_EXEC})
        allow(SCMP_SYS(mmap), {masked(2, PROT_WRITE | PROT_EXEC, kind)});
    allow(SCMP_SYS(mprotect), {masked(2, PROT_EXEC, 0)});
    // Threads, no processes. What clone3 is told lies in memory, where no filter looks: glibc then uses clone.
    constexpr std::uint64_t apart =
        CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    allow(SCMP_SYS(clone), {masked(0, CLONE_THREAD | apart, CLONE_THREAD)});
    if (why == 0) why = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, nullptr);
    for (std::uint64_t const request : {TCGETS, FIONBIO, FIONREAD, SIOCOUTQ})
        allow(SCMP_SYS(ioctl), {equals(1, request)});
    for (int const option : {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE})
        allow(SCMP_SYS(prctl), {equals(0, static_cast<std::uint64_t>(option))});
    allow(SCMP_SYS(prlimit64), {equals(0, 0), equals(1, RLIMIT_NOFILE)});
    allow(SCMP_SYS(prlimit64), {equals(0, 0), equals(2, 0)});  // only asks
    allow(SCMP_SYS(setrlimit), {equals(0, RLIMIT_NOFILE)});
    allow(SCMP_SYS(tgkill), {equals(0, static_cast<std::uint64_t>(::getpid()))});  // abort
    return why;
}

}  // namespace

Confined confine_calls() {
    auto const problem = [](int why) { return Confined{0, "seccomp: " + std::generic_category().message(-why)}; };
    Filter const filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)), seccomp_release);
    if (!filter) return problem(-ENOMEM);
    int why = 0;
    auto const add = [&](std::uint32_t action, int call) {
        if (why == 0 && call >= 0) why = seccomp_rule_add_array(filter.get(), action, call, 0, nullptr);
    };
    for (int const call : allowed) add(SCMP_ACT_ALLOW, call);
    for (int const call : deadly) add(SCMP_ACT_KILL_PROCESS, call);
    if (why == 0) why = add_narrow_rules(filter.get());
    // All threads at once. Without SSB Linux before 5.16 slows down every branch that follows a store.
    if (why == 0) why = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
    if (why == 0) why = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_SSB, 1);
    if (why == 0) why = seccomp_load(filter.get());
    return why == 0 ? Confined{1, {}} : problem(why);
}

}  // namespace ocgate::ops
