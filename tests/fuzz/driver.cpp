// Runs a fuzz target without a fuzzer: the given files as they are, then mutations of them from a fixed seed, so that a
// failure here is the same failure everywhere.
//   driver [--mutations N] [--seed S] FILE-OR-DIRECTORY...
// An input that kills the target, by a sanitizer's report too, or that it takes a minute for is left in
// `<program>.crash`.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);
// The sanitizers ask for these. Left to themselves they end the program without a signal, and the input would be lost.
extern "C" char const* __asan_default_options() { return "abort_on_error=1"; }
extern "C" char const* __ubsan_default_options() { return "abort_on_error=1"; }

namespace {

using Bytes = std::string;

constexpr std::size_t max_input_bytes = 4096;
constexpr unsigned patience_seconds = 60;

/// What decides something in one format or another.
constexpr std::string_view words[] = {
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\n\n",
    " ",
    "\t",
    ":",
    ": ",
    ",",
    ";",
    "=",
    "&",
    "?",
    "#",
    "%",
    "%61",
    "+",
    "/",
    "*",
    "@",
    "[::1]",
    "http://",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/2.0",
    "chunked",
    "gzip",
    "close",
    "keep-alive",
    "Upgrade",
    "websocket",
    "identity",
    "0",
    "5",
    "Host: a\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Connection: X-A\r\n",
    "X-A: b\r\n",
    "Expect: 100-continue\r\n",
    "Authorization: Basic dTpw\r\n",
    "X-Forwarded-For: 1.1.1.1\r\n",
    "Via: 1.1 b\r\n",
    "Cookie: ocgate=1; a=2\r\n",
    "auth_token=1",
    "ocgate=1",
    "0\r\n\r\n",
    "ffffffffffffffff",
    "18446744073709551616",
    "\x88",
    "\x7f",
    "\xff",
    "data: x\n\n",
    "$2y$05$",
    "$apr1$",
    "{SHA}",
    "$6$",
    "Basic ",
    "==",
    "\x1e",
    "\x1e"
    "t7",
    "\x1e"
    "e0",
    "\x1e"
    "E0",
    "\"",
    "{}",
    "10.0.0.1",
    "::1",
    "/8",
    "**",
    std::string_view("\0", 1),
};

Bytes current;
bool running = false;  // the target, with `current`
std::string crash_file;

void keep_crash() {
    if (!running) return;  // what ends the program is no input's fault: a leak, say, which is found at the end
    running = false;
    // With the kernel's own means: what has gone wrong may be the heap.
    int const file = ::open(crash_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool const kept =
        file >= 0 && ::write(file, current.data(), current.size()) == static_cast<ssize_t>(current.size());
    std::fprintf(stderr, "the input is %s %s\n", kept ? "in" : "not in", crash_file.c_str());
}

void on_abort(int signal) {
    if (signal == SIGALRM) std::fputs("it does not come to an end\n", stderr);
    keep_crash();
    std::signal(SIGABRT, SIG_DFL);
    std::abort();
}

void run(Bytes input) {
    current = std::move(input);
    ::alarm(patience_seconds);
    running = true;
    LLVMFuzzerTestOneInput(reinterpret_cast<std::uint8_t const*>(current.data()), current.size());
    running = false;
}

class Mutator {
public:
    Mutator(std::vector<Bytes> const& corpus, std::uint64_t seed) : corpus_(corpus), random_(seed) {}

    Bytes next() {
        Bytes bytes = corpus_[below(corpus_.size())];
        for (auto n = 1 + below(4); n > 0; --n) change(bytes);
        if (bytes.size() > max_input_bytes) bytes.resize(max_input_bytes);
        return bytes;
    }

private:
    /// The same numbers on every platform, which the standard's distributions do not promise.
    std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }

    void change(Bytes& bytes) {
        auto const at = below(bytes.size() + 1);
        auto const n = std::min(bytes.size() - at, 1 + below(8));
        switch (below(7)) {
            case 0:
                bytes.insert(at, words[below(std::size(words))]);
                break;
            case 1:
                bytes.replace(at, n, words[below(std::size(words))]);
                break;
            case 2:
                bytes.erase(at, n);
                break;
            case 3:
                if (at < bytes.size()) bytes[at] = static_cast<char>(below(256));
                break;
            case 4:
                if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
                break;
            case 5:
                bytes.insert(below(bytes.size() + 1), bytes.substr(at, 1 + below(64)));
                break;
            default: {
                auto const& other = corpus_[below(corpus_.size())];
                bytes = bytes.substr(0, at) + other.substr(below(other.size() + 1));
                break;
            }
        }
    }

    std::vector<Bytes> const& corpus_;
    std::mt19937_64 random_;
};

Bytes contents(std::filesystem::path const& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        std::fprintf(stderr, "cannot read %s\n", path.c_str());
        std::exit(2);
    }
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

int main(int argc, char** argv) {
    crash_file = std::string(argv[0]) + ".crash";
    std::signal(SIGABRT, on_abort);
    std::signal(SIGALRM, on_abort);
    unsigned long mutations = 0;
    unsigned long seed = 1;
    std::vector<std::filesystem::path> files;
    for (int i = 1; i < argc; ++i) {
        std::string_view const argument = argv[i];
        if (argument == "--mutations" && i + 1 < argc) {
            mutations = std::strtoul(argv[++i], nullptr, 10);
        } else if (argument == "--seed" && i + 1 < argc) {
            seed = std::strtoul(argv[++i], nullptr, 10);
        } else if (std::filesystem::is_directory(argument)) {
            for (auto const& entry : std::filesystem::directory_iterator(argument)) files.push_back(entry.path());
        } else {
            files.emplace_back(argument);
        }
    }
    std::sort(files.begin(), files.end());  // a directory has no order of its own
    std::vector<Bytes> corpus;
    for (auto const& file : files) corpus.push_back(contents(file));
    if (corpus.empty()) corpus.emplace_back();

    for (auto const& input : corpus) run(input);
    Mutator mutator(corpus, seed);
    for (unsigned long i = 0; i < mutations; ++i) run(mutator.next());
    std::printf("%zu files, %lu mutations\n", files.size(), mutations);
    return 0;
}
