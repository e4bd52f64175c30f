// Who asks over the control socket, when somebody else answers there.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control_kit.hpp"

namespace ocgate::app {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

proxy::PageRequest a_page() {
    proxy::PageRequest request;
    request.method = "GET";
    request.target = "/_ocgate/pending";
    return request;
}

/// Somebody else behind the socket: takes one line from one asker, says `words` and leaves (without words: waits until
/// the asker does).
class Stranger {
public:
    explicit Stranger(std::string words) : words_(std::move(words)), listener_(place_.listen()) {
        // Made to be polled; here a thread waits.
        ::fcntl(listener_, F_SETFL, ::fcntl(listener_, F_GETFL) & ~O_NONBLOCK);
        thread_ = std::thread([this] {
            int const fd = ::accept(listener_, nullptr, nullptr);
            std::string line;
            char piece[4096];
            while (line.find('\n') == std::string::npos || words_.empty()) {
                auto const n = ::recv(fd, piece, sizeof piece, 0);
                if (n <= 0) break;
                line.append(piece, static_cast<std::size_t>(n));
            }
            ::send(fd, words_.data(), words_.size(), MSG_NOSIGNAL);
            ::close(fd);
        });
    }
    ~Stranger() {
        thread_.join();
        ::close(listener_);
    }
    Stranger(Stranger const&) = delete;
    Stranger& operator=(Stranger const&) = delete;
    [[nodiscard]] std::string path() const { return place_.path(); }

private:
    SocketPlace place_;
    std::string words_;
    int listener_;
    std::thread thread_;
};

TEST(ControlPageClient, IsNotFooledByOthers) {
    struct Case {
        std::string words;
        char const* problem;
    };
    Case const cases[] = {
        {"unknown command\n", "older ocgate"},
        {"drained\n", "that is no ocgate"},
        {"\n", "that is no ocgate"},
        {"[]\n", "that is no ocgate"},
        {"{\"status\":200}\n", "that is no ocgate"},
        {"{\"status\":200,\"bytes\":-1}\n", "that is no ocgate"},
        {"{\"status\":200,\"bytes\":1.5}\n", "that is no ocgate"},
        {"{\"status\":200,\"bytes\":16777217}\n", "that is no ocgate"},
        {"{\"status\":\"200\",\"bytes\":0}\n", "that is no ocgate"},
        {"{\"status\":1000,\"bytes\":0}\n", "that is no ocgate"},
        {std::string(9000, 'x'), "that is no ocgate"},
        {"{\"status\":200,\"bytes\":4}\nabc", "ended before it answered"},
        {"{\"status\":200,\"bytes\":4}", "ended before it answered"},
    };
    for (auto const& one : cases) {
        Stranger stranger(one.words);
        std::string problem;
        EXPECT_FALSE(ask_page(stranger.path(), a_page(), 20s, problem)) << one.words;
        EXPECT_THAT(problem, StartsWith(stranger.path() + ": "));
        EXPECT_THAT(problem, HasSubstr(one.problem)) << one.words;
    }
}

TEST(ControlPageClient, TakesTheLeastThatIsAnAnswerAndNothingBeyondIt) {
    Stranger stranger("{\"bytes\":3,\"status\":201}\nabcdef");
    std::string problem;
    auto const answer = ask_page(stranger.path(), a_page(), 20s, problem);
    ASSERT_TRUE(answer) << problem;
    EXPECT_EQ(answer->status, 201U);
    EXPECT_EQ(answer->content_type, "");
    EXPECT_EQ(answer->body, "abc");
}

TEST(ControlPageClient, GivesUpInTime) {
    Stranger stranger("");
    std::string problem;
    EXPECT_FALSE(ask_page(stranger.path(), a_page(), 50ms, problem));
    EXPECT_THAT(problem, HasSubstr("no answer: Connection timed out"));
}

TEST(ControlPageClient, SaysWhereItFoundNobody) {
    std::string problem;
    EXPECT_FALSE(ask_page("/nonexistent/nobody.sock", a_page(), 1s, problem));
    EXPECT_THAT(problem, StartsWith("/nonexistent/nobody.sock: no gateway answers there"));
}

}  // namespace
}  // namespace ocgate::app
