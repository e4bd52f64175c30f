#include "process.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace ocgate::ops {
namespace {

std::optional<double> boot_time() {
    std::ifstream in("/proc/stat");
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("btime ")) return std::stod(line.substr(6));
    }
    return std::nullopt;
}

std::optional<double> count_descriptors() {
    auto* const directory = ::opendir("/proc/self/fd");
    if (!directory) return std::nullopt;
    // Not ".", not "..", not the descriptor of this reading.
    double count = -3;
    while (::readdir(directory)) ++count;  // NOLINT(concurrency-mt-unsafe): a stream of our own
    ::closedir(directory);
    return std::max(count, 0.0);
}

void read_stat(ProcessFigures& figures) {
    std::ifstream in("/proc/self/stat");
    std::string text(std::istreambuf_iterator<char>(in), {});
    // The second field is the program's name in parentheses, which may itself hold any character.
    auto const name_end = text.rfind(')');
    if (name_end == std::string::npos) return;
    std::istringstream rest(text.substr(name_end + 1));
    std::string word;
    for (int field = 3; rest >> word; ++field) {
        if (field == 20) figures.threads = std::stod(word);
        if (field == 22) {
            if (auto const boot = boot_time()) {
                figures.start_time_seconds = *boot + std::stod(word) / static_cast<double>(::sysconf(_SC_CLK_TCK));
            }
        }
        if (field == 23) figures.virtual_bytes = std::stod(word);
        if (field == 24) {
            figures.resident_bytes = std::stod(word) * static_cast<double>(::sysconf(_SC_PAGESIZE));
            return;
        }
    }
}

}  // namespace

ProcessFigures read_process_figures() {
    ProcessFigures figures;
    timespec used{};
    if (::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0) {
        figures.cpu_seconds = static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
    }
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) figures.max_descriptors = static_cast<double>(limit.rlim_cur);
    figures.open_descriptors = count_descriptors();
    read_stat(figures);
    return figures;
}

}  // namespace ocgate::ops
