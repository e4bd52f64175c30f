#include "support/pipe.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <cstring>

namespace ocgate::test {
namespace error = boost::asio::error;

class Pipe : public std::enable_shared_from_this<Pipe> {
public:
    Pipe(rt::Executor e, PipeOptions o) : executor(e), options(std::move(o)) {}

    [[nodiscard]] bool strikes() const { return options.faults && options.faults->strikes(); }

    /// Edges, like epoll's: each is told once, as things are when it arrives.
    void tell(rt::Readiness now) {
        boost::asio::post(executor, [self = shared_from_this(), now] {
            auto const tell = self->told;  // it may be taken back from inside
            if (tell) tell(now);
        });
    }
    void tell_reader() {
        bool const ended = inbound_ended || broken;
        if (ended || !inbound.empty()) tell({.readable = true, .writable = broken, .ended = ended, .broken = broken});
    }
    void tell_writer() {
        if (blocked && writable()) {
            blocked = false;
            tell({.readable = false, .writable = true, .ended = false, .broken = false});
        }
    }
    [[nodiscard]] bool writable() const { return broken || deaf || closed || outbound.size() < options.capacity; }

    rt::Executor executor;
    PipeOptions options;
    std::string inbound, outbound;
    std::size_t writes = 0;
    bool inbound_ended = false, outbound_ended = false, closed = false, broken = false, broke_off = false;
    bool deaf = false;     ///< writing fails, reading goes on
    bool blocked = false;  ///< a write found no room, or too little
    std::function<void(rt::Readiness)> told;
};

namespace {

class PipeWire final : public rt::Wire {
public:
    explicit PipeWire(std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)) {}
    ~PipeWire() override { close(); }

    void tell(std::function<void(rt::Readiness)> told) override {
        pipe_->told = std::move(told);
        pipe_->tell_reader();
    }
    std::size_t try_read(std::span<char> into, error_code& why) override {
        if (pipe_->broken || pipe_->strikes()) {
            why = error::connection_reset;
            return 0;
        }
        auto const n = look(into);
        pipe_->inbound.erase(0, n);
        if (n > 0) return n;
        why = pipe_->inbound_ended ? error::make_error_code(error::eof) : error::make_error_code(error::would_block);
        return 0;
    }
    std::size_t try_peek(std::span<char> into, error_code& why) override {
        if (pipe_->broken || pipe_->strikes()) {
            why = error::connection_reset;
            return 0;
        }
        auto const n = look(into);
        if (n > 0) return n;
        why = pipe_->inbound_ended ? error::make_error_code(error::eof) : error::make_error_code(error::would_block);
        return 0;
    }
    std::size_t drop(std::size_t n) noexcept override {
        if (pipe_->strikes()) return 0;
        pipe_->inbound.erase(0, n);
        return n;
    }
    std::size_t try_write(rt::Gather const& from, error_code& why) override {
        if (pipe_->strikes() || pipe_->broken || pipe_->deaf || pipe_->closed) {
            why = error::broken_pipe;
            return 0;
        }
        if (!pipe_->writable()) {
            pipe_->blocked = true;
            why = error::would_block;
            return 0;
        }
        auto room = std::min(pipe_->options.capacity - pipe_->outbound.size(), pipe_->options.piece);
        std::size_t written = 0;
        for (auto const& part : from) {
            auto const n = std::min(part.size(), room - written);
            pipe_->outbound.append(static_cast<char const*>(part.data()), n);
            written += n;
        }
        if (written > 0) ++pipe_->writes;
        return written;
    }
    void shutdown_send() noexcept override { pipe_->outbound_ended = true; }
    void close() noexcept override {
        pipe_->outbound_ended = true;
        pipe_->closed = true;
        pipe_->told = nullptr;
    }
    void reset() noexcept override { pipe_->broke_off = true; }

private:
    std::size_t look(std::span<char> into) {
        auto const& inbound = pipe_->inbound;
        auto const n = std::min({into.size(), inbound.size(), pipe_->options.piece});
        std::memcpy(into.data(), inbound.data(), n);
        // The rest comes a moment later, as if it had been on its way.
        if (n > 0 && n < into.size() && n < inbound.size()) pipe_->tell_reader();
        return n;
    }
    std::shared_ptr<Pipe> pipe_;
};

}  // namespace

void PipeEnd::send(std::string_view bytes) {
    pipe_->inbound += bytes;
    pipe_->tell_reader();
}

std::string PipeEnd::take(std::size_t max) {
    auto taken = pipe_->outbound.substr(0, max);
    pipe_->outbound.erase(0, taken.size());
    pipe_->tell_writer();
    return taken;
}

std::string const& PipeEnd::waiting() const { return pipe_->outbound; }

void PipeEnd::end() {
    pipe_->inbound_ended = true;
    pipe_->tell_reader();
}

void PipeEnd::reset() {
    pipe_->broken = true;
    pipe_->tell_reader();
    pipe_->tell_writer();
}

void PipeEnd::break_for_writing() {
    pipe_->deaf = true;
    end();
    pipe_->tell_writer();
}

bool PipeEnd::saw_end() const { return pipe_->outbound_ended; }
bool PipeEnd::saw_reset() const { return pipe_->broke_off; }
bool PipeEnd::closed() const { return pipe_->closed; }
std::size_t PipeEnd::writes() const { return pipe_->writes; }

std::pair<std::unique_ptr<rt::Wire>, PipeEnd> make_pipe(rt::Executor executor, PipeOptions options) {
    auto pipe = std::make_shared<Pipe>(executor, std::move(options));
    return {std::make_unique<PipeWire>(pipe), PipeEnd(pipe)};
}

}  // namespace ocgate::test
