// Whole exchanges over pipes in memory, both sides as the input says: what clients and the upstream send, in which
// pieces, when they stop reading, end or break off, how time passes, what is configured anew, when it drains. Whatever
// they do: what reaches the upstream is strictly HTTP/1.1 (exchange_reader.hpp) and was asked for by a client, once,
// with that client's content and without its credentials; what a client hears is strictly framed; nobody waits for
// ever; memory is bounded by the connections; and when all is over nothing is left (scenario.cpp).
//
// Parts: the setting (a digit each, see `Setting`), then steps: what is done, to whom (a digit), and how. Upper case:
// the upstream.
//   c0… U0…  sends, and what follows from it happens      p0… P0…  sends, and nothing happens yet
//   n        another client          e0 E0  ends          r0 R0  breaks off       b0 B0  takes no more
//   s0 S0    stops reading           g09    reads 9³ bytes again
//   t7       time passes (`times`)   A0     answers a WebSocket handshake as it should be
//   d        drains                  i      insists       y  another upstream     o0 connecting goes well, 1 fails, 2
//   hangs l5       other limits            x      the door is shut or opened
#include <gtest/gtest.h>

#include <array>
#include <charconv>
#include <map>

#include "exchange_reader.hpp"
#include "ocgate/wire/boundary.hpp"
#include "ocgate/wire/percent.hpp"
#include "scenario/own_page.hpp"
#include "support/scenario.hpp"

using namespace ocgate;
using namespace std::chrono_literals;
using test::End;
using test::Scenario;

namespace {

constexpr std::size_t most_steps = 60;
constexpr std::size_t most_clients = 4;
constexpr std::string_view credential = "Basic dXA6c3RyZWFt";  // Scenario's own, for the upstream

/// The kit reports with gtest: here a failure ends the run.
class Breaks final : public testing::EmptyTestEventListener {
    void OnTestPartResult(testing::TestPartResult const& result) override {
        if (!result.failed()) return;
        std::fprintf(stderr, "%s\n", result.message());
        std::abort();
    }
};

class Ear final : public proxy::Witness {
public:
    void began(proxy::Deed const&) noexcept override { ++open; }
    void ended(proxy::Deed const&, unsigned, rt::Duration) noexcept override { --open; }
    long open = 0;
};

/// What the first part says, a digit each.
struct Setting {
    explicit Setting(std::string_view text) : text_(text) {}
    std::size_t operator[](std::size_t i) const {
        return i < text_.size() ? static_cast<unsigned char>(text_[i]) & 15U : 0;
    }

    template <class T, std::size_t N>
    T pick(std::size_t i, std::array<T, N> const& from) const {
        return from[(*this)[i] % N];
    }

private:
    std::string_view text_;
};

proxy::Limits limits_of(Setting const& setting, std::size_t how) {
    proxy::Limits limits;
    limits.body_bytes = std::array<std::uint64_t, 4>{256 << 20, 10, 1000, 0}[(setting[2] + how) % 4];
    limits.connections = setting.pick(3, std::array<std::size_t, 3>{4096, 1, 2});
    limits.idle_upstreams = std::array<std::size_t, 3>{32, 0, 1}[(setting[4] + how) % 3];
    if (setting[5] & 1) limits.tunnel_idle = 30s;
    if ((setting[5] >> 1 & 1) != (how >> 1 & 1)) limits.first_byte = 20s;
    if (setting[5] & 4) limits.heartbeat = 0s;
    if (how & 4) limits.idle_body = 1s;
    return limits;
}

/// A request as its client meant it.
struct Meant {
    std::string method, target, content;
    std::size_t behind;  ///< where in the client's bytes its head ends
    bool websocket;
};

/// Once more, on a new connection, when the pooled one was dead.
bool repeatable(Meant const& meant) {
    return meant.content.empty() && meant.method != "POST" && meant.method != "PATCH";
}

/// Heads as the gateway reads them (they have targets of their own), contents read here.
std::vector<Meant> meant_by(std::string_view sent, wire::HeadLimits const& limits) {
    std::vector<Meant> all;
    for (auto rest = sent; !rest.empty();) {
        wire::RequestHead head;
        std::size_t seen = 0;
        auto const parsed = wire::parse_request_head(rest, limits, seen, head);
        if (!parsed || *parsed != wire::Progress::complete) break;
        fuzz::Message message;
        auto const chunked = head.fields.find("Transfer-Encoding");
        auto const length = head.fields.find("Content-Length");
        rest.remove_prefix(head.bytes);
        auto const behind = sent.size() - rest.size();
        std::uint64_t bytes = 0;
        if (length) std::from_chars(length->data(), length->data() + length->size(), bytes);
        if (chunked) {
            fuzz::take_chunks(rest, message, false);
        } else {
            fuzz::take_length(rest, message, bytes);
        }
        all.push_back({std::string(head.method), std::string(head.target), message.content, behind, head.websocket});
        if (!message.complete) break;
    }
    return all;
}

bool tells_token(std::string_view target) {
    auto const question = std::min(target.find('?'), target.size());
    std::string name;
    bool in_name = true;
    for (auto query = target.substr(std::min(question + 1, target.size())); !query.empty();) {
        bool const next = query.front() == '&';
        if (next || query.front() == '=') {
            if (in_name && name == "auth_token") return true;
            in_name = next;
            name.clear();
            query.remove_prefix(1);
            continue;
        }
        name += wire::take_form_char(query);
    }
    return in_name && name == "auth_token";
}

class Play {
public:
    explicit Play(Setting const& setting) : setting_(setting), s_(options()) {
        s_.door().hashes_first = setting[6] & 1;
        s_.door().trusts_peer = setting[6] & 2;
        s_.door().vouches = (setting[6] & 4) == 0;
        if (setting[6] & 8) s_.door().watched = "/w";
    }

    void step(std::string_view what) {
        if (what.empty()) return;
        auto const digit = what.size() > 1 ? static_cast<unsigned char>(what[1]) & 15U : 0;
        auto const bytes = what.substr(std::min<std::size_t>(what.size(), 2));
        bool const up = what[0] >= 'A' && what[0] <= 'Z';
        switch (what[0]) {
            case 'n':
                connect();
                break;
            case 't':
                s_.advance(std::array<rt::Duration, 10>{1ms, 100ms, 500ms, 1s, 2s, 5s, 10s, 15s, 30s, 60s}[digit % 10]);
                break;
            case 'd':
                s_.shard().drain();
                break;
            case 'i':
                s_.shard().insist();
                break;
            case 'y':
                s_.redials();
                break;
            case 'o':
                digit % 3 == 0 ? s_.upstream_accepts() : digit % 3 == 1 ? s_.upstream_refuses() : s_.upstream_hangs();
                break;
            case 'l':
                s_.configure(limits_of(setting_, digit));
                break;
            case 'x':
                shut_ = !shut_;
                if (shut_) {
                    s_.door().refuses = proxy::Refusal{{Side::client, Step::admission, Reason::unauthorized}, {}, true};
                } else {
                    s_.door().refuses.reset();
                }
                break;
            case 'A':
                shake_hands(digit);
                break;
            default:
                if (auto* const end = find(up, digit)) act(up, *end, up ? what[0] | 0x20 : what[0], digit, bytes);
                break;
        }
        s_.settle();
        auto const load = s_.shard().load();
        auto const ends = clients_.size() + s_.upstreams();
        MUST(load.windows_lent <= ends && load.blocks_lent <= ends && load.connections <= clients_.size());
    }

    /// The upstream is gone, and clients do nothing any more but read; that is the end of everything in time.
    void end() {
        s_.upstream_refuses();
        for (std::size_t k = 0; k < s_.upstreams(); ++k) s_.upstream(k).ends();
        for (int minute = 0; minute < 10; ++minute) {
            // With a bound on a terminal's silence not even that: who reads nothing is left.
            for (std::size_t k = 0; setting_[5] % 2 == 0 && k < clients_.size(); ++k) read_all(k);
            s_.advance(60s);
        }
        MUST(s_.shard().load().connections == 0);
        for (std::size_t k = 0; k < clients_.size(); ++k) heard_[k] += clients_[k]->take();
        check();
        s_.finish();
        MUST(ear_->open == 0);
    }

private:
    Scenario::Options options() {
        Scenario::Options options;
        options.limits = limits_of(setting_, 0);
        options.capacity = setting_.pick(0, std::array<std::size_t, 6>{64 * 1024, 1, 3, 100, 300, 4096});
        options.piece = setting_.pick(1, std::array<std::size_t, 5>{~std::size_t{0}, 1, 2, 7, 1000});
        auto const fault = setting_[7] * 16 + setting_[8];
        if (fault > 0) options.faults = std::make_shared<test::Faults>(test::Faults{0, fault});
        if (setting_[9] & 1) options.pages = std::make_shared<test::Book>();
        options.witness = ear_;
        return options;
    }

    void connect() {
        if (clients_.size() == most_clients) return;
        clients_.push_back(&s_.connects("192.0.2." + std::to_string(clients_.size())));
        sent_.emplace_back();
        heard_.emplace_back();
    }

    End* find(bool up, std::size_t k) {
        if (up) {
            s_.settle();
            return s_.upstreams() == 0 ? nullptr : &s_.upstream(k % s_.upstreams());
        }
        if (clients_.empty()) connect();
        return clients_[k % clients_.size()];
    }

    void act(bool up, End& end, int what, std::size_t digit, std::string_view bytes) {
        auto const k = up ? 0 : digit % clients_.size();
        if ((what == 'c' || what == 'u' || what == 'p') && !up) sent_[k] += bytes;
        switch (what) {
            case 'c':
            case 'u':
                end.sends(bytes);
                break;
            case 'p':
                end.puts(bytes);
                break;
            case 'e':
                end.ends();
                break;
            case 'r':
                end.resets();
                break;
            case 'b':
                end.breaks_for_writing();
                break;
            case 's':
                end.received();
                end.stops_reading();
                break;
            case 'g': {
                auto const n = bytes.empty() ? 1U : static_cast<unsigned char>(bytes[0]) & 15U;
                if (!up && !end.reading()) heard_[k] += end.take() + end.sip(n * n * n);
                break;
            }
            default:
                break;
        }
    }

    void shake_hands(std::size_t k) {
        auto* const end = find(true, k);
        if (end == nullptr) return;
        auto const& asked = end->received();
        auto const key = asked.rfind("Sec-WebSocket-Key: ");
        if (key == asked.npos || asked.size() < key + 43) return;
        end->sends(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: " +
            wire::websocket_accept(std::string_view(asked).substr(key + 19, 24)) + "\r\n\r\n");
    }

    void read_all(std::size_t k) {
        auto& end = *clients_[k];
        if (end.reading()) return;
        heard_[k] += end.take();
        while (end.in_flight() > 0) heard_[k] += end.sip(1 << 20);
    }

    // ---- what it came to

    struct Asked {
        test::Finished const* finished;
        Meant meant;
        std::size_t client;
        int arrived = 0;  ///< at the upstream
    };

    void check() {
        auto const& all = s_.notebook().exchanges;
        std::map<std::string, Asked> by_id;
        std::vector<std::vector<Meant>> meant;
        std::vector<std::size_t> begun(clients_.size());
        std::size_t may_arrive = 0;
        for (auto const& sent : sent_) meant.push_back(meant_by(sent, limits_of(setting_, 0).request));
        for (auto const& one : all) {
            auto const k = static_cast<std::size_t>(one.client_address.back() - '0');
            MUST(k < clients_.size() && begun[k] < meant[k].size());
            auto const& asked = meant[k][begun[k]++];
            MUST(one.method == asked.method && one.path == asked.target.substr(0, asked.target.find('?')));
            may_arrive += repeatable(asked) ? 2 : 1;
            bool const chosen = s_.door().trusts_peer;  // clients choose their ids, and may choose one twice
            MUST(by_id.emplace(one.request_id, Asked{&one, asked, k}).second || chosen);
        }
        for (std::size_t k = 0; k < s_.upstreams(); ++k) check_upstream(s_.upstream(k).received(), by_id);
        MUST(arrived_ <= may_arrive);
        for (std::size_t k = 0; k < clients_.size(); ++k) check_client(heard_[k], meant[k]);
    }

    void check_upstream(std::string_view bytes, std::map<std::string, Asked>& by_id) {
        while (auto const message = fuzz::take_head(bytes)) {
            auto request = *message;
            auto const& line = request.first;
            auto const method = line.substr(0, line.find(' '));
            MUST(line.ends_with(" HTTP/1.1") && line.size() > method.size() + 10);
            auto const target = line.substr(method.size() + 1, line.size() - method.size() - 10);
            MUST(target.starts_with('/') && target.find_first_of(" #") == target.npos && !tells_token(target));
            for (auto const* once : {"host", "x-request-id", "via", "x-forwarded-for", "x-forwarded-proto"})
                MUST(request.count(once) == 1);
            bool const vouched = s_.door().vouches;
            MUST(request.count("authorization") == (vouched ? 1U : 0U));
            MUST(!vouched || request.find("authorization") == credential);
            for (auto const* never : {"proxy-authorization", "keep-alive", "te", "trailer", "proxy-connection"})
                MUST(request.count(never) == 0);
            bool const upgrade = request.count("upgrade") == 1;
            MUST(request.count("connection") == (upgrade ? 1U : 0U));
            auto const forwarded = request.find("x-forwarded-for");
            MUST(forwarded.find("192.0.2.") != forwarded.npos);

            fuzz::take_content(bytes, request, false);
            if (!request.complete) bytes = {};  // what a cut chunk leaves is no head
            auto const found = by_id.find(request.find("x-request-id"));
            MUST(found != by_id.end());
            auto& asked = found->second;
            ++arrived_;
            if (s_.door().trusts_peer) {
                if (upgrade) return;
                continue;
            }
            MUST(forwarded == asked.finished->client_address);
            MUST(method == asked.meant.method);
            MUST(target.substr(0, target.find('?')) == asked.finished->path);
            MUST(asked.meant.content.starts_with(request.content));
            MUST(++asked.arrived == 1 || (asked.arrived == 2 && repeatable(asked.meant)));
            if (!upgrade) continue;
            MUST(asked.meant.websocket && method == "GET");
            auto const behind = std::string_view(sent_[asked.client]).substr(asked.meant.behind);
            MUST(asked.finished->status == 101 ? behind.starts_with(bytes) : bytes.empty());
            return;
        }
    }

    void check_client(std::string_view bytes, std::vector<Meant> const& meant) {
        std::size_t answered = 0;
        while (auto const message = fuzz::take_head(bytes)) {
            auto answer = *message;
            auto const& line = answer.first;
            MUST(line.starts_with("HTTP/1.1 ") && line.size() >= 12);
            auto const status = line.substr(9, 3);
            MUST(status[0] >= '1' && status[0] <= '5');
            if (status == "101") return;
            // One more than was meant: what could not be read.
            MUST(answered <= meant.size());
            bool const asked_head = answered < meant.size() && meant[answered].method == "HEAD";
            if (status[0] == '1') {
                MUST(answer.count("content-length") + answer.count("transfer-encoding") == 0);
                continue;
            }
            ++answered;
            MUST(answer.count("x-request-id") == 1);
            MUST(answer.count("connection") <= 1 && answer.count("keep-alive") == 0);
            if (asked_head || status == "204" || status == "304") continue;
            fuzz::take_content(bytes, answer, true);
            if (!answer.complete) return;
        }
    }

    Setting const setting_;
    std::shared_ptr<Ear> const ear_ = std::make_shared<Ear>();
    Scenario s_;
    std::vector<End*> clients_;
    std::vector<std::string> sent_, heard_;
    std::size_t arrived_ = 0;  ///< at all upstreams
    bool shut_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static auto const watching = [] {
        testing::UnitTest::GetInstance()->listeners().Append(new Breaks);
        return true;
    }();
    static_cast<void>(watching);
    auto const part = fuzz::parts(fuzz::as_text(data, size), 1, most_steps);
    Play play{Setting(part[0])};
    for (std::size_t i = 1; i < part.size(); ++i) play.step(part[i]);
    play.end();
    return 0;
}
