// A connection that carries text, encrypted or not. TLS is OpenSSL between two blocks of memory; the bytes travel
// through rt::Peer like everything else, with its deadlines, its interrupt and its pipes in tests.
#pragma once

#include <openssl/ssl.h>

#include "ocgate/notify/http.hpp"

namespace ocgate::notify {

struct Trust::Inside {
    SSL_CTX* context = nullptr;
};

class Channel {
public:
    /// Closes the connection when it goes.
    explicit Channel(rt::PeerPtr peer) : peer_(std::move(peer)) {}
    ~Channel();
    Channel(Channel const&) = delete;
    Channel& operator=(Channel const&) = delete;

    /// Speaks TLS from now on, with the `host` (a name or an address) that the other end has to prove it is. On failure
    /// `detail` says more.
    rt::Task<error_code> secure(Trust const& trust, std::string const& host, std::string& detail, rt::Instant until);

    rt::Task<error_code> write(std::string_view text, rt::Instant until);
    /// Waits for more and appends it to `in`. `eof` at an end that was meant to be one; with TLS, an end without
    /// close_notify is Reason::cut_short: anybody on the way could have made it.
    rt::Task<error_code> read();
    std::string in;

    /// Bytes that have left, in the connection's own coding.
    [[nodiscard]] std::uint64_t sent() const noexcept { return peer_->sent(); }

private:
    rt::Task<error_code> flush(rt::Instant until);
    rt::Task<error_code> receive();
    [[nodiscard]] error_code failed(int outcome) const noexcept;
    void say_why() noexcept;

    rt::PeerPtr peer_;
    SSL* ssl_ = nullptr;
    BIO* arrived_ = nullptr;  ///< owned by `ssl_`, as the next
    BIO* leaving_ = nullptr;
};

}  // namespace ocgate::notify
