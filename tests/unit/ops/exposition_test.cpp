#include "ocgate/ops/exposition.hpp"

#include <gmock/gmock.h>

#include "support/exposition.hpp"

namespace ocgate::ops {
namespace {

using test::read_exposition;
using testing::IsEmpty;

TEST(Exposition, WritesFamiliesInTheOrderTheyAreBegun) {
    Exposition out;
    out.gauge("warm", "How warm.").value(20.5, {{"room", "kitchen"}}).value(18.0, {{"room", "attic"}});
    out.counter("doors_total", "Doors opened.").value(std::uint64_t{3});
    out.counter("windows_total", "None yet.");
    EXPECT_EQ(out.text(),
              "# HELP warm How warm.\n"
              "# TYPE warm gauge\n"
              "warm{room=\"kitchen\"} 20.5\n"
              "warm{room=\"attic\"} 18\n"
              "# HELP doors_total Doors opened.\n"
              "# TYPE doors_total counter\n"
              "doors_total 3\n"
              "# HELP windows_total None yet.\n"
              "# TYPE windows_total counter\n");
}

TEST(Exposition, AHistogramsBucketsAddUp) {
    Exposition out;
    std::array<std::uint64_t, 3> const counts{1, 0, 2};
    std::array const bounds{0.5, 2.0};
    out.histogram("wait_seconds", "Waits.").buckets(counts, bounds, 12.5, {{"at", "door"}});
    auto const read = read_exposition(out.text());
    EXPECT_THAT(read.complaints, IsEmpty());
    EXPECT_EQ(read.value(R"(wait_seconds_bucket{at="door",le="0.5"})"), 1);
    EXPECT_EQ(read.value(R"(wait_seconds_bucket{at="door",le="2"})"), 1);
    EXPECT_EQ(read.value(R"(wait_seconds_bucket{at="door",le="+Inf"})"), 3);
    EXPECT_EQ(read.value(R"(wait_seconds_count{at="door"})"), 3);
    EXPECT_EQ(read.value(R"(wait_seconds_sum{at="door"})"), 12.5);
}

TEST(Exposition, AnyTextMayBeALabel) {
    Exposition out;
    out.gauge("g", "h").value(1.0, {{"a", "\"quoted\\\"\nand more"}});
    auto const read = read_exposition(out.text());
    EXPECT_THAT(read.complaints, IsEmpty());
    EXPECT_EQ(read.value(R"(g{a="\"quoted\\\"\nand more"})"), 1);
}

}  // namespace
}  // namespace ocgate::ops
