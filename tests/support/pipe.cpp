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

    template <class Done>
    void post(Done done, error_code why, std::size_t n = 0) {
        boost::asio::post(executor, [done = std::move(done), why, n] {
            if constexpr (std::is_invocable_v<Done const&, error_code, std::size_t>) {
                done(why, n);
            } else {
                done(why);
            }
        });
    }

    std::size_t read_now(boost::asio::mutable_buffer into, error_code& why) {
        if (broken) {
            why = error::connection_reset;
            return 0;
        }
        if (!inbound.empty()) {
            auto const n = std::min({into.size(), inbound.size(), options.piece});
            std::memcpy(into.data(), inbound.data(), n);
            inbound.erase(0, n);
            return n;
        }
        why = inbound_ended ? error::make_error_code(error::eof) : error::make_error_code(error::would_block);
        return 0;
    }

    void look_at_reader() {
        if (!reader) return;
        error_code why;
        auto const n = read_now(reading_into, why);
        if (why == error::would_block) return;
        post(std::exchange(reader, nullptr), why, n);
    }

    [[nodiscard]] bool writable() const { return broken || deaf || closed || outbound.size() < options.capacity; }

    void look_at_writer() {
        if (!writer || !writable()) return;
        post(std::exchange(writer, nullptr), error_code{});
    }

    rt::Executor executor;
    PipeOptions options;
    std::string inbound, outbound;
    std::size_t writes = 0;
    bool inbound_ended = false, outbound_ended = false, closed = false, broken = false, broke_off = false;
    bool deaf = false;  ///< writing fails, reading goes on
    boost::asio::mutable_buffer reading_into;
    rt::Wire::Done reader;
    std::function<void(error_code)> writer;
};

namespace {

class PipeWire final : public rt::Wire {
public:
    explicit PipeWire(std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)) {}
    ~PipeWire() override { close(); }

    std::size_t try_read(boost::asio::mutable_buffer into, error_code& why) override {
        if (pipe_->strikes()) why = error::connection_reset;
        return why ? 0 : pipe_->read_now(into, why);
    }
    std::size_t try_write(rt::Gather const& from, error_code& why) override {
        if (pipe_->strikes() || pipe_->broken || pipe_->deaf || pipe_->closed) {
            why = error::broken_pipe;
            return 0;
        }
        if (!pipe_->writable()) {
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
    void read(boost::asio::mutable_buffer into, Done done) override {
        if (pipe_->strikes()) return pipe_->post(std::move(done), error::connection_reset, 0);
        pipe_->reading_into = into;
        pipe_->reader = std::move(done);
        pipe_->look_at_reader();
    }
    void wait_writable(std::function<void(error_code)> done) override {
        if (pipe_->strikes()) return pipe_->post(std::move(done), error::connection_reset);
        pipe_->writer = std::move(done);
        pipe_->look_at_writer();
    }
    void cancel() noexcept override {
        if (pipe_->reader) pipe_->post(std::exchange(pipe_->reader, nullptr), error::operation_aborted, 0);
        if (pipe_->writer) pipe_->post(std::exchange(pipe_->writer, nullptr), error::operation_aborted);
    }
    void shutdown_send() noexcept override { pipe_->outbound_ended = true; }
    void close() noexcept override {
        pipe_->outbound_ended = true;
        pipe_->closed = true;
        cancel();
    }
    void reset() noexcept override { pipe_->broke_off = true; }

private:
    std::shared_ptr<Pipe> pipe_;
};

}  // namespace

void PipeEnd::send(std::string_view bytes) {
    pipe_->inbound += bytes;
    pipe_->look_at_reader();
}

std::string PipeEnd::take(std::size_t max) {
    auto taken = pipe_->outbound.substr(0, max);
    pipe_->outbound.erase(0, taken.size());
    pipe_->look_at_writer();
    return taken;
}

std::string const& PipeEnd::waiting() const { return pipe_->outbound; }

void PipeEnd::end() {
    pipe_->inbound_ended = true;
    pipe_->look_at_reader();
}

void PipeEnd::reset() {
    pipe_->broken = true;
    pipe_->look_at_reader();
    pipe_->look_at_writer();
}

void PipeEnd::break_for_writing() {
    pipe_->deaf = true;
    end();
    pipe_->look_at_writer();
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
