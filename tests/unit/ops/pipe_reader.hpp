// The other end of a log: a pipe, read when the test says so and never for longer than it says.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace ocgate::ops {

class PipeReader {
public:
    PipeReader() {
        if (::pipe2(ends_, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    }
    ~PipeReader() {
        close_reader();
        close_writer();
    }
    PipeReader(PipeReader const&) = delete;
    PipeReader& operator=(PipeReader const&) = delete;

    [[nodiscard]] int writer() const { return ends_[1]; }
    void shrink() { ::fcntl(ends_[1], F_SETPIPE_SZ, 4096); }
    void close_reader() { close(ends_[0]); }
    void close_writer() { close(ends_[1]); }

    /// The next line without its newline; empty when none came within ten seconds or the pipe has ended.
    std::string line() {
        for (;;) {
            if (auto const end = read_.find('\n'); end != std::string::npos) {
                auto found = read_.substr(0, end);
                read_.erase(0, end + 1);
                return found;
            }
            if (!more()) return {};
        }
    }
    /// All lines up to the end of the pipe.
    std::vector<std::string> rest() {
        while (more()) {
        }
        std::vector<std::string> lines;
        for (std::size_t at = 0; at < read_.size();) {
            auto const end = std::min(read_.find('\n', at), read_.size());
            lines.push_back(read_.substr(at, end - at));
            at = end + 1;
        }
        read_.clear();
        return lines;
    }

private:
    static void close(int& descriptor) {
        if (descriptor >= 0) ::close(descriptor);
        descriptor = -1;
    }
    bool more() {
        pollfd wait{ends_[0], POLLIN, 0};
        if (::poll(&wait, 1, 10'000) <= 0) return false;
        char piece[65536];
        auto const n = ::read(ends_[0], piece, sizeof piece);
        if (n <= 0) return false;
        read_.append(piece, static_cast<std::size_t>(n));
        return true;
    }
    int ends_[2] = {-1, -1};
    std::string read_;
};

}  // namespace ocgate::ops
