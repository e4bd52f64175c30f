// Plays the corpus: a whole shard over pipes in memory, between a client that sends what the case says and an upstream
// that writes down every byte it gets. Afterwards both connections are asked once more, so that bytes left behind by
// either side show as a wrong answer.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "corpus.hpp"
#include "oracle.hpp"
#include "support/scenario.hpp"

namespace ocgate::framing {
namespace {

using test::End;
using test::Scenario;

constexpr std::string_view upstream_credential = "Basic dXA6c3RyZWFt";
constexpr std::string_view client_address = "192.0.2.7";
constexpr std::size_t everything = ~std::size_t{0};

/// How bytes come: in pieces of that size, or `cut` bytes and then the rest; `sip`: at most so many are read at once.
struct Way {
    std::string name = "whole";
    std::size_t piece = everything;
    std::size_t cut = 0;
    std::size_t sip = everything;
};

/// Lets in whoever has the one credential.
class Doorkeeper final : public proxy::Gatekeeper {
public:
    bool trusts(std::string_view) override { return false; }
    proxy::Decision consider(proxy::Visit const& visit) override {
        auto const said = visit.head.fields.count("Authorization");
        proxy::Decision decision;
        decision.client_address = visit.peer;
        decision.kind = proxy::Decision::Kind::admitted;
        if (said == 1 && visit.head.fields.find("Authorization") == client_credential) return decision;
        decision.kind = proxy::Decision::Kind::refused;
        decision.refusal.failure = {Side::client, ocgate::Step::admission,
                                    said > 1 ? Reason::malformed : Reason::unauthorized};
        decision.refusal.challenge = said < 2;
        return decision;
    }
    rt::Task<proxy::Decision> verify(proxy::Visit const&) override { co_return proxy::Decision(); }
    bool watches(proxy::Visit const&) override { return false; }
    void saw_answer(std::string_view, unsigned, std::string_view, std::string_view) override {}
};

class Play {
public:
    Play(Case const& played, Way way) : case_(played), way_(std::move(way)), scenario_(options(way_)) {}

    void run() {
        scenario_.client();
        answers_itself_ = !case_.scripted;
        for (auto const& step : case_.steps) play(step);
        look();
        check_upstream();
        check_client();
        answers_itself_ = true;
        ask_again();
        ask_anew();
    }

private:
    static Scenario::Options options(Way const& way) {
        Scenario::Options options;
        options.piece = way.sip;
        options.gatekeeper = std::make_shared<Doorkeeper>();
        return options;
    }

    void play(Step const& step) {
        using Kind = Step::Kind;
        bool const at_client = step.kind == Kind::client || step.kind == Kind::client_ends ||
                               step.kind == Kind::client_resets || step.kind == Kind::wait;
        if (!at_client && scenario_.upstreams() == 0) {
            ADD_FAILURE() << "nothing has come to the upstream that is to speak now";
            return;
        }
        auto& end = at_client ? scenario_.client() : scenario_.upstream(speaking_);
        if (step.with_next) return end.puts(step.bytes);
        if (step.kind == Kind::client || step.kind == Kind::upstream) deliver(end, step.bytes);
        if (step.kind == Kind::client_ends || step.kind == Kind::upstream_ends) end.ends();
        if (step.kind == Kind::client_resets || step.kind == Kind::upstream_resets) end.resets();
        if (step.kind == Kind::wait) scenario_.advance(step.time);
        look();
    }

    void deliver(End& end, std::string_view bytes) {
        auto const cut = std::min(way_.cut, bytes.size());
        if (cut > 0) end.sends(bytes.substr(0, cut));
        for (bytes.remove_prefix(cut); !bytes.empty(); bytes.remove_prefix(std::min(way_.piece, bytes.size()))) {
            end.sends(bytes.substr(0, way_.piece));
            look();
        }
    }

    /// Notices what has arrived upstream.
    void look() {
        scenario_.settle();
        for (bool more = true; more;) {
            more = false;
            for (std::size_t k = 0; k < scenario_.upstreams(); ++k) {
                if (heard_.size() <= k) heard_.resize(k + 1);
                auto const bytes = scenario_.upstream(k).received();
                if (bytes.size() == heard_[k].bytes) continue;
                more = true;
                heard_[k].bytes = bytes.size();
                speaking_ = k;
                auto const read = read_requests(bytes);
                EXPECT_EQ(read.complaint, "") << "arrived upstream";
                while (heard_[k].whole < read.messages.size() && read.messages[heard_[k].whole].whole) {
                    first_on_connection_.push_back(heard_[k].whole == 0);
                    seen_.push_back(read.messages[heard_[k].whole++]);
                    if (answers_itself_) answer(k, seen_.back());
                }
                heard_[k].part = read.messages.empty() || read.messages.back().whole
                                     ? std::optional<Message>()
                                     : std::optional<Message>(read.messages.back());
                heard_[k].rest = read.rest;
            }
        }
    }

    void answer(std::size_t k, Message const& request) {
        auto const content = request.method + " " + request.target;
        auto const head = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(content.size()) + "\r\n\r\n";
        scenario_.upstream(k).sends(request.method == "HEAD" ? head : head + content);
    }

    void check_upstream() {
        std::vector<std::string> arrived, wanted;
        for (auto const& request : seen_) arrived.push_back(request.method + " " + request.target);
        for (auto const& sees : case_.sees)
            if (!sees.part) wanted.push_back(sees.method + " " + sees.target);
        EXPECT_EQ(arrived, wanted) << "the requests that arrived upstream";
        auto request = seen_.begin();
        for (auto const& sees : case_.sees) {
            if (sees.part || request == seen_.end()) continue;
            EXPECT_EQ(request->content, sees.content) << request->target;
            check_fields(*request, sees);
            if (sees.anew) {
                EXPECT_TRUE(first_on_connection_[request - seen_.begin()])
                    << request->target << " on a used connection";
            }
            EXPECT_EQ(fault_of_request(*request, upstream_credential, client_address), "") << request->target;
            ++request;
        }
        for (auto const& heard : heard_) {
            if (!heard.part) continue;
            auto const allowed = std::any_of(case_.sees.begin(), case_.sees.end(), [&](Sees const& sees) {
                return sees.part && sees.method == heard.part->method && sees.target == heard.part->target;
            });
            EXPECT_TRUE(allowed) << "half a request arrived: " << heard.part->method << " " << heard.part->target;
        }
        if (case_.to_upstream) {
            EXPECT_EQ(heard_.empty() ? "" : heard_[speaking_].rest, *case_.to_upstream);
        } else {
            for (auto const& heard : heard_) EXPECT_EQ(heard.rest, "") << "behind a handshake that was not answered";
        }
    }

    /// Of the client's requests, by their answers. One that the gateway refused arrived nowhere, and counts as a GET.
    std::vector<std::string> methods() const {
        std::vector<std::string> arrived, answered;
        for (auto const& sees : case_.sees)
            if (!sees.part) arrived.push_back(sees.method);
        if (case_.scripted) return arrived;
        auto next = arrived.begin();
        for (auto const status : case_.answers)
            if (status >= 200) answered.push_back(status == 200 && next != arrived.end() ? *next++ : "GET");
        return answered;
    }

    void check_client() {
        auto& client = scenario_.client();
        auto const read = read_answers(client.received(), methods(), client.saw_end() && !client.saw_reset());
        EXPECT_EQ(read.complaint, "") << "came to the client";
        std::vector<unsigned> statuses;
        for (auto const& answer : read.messages) statuses.push_back(answer.status);
        EXPECT_EQ(statuses, case_.answers) << client.received();
        for (auto const& answer : read.messages) EXPECT_EQ(fault_of_answer(answer), "") << answer.status;
        EXPECT_EQ(client.saw_end(), case_.ending == Ending::close || case_.ending == Ending::reset);
        EXPECT_EQ(client.saw_reset(), case_.ending == Ending::reset);
        EXPECT_EQ(read.rest, case_.to_client.value_or(""));
        if (!case_.scripted) check_pairing(read);
        if (read.messages.empty()) return;
        auto const& last = read.messages.back();
        EXPECT_EQ(!last.whole, case_.cut) << "whether the last answer is whole";
        if (case_.got) {
            EXPECT_EQ(last.content, *case_.got);
        }
        check_fields(last, case_.answer);
        if (case_.ending == Ending::close && last.whole && !last.to_the_end && last.status != 101) {
            EXPECT_EQ(last.value("Connection"), "close") << "the end was not announced";
        }
    }

    /// Each answer belongs to its request: the upstream names it.
    void check_pairing(Read const& read) {
        auto request = seen_.begin();
        for (auto const& answer : read.messages) {
            if (answer.status != 200) continue;
            ASSERT_TRUE(request != seen_.end()) << "an answer to nothing";
            auto const named = request->method + " " + request->target;
            EXPECT_EQ(answer.content, request->method == "HEAD" ? "" : named);
            ++request;
        }
    }

    static void check_fields(Message const& message, Wanted const& wanted) {
        std::vector<std::string> names;
        for (auto const& [name, value] : wanted.has) {
            auto const values = message.values(name);
            EXPECT_TRUE(std::find(values.begin(), values.end(), value) != values.end())
                << name << " should be '" << value << "', is " << ::testing::PrintToString(values);
        }
        for (auto const& name : wanted.lacks)
            EXPECT_EQ(message.values(name), std::vector<std::string>()) << name << " should not be there";
    }

    static std::string probe(std::string const& target) {
        return "GET " + target + " HTTP/1.1\r\nHost: a\r\nAuthorization: " + std::string(client_credential) +
               "\r\n\r\n";
    }

    /// The next request on the same connection: answered where it may be, and otherwise never passed on.
    void ask_again() {
        if (case_.ending == Ending::waits || case_.ending == Ending::tunnel) return;
        bool const open = case_.ending == Ending::open;
        expect_answer(scenario_.client(), "/asked-again", open);
    }

    /// Somebody else's: it may get the upstream connection that was used before.
    void ask_anew() { expect_answer(scenario_.connects(std::string(client_address)), "/asked-anew", true); }

    void expect_answer(End& client, std::string const& target, bool answered) {
        client.take();
        seen_.clear();
        client.sends(probe(target));
        look();
        if (!answered) {
            EXPECT_TRUE(seen_.empty()) << "passed on behind the end of the connection: " << seen_.front().target;
            return;
        }
        ASSERT_EQ(seen_.size(), 1u) << "requests upstream for one more of the client's";
        EXPECT_EQ(seen_.front().target, target);
        auto const read = read_answers(client.received(), {}, false);
        ASSERT_EQ(read.messages.size(), 1u) << client.received();
        EXPECT_EQ(read.messages.front().content, "GET " + target) << "somebody else's answer";
    }

    struct Heard {
        std::size_t bytes = 0, whole = 0;
        std::optional<Message> part;
        std::string rest;
    };

    Case const& case_;
    Way way_;
    Scenario scenario_;
    bool answers_itself_ = true;
    std::size_t speaking_ = 0;
    std::vector<Heard> heard_;  ///< by connection
    std::vector<Message> seen_;
    std::vector<bool> first_on_connection_;  ///< of the case's requests, as in `seen_`
};

std::vector<std::string> files() {
    std::vector<std::string> found;
    for (auto const& entry : std::filesystem::directory_iterator(OCGATE_FRAMING_CASES)) {
        if (entry.path().extension() == ".cases") found.push_back(entry.path().stem().string());
    }
    std::sort(found.begin(), found.end());
    return found;
}

std::vector<Case> cases_of(std::string const& name) {
    return read_cases(std::string(OCGATE_FRAMING_CASES) + "/" + name + ".cases");
}

std::size_t plays = 0;

void play(Case const& played, Way const& way) {
    ++plays;
    SCOPED_TRACE(played.file + ":" + std::to_string(played.line) + " " + played.name + " (" + played.rfc + "), " +
                 way.name);
    Play(played, way).run();
}

std::size_t longest_of(Case const& played) {
    std::size_t longest = 0;
    for (auto const& step : played.steps) longest = std::max(longest, step.bytes.size());
    return longest;
}

class Corpus : public ::testing::TestWithParam<std::string> {
    void TearDown() override { std::printf("  %zu plays so far\n", plays); }
};

TEST_P(Corpus, IsAnsweredAsWritten) {
    for (auto const& played : cases_of(GetParam())) play(played, {});
}

TEST_P(Corpus, IsTheSameInAnyPieces) {
    for (auto const& played : cases_of(GetParam())) {
        auto const longest = longest_of(played);
        std::size_t const step = longest > 4000 ? 997 : 1;
        play(played, {.name = "in pieces of " + std::to_string(step), .piece = step});
        play(played, {.name = "read in pieces of " + std::to_string(step), .sip = step});
        for (std::size_t cut = 1; cut < longest; cut += 1 + longest / 12)
            play(played, {.name = "cut at " + std::to_string(cut), .cut = cut});
    }
}

bool is_one_message_after_another(Case const& one) {
    return !one.scripted && one.steps.size() == 1 && one.steps.front().kind == Step::Kind::client;
}

/// Both in one piece, on one connection.
Case joined(Case const& first, Case const& second) {
    auto both = second;
    both.name = first.name + ", then " + second.name;
    both.steps.front().bytes = first.steps.front().bytes + second.steps.front().bytes;
    both.answers.insert(both.answers.begin(), first.answers.begin(), first.answers.end());
    both.sees.insert(both.sees.begin(), first.sees.begin(), first.sees.end());
    return both;
}

// What one request was like, the next must not inherit; and nothing of the next may be taken for the first's.
TEST_P(Corpus, IsTheSameBehindAnother) {
    std::vector<Case> before;
    for (auto const& file : files()) {
        for (auto const& one : cases_of(file))
            if (is_one_message_after_another(one) && one.ending == Ending::open && longest_of(one) < 4000)
                before.push_back(one);
    }
    std::size_t next = 0;
    for (auto const& played : cases_of(GetParam())) {
        if (!is_one_message_after_another(played)) continue;
        for (int times = 0; times < 3; ++times) {
            next = (next + 37) % before.size();  // another for each, so that all have their turn
            play(joined(before[next], played), {});
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Files, Corpus, ::testing::ValuesIn(files()), [](auto const& file) { return file.param; });

TEST(CorpusItself, HoldsThirteenHundredCasesAndNoneTwice) {
    std::set<std::string> scripts;
    std::size_t count = 0;
    for (auto const& file : files()) {
        for (auto const& one : cases_of(file)) {
            ++count;
            std::string script;
            for (auto const& step : one.steps)
                script +=
                    std::to_string(static_cast<int>(step.kind)) + step.bytes + std::to_string(step.time.count()) + '\0';
            EXPECT_TRUE(scripts.insert(script).second) << one.file << ": " << one.name << " is there already";
        }
    }
    EXPECT_GE(count, 1300u);
    RecordProperty("cases", static_cast<int>(count));
}

}  // namespace
}  // namespace ocgate::framing
