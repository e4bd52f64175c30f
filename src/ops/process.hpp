// The figures of this process that Prometheus expects of every program, read from /proc (proc(5)).
#pragma once

#include <cstdint>
#include <optional>

namespace ocgate::ops {

/// What /proc does not tell stays empty.
struct ProcessFigures {
    std::optional<double> cpu_seconds;
    std::optional<double> resident_bytes;
    std::optional<double> virtual_bytes;
    std::optional<double> open_descriptors;
    std::optional<double> max_descriptors;
    std::optional<double> start_time_seconds;  ///< Unix time
    std::optional<double> threads;
};

[[nodiscard]] ProcessFigures read_process_figures();

}  // namespace ocgate::ops
