// The process's own environment and files.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "durations.hpp"
#include "ocgate/app/config.hpp"

namespace ocgate::app {
namespace {

class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    Descriptor(Descriptor const&) = delete;
    Descriptor& operator=(Descriptor const&) = delete;
    [[nodiscard]] int get() const noexcept { return number_; }

private:
    int number_;
};

FileMark mark_from(struct stat const& facts) noexcept {
    return {facts.st_dev, facts.st_ino, static_cast<std::uint64_t>(facts.st_size),
            facts.st_mtim.tv_sec * std::int64_t{1'000'000'000} + facts.st_mtim.tv_nsec};
}

std::string last_problem() { return std::generic_category().message(errno); }

Sources::File read_file(std::string const& path) {
    // Non-blocking: opening a pipe that nobody writes would wait for ever.
    Descriptor const file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat facts {};
    if (file.get() < 0 || ::fstat(file.get(), &facts) != 0) {
        auto problem = last_problem();
        return {{}, std::move(problem), mark_of(path)};
    }
    auto const mark = mark_from(facts);
    if (S_ISDIR(facts.st_mode)) return {{}, "it is a directory", mark};
    // A pipe can be read once, and a reload reads again.
    if (!S_ISREG(facts.st_mode)) return {{}, "it is not a regular file", mark};
    Sources::File result;
    result.mark = mark;
    std::string piece(64 * 1024, '\0');
    for (;;) {
        auto const n = ::read(file.get(), piece.data(), piece.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return {{}, last_problem(), mark};
        if (n == 0) return result;
        result.content.append(piece, 0, static_cast<std::size_t>(n));
        if (result.content.size() > max_config_bytes) return {{}, "larger than " + size_text(max_config_bytes), mark};
    }
}

}  // namespace

FileMark mark_of(std::string const& path) noexcept {
    struct stat facts {};
    return ::stat(path.c_str(), &facts) == 0 ? mark_from(facts) : FileMark{};
}

Sources system_sources() {
    Sources sources;
    sources.variable = [](std::string const& name) -> std::optional<std::string> {
        char const* const value = std::getenv(name.c_str());
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    };
    sources.variables = [] {
        std::vector<std::string> names;
        for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry)
            names.emplace_back(*entry, std::strcspn(*entry, "="));
        return names;
    };
    sources.file = read_file;
    return sources;
}

}  // namespace ocgate::app
