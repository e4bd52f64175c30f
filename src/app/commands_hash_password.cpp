#include <openssl/crypto.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iostream>
#include <stdexcept>

#include "commands.hpp"
#include "ocgate/auth/htpasswd.hpp"

namespace ocgate::app {
namespace {

/// Longer lines are no password for bcrypt (72 bytes); reading stops there.
constexpr std::size_t max_line_bytes = 4096;

/// Keeps the terminal from showing what is typed.
class WithoutEcho {
public:
    WithoutEcho() {
        changed_ = ::tcgetattr(STDIN_FILENO, &before_) == 0;
        if (!changed_) return;
        auto quiet = before_;
        quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    ~WithoutEcho() {
        if (changed_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    }
    WithoutEcho(WithoutEcho const&) = delete;
    WithoutEcho& operator=(WithoutEcho const&) = delete;

private:
    termios before_{};
    bool changed_ = false;
};

Secret read_line(std::istream& in) {
    std::string line;
    line.reserve(max_line_bytes);  // grown, it would leave copies behind
    for (char c = 0; line.size() < max_line_bytes && in.get(c) && c != '\n';) line += c;
    if (line.ends_with('\r')) line.pop_back();
    return Secret(std::move(line));
}

std::optional<std::array<std::uint8_t, 16>> random_bytes() {
    std::array<std::uint8_t, 16> bytes{};
    for (;;) {
        // Up to 256 bytes come whole or not at all (getrandom(2)).
        auto const n = ::getrandom(bytes.data(), bytes.size(), 0);
        if (n == static_cast<ssize_t>(bytes.size())) return bytes;
        if (n >= 0 || errno != EINTR) return std::nullopt;
    }
}

}  // namespace

int hash_password(std::optional<std::string> const& user_name, unsigned cost, std::istream& in, std::ostream& out,
                  std::ostream& err) {
    Secret password;
    if (&in == &std::cin && ::isatty(STDIN_FILENO) == 1) {
        WithoutEcho const quiet;
        err << "Password: " << std::flush;
        password = read_line(in);
        err << "\nOnce more: " << std::flush;
        auto const again = read_line(in);
        err << '\n';
        if (!same_secret(password.reveal(), again.reveal())) {
            err << "ocgate: the two are not the same\n";
            return 1;
        }
    } else {
        password = read_line(in);
    }
    auto const random = random_bytes();
    if (!random) {
        err << "ocgate: the system gives no random bytes\n";
        return 1;
    }
    try {
        auto const hash = auth::hash_password(password.reveal(), cost, *random);
        out << (user_name ? *user_name + ":" : std::string()) << hash << std::endl;
    } catch (std::exception const& problem) {
        err << "ocgate: " << problem.what() << '\n';
        return 1;
    }
    return out ? 0 : 1;
}

}  // namespace ocgate::app
