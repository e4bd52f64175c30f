#include <openssl/crypto.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <iostream>
#include <stdexcept>

#include "commands.hpp"
#include "ocgate/auth/htpasswd.hpp"

namespace ocgate::app {
namespace {

/// Longer lines are no password for bcrypt (72 bytes); reading stops there.
constexpr std::size_t max_line_bytes = 4096;

/// What ends a program that asks: Ctrl-C, Ctrl-\, the terminal's going, `kill`.
constexpr std::array ending{SIGINT, SIGQUIT, SIGHUP, SIGTERM};

termios as_it_was{};

extern "C" void show_again(int number) {
    ::tcsetattr(STDIN_FILENO, TCSANOW, &as_it_was);  // a handler may call it (POSIX, async-signal-safe)
    ::raise(number);                                 // ends the process when the handler returns: SA_RESETHAND
}

/// Keeps the terminal from showing what is typed, and leaves it as it was however the process ends.
class WithoutEcho {
public:
    WithoutEcho() {
        changed_ = ::tcgetattr(STDIN_FILENO, &as_it_was) == 0;
        if (!changed_) return;
        for (std::size_t i = 0; i < ending.size(); ++i) {
            ::sigaction(ending[i], nullptr, &handled_before_[i]);
            if (handled_before_[i].sa_handler == SIG_IGN) continue;
            struct sigaction showing {};
            showing.sa_handler = show_again;
            showing.sa_flags = static_cast<int>(SA_RESETHAND);
            ::sigaction(ending[i], &showing, nullptr);
        }
        auto quiet = as_it_was;
        quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    ~WithoutEcho() {
        if (!changed_) return;
        ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &as_it_was);
        for (std::size_t i = 0; i < ending.size(); ++i) ::sigaction(ending[i], &handled_before_[i], nullptr);
    }
    WithoutEcho(WithoutEcho const&) = delete;
    WithoutEcho& operator=(WithoutEcho const&) = delete;

private:
    std::array<struct sigaction, ending.size()> handled_before_{};
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
