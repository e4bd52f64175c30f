// What the process takes away from itself, so that whoever makes it do something else finds little to do: memory that
// nobody reads, files it never needs, system calls it never makes, privileges. Nothing of it can be taken back. Linux:
// no_new_privs, Landlock (5.13), seccomp. It knows no configuration; what is needed it is told.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ocgate::ops {

/// No program that this one starts can gain privileges, no core is written, and nobody but root attaches a debugger or
/// reads /proc/PID/environ: that folder is root's from now on. The process itself goes on reading its own.
void keep_memory_private() noexcept;

/// The file or folder `path` and all below it, links followed. What is not there is passed over.
struct Place {
    enum class Use : std::uint8_t {
        read,    ///< files and lists of folders
        write,   ///< and files are made, changed, renamed within their folder and removed
        append,  ///< files are made and written
        listen,  ///< sockets are made and removed
    };
    std::string path;
    Use use = Use::read;
};

/// Whether a part of the sandbox holds, or why not.
struct Confined {
    int level = 0;  ///< above 0 it holds; of Landlock: which version the kernel has
    std::string problem{};
    [[nodiscard]] bool holds() const noexcept { return level > 0; }
};

/// Files outside of `places` cannot be opened, made, renamed or removed any more, and no program can be started; a TCP
/// socket can be bound to `ports` only, if there are any (Landlock 4, Linux 6.7), and signals reach nobody outside
/// (6, 6.12). Holds for this thread and for those it starts: call it before the first. What is open stays open.
[[nodiscard]] Confined confine_files(std::span<Place const> places, std::span<std::uint16_t const> ports);

/// Of the calling thread and those it starts, keeps of its capabilities at most those of `kept` (CAP_… of
/// capabilities(7)). False: there are some that could not be dropped.
bool drop_capabilities(std::span<int const> kept) noexcept;

/// Only the system calls of a running gateway remain, for all threads. Others fail with EPERM; those that only an
/// intruder makes (execve, ptrace, mount, bpf, …) kill the process. Listening sockets have to be there already.
[[nodiscard]] Confined confine_calls();

}  // namespace ocgate::ops
