// A line in the gateway's own log for each message: a target that needs nothing and cannot fail.
#include "ocgate/notify/sinks.hpp"
#include "ocgate/notify/words.hpp"
#include "text.hpp"

namespace ocgate::notify {
namespace {

constexpr std::size_t max_line_bytes = 1000;

class Log final : public Sink {
public:
    [[nodiscard]] std::string_view type() const noexcept override { return "log"; }

    [[nodiscard]] Capabilities capabilities() const noexcept override {
        Capabilities can;
        can.resolves = true;
        can.line_only = true;
        return can;
    }

    [[nodiscard]] HttpRequest publish(Message const& message, Delivery const&) const override {
        return line(message.title + " – " + message.body);
    }

    [[nodiscard]] HttpRequest plain(Message const& message, Delivery const&) const override {
        return line(message.title);
    }

    [[nodiscard]] std::optional<HttpRequest> resolve(Message const& message, Resolution const& resolution,
                                                     Delivery const&) const override {
        return line(message.title + " – " + outcome_words(resolution));
    }

    [[nodiscard]] std::vector<HttpRequest> remind(Message const& message, Delivery const&) const override {
        return {line("still waiting: " + message.title)};
    }

    [[nodiscard]] Verdict judge(HttpRequest const&, HttpResponse const&) override {
        return {.kind = Verdict::Kind::delivered};
    }

private:
    static HttpRequest line(std::string const& text) {
        HttpRequest request;
        request.shown = "log";
        request.body = cut_bytes(clean(text, Lines::join), max_line_bytes);
        return request;
    }
};

}  // namespace

std::unique_ptr<Sink> make_log() { return std::make_unique<Log>(); }

}  // namespace ocgate::notify
