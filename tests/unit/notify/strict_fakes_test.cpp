// The sinks and the client against the stand-ins of the integration tests, which refuse what the real targets refuse:
// what is sent here was made by the one and judged by the other.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <array>

#include "http_kit.hpp"
#include "sink_kit.hpp"

extern char** environ;

namespace ocgate::notify {
namespace {
using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Kind = Verdict::Kind;
using Pause = Verdict::Pause;

/// A stand-in in a Python of its own, of which each line is an expression about `fake`, answered in JSON.
class StandIn {
public:
    explicit StandIn(std::string const& make) {
        auto const script =
            "import json, sys\n"
            "sys.dont_write_bytecode = True\n"
            "sys.path.insert(0, sys.argv[1])\n"
            "from kit.fake_discord import FakeDiscord\n"
            "from kit.fake_ntfy import FakeNtfy\n"
            "with " +
            make +
            " as fake:\n"
            "    for line in sys.stdin:\n"
            "        print(json.dumps(eval(line)), flush=True)\n";
        std::array<int, 2> in{}, out{};
        if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        posix_spawn_file_actions_t files;
        posix_spawn_file_actions_init(&files);
        posix_spawn_file_actions_adddup2(&files, in[0], 0);
        posix_spawn_file_actions_adddup2(&files, out[1], 1);
        std::string kit = PROJECT_SOURCE_DIR "/tests/integration";
        std::string text = script, name = "python3", option = "-c";
        std::array<char*, 5> words{name.data(), option.data(), text.data(), kit.data(), nullptr};
        if (::posix_spawnp(&process_, "python3", &files, nullptr, words.data(), environ) != 0) process_ = -1;
        posix_spawn_file_actions_destroy(&files);
        ::close(in[0]);
        ::close(out[1]);
        to_ = in[1];
        from_ = ::fdopen(out[0], "r");
    }
    ~StandIn() {
        ::close(to_);  // the end of its input is its end
        std::fclose(from_);
        if (process_ > 0) ::waitpid(process_, nullptr, 0);
    }
    StandIn(StandIn const&) = delete;
    StandIn& operator=(StandIn const&) = delete;

    json ask(std::string const& expression) {
        auto const line = expression + "\n";
        EXPECT_EQ(::write(to_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
        std::string answer;
        for (int c = 0; (c = std::fgetc(from_)) != EOF && c != '\n';) answer += static_cast<char>(c);
        auto value = json::parse(answer, nullptr, false);
        if (value.is_discarded()) throw std::runtime_error("the stand-in has no answer to " + expression);
        return value;
    }

private:
    pid_t process_ = -1;
    int to_ = -1;
    std::FILE* from_ = nullptr;
};

class StrictFakes : public HttpTest {
protected:
    Verdict send(Sink& sink, HttpRequest const& request) {
        auto answer = finish(start(request.url, request.method, request.body, request.fields));
        if (!answer) {
            ADD_FAILURE() << to_string(answer.error());
            return {};
        }
        return sink.judge(request, *answer);
    }
    std::vector<Verdict> send(Sink& sink, std::vector<HttpRequest> const& requests) {
        std::vector<Verdict> verdicts;
        for (auto const& request : requests) verdicts.push_back(send(sink, request));
        return verdicts;
    }
};

std::unique_ptr<Sink> discord_of(StandIn& fake, std::vector<std::string> mentions = {}) {
    auto settings = discord_at(fake.ask("fake.webhook_url").get<std::string>()).value();
    settings.mentions = std::move(mentions);
    return make_discord(std::move(settings), standing());
}

TEST_F(StrictFakes, DiscordTakesAMessageItsEditAndItsReplacement) {
    StandIn fake("FakeDiscord()");
    auto const sink = discord_of(fake);
    auto message = permission_message();
    message.click_url = "https://gw.example/s/abc123";
    auto const posted = send(*sink, sink->publish(message, delivery()));
    EXPECT_EQ(posted.kind, Kind::delivered);
    ASSERT_FALSE(posted.remote_id.empty());
    auto shown = fake.ask("fake.messages")[posted.remote_id];
    EXPECT_EQ(shown["content"], "🔔 **OpenCode Alert**");
    EXPECT_EQ(shown["embeds"][0]["title"], "Interaction Required");
    EXPECT_THAT(shown["mentions"], IsEmpty());

    auto const over = *sink->resolve(message, {"once", "alice", 0}, delivery(posted.remote_id));
    EXPECT_EQ(over.method, "PATCH");
    EXPECT_EQ(send(*sink, over).kind, Kind::delivered);
    shown = fake.ask("fake.messages")[posted.remote_id];
    EXPECT_EQ(shown["embeds"][0]["color"], 9807270);
    EXPECT_THAT(shown["embeds"][0]["description"].get<std::string>(), HasSubstr("allowed once by alice"));
    EXPECT_FALSE(shown["edited_timestamp"].is_null());

    auto const again = send(*sink, sink->remind(message, delivery(posted.remote_id)));
    ASSERT_THAT(again, SizeIs(2));
    EXPECT_EQ(again[0].kind, Kind::delivered);
    EXPECT_EQ(again[1].kind, Kind::delivered);
    auto const left = fake.ask("fake.messages");
    EXPECT_THAT(left, SizeIs(1));
    EXPECT_TRUE(left.contains(again[1].remote_id));

    // What somebody has deleted is no trouble.
    EXPECT_EQ(send(*sink, *sink->resolve(message, {"once", "", 0}, delivery(posted.remote_id))).kind, Kind::gone);
    EXPECT_EQ(send(*sink, sink->remind(message, delivery(posted.remote_id)))[0].kind, Kind::gone);
    EXPECT_EQ(fake.ask("fake.wrong"), json::array());
}

TEST_F(StrictFakes, DiscordTakesWhateverTheTextIs) {
    StandIn fake("FakeDiscord(limit=1000)");
    auto const sink = discord_of(fake, {"123456789012345678"});
    std::string const long_text(12'000, 'x');
    for (std::string const text : {"", " ", "\xC2\xA0", "\xE3\x80\x80", "\xE2\x80\x8B", "```", "@everyone <@1>", "\n\n",
                                   "🔔🔔🔔", "\xFF\xFE", "\u202E", long_text.c_str()}) {
        auto message = message_full_of(text);
        message.escalated = true;
        auto const posted = send(*sink, sink->publish(message, delivery()));
        ASSERT_EQ(posted.kind, Kind::delivered) << text << fake.ask("fake.wrong");
        EXPECT_EQ(fake.ask("fake.messages")[posted.remote_id]["mentions"], json::array({"123456789012345678"})) << text;
        EXPECT_EQ(send(*sink, sink->plain(message, delivery())).kind, Kind::delivered) << text;
        auto const over = *sink->resolve(message, {"reject", text, 0}, delivery(posted.remote_id));
        EXPECT_EQ(send(*sink, over).kind, Kind::delivered) << text;
    }
    EXPECT_EQ(fake.ask("fake.wrong"), json::array());
}

TEST_F(StrictFakes, DiscordsAnswersMeanWhatTheyMean) {
    StandIn fake("FakeDiscord(limit=2, window=60)");
    auto const sink = discord_of(fake);
    auto const publish = [&] { return send(*sink, sink->publish(permission_message(), delivery())); };
    EXPECT_EQ(publish().wait.count(), 0);
    auto const last = publish();  // of its bucket
    EXPECT_EQ(last.kind, Kind::delivered);
    EXPECT_GT(last.wait, std::chrono::seconds(50));
    EXPECT_EQ(last.pause, Pause::target);
    auto const limited = publish();
    EXPECT_EQ(limited.kind, Kind::retry);
    EXPECT_GT(limited.wait, std::chrono::seconds(50));
    fake.ask("fake.rate_limited(64.57, 'global')");
    auto const global = publish();
    EXPECT_EQ(global.pause, Pause::type);
    EXPECT_EQ(global.wait, std::chrono::seconds(65));
    fake.ask("fake.cloudflare()");
    EXPECT_EQ(publish().wait, std::chrono::minutes(10));
    fake.ask("fake.html(502)");
    EXPECT_EQ(publish().kind, Kind::retry);
    fake.ask("fake.delete_webhook()");
    EXPECT_EQ(publish().kind, Kind::disable);
}

std::unique_ptr<Sink> ntfy_of(StandIn& fake, std::string_view token, WallClock wall = standing()) {
    auto settings = ntfy_at("oc-alerts", fake.ask("fake.url").get<std::string>()).value();
    settings.token = Secret(std::string(token));
    return make_ntfy(std::move(settings), std::move(wall));
}

TEST_F(StrictFakes, NtfyTakesAMessageItsReplacementAndItsEnd) {
    StandIn fake("FakeNtfy(tokens=['tk_right'], everyone='none')");
    auto const sink = ntfy_of(fake, "tk_right");
    std::string const long_text(12'000, '"');
    for (std::string const text : {"", "=?UTF-8?B?eA==?=", "a,b", "\xFF", "\n", "\xC2\xA0", long_text.c_str()}) {
        auto const message = message_full_of(text);
        EXPECT_EQ(send(*sink, sink->publish(message, delivery())).kind, Kind::delivered) << text;
        EXPECT_EQ(send(*sink, sink->publish(message, delivery())).kind, Kind::delivered) << text;
        EXPECT_THAT(fake.ask("fake.shown('oc-alerts')"), SizeIs(1));
        for (auto const& verdict : send(*sink, sink->remind(message, delivery()))) {
            EXPECT_EQ(verdict.kind, Kind::delivered) << text;
        }
        EXPECT_THAT(fake.ask("fake.shown('oc-alerts')"), SizeIs(1));
        EXPECT_EQ(send(*sink, *sink->resolve(message, {"once", "", 0}, delivery())).kind, Kind::delivered);
        EXPECT_THAT(fake.ask("fake.shown('oc-alerts')"), IsEmpty());
        EXPECT_EQ(send(*sink, sink->plain(message, delivery())).kind, Kind::delivered) << text;
        fake.ask("fake.cache.clear()");
    }
    auto const wrong = ntfy_of(fake, "tk_wrong");
    EXPECT_EQ(send(*wrong, wrong->publish(permission_message(), delivery())).kind, Kind::disable);
    auto now = test_now_s;
    auto const nobody = ntfy_of(fake, "", [&] { return standing(now)(); });
    EXPECT_EQ(send(*nobody, nobody->publish(permission_message(), delivery())).kind, Kind::retry);
    now += 5;
    EXPECT_EQ(send(*nobody, nobody->publish(permission_message(), delivery())).kind, Kind::disable);
}

TEST_F(StrictFakes, AnOlderNtfyIsNoticed) {
    StandIn fake("FakeNtfy(old=True)");
    auto const sink = ntfy_of(fake, "");
    auto const clear = *sink->resolve(permission_message(), {}, delivery());
    EXPECT_EQ(send(*sink, sink->publish(permission_message(), delivery())).kind, Kind::delivered);
    EXPECT_FALSE(sink->capabilities().resolves);
    auto const other = ntfy_of(fake, "");
    EXPECT_EQ(send(*other, clear).kind, Kind::gone);
    EXPECT_FALSE(other->capabilities().replaces);
}

}  // namespace
}  // namespace ocgate::notify
