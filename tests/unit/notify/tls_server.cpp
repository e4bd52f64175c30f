#include "tls_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace ocgate::test {
namespace {

constexpr timeval patience{20, 0};

void add_extension(X509* certificate, X509* issuer, int kind, std::string const& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    auto* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    if (!extension) throw std::runtime_error("extension " + value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

X509* make_x509(EVP_PKEY* key, std::string const& name, CertificateOptions const& options, bool authority, X509* issuer,
                EVP_PKEY* issuer_key) {
    static std::atomic<long> serial{1};
    auto* const made = X509_new();
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made), options.days_from * 86400L);
    X509_gmtime_adj(X509_getm_notAfter(made), options.days_to * 86400L);
    X509_set_pubkey(made, key);
    auto* const subject = X509_get_subject_name(made);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<unsigned char const*>(name.c_str()), -1,
                               -1, 0);
    X509_set_issuer_name(made, issuer ? X509_get_subject_name(issuer) : subject);
    if (authority) {
        add_extension(made, made, NID_basic_constraints, "critical,CA:TRUE");
        add_extension(made, made, NID_key_usage, "critical,keyCertSign");
    } else {
        std::string names;
        for (auto const& one : options.names) {
            unsigned char address[sizeof(in6_addr)];
            bool const is_address =
                ::inet_pton(AF_INET, one.c_str(), address) == 1 || ::inet_pton(AF_INET6, one.c_str(), address) == 1;
            names += (names.empty() ? "" : ",") + std::string(is_address ? "IP:" : "DNS:") + one;
        }
        add_extension(made, issuer ? issuer : made, NID_subject_alt_name, names);
    }
    X509_sign(made, issuer_key ? issuer_key : key, EVP_sha256());
    return made;
}

}  // namespace

std::shared_ptr<Certificate> Certificate::authority() {
    std::shared_ptr<Certificate> made(new Certificate);
    made->key_ = EVP_EC_gen("P-256");
    static std::atomic<int> made_so_far{0};
    auto const name = "Authority " + std::to_string(++made_so_far);
    made->x509_ = make_x509(made->key_, name, {}, true, nullptr, nullptr);
    return made;
}

std::shared_ptr<Certificate> Certificate::make(CertificateOptions const& options, Certificate const* issuer) {
    std::shared_ptr<Certificate> made(new Certificate);
    made->key_ = EVP_EC_gen("P-256");
    made->x509_ = make_x509(made->key_, "a server", options, false, issuer ? issuer->x509_ : nullptr,
                            issuer ? issuer->key_ : nullptr);
    return made;
}

Certificate::~Certificate() {
    X509_free(x509_);
    EVP_PKEY_free(key_);
}

std::string Certificate::pem() const {
    auto* const memory = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(memory, x509_);
    char* bytes = nullptr;
    auto const size = BIO_get_mem_data(memory, &bytes);
    std::string text(bytes, static_cast<std::size_t>(size));
    BIO_free(memory);
    return text;
}

std::shared_ptr<SSL_CTX> Certificate::context(int newest) const {
    std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
    SSL_CTX_set_max_proto_version(context.get(), newest);
    if (newest < TLS1_2_VERSION) {
        SSL_CTX_set_min_proto_version(context.get(), newest);
        SSL_CTX_set_security_level(context.get(), 0);
    }
    SSL_CTX_use_certificate(context.get(), x509_);
    SSL_CTX_use_PrivateKey(context.get(), key_);
    return context;
}

// ---- in memory

MemoryTls::MemoryTls(std::shared_ptr<SSL_CTX> context)
    : context_(std::move(context)),
      ssl_(SSL_new(context_.get())),
      in_(BIO_new(BIO_s_mem())),
      out_(BIO_new(BIO_s_mem())) {
    SSL_set_bio(ssl_, in_, out_);
    SSL_set_accept_state(ssl_);
}

MemoryTls::~MemoryTls() { SSL_free(ssl_); }

std::string MemoryTls::leaving() {
    char* bytes = nullptr;
    auto const size = BIO_get_mem_data(out_, &bytes);
    std::string taken(bytes, static_cast<std::size_t>(std::max(size, 0L)));
    (void)BIO_reset(out_);
    return taken;
}

std::string MemoryTls::feed(std::string_view bytes) {
    if (!bytes.empty()) BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
    ERR_clear_error();
    char some[4096];
    for (int n = 0; (n = SSL_read(ssl_, some, sizeof some)) > 0;) text.append(some, static_cast<std::size_t>(n));
    return leaving();
}

std::string MemoryTls::say(std::string_view plain) {
    SSL_write(ssl_, plain.data(), static_cast<int>(plain.size()));
    return leaving();
}

std::string MemoryTls::finish() {
    SSL_shutdown(ssl_);
    return leaving();
}

// ---- over a socket

Conversation::Conversation(int socket) : socket_(socket) {
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

Conversation::~Conversation() {
    SSL_free(ssl_);
    if (socket_ >= 0) ::close(socket_);
}

bool Conversation::start_tls(std::shared_ptr<SSL_CTX> const& context) {
    context_ = context;
    ssl_ = SSL_new(context_.get());
    SSL_set_fd(ssl_, socket_);
    if (SSL_accept(ssl_) != 1) {
        ERR_clear_error();
        return false;
    }
    char const* const name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
    server_name = name ? name : "";
    return true;
}

std::string Conversation::read_some() {
    char bytes[4096];
    auto const n =
        ssl_ ? SSL_read(ssl_, bytes, sizeof bytes) : static_cast<int>(::recv(socket_, bytes, sizeof bytes, 0));
    return {bytes, static_cast<std::size_t>(n > 0 ? n : 0)};
}

std::string Conversation::head() {
    for (;;) {
        if (auto const end = read_.find("\r\n\r\n"); end != std::string::npos) {
            auto const found = read_.substr(0, end + 4);
            read_.erase(0, end + 4);
            return found;
        }
        auto const more = read_some();
        if (more.empty()) return {};
        read_ += more;
    }
}

std::string Conversation::request() {
    auto text = head();
    auto const field = text.find("Content-Length: ");
    auto const length = field == std::string::npos ? 0 : std::strtoul(text.c_str() + field + 16, nullptr, 10);
    while (read_.size() < length) {
        auto const more = read_some();
        if (more.empty()) break;
        read_ += more;
    }
    text += read_;
    read_.clear();
    return text;
}

void Conversation::say(std::string_view text) {
    while (!text.empty()) {
        auto const n = ssl_ ? SSL_write(ssl_, text.data(), static_cast<int>(text.size()))
                            : static_cast<int>(::send(socket_, text.data(), text.size(), MSG_NOSIGNAL));
        if (n <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(n));
    }
}

void Conversation::finish() {
    if (ssl_) SSL_shutdown(ssl_);
}

void Conversation::hold() {
    while (!read_some().empty()) {
    }
}

void Conversation::reset() {
    linger const at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ::close(std::exchange(socket_, -1));
}

Server::Server(Script script)
    : script_(std::move(script)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 16) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        throw std::runtime_error("no listener");
    }
    port_ = ntohs(address.sin_port);
    accepting_ = std::thread([this] {
        for (;;) {
            int const socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (socket < 0) return;
            ++connections_;
            std::lock_guard const lock(mutex_);
            talks_.emplace_back([this, socket] {
                Conversation conversation(socket);
                script_(conversation);
            });
        }
    });
}

Server::~Server() {
    ::shutdown(listener_, SHUT_RDWR);
    accepting_.join();
    ::close(listener_);
    for (auto& talk : talks_) talk.join();
}

}  // namespace ocgate::test
