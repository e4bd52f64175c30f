// Servers for the tests of the HTTPS client: certificates made on the spot, a TLS end in memory, and a real server on
// 127.0.0.1 whose script runs on a thread of its own.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace ocgate::test {

struct CertificateOptions {
    std::vector<std::string> names{"ntfy.test"};  ///< DNS names; addresses are told apart by their form
    int days_from = -1;
    int days_to = 1;
};

/// A key and the certificate for it.
class Certificate {
public:
    static std::shared_ptr<Certificate> authority();
    /// Signed by `issuer`, or by itself.
    static std::shared_ptr<Certificate> make(CertificateOptions const& options, Certificate const* issuer);
    ~Certificate();
    Certificate(Certificate const&) = delete;
    Certificate& operator=(Certificate const&) = delete;

    [[nodiscard]] std::string pem() const;
    /// A server's context that shows it, speaking at most `newest`.
    [[nodiscard]] std::shared_ptr<SSL_CTX> context(int newest = TLS1_3_VERSION) const;

private:
    Certificate() = default;
    EVP_PKEY* key_ = nullptr;
    X509* x509_ = nullptr;
};

/// The server's end of TLS, between two blocks of memory.
class MemoryTls {
public:
    explicit MemoryTls(std::shared_ptr<SSL_CTX> context);
    ~MemoryTls();
    MemoryTls(MemoryTls const&) = delete;
    MemoryTls& operator=(MemoryTls const&) = delete;
    /// What arrived, and what is to leave because of it. Plain text read is added to `text`.
    std::string feed(std::string_view bytes);
    std::string say(std::string_view plain);  ///< encrypted
    std::string finish();                     ///< close_notify
    std::string text;

private:
    std::string leaving();
    std::shared_ptr<SSL_CTX> context_;
    SSL* ssl_;
    BIO* in_;
    BIO* out_;
};

/// One connection, as its script sees it. Blocking; gives up after 20 s.
class Conversation {
public:
    explicit Conversation(int socket);
    ~Conversation();
    Conversation(Conversation const&) = delete;
    Conversation& operator=(Conversation const&) = delete;

    /// Speaks TLS from here on. False: the other end did not want to.
    bool start_tls(std::shared_ptr<SSL_CTX> const& context);
    std::string head();     ///< up to and with the empty line
    std::string request();  ///< head, and content as long as its Content-Length
    void say(std::string_view text);
    void finish();            ///< close_notify, if there is TLS
    void hold();              ///< reads until the other end is gone
    void reset();             ///< closes with RST
    std::string server_name;  ///< SNI, after start_tls

private:
    std::string read_some();
    int socket_;
    std::shared_ptr<SSL_CTX> context_;
    SSL* ssl_ = nullptr;
    std::string read_;
};

class Server {
public:
    using Script = std::function<void(Conversation&)>;
    explicit Server(Script script);
    ~Server();
    Server(Server const&) = delete;
    Server& operator=(Server const&) = delete;

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] int connections() const noexcept { return connections_; }

private:
    Script script_;
    int listener_;
    std::uint16_t port_ = 0;
    std::atomic<int> connections_{0};
    std::mutex mutex_;
    std::vector<std::thread> talks_;
    std::thread accepting_;
};

}  // namespace ocgate::test
