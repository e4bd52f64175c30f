// Pages that say what a test tells them to, and a witness that writes everything down.
#pragma once

#include "messages.hpp"

namespace ocgate::test {

/// Says what the test tells it to, at once or when it is let go.
class Book final : public proxy::Pages {
public:
    rt::Task<proxy::PageAnswer> answer(proxy::PageRequest request, rt::DialBreaker& breaker) override {
        asked.push_back(std::move(request));
        if (thinks) {
            rt::DialBreaker::Watch const watch(
                breaker, [](void* self) { static_cast<Book*>(self)->done.notify(); }, this);
            co_await done.wait();
        }
        left += breaker.tripped();
        if (throws) throw std::runtime_error("the page is torn");
        co_return says;
    }
    std::vector<proxy::PageRequest> asked;
    proxy::PageAnswer says{200, "application/json", "{}\n"};
    bool thinks = false, throws = false;
    rt::Signal done;
    int left = 0;  ///< whose askers were gone when it was done
};

class Ear final : public proxy::Witness {
public:
    void began(proxy::Deed const& deed) noexcept override { write("> ", deed, ""); }
    void ended(proxy::Deed const& deed, unsigned status, rt::Duration time) noexcept override {
        write("< ", deed, " " + std::to_string(status));
        took = time;
    }
    std::vector<std::string> heard;
    std::vector<std::string> from;  ///< address and request id, of each
    rt::Duration took{};            ///< the last one that ended

private:
    void write(char const* sign, proxy::Deed const& deed, std::string const& end) {
        heard.push_back(sign + std::string(deed.websocket ? "WS " : "") + std::string(deed.method) + " " +
                        std::string(deed.target) + " " + std::string(deed.user) + end);
        from.push_back(std::string(deed.client_address) + " " + std::string(deed.request_id));
    }
};

struct Reader {
    explicit Reader(Scenario::Options given = {}) : options(with(std::move(given))), s(options) {}
    Scenario::Options with(Scenario::Options given) const {
        given.pages = book;
        given.witness = ear;
        return given;
    }
    std::string asks(std::string_view request) {
        s.client().sends(request);
        return s.client().take();
    }
    Finished const& last() { return s.notebook().exchanges.at(s.notebook().exchanges.size() - 1); }

    std::shared_ptr<Book> const book = std::make_shared<Book>();
    std::shared_ptr<Ear> const ear = std::make_shared<Ear>();
    Scenario::Options options;
    Scenario s;
};

inline std::string in_chunks(std::string_view content, std::string_view fields = {}) {
    std::string message =
        "POST /_ocgate/mute HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + std::string(fields) + "\r\n";
    for (; content.size() > 1000; content.remove_prefix(1000)) message += chunk(content.substr(0, 1000));
    if (!content.empty()) message += chunk(content);
    return message + std::string(last_chunk);
}

}  // namespace ocgate::test
