// Those who ask and get answers: each with a connection that it keeps, one request after the other. What must come back
// is known for each, also where the upstream was asked to misbehave.
#include <iterator>
#include <optional>

#include "load_world.hpp"

namespace soak {
namespace {

using bench::now_ns;

constexpr std::uint64_t huge = 10'000'000;

// clang-format off
enum class Kind {
    small, medium, chunked, post, post_chunked, no_password, wrong_password, wrong_bcrypt, old_password, not_there,
    foreign_page, down, up, up_chunked, slow, reset, garbage, leaves_down, leaves_up, leaves_waiting, status_page
};
// clang-format on

struct Share {
    Kind kind;
    std::string_view name;
    double weight;
};

constexpr Share shares[] = {
    {Kind::small, "GET 300 B", 40},
    {Kind::medium, "GET 20 KB", 15},
    {Kind::chunked, "GET 8 KB in chunks", 10},
    {Kind::post, "POST 1 KB", 12},
    {Kind::post_chunked, "POST 20 KB in chunks", 4},
    {Kind::no_password, "401, no password", 4},
    {Kind::wrong_password, "401, wrong password", 1.5},
    {Kind::wrong_bcrypt, "401, wrong password of a bcrypt user", 0.05},
    {Kind::old_password, "401, password of yesterday", 0.5},
    {Kind::not_there, "404 of the upstream", 1},
    {Kind::foreign_page, "403, a foreign page", 1},
    {Kind::down, "GET 10 MB", 0.1},
    {Kind::up, "POST 10 MB", 0.05},
    {Kind::up_chunked, "POST 1 MB in chunks", 0.3},
    {Kind::slow, "answer after up to 10 s", 0.3},
    {Kind::reset, "answer reset in the middle", 0.4},
    {Kind::garbage, "answer that is none", 0.4},
    {Kind::leaves_down, "client gone in an answer", 0.15},
    {Kind::leaves_up, "client gone in an upload", 0.15},
    {Kind::leaves_waiting, "client gone before the answer", 0.15},
    {Kind::status_page, "status page", 0.02},
};

class Rest final : public Actor {
public:
    Rest(World& world, double pace_ns) : Actor(world, "rest"), pace_ns_(pace_ns) {}

protected:
    void begin() override;
    void on_time() override;
    void take(std::string_view bytes) override;
    void ended() override;
    std::string more() override;

private:
    void get(std::string const& path, std::uint64_t bytes, std::string const& query = "");
    void post(std::uint64_t bytes, std::size_t piece);
    void refused(int status, std::string_view method, std::string const& fields);
    void check(std::string_view bytes);
    void finish();
    void rest();

    double pace_ns_;
    bool busy_ = false;
    Share const* what_ = nullptr;
    std::int64_t began_ = 0, leaves_at_ = 0;
    int wanted_ = 200;
    bool breaks_ = false;              // the upstream was asked to break off
    bool closing_ = false;             // we said that this is the last one
    std::uint64_t at_ = 0, left_ = 0;  // of the pattern that has to come
    bool pattern_ = false;
    std::string said_, wanted_text_;  // other content
    std::uint64_t up_at_ = 0, up_left_ = 0;
    std::size_t piece_ = 0;
    std::optional<std::size_t> id_;  // of what is posted
};

void Rest::begin() {
    double total = 0;
    for (auto const& one : shares) total += one.weight;
    double dice = world_.chance() * total;
    what_ = shares;
    while (what_ + 1 != std::end(shares) && (dice -= what_->weight) > 0) ++what_;

    who_ = std::string("rest: ").append(what_->name);
    answer_ = {};
    said_.clear();
    wanted_text_.clear();
    wanted_ = 200;
    breaks_ = pattern_ = false;
    leaves_at_ = 0;
    up_left_ = 0;
    id_.reset();
    began_ = now_ns();
    busy_ = true;
    if (!connected()) connect();
    closing_ = world_.chance() < 0.01;

    auto const number = [this](std::int64_t from, std::int64_t to) { return std::to_string(world_.between(from, to)); };
    switch (what_->kind) {
        case Kind::small:
            get("/soak/bytes", 300);
            break;
        case Kind::medium:
            get("/soak/bytes", 20480);
            break;
        case Kind::chunked:
            get("/soak/bytes", 8192, "&chunk=1024");
            break;
        case Kind::down:
            get("/soak/bytes", huge);
            break;
        case Kind::slow:
            get("/soak/slow", 300, "&ms=" + number(100, world_.chance() < 0.2 ? 10000 : 2000));
            break;
        case Kind::post:
            post(1024, 0);
            break;
        case Kind::post_chunked:
            post(20480, 1000);
            break;
        case Kind::up:
            post(huge, 0);
            break;
        case Kind::up_chunked:
            post(1 << 20, 5000);
            break;
        case Kind::no_password:
            refused(401, "GET", "");
            break;
        case Kind::wrong_password:
            refused(401, "POST", "Content-Length: 0\r\nAuthorization: Basic YWxpY2U6d3Jvbmc=\r\n");
            break;
        case Kind::wrong_bcrypt:
            refused(401, "GET", "Authorization: Basic Ym9iOndyb25n\r\n");
            break;
        case Kind::old_password:
            // Until there is one, and while it may still hold, there is nothing to be asked.
            if (world_.carol.before.empty() || world_.carol.changing)
                refused(401, "GET", "");
            else
                refused(401, "GET", "Authorization: Basic " + world_.carol.before + "\r\n");
            break;
        case Kind::foreign_page:
            refused(403, "POST", authorization() + "Origin: https://elsewhere.example\r\nContent-Length: 0\r\n");
            break;
        case Kind::not_there:
            refused(404, "GET", authorization());
            wanted_text_ = R"({"name":"NotFoundError"})";
            break;
        case Kind::status_page:
            say(request("GET", "/_ocgate/status?most=5", authorization()));
            break;
        case Kind::reset: {
            breaks_ = true;
            auto const after = world_.chance() < 0.2 ? 0 : world_.between(1, 99999);
            get("/soak/reset", 100000, "&after=" + std::to_string(after));
            break;
        }
        case Kind::garbage:
            breaks_ = true;
            get("/soak/garbage", 1000, "&kind=" + number(0, 6));
            break;
        case Kind::leaves_down:
            get("/soak/bytes", huge);
            break;
        case Kind::leaves_up:
            post(huge, 0);
            break;
        case Kind::leaves_waiting:
            get("/soak/slow", 300, "&ms=5000");
            break;
    }
    bool const leaves =
        what_->kind == Kind::leaves_down || what_->kind == Kind::leaves_up || what_->kind == Kind::leaves_waiting;
    if (leaves) leaves_at_ = began_ + world_.between(0, 200) * millisecond;
    world_.wake_at(*this, leaves ? leaves_at_ : began_ + patience);
}

void Rest::get(std::string const& path, std::uint64_t bytes, std::string const& query) {
    at_ = world_.somewhere();
    left_ = bytes;
    pattern_ = true;
    auto const target = path + "?n=" + std::to_string(bytes) + "&at=" + std::to_string(at_) + query;
    say(request("GET", target, authorization() + (closing_ ? "Connection: close\r\n" : "")));
}

void Rest::post(std::uint64_t bytes, std::size_t piece) {
    id_ = world_.posts.size();
    world_.posts.push_back(1);
    up_at_ = world_.somewhere();
    up_left_ = bytes;
    piece_ = piece;
    wanted_text_ = "{\"bytes\":" + std::to_string(bytes) + ",\"right\":true}";
    auto const target = "/soak/take?id=" + std::to_string(*id_) + "&at=" + std::to_string(up_at_);
    say(request("POST", target,
                authorization() + "Content-Type: application/octet-stream\r\n" +
                    (piece > 0 ? std::string("Transfer-Encoding: chunked\r\n")
                               : "Content-Length: " + std::to_string(bytes) + "\r\n")));
}

void Rest::refused(int status, std::string_view method, std::string const& fields) {
    wanted_ = status;
    say(request(method, "/soak/nothing", fields));
}

std::string Rest::more() {
    if (up_left_ == 0) return {};
    auto const n = std::min<std::uint64_t>(up_left_, piece_ > 0 ? piece_ : most_at_once);
    auto const part = pattern(up_at_, n);
    up_at_ += n;
    up_left_ -= n;
    if (piece_ == 0) return std::string(part);
    return chunk_of(part) + (up_left_ == 0 ? "0\r\n\r\n" : "");
}

void Rest::on_time() {
    if (!busy_) return begin();
    if (leaves_at_ == 0) throw std::runtime_error("no answer within a minute");
    drop(world_.chance() < 0.7);
    world_.count(what_->name);
    rest();
}

void Rest::take(std::string_view bytes) {
    if (!busy_) throw std::runtime_error("bytes that nobody asked for");
    if (!answer_.take_head(bytes)) return;
    auto const taken = answer_.content.feed(bytes, [this](std::string_view part) { check(part); });
    if (!answer_.content.done()) return;
    if (taken < bytes.size()) throw std::runtime_error("bytes beyond the answer");
    finish();
}

void Rest::check(std::string_view bytes) {
    if (answer_.status != 200 || !pattern_) {
        said_ += bytes;
        return;
    }
    if (what_->kind == Kind::garbage) return;
    if (bytes.size() > left_) throw std::runtime_error("more than was sent");
    if (!matches(at_, bytes)) throw std::runtime_error("wrong bytes in an answer");
    left_ -= bytes.size();
}

void Rest::finish() {
    int const status = answer_.status;
    bool const last = closing_ || bench::same_but_case(bench::field(answer_.head, "Connection"), "close");
    bool const away = status == 502 || status == 503;
    auto const from_gateway = bench::field(answer_.head, "X-Ocgate-Error").starts_with("upstream ");
    if (status == wanted_ && !breaks_) {
        if (pattern_ && left_ > 0) throw std::runtime_error("less than was sent");
        if (!wanted_text_.empty() && said_ != wanted_text_) throw std::runtime_error("not the answer that was sent");
        if (status == 401 && bench::field(answer_.head, "WWW-Authenticate").empty())
            throw std::runtime_error("a 401 that asks nothing");
        if (id_) world_.posts[*id_] = 2;
        if (what_->kind == Kind::small) world_.small_answers.add(now_ns() - began_);
        world_.count(what_->name);
    } else if (breaks_ && status == 502 && from_gateway) {
        world_.count(what_->name);
    } else if (status == 401 && password_was_changing()) {
        world_.count("401 while a password changed");
    } else {
        trouble(answer_.summary(), began_, away && from_gateway);
    }
    if (last || up_left_ > 0 || world_.chance() < 0.03) drop(false);
    rest();
}

void Rest::ended() {
    if (!busy_) {  // nothing was said, and we had not been told to go
        trouble("an idle connection was closed", drained_, false);
        return rest();
    }
    if (breaks_ && answer_.status == 200) {
        world_.count(what_->name);
    } else if (leaves_at_ > 0) {
        trouble("cut", began_, true);
    } else {
        trouble(answer_.status == 0 ? "no answer" : "cut in the answer", began_, true);
    }
    rest();
}

void Rest::rest() {
    busy_ = false;
    auto const pause = std::exponential_distribution<>(1 / pace_ns_)(world_.dice);
    world_.wake_at(*this, now_ns() + std::min(static_cast<std::int64_t>(pause), 10 * second));
}

}  // namespace

void add_rest(World& world, bench::Arguments const& given) {
    auto const count = given.number("--rest");
    auto const rate = std::max<std::int64_t>(1, given.number("--rate", 1));
    for (std::int64_t i = 0; i < count; ++i) {
        auto const pace = static_cast<double>(count * second) / static_cast<double>(rate);
        world.add(std::make_unique<Rest>(world, pace), now_ns() + world.between(0, 2 * second));
    }
}

}  // namespace soak
