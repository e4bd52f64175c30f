// What a load measures: the proxy's CPU time and memory, latencies, and the line of JSON it reports them in.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "net.hpp"

namespace bench {

/// What the measured part cost the proxy.
class Meter {
public:
    explicit Meter(Arguments const& arguments);
    void begin() { slept_ -= sleeps(), began_ = now_ns(), cpu_ -= cpu(); }
    void end() { cpu_ += cpu(), took_ = now_ns() - began_, slept_ += sleeps(); }
    std::int64_t began() const { return began_; }
    std::int64_t cpu_ns() const { return cpu_; }
    std::int64_t took_ns() const { return took_; }
    /// How often its threads had nothing to do and went to sleep: voluntary context switches.
    std::int64_t slept() const { return slept_; }
    std::int64_t resident_bytes() const;

private:
    std::int64_t cpu() const;
    std::int64_t sleeps() const;

    std::vector<pid_t> pids_;
    std::int64_t began_ = 0, cpu_ = 0, took_ = 0, slept_ = 0;
};

/// Every latency of the measured part, 8 bytes each: a load is as long as its arguments say.
class Latencies {
public:
    void add(std::int64_t ns) { all_.push_back(ns); }
    std::size_t count() const { return all_.size(); }
    double microseconds_at(double share);

private:
    std::vector<std::int64_t> all_;
};

struct Counts {
    std::size_t answers = 0;  // all of them, with those before the measured part: a proxy logs them too
    std::size_t errors = 0;   // connections that broke and were replaced
};

void report(char const* unit, double units, double expected, Meter const& meter, Latencies& latencies,
            Counts const& counts = {});

}  // namespace bench
