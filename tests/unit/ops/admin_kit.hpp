// The admin server on a thread of its own, and clients that block.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <thread>

#include "ocgate/ops/admin.hpp"

namespace ocgate::ops {

using nlohmann::json;

/// A blocking client; no call of it takes longer than ten seconds.
class Client {
public:
    explicit Client(sockaddr const* address, socklen_t size, int receive_bytes = 0, char const* from = nullptr)
        : socket_(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        timeval const patience{10, 0};
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (receive_bytes > 0) ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
        if (from != nullptr) {
            sockaddr_in own{};
            own.sin_family = AF_INET;
            ::inet_pton(AF_INET, from, &own.sin_addr);
            if (::bind(socket_, reinterpret_cast<sockaddr const*>(&own), sizeof own) != 0)
                throw std::runtime_error("bind");
        }
        if (::connect(socket_, address, size) != 0) throw std::runtime_error("connect");
    }
    Client(Client&& other) noexcept : socket_(std::exchange(other.socket_, -1)), read_(std::move(other.read_)) {}
    ~Client() {
        if (socket_ >= 0) ::close(socket_);
    }

    Client& say(std::string_view text) {
        while (!text.empty()) {
            auto const n = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
            if (n <= 0) break;
            text.remove_prefix(static_cast<std::size_t>(n));
        }
        return *this;
    }
    Client& get(std::string_view target, std::string_view method = "GET") {
        return say(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: admin\r\n\r\n");
    }

    struct Answer {
        int status = 0;
        std::string head, body;
        [[nodiscard]] json error() const { return json::parse(body).at("error"); }
        [[nodiscard]] std::string field(std::string const& name) const {
            auto const at = head.find("\r\n" + name + ": ");
            if (at == std::string::npos) return {};
            auto const begin = at + name.size() + 4;
            return head.substr(begin, head.find("\r\n", begin) - begin);
        }
    };
    /// One answer framed by Content-Length; status 0 when none comes.
    Answer answer(bool head_only = false) {
        Answer a;
        std::size_t end;
        while ((end = read_.find("\r\n\r\n")) == std::string::npos) {
            if (!more()) return a;
        }
        a.head = read_.substr(0, end + 2);
        read_.erase(0, end + 4);
        a.status = std::stoi(a.head.substr(9, 3));
        auto const length = a.head.find("Content-Length: ");
        auto const size = length == std::string::npos ? 0 : std::stoul(a.head.substr(length + 16));
        if (head_only) return a;
        while (read_.size() < size && more()) {
        }
        a.body = read_.substr(0, size);
        read_.erase(0, size);
        return a;
    }
    /// Whether the server has ended the connection, with nothing more to read.
    bool ended() {
        auto const before = read_.size();
        errno = 0;
        return !more() && errno != EAGAIN && read_.size() == before;
    }
    std::size_t read_all() {
        while (more()) {
        }
        return read_.size();
    }

private:
    bool more() {
        char piece[16384];
        auto const n = ::recv(socket_, piece, sizeof piece, 0);
        if (n <= 0) return false;
        read_.append(piece, static_cast<std::size_t>(n));
        return true;
    }
    int socket_;
    std::string read_;
};

/// The server on a thread of its own, on a port of the kernel's choosing or a socket file. Ending it proves that
/// nothing is left on its executor: the thread would not end.
class Running {
public:
    explicit Running(AdminLimits limits = {}, AdminAnswers answers = usual(), bool tcp = true) {
        int const listener = ::socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (tcp) {
            auto* in = reinterpret_cast<sockaddr_in*>(&address_);
            in->sin_family = AF_INET;
            in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            size_ = sizeof *in;
        } else {
            folder_ = "/tmp/ocgate-admin-XXXXXX";
            if (!::mkdtemp(folder_.data())) throw std::runtime_error("mkdtemp");
            auto* un = reinterpret_cast<sockaddr_un*>(&address_);
            un->sun_family = AF_UNIX;
            std::strncpy(un->sun_path, (folder_ + "/s").c_str(), sizeof un->sun_path - 1);
            size_ = sizeof *un;
        }
        auto* name = reinterpret_cast<sockaddr*>(&address_);
        if (::bind(listener, name, size_) != 0 || ::listen(listener, 128) != 0) throw std::runtime_error("listen");
        if (tcp) ::getsockname(listener, name, &size_);
        server_.emplace(io_.get_executor(), listener, tcp, std::move(answers), limits);
        thread_ = std::thread([this] { run(); });
    }
    ~Running() {
        stop();
        if (!folder_.empty()) {
            ::unlink((folder_ + "/s").c_str());
            ::rmdir(folder_.c_str());
        }
    }

    void stop() {
        if (!thread_.joinable()) return;
        boost::asio::post(io_, [this] { server_->stop(); });
        thread_.join();
    }
    /// Runs it on the server's thread and waits for it.
    void on_its_thread(std::function<void()> const& task) {
        std::binary_semaphore done(0);
        boost::asio::post(io_, [&] {
            task();
            done.release();
        });
        done.acquire();
    }
    Client connect(int receive_bytes = 0) {
        return Client(reinterpret_cast<sockaddr const*>(&address_), size_, receive_bytes);
    }
    Client connect_from(char const* address) {
        return Client(reinterpret_cast<sockaddr const*>(&address_), size_, 0, address);
    }
    Client::Answer get(std::string_view target, std::string_view method = "GET") {
        return connect().get(target, method).answer(method == "HEAD");
    }

    static AdminAnswers usual() {
        return {.metrics = [] { return std::string("# metrics\n"); },
                .readiness =
                    [](bool with_upstream) {
                        return std::pair(!with_upstream, std::string(with_upstream ? "{\"u\":1}" : "{\"u\":0}"));
                    },
                .overview = [] { return std::string("{\"status\":\"ok\",\"phase\":\"ready\"}"); }};
    }

private:
    /// As the gateway runs it: an exception that leaves a handler is not the end.
    void run() {
        for (;;) {
            try {
                io_.run();
                return;
            } catch (std::bad_alloc const&) {
            }
        }
    }

    boost::asio::io_context io_{1};
    sockaddr_storage address_{};
    socklen_t size_ = 0;
    std::string folder_;
    std::optional<AdminServer> server_;
    std::thread thread_;
};

}  // namespace ocgate::ops
