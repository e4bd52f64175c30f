// What may be spent, as the file says it.
#include "config_budgets.hpp"

#include <gmock/gmock.h>

#include "config_kit.hpp"

namespace ocgate::app {
namespace {
using bridge::Period;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

World with(std::string const& budgets, std::string const& more = {}) {
    World world("{\"budgets\": " + budgets + more + "}");
    world.variable("HOME", "/home/me");
    return world;
}

TEST(ConfigBudgets, AreReadWithTheirDefaults) {
    auto const config = with(R"([{"period": "day", "usd": 20},
                                 {"period": "month", "usd": 250.5, "notify_at": [1, 0.5, 1], "block": true}])",
                             R"(, "budget_time_zone": "Europe/Berlin")")
                            .valid();
    ASSERT_EQ(config.spending.budgets.size(), 2U);
    auto const& [day, month] = std::tie(config.spending.budgets[0], config.spending.budgets[1]);
    EXPECT_EQ(day.period, Period::day);
    EXPECT_EQ(day.usd, 20);
    EXPECT_THAT(day.notify_at, ElementsAre(0.8, 1.0));
    EXPECT_FALSE(day.block);
    EXPECT_EQ(month.period, Period::month);
    EXPECT_EQ(month.usd, 250.5);
    EXPECT_THAT(month.notify_at, ElementsAre(0.5, 1.0)) << "in order, each once";
    EXPECT_TRUE(month.block);
    EXPECT_EQ(config.spending.time_zone, "Europe/Berlin");
    EXPECT_THAT(World().valid().spending.budgets, IsEmpty());
    EXPECT_EQ(World().valid().spending.time_zone, "UTC");
    EXPECT_THAT(with("[]").valid().spending.budgets, IsEmpty());
}

TEST(ConfigBudgets, MistakesAreToldWithTheirPlaces) {
    struct Row {
        std::string budgets;
        std::vector<std::string> errors;  ///< their beginnings
    };
    for (auto const& row : std::vector<Row>{
             {"{}", {"/budgets: expected an array of at most 2 budgets, got an object"}},
             {"[1]", {"/budgets/0: expected an object"}},
             {"[{}]", {"/budgets/0: period is missing", "/budgets/0: usd is missing"}},
             {R"([{"period": "week", "usd": 1}])", {"/budgets/0/period: expected"}},
             {R"([{"period": "day", "usd": 0}])", {"/budgets/0/usd: expected an amount above 0"}},
             {R"([{"period": "day", "usd": -1}])", {"/budgets/0/usd: expected an amount above 0"}},
             {R"([{"period": "day", "usd": 1000001}])", {"/budgets/0/usd: expected an amount above 0"}},
             {R"([{"period": "day", "usd": "20"}])", {"/budgets/0/usd: expected an amount above 0"}},
             {R"([{"period": "day", "usd": 1, "notify_at": 0.8}])", {"/budgets/0/notify_at: expected an array"}},
             {R"([{"period": "day", "usd": 1, "notify_at": [0.5, 0]}])", {"/budgets/0/notify_at/1: expected a part"}},
             {R"([{"period": "day", "usd": 1, "notify_at": [11]}])", {"/budgets/0/notify_at/0: expected a part"}},
             {R"([{"period": "day", "usd": 1, "block": "yes"}])", {"/budgets/0/block: expected true or false"}},
             {R"([{"period": "day", "usd": 1, "bloc": true}])",
              {"/budgets/0/bloc: unknown key; did you mean \"block\"?"}},
             {R"([{"period": "day", "usd": 1}, {"period": "day", "usd": 2}])",
              {"/budgets/1: there is a budget for the day already"}},
         }) {
        auto const errors = with(row.budgets).errors();
        ASSERT_EQ(errors.size(), row.errors.size()) << row.budgets << ::testing::PrintToString(errors);
        for (std::size_t i = 0; i < errors.size(); ++i) EXPECT_THAT(errors[i], StartsWith(row.errors[i]));
    }
}

TEST(ConfigBudgets, DoubtsWhatHasNoEffectOrIsForgotten) {
    auto const told = R"([{"period": "day", "usd": 1}])";
    auto const target = R"(, "notifications": {"targets": {"lines": {"type": "log"}}})";
    EXPECT_THAT(with(told).valid().warnings, ElementsAre(HasSubstr("the budget of the day has no effect")));
    EXPECT_THAT(with(told, target).valid().warnings, IsEmpty());
    EXPECT_THAT(with(R"([{"period": "day", "usd": 1, "block": true}])").valid().warnings, IsEmpty());
    EXPECT_THAT(with(R"([{"period": "month", "usd": 1, "notify_at": []}])", target).valid().warnings,
                ElementsAre(HasSubstr("the budget of the month has no effect")));
    EXPECT_THAT(with(told, target + std::string(R"(, "state_dir": "none")")).valid().warnings,
                ElementsAre(HasSubstr("forgotten with the process")));
}

TEST(ConfigBudgets, CheckConfigSaysThemInWords) {
    auto const world = with(R"([{"period": "day", "usd": 20, "block": true},
                                {"period": "month", "usd": 12.5, "notify_at": [0.5]}])",
                            R"(, "budget_time_zone": "Europe/Berlin",
                                "notifications": {"targets": {"lines": {"type": "log"}}})");
    std::ostringstream out, err;
    ASSERT_EQ(check_config(world.flags, world.sources(), out, err), 0) << err.str();
    EXPECT_THAT(out.str(), HasSubstr(R"(
  budgets         $20 a day in Europe/Berlin: told at 80 %, 100 %; prompts are refused once it is spent
                  $12.5 a month in Europe/Berlin: told at 50 %; prompts are not refused
)"));
}

}  // namespace
}  // namespace ocgate::app
