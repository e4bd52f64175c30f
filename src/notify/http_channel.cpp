#include "http_channel.hpp"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/error.hpp>
#include <new>

namespace ocgate::notify {
namespace {

namespace error = boost::asio::error;

/// What OpenSSL encrypts in one go; more would only be a longer queue.
constexpr std::size_t piece_bytes = 16 * 1024;

std::string words_of(unsigned long number) {
    char const* const reason = ERR_reason_error_string(number);
    return reason ? reason : "";
}

}  // namespace

Trust::Trust() : inside_(std::make_unique<Inside>()) {}
Trust::~Trust() { SSL_CTX_free(inside_->context); }

std::shared_ptr<Trust const> Trust::load(std::string const& ca_file, std::string& problem) {
    std::shared_ptr<Trust> trust(new Trust);
    auto* const context = trust->inside_->context = SSL_CTX_new(TLS_client_method());
    if (!context) throw std::bad_alloc();
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    unsigned char const protocols[] = "\x08http/1.1";
    SSL_CTX_set_alpn_protos(context, protocols, sizeof protocols - 1);
    struct stat about {};
    // OpenSSL would wait for somebody to write to a pipe, and with it all that the gateway does besides traffic.
    if (!ca_file.empty() && ::stat(ca_file.c_str(), &about) == 0 && !S_ISREG(about.st_mode)) {
        problem = ca_file + ": not a regular file";
        return nullptr;
    }
    ERR_clear_error();
    bool const loaded = ca_file.empty() ? SSL_CTX_set_default_verify_paths(context) == 1
                                        : SSL_CTX_load_verify_file(context, ca_file.c_str()) == 1;
    if (!loaded) {
        auto const words = words_of(ERR_peek_last_error());
        problem = (ca_file.empty() ? "the system's certification authorities" : ca_file) + ": " +
                  (words.empty() ? "cannot be read" : words);
        ERR_clear_error();
        return nullptr;
    }
    return trust;
}

Channel::~Channel() {
    SSL_free(ssl_);
    peer_->close();
}

rt::Task<error_code> Channel::secure(Trust const& trust, std::string const& host, std::string& detail,
                                     rt::Instant until) {
    ERR_clear_error();
    ssl_ = SSL_new(trust.inside().context);
    arrived_ = BIO_new(BIO_s_mem());
    leaving_ = BIO_new(BIO_s_mem());
    if (!ssl_ || !arrived_ || !leaving_) {
        BIO_free(arrived_);
        BIO_free(leaving_);
        co_return error::no_memory;
    }
    SSL_set_bio(ssl_, arrived_, leaving_);
    SSL_set_connect_state(ssl_);
    error_code no_address;
    (void)rt::asio::ip::make_address(host, no_address);
    SSL_set_hostflags(ssl_, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    bool named = false;
    if (no_address) {  // addresses are no server names: RFC 6066 §3
        // SSL_set_tlsext_host_name, without its cast.
        named = SSL_set1_host(ssl_, host.c_str()) == 1 &&
                SSL_ctrl(ssl_, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                         const_cast<char*>(host.c_str())) == 1;
    } else {
        named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), host.c_str()) == 1;
    }
    if (!named) co_return error::invalid_argument;
    for (;;) {
        ERR_clear_error();
        int const outcome = SSL_do_handshake(ssl_);
        bool const more = outcome != 1 && SSL_get_error(ssl_, outcome) == SSL_ERROR_WANT_READ;
        if (outcome != 1 && !more) {
            auto const why = failed(outcome);
            auto const verdict = SSL_get_verify_result(ssl_);
            if (verdict != X509_V_OK) detail = X509_verify_cert_error_string(verdict);
            say_why();
            co_return why;
        }
        if (auto const why = co_await flush(until)) co_return why;
        if (!more) co_return error_code{};
        if (auto const why = co_await receive()) co_return why == error::eof ? error_code(Reason::cut_short) : why;
    }
}

rt::Task<error_code> Channel::write(std::string_view text, rt::Instant until) {
    if (!ssl_) {
        rt::Gather pieces{text};
        co_return co_await peer_->write(pieces, rt::Duration::max(), until);
    }
    while (!text.empty()) {
        auto const piece = text.substr(0, piece_bytes);
        ERR_clear_error();
        int const outcome = SSL_write(ssl_, piece.data(), static_cast<int>(piece.size()));
        if (outcome <= 0) co_return failed(outcome);
        text.remove_prefix(static_cast<std::size_t>(outcome));
        if (auto const why = co_await flush(until)) co_return why;
    }
    co_return error_code{};
}

rt::Task<error_code> Channel::read() {
    if (!ssl_) {
        if (auto const why = co_await peer_->fill()) co_return why;
        in += peer_->text();
        peer_->consume(peer_->text().size());
        co_return error_code{};
    }
    for (;;) {
        auto const before = in.size();
        in.resize(before + 4096);
        ERR_clear_error();
        int const outcome = SSL_read(ssl_, in.data() + before, 4096);
        in.resize(before + static_cast<std::size_t>(outcome > 0 ? outcome : 0));
        if (outcome > 0) co_return error_code{};
        auto const why = SSL_get_error(ssl_, outcome);
        if (why == SSL_ERROR_ZERO_RETURN) co_return error::eof;
        if (why != SSL_ERROR_WANT_READ) co_return failed(outcome);
        say_why();  // a key update is answered
        if (auto const cut = co_await receive()) co_return cut == error::eof ? error_code(Reason::cut_short) : cut;
    }
}

rt::Task<error_code> Channel::flush(rt::Instant until) {
    char* bytes = nullptr;
    auto const size = BIO_get_mem_data(leaving_, &bytes);
    if (size <= 0) co_return error_code{};
    rt::Gather pieces{std::string_view(bytes, static_cast<std::size_t>(size))};
    auto const why = co_await peer_->write(pieces, rt::Duration::max(), until);
    BIO_reset(leaving_);
    co_return why;
}

rt::Task<error_code> Channel::receive() {
    if (auto const why = co_await peer_->fill()) co_return why;
    auto const bytes = peer_->text();
    auto const kept = BIO_write(arrived_, bytes.data(), static_cast<int>(bytes.size()));
    bool const all = kept == static_cast<int>(bytes.size());
    peer_->consume(bytes.size());
    co_return all ? error_code{} : error_code(error::no_memory);
}

error_code Channel::failed(int outcome) const noexcept {
    if (SSL_get_error(ssl_, outcome) != SSL_ERROR_SSL) return Reason::malformed;
    auto const number = ERR_get_error();
    return number == 0 ? error_code(Reason::malformed)
                       : error_code(static_cast<int>(number), error::get_ssl_category());
}

/// The alert that tells the other end what was wrong with it, if there is room for it now.
void Channel::say_why() noexcept {
    char* bytes = nullptr;
    auto const size = BIO_get_mem_data(leaving_, &bytes);
    if (size <= 0) return;
    rt::Gather pieces{std::string_view(bytes, static_cast<std::size_t>(size))};
    (void)peer_->write_now(pieces);
    BIO_reset(leaving_);
}

}  // namespace ocgate::notify
