// `ocgate top`: the status page again and again. On a terminal it is redrawn in place, and the terminal is left as it
// was however this ends.
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "commands_page.hpp"
#include "status_text.hpp"

namespace ocgate::app {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr milliseconds page_patience{3'000};

volatile std::sig_atomic_t ended_by = 0;
volatile std::sig_atomic_t resized = 0;

extern "C" void note_end(int number) { ended_by = number; }
extern "C" void note_size(int) { resized = 1; }

/// Signals wait but while we do (`Screen::wait`), so that none is missed between a look and a wait.
class Screen {
public:
    Screen() : drawn_(::isatty(STDOUT_FILENO) == 1), keys_(drawn_ && ::tcgetattr(STDIN_FILENO, &as_it_was_) == 0) {
        if (!drawn_) return;
        sigset_t ours;
        sigemptyset(&ours);
        for (std::size_t i = 0; i < signals.size(); ++i) {
            struct sigaction handler {};
            handler.sa_handler = signals[i] == SIGWINCH ? note_size : note_end;
            ::sigaction(signals[i], nullptr, &handled_before_[i]);
            if (handled_before_[i].sa_handler == SIG_IGN) continue;
            ::sigaction(signals[i], &handler, nullptr);
            sigaddset(&ours, signals[i]);
        }
        ::sigprocmask(SIG_BLOCK, &ours, &unblocked_);
        if (keys_) {
            auto quiet = as_it_was_;
            quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON);
            quiet.c_cc[VMIN] = 0;
            quiet.c_cc[VTIME] = 0;
            ::tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet);
        }
        std::cout << "\x1b[?1049h\x1b[?25l\x1b[2J" << std::flush;  // a screen of its own, no cursor
    }
    ~Screen() {
        if (!drawn_) return;
        std::cout << "\x1b[?25h\x1b[?1049l" << std::flush;
        if (keys_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &as_it_was_);
        for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &handled_before_[i], nullptr);
        ::sigprocmask(SIG_SETMASK, &unblocked_, nullptr);
    }
    Screen(Screen const&) = delete;
    Screen& operator=(Screen const&) = delete;

    [[nodiscard]] bool drawn() const noexcept { return drawn_; }

    /// Lines that do not fit are cut, so that what is drawn next stands where this stood.
    void draw(std::string_view text) const {
        winsize size{};
        bool const known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
        std::size_t const rows = known ? size.ws_row : 24, columns = known ? size.ws_col : 80;
        std::string out = "\x1b[H";
        for (std::size_t row = 0; row + 1 < rows && !text.empty(); ++row) {
            auto const end = std::min(text.find('\n'), text.size());
            out.append(front(text.substr(0, end), columns)).append("\x1b[K\n");
            text.remove_prefix(std::min(end + 1, text.size()));
        }
        std::cout << out << "\x1b[J" << std::flush;
    }
    [[nodiscard]] static std::size_t rows() noexcept {
        winsize size{};
        return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
    }

    enum class Heard : std::uint8_t { nothing, end, redraw };
    [[nodiscard]] Heard wait(Clock::time_point until) const {
        for (;;) {
            if (ended_by != 0) return Heard::end;
            if (resized != 0) return resized = 0, Heard::redraw;
            auto const left = std::chrono::duration_cast<std::chrono::nanoseconds>(until - Clock::now());
            if (left.count() <= 0) return Heard::nothing;
            timespec const time{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
            pollfd key{.fd = keys_ ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0};
            if (::ppoll(&key, 1, &time, drawn_ ? &unblocked_ : nullptr) <= 0) continue;
            char typed = 0;
            if (::read(STDIN_FILENO, &typed, 1) <= 0 || typed == 'q' || typed == 'Q' || typed == '\x04')
                return Heard::end;
        }
    }

private:
    static constexpr std::array signals{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};

    static std::string_view front(std::string_view line, std::size_t columns) noexcept {
        std::size_t at = 0, used = 0;
        for (; at < line.size(); ++at) {
            bool const begins = (static_cast<unsigned char>(line[at]) & 0xC0) != 0x80;
            if (begins && used++ == columns) break;
        }
        return line.substr(0, at);
    }

    bool const drawn_;
    termios as_it_was_{};
    bool const keys_;
    sigset_t unblocked_{};
    std::array<struct sigaction, signals.size()> handled_before_{};
};

/// What stands around the exchanges: heading, rates, an empty line, the table's head, what was left out.
std::size_t rows_around(json const& page) {
    auto const heading = status_heading(page);
    return static_cast<std::size_t>(std::count(heading.begin(), heading.end(), '\n')) + 6;
}

}  // namespace

int top(Flags const& flags, Sources const& sources, milliseconds every, std::optional<unsigned> times,
        std::ostream& out, std::ostream& err) {
    proxy::PageRequest request;
    request.method = "GET";
    request.target = std::string(proxy::Pages::prefix) + "/status";
    request.accept = "application/json";
    std::string problem;
    auto const look = [&]() -> std::optional<json> {
        std::ostringstream told;
        auto const page = fetch_page("top", flags, sources, request, page_patience, told);
        problem = told.str();
        if (!page) return std::nullopt;
        auto document = json::parse(*page, nullptr, false);
        if (document.is_object()) return document;
        problem = "ocgate top: what answers there is no status page\n";
        return std::nullopt;
    };
    auto page = look();
    err << problem;
    if (!page) return 1;

    Screen const screen;
    std::optional<json> before;
    for (unsigned looks = 1;; ++looks) {
        auto const next = Clock::now() + every;
        for (;;) {
            if (!screen.drawn()) {
                out << (looks > 1 ? "\n" : "") << top_text(*page, before ? &*before : nullptr, 1000) << std::flush;
            } else if (page) {
                auto const around = rows_around(*page);
                auto const rows = Screen::rows();
                screen.draw(top_text(*page, before ? &*before : nullptr, rows > around ? rows - around : 1));
            } else {
                screen.draw(problem + "It is asked again; q ends.\n");
            }
            if (times && looks >= *times) return page ? 0 : 1;
            auto const heard = screen.wait(next);
            if (heard == Screen::Heard::end) return 0;
            if (heard == Screen::Heard::nothing) break;
        }
        before = std::move(page);
        page = look();
        if (!page && !screen.drawn()) {
            err << problem;
            return 1;
        }
        if (!out) return 1;
    }
}

}  // namespace ocgate::app
