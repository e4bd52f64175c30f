// A control socket in a folder of its own, served by a thread of its own, and an asker that does as it is told.
#pragma once

#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "control.hpp"
#include "ocgate/proxy/shard.hpp"

namespace ocgate::app {

/// A folder with the place for a socket in it.
class SocketPlace {
public:
    SocketPlace() {
        std::string pattern = testing::TempDir() + "ocgate-control-XXXXXX";
        EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
    }
    ~SocketPlace() { std::filesystem::remove_all(folder_); }
    SocketPlace(SocketPlace const&) = delete;
    SocketPlace& operator=(SocketPlace const&) = delete;

    [[nodiscard]] std::string path() const { return folder_ + "/control.sock"; }
    [[nodiscard]] int listen() const {
        rt::Address bound;
        auto const fd = proxy::open_listener({{}, 0, path()}, false, bound);
        EXPECT_TRUE(fd) << fd.error().message();
        return *fd;
    }

private:
    std::string folder_;
};

class ControlThread {
public:
    explicit ControlThread(ControlActions actions) {
        server_.emplace(io_.get_executor(), deadlines_, place_.listen(), std::move(actions));
        thread_ = std::thread([this] { io_.run(); });
    }
    ~ControlThread() { end({}); }
    ControlThread(ControlThread const&) = delete;
    ControlThread& operator=(ControlThread const&) = delete;

    [[nodiscard]] std::string path() const { return place_.path(); }
    /// On the loop that the actions are called on.
    void post(std::function<void()> step) { boost::asio::post(io_, std::move(step)); }
    void stop() {
        post([this] { server_->stop(); });
    }
    /// As a gateway ends: stopped, `last` on the loop, no turn of it afterwards but for what was closed.
    void end(std::function<void()> last) {
        if (!server_) return;
        post([this, last = std::move(last)] {
            server_->stop();
            if (last) last();
            io_.stop();
        });
        thread_.join();
        io_.restart();
        io_.poll();
        server_.reset();
    }

private:
    SocketPlace place_;
    boost::asio::io_context io_{1};
    rt::SystemClock clock_;
    rt::Deadlines deadlines_{io_.get_executor(), clock_};
    std::optional<ControlServer> server_;
    std::thread thread_;
};

/// Blocking, and in control of every byte.
class Asker {
public:
    explicit Asker(std::string const& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        path.copy(name.sun_path, sizeof name.sun_path - 1);
        timeval const patience{20, 0};  // a mistake shall fail, not hang
        EXPECT_EQ(::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
        EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
    }
    ~Asker() { hang_up(); }
    Asker(Asker const&) = delete;
    Asker& operator=(Asker const&) = delete;

    void send(std::string_view text) {
        EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    }
    /// Returns when the other side has taken it out of the socket, so that what is sent next comes on its own.
    void send_alone(std::string_view text) {
        send(text);
        for (int left = 1; left > 0; std::this_thread::yield()) ASSERT_EQ(::ioctl(fd_, SIOCOUTQ, &left), 0);
    }
    void end_own_side() { ::shutdown(fd_, SHUT_WR); }
    void hang_up() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }
    std::string read_to_end() {
        std::string all;
        char piece[4096];
        for (;;) {
            auto const n = ::recv(fd_, piece, sizeof piece, 0);
            EXPECT_FALSE(n < 0 && errno == EAGAIN) << "the other side does not end";
            if (n <= 0) return all;
            all.append(piece, static_cast<std::size_t>(n));
        }
    }

private:
    int fd_;
};

}  // namespace ocgate::app
