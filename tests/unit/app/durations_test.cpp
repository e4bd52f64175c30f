#include "durations.hpp"

#include <gtest/gtest.h>

namespace ocgate::app {
namespace {

using namespace std::chrono_literals;

TEST(Durations, AreNumbersWithAUnit) {
    struct Row {
        std::string_view text;
        std::optional<milliseconds> value;
    };
    Row const rows[] = {
        {"0", 0ms},
        {"0s", 0ms},
        {"250ms", 250ms},
        {"30s", 30s},
        {"5m", 5min},
        {"1h", 1h},
        {"7d", 168h},
        {"30d", 720h},
        {"007s", 7s},
        {"31d", {}},
        {"2592000001ms", {}},
        {"18446744073709551615ms", {}},
        {"18446744073709551616ms", {}},
        {"9223372036854775807d", {}},
        {"", {}},
        {"5", {}},
        {"s", {}},
        {"-1s", {}},
        {"+1s", {}},
        {" 1s", {}},
        {"1s ", {}},
        {"1 s", {}},
        {"1.5s", {}},
        {"1S", {}},
        {"1sec", {}},
        {"1h30m", {}},
        {"0x10s", {}},
        {"1e3s", {}},
        {std::string_view("1s\0", 3), {}},
    };
    for (auto const& row : rows) EXPECT_EQ(parse_duration(row.text), row.value) << row.text;
}

TEST(Sizes, AreBytesOrNumbersWithAUnit) {
    struct Row {
        std::string_view text;
        std::optional<std::uint64_t> value;
    };
    Row const rows[] = {
        {"0", 0},
        {"65536", 65536},
        {"1B", 1},
        {"16KiB", 16384},
        {"256MiB", 256ULL << 20},
        {"4GiB", 4ULL << 30},
        {"16777215TiB", 16777215ULL << 40},
        {"16777216TiB", {}},
        {"18446744073709551615", 18446744073709551615ULL},
        {"18446744073709551616", {}},
        {"", {}},
        {"KiB", {}},
        {"1KB", {}},
        {"1k", {}},
        {"1kib", {}},
        {"-1", {}},
        {"1.5MiB", {}},
        {"1 KiB", {}},
        {"1KiBs", {}},
    };
    for (auto const& row : rows) EXPECT_EQ(parse_size(row.text), row.value) << row.text;
}

TEST(Durations, AreWrittenAsTheyAreRead) {
    for (auto const value : {0ms, 1ms, 999ms, 1000ms, 1500ms, 60000ms, 90000ms, 3600000ms, 86400000ms, max_duration})
        EXPECT_EQ(parse_duration(duration_text(value)), value) << duration_text(value);
    EXPECT_EQ(duration_text(90s), "90s");
    EXPECT_EQ(duration_text(5min), "5m");
    for (std::uint64_t const value : {0ULL, 1ULL, 1023ULL, 1024ULL, 1536ULL, 1ULL << 30, 1ULL << 62})
        EXPECT_EQ(parse_size(size_text(value)), value) << size_text(value);
    EXPECT_EQ(size_text(256 << 20), "256MiB");
}

}  // namespace
}  // namespace ocgate::app
