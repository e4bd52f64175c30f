#include "ocgate/base/failure.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <set>

namespace ocgate {
namespace {

namespace error = boost::asio::error;

struct Row {
    Failure failure;
    unsigned status;
    Reason reason;
};

// What a client is told, for each thing that can go wrong before an answer has begun.
TEST(Failure, GivesStatusAndReason) {
    using enum Side;
    Row const rows[] = {
        {{client, Step::request_head, Reason::malformed}, 400, Reason::malformed},
        {{client, Step::request_head, Reason::unsupported_version}, 505, Reason::unsupported_version},
        {{client, Step::request_head, Reason::unsupported_method}, 405, Reason::unsupported_method},
        {{client, Step::request_head, Reason::unsupported_coding}, 501, Reason::unsupported_coding},
        {{client, Step::request_head, Reason::head_too_large}, 431, Reason::head_too_large},
        {{client, Step::request_head, Reason::target_too_long}, 414, Reason::target_too_long},
        {{client, Step::request_head, Reason::timed_out}, 408, Reason::timed_out},
        {{client, Step::request_body, Reason::body_too_large}, 413, Reason::body_too_large},
        {{client, Step::request_body, Reason::timed_out}, 408, Reason::timed_out},
        {{client, Step::request_body, error::eof}, 400, Reason::cut_short},
        {{client, Step::admission, Reason::unauthorized}, 401, Reason::unauthorized},
        {{upstream, Step::response_head, Reason::unauthorized}, 502, Reason::unauthorized},
        {{client, Step::admission, Reason::throttled}, 429, Reason::throttled},
        {{client, Step::admission, Reason::over_budget}, 429, Reason::over_budget},
        {{client, Step::admission, Reason::forbidden}, 403, Reason::forbidden},
        {{client, Step::admission, Reason::misdirected}, 421, Reason::misdirected},
        {{gateway, Step::admission, Reason::too_many}, 503, Reason::too_many},
        {{gateway, Step::accept, Reason::too_many}, 503, Reason::too_many},
        {{client, Step::accept, Reason::too_many}, 429, Reason::too_many},
        {{client, Step::event_stream, Reason::too_many}, 429, Reason::too_many},
        {{gateway, Step::dial, Reason::draining}, 503, Reason::draining},
        {{gateway, Step::response_head, Reason::draining}, 504, Reason::draining},
        {{gateway, Step::dial, error::no_descriptors}, 503, Reason::too_many},
        {{gateway, Step::dial, error::no_memory}, 503, Reason::too_many},
        {{gateway, Step::admission, Reason::internal}, 500, Reason::internal},
        {{upstream, Step::dial, error::connection_refused}, 503, Reason::refused},
        {{upstream, Step::dial, error::connection_reset}, 503, Reason::refused},  // it ended just then
        {{upstream, Step::dial, error::host_not_found}, 503, Reason::refused},
        {{upstream, Step::dial, Reason::timed_out}, 503, Reason::timed_out},
        {{upstream, Step::dial, error::timed_out}, 503, Reason::timed_out},
        {{upstream, Step::response_head, Reason::timed_out}, 504, Reason::timed_out},
        {{upstream, Step::response_head, Reason::malformed}, 502, Reason::malformed},
        {{upstream, Step::response_head, Reason::unsupported_version}, 502, Reason::unsupported_version},
        {{upstream, Step::response_head, Reason::unsupported_coding}, 502, Reason::unsupported_coding},
        {{upstream, Step::response_head, Reason::head_too_large}, 502, Reason::head_too_large},
        {{upstream, Step::response_head, Reason::bad_upgrade}, 502, Reason::bad_upgrade},
        {{upstream, Step::response_head, error::eof}, 502, Reason::cut_short},
        {{upstream, Step::response_head, error::connection_reset}, 502, Reason::cut_short},
        {{upstream, Step::request_body, error::broken_pipe}, 502, Reason::cut_short},
    };
    for (auto const& row : rows) {
        EXPECT_EQ(status_for(row.failure), row.status) << to_string(row.failure);
        EXPECT_EQ(reason_of(row.failure), row.reason) << to_string(row.failure);
    }
}

TEST(Failure, ReadsAsASentenceForPeople) {
    EXPECT_EQ(to_string(Failure{Side::upstream, Step::response_head, Reason::timed_out}),
              "upstream response_head: timed_out");
    EXPECT_THAT(to_string(Failure{Side::upstream, Step::dial, error::connection_refused}),
                testing::StartsWith("upstream dial: refused ("));
}

// They are metric labels and part of X-Ocgate-Error: every one a word of its own.
TEST(Failure, EveryReasonHasItsOwnWord) {
    std::set<std::string_view> words;
    int count = 0;
    for (int i = 1; i <= static_cast<int>(Reason::internal); ++i, ++count) {
        auto const word = to_string(static_cast<Reason>(i));
        EXPECT_EQ(word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string_view::npos) << word;
        words.insert(word);
    }
    EXPECT_EQ(words.size(), static_cast<std::size_t>(count));
}

TEST(Failure, AskingForTheValueOfAFailedOutcomeThrowsWhatFailed) {
    Outcome<int> const failed = Failure{Side::client, Step::tunnel, Reason::gone};
    try {
        (void)failed.value();
        FAIL() << "no exception";
    } catch (boost::system::system_error const& e) {
        EXPECT_EQ(e.code(), Reason::gone);
        EXPECT_THAT(e.what(), testing::HasSubstr("client tunnel: gone"));
    }
}

}  // namespace
}  // namespace ocgate
