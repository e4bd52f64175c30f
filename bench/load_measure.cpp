#include "load_measure.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace bench {

Meter::Meter(Arguments const& arguments) {
    arguments.each_number("--pid", [this](std::int64_t pid) { pids_.push_back(static_cast<pid_t>(pid)); });
}

std::int64_t Meter::resident_bytes() const {
    std::int64_t sum = 0;
    for (pid_t const pid : pids_) {
        std::ifstream status("/proc/" + std::to_string(pid) + "/status");
        for (std::string line; std::getline(status, line);)
            if (line.starts_with("VmRSS:")) sum += std::strtoll(line.c_str() + 6, nullptr, 10) * 1024;
    }
    return sum;
}

std::int64_t Meter::cpu() const {
    std::int64_t sum = 0;
    for (pid_t const pid : pids_) sum += cpu_ns_of(pid);
    return sum;
}

std::int64_t Meter::sleeps() const {
    std::int64_t sum = 0;
    for (pid_t const pid : pids_) {
        std::error_code gone;
        for (auto const& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", gone)) {
            std::ifstream status(thread.path() / "status");
            for (std::string line; std::getline(status, line);)
                if (line.starts_with("voluntary_ctxt_switches:")) sum += std::strtoll(line.c_str() + 24, nullptr, 10);
        }
    }
    return sum;
}

double Latencies::microseconds_at(double share) {
    if (all_.empty()) return 0;
    std::sort(all_.begin(), all_.end());
    auto const rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(all_.size())));
    return static_cast<double>(all_[std::min(all_.size(), std::max<std::size_t>(rank, 1)) - 1]) / 1000;
}

void report(char const* unit, double units, double expected, Meter const& meter, Latencies& latencies,
            Counts const& counts) {
    std::printf(R"({"unit":"%s","units":%.0f,"expected":%.0f,"seconds":%.6f,"cpu_ns":%lld,"sleeps":%lld,)"
                R"("answers":%zu,"errors":%zu,"p50_us":%.1f,"p99_us":%.1f,"p999_us":%.1f})"
                "\n",
                unit, units, expected, static_cast<double>(meter.took_ns()) / 1e9,
                static_cast<long long>(meter.cpu_ns()), static_cast<long long>(meter.slept()), counts.answers,
                counts.errors, latencies.microseconds_at(0.5), latencies.microseconds_at(0.99),
                latencies.microseconds_at(0.999));
}

}  // namespace bench
