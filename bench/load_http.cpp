// Requests and answers over keep-alive or fresh connections: as fast as answers come, or at a fixed rate.
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "load_answer.hpp"
#include "load_expect.hpp"
#include "load_measure.hpp"
#include "loads.hpp"
#include "shared_answers.hpp"

namespace bench {
namespace {

constexpr std::size_t most_errors = 100;

class Requests {
public:
    explicit Requests(Plan const& plan)
        : plan_(plan),
          meter_(plan.arguments),
          fresh_(plan.arguments.has("--fresh")),
          expect_(static_cast<int>(plan.arguments.number("--expect", 200))),
          warm_up_(static_cast<std::size_t>(plan.arguments.number("--warm-up"))),
          total_(warm_up_ + static_cast<std::size_t>(plan.arguments.number("--requests", 1))),
          rate_(plan.arguments.number("--rate")) {
        auto const method = plan.arguments.text("--method", "GET"), path = plan.arguments.text("--path", "/session");
        std::string more = fresh_ ? "Connection: close\r\n" : "";
        if (method == "POST") {
            body_bytes_ = static_cast<std::size_t>(plan.arguments.number("--body"));
            more += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body_bytes_) + "\r\n";
        }
        request_ = plan.head(method, path, more);
        if (expect_ == 200 && !plan.arguments.has("--unchecked"))
            expected_ = Expected::answer_to(method, path, body_bytes_);
        if (body_bytes_ <= block_.size()) request_ += block_.substr(0, body_bytes_), body_bytes_ = 0;
    }

    void run() {
        for (std::size_t i = 0; i < plan_.connections; ++i) {
            calls_.push_back(std::make_unique<Call>());
            idle_.push_back(calls_.back().get());
        }
        if (warm_up_ == 0) meter_.begin();
        started_ = now_ns();
        while (finished_ < total_) {
            issue();
            epoll_.wait(patience(), [this](int fd, std::uint32_t) {
                if (Call* const call = by_fd_[static_cast<std::size_t>(fd)]) advance(*call);
            });
            plan_.check_time();
        }
        report("request", static_cast<double>(total_ - warm_up_), static_cast<double>(total_ - warm_up_), meter_,
               latencies_, {.answers = total_, .errors = errors_});
    }

private:
    struct Call {
        Fd fd;
        AnswerReader answer;
        std::int64_t due = 0;
        std::size_t sent = 0, checked = 0;
        bool busy = false, watches_writable = false;
    };

    std::int64_t due(std::size_t i) const {
        return started_ + static_cast<std::int64_t>(static_cast<double>(i) * 1e9 / static_cast<double>(rate_));
    }
    std::int64_t patience() const {
        constexpr std::int64_t a_second = 1'000'000'000;
        if (rate_ == 0 || issued_ == total_ || idle_.empty()) return a_second;
        return std::clamp<std::int64_t>(due(issued_) - now_ns(), 0, a_second);
    }

    void issue() {
        while (issued_ < total_ && !idle_.empty()) {
            std::int64_t const now = now_ns();
            std::int64_t const at = rate_ > 0 ? due(issued_) : now;
            if (at > now) return;
            Call& call = *idle_.back();
            idle_.pop_back();
            ++issued_;
            call.due = at;
            begin(call);
        }
    }

    void begin(Call& call) {
        call.busy = true;
        call.sent = call.checked = 0;
        call.answer.next();
        if (!call.fd.open()) {
            call.fd = connect_to_loopback(plan_.port);
            auto const index = static_cast<std::size_t>(call.fd.get());
            if (by_fd_.size() <= index) by_fd_.resize(index + 1);
            by_fd_[index] = &call;
            call.watches_writable = false;
            epoll_.add(call.fd.get(), EPOLLIN);
        }
        send(call);
    }

    void send(Call& call) {
        bool blocked = false;
        while (!blocked && call.sent < request_.size() + body_bytes_) {
            std::string_view const part =
                call.sent < request_.size()
                    ? std::string_view(request_).substr(call.sent)
                    : std::string_view(block_).substr(0, request_.size() + body_bytes_ - call.sent);
            Moved const put = write_some(call.fd.get(), part);
            if (put.ended) return broken(call);
            call.sent += put.bytes;
            blocked = put.blocked;
        }
        if (blocked != call.watches_writable) {
            call.watches_writable = blocked;
            epoll_.change(call.fd.get(), blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
        }
    }

    void advance(Call& call) {
        if (call.watches_writable) send(call);
        if (!call.fd.open()) return;
        Moved const got = read_some(call.fd.get(), buffer_);
        if (got.ended) {
            bool const complete = call.busy && fresh_ && call.answer.done();
            if (!call.busy || complete) drop(call);  // an idle connection may be closed by its server
            if (complete) return finish(call);
            return call.busy ? broken(call) : void();
        }
        if (got.bytes == 0) return;
        std::size_t const taken = call.answer.feed({buffer_.data(), got.bytes}, [&](std::string_view bytes) {
            if (expected_ && call.answer.status() == expect_) expected_->check(call.checked, bytes);
        });
        if (taken < got.bytes) throw std::runtime_error("bytes beyond the answer");
        if (!call.answer.done() || fresh_) return;  // a fresh connection is over when its server has closed it
        if (call.answer.closes()) drop(call);
        finish(call);
    }

    void finish(Call& call) {
        if (call.answer.status() != expect_)
            throw std::runtime_error("expected " + std::to_string(expect_) + ", got " +
                                     std::to_string(call.answer.status()));
        if (expected_) expected_->check_end(call.checked);
        if (expect_ == 401 && !call.answer.asks_for_credentials()) throw std::runtime_error("a 401 that asks nothing");
        call.busy = false;
        if (++finished_ == warm_up_) meter_.begin();
        if (finished_ > warm_up_) latencies_.add(now_ns() - call.due);
        if (finished_ == total_) meter_.end();
        idle_.push_back(&call);
        issue();
    }

    void broken(Call& call) {
        if (++errors_ > most_errors) throw std::runtime_error("too many broken connections");
        drop(call);
        begin(call);  // the same request again, late as it is
    }

    void drop(Call& call) {
        by_fd_[static_cast<std::size_t>(call.fd.get())] = nullptr;
        call.fd.close();
    }

    Plan const& plan_;
    Meter meter_;
    bool fresh_;
    int expect_;
    std::size_t warm_up_, total_;
    std::int64_t rate_;
    std::string const block_ = block_of("b");
    std::string request_;
    std::optional<Expected> expected_;
    std::size_t body_bytes_ = 0;  // of a body that goes out in blocks, after request_
    std::int64_t started_ = 0;
    std::size_t issued_ = 0, finished_ = 0, errors_ = 0;
    Epoll epoll_;
    std::vector<std::unique_ptr<Call>> calls_;
    std::vector<Call*> by_fd_, idle_;
    Latencies latencies_;
    std::array<char, 65536> buffer_{};
};

}  // namespace

void http(Plan const& plan) { std::make_unique<Requests>(plan)->run(); }

}  // namespace bench
