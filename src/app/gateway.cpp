// The life of the process, from the listeners to the loop that ends with it.
#include "ocgate/app/gateway.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>

#include "gateway_inside.hpp"
#include "ocgate/app/version.hpp"
#include "ocgate/rt/priority.hpp"

namespace ocgate::app {
namespace {

using ops::LogLevel;

template <class T>
T random_bytes() {
    T bytes;
    if (::getrandom(&bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes))
        throw std::system_error(errno, std::generic_category(), "getrandom");
    return bytes;
}

/// Makes the control socket's folder when it is missing. The default one lies where everybody may make folders: it has
/// to be ours alone, or somebody else could answer in the gateway's place.
error_code own_folder(std::filesystem::path const& folder, bool given) {
    if (folder.empty()) return {};
    std::error_code ignored;
    std::filesystem::create_directory(folder, ignored);
    if (given) return {};
    struct stat facts {};
    if (::lstat(folder.c_str(), &facts) != 0) return {errno, boost::system::system_category()};
    bool const ours = S_ISDIR(facts.st_mode) && facts.st_uid == ::geteuid() && (facts.st_mode & 0077) == 0;
    return ours ? error_code() : error_code(EPERM, boost::system::system_category());
}

std::string_view listen_advice(error_code why) noexcept {
    switch (why.value()) {
        case EADDRINUSE:
            return "cannot listen there: is another gateway running?";
        case EADDRNOTAVAIL:
            return "cannot listen there: no network interface of this machine has that address";
        case EACCES:
        case EPERM:
            return "cannot listen there: it is not permitted to this user";
        default:
            return "cannot listen there";
    }
}

/// Descriptors that no client's connection takes: health checks, scrapes, files, the gateway's own requests.
constexpr rlim_t own_descriptors = 256;

struct Room {
    std::size_t connections = 0;
    std::size_t open_files = 0;
};

/// A connection takes up to two descriptors, and each shard keeps some for clients that vanished. Raises the soft limit
/// as far as that needs and the hard one allows. Where it is too low all the same, less connections are taken in: a
/// surplus that is refused costs nobody but itself, while one that takes the last descriptor takes it from a health
/// check, and the gateway is restarted for it.
Room find_room(std::size_t connections, std::size_t shards) noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return {connections, 0};
    rlim_t const others = own_descriptors + shards * proxy::most_departed;
    rlim_t const wanted = connections * 2 + others;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
        (void)::setrlimit(RLIMIT_NOFILE, &limit);
        (void)::getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= wanted) return {connections, limit.rlim_cur};
    auto const kept = std::min(others, limit.rlim_cur / 2);
    return {std::max<std::size_t>((limit.rlim_cur - kept) / 2, 1), limit.rlim_cur};
}

}  // namespace

std::string what_of(std::exception_ptr error) {
    try {
        std::rethrow_exception(std::move(error));
    } catch (std::exception const& e) {
        return e.what();
    } catch (...) {
        return "something that is no std::exception";
    }
}

Gateway::Inside::Inside(Config config, Flags flags, Sources sources, ops::Log& log, Confinement confinement)
    : config_(std::move(config)),
      flags_(std::move(flags)),
      sources_(std::move(sources)),
      log_(log),
      confinement_(std::move(confinement)),
      metrics_(ops::MetricsOptions{.version = std::string(version()),
                                   .shards = config_.threads,
                                   .routes = route_table(),
                                   .auth_results = AuthJournal::labels(),
                                   .throttled = [this] { return throttle_->locked(clock_.now()); }}),
      dice_(random_bytes<std::uint64_t>()) {
    auto const key = random_bytes<auth::Key>();
    throttle_ = std::make_shared<auth::Throttle>(config_.auth.throttle, key);
    tickets_ = std::make_shared<auth::Tickets>(key);
    dialer_ = std::make_shared<rt::SystemDialer>(config_.upstream);
    auto const escaped = [this](std::exception_ptr error) {
        auto const what = what_of(std::move(error));
        log_.app(LogLevel::error, "bug", "an exception left a task; its connection was closed", {{"what", what}});
    };
    auto const answer = [this](proxy::PageRequest request) { return pages_->answer(std::move(request)); };
    front_desk_ = std::make_shared<FrontDesk>(io_.get_executor(), answer, escaped);
    witness_ = std::make_shared<ActWitness>(
        io_.get_executor(), auditor_,
        ActWitness::Listener{.acted =
                                 [this](opencode::Act const& act, Who const& who) {
                                     auditor_.answering(act, who);
                                     herald_->acted(act, who.user);
                                 },
                             .aborted = [this](std::string const& session) { follower_->user_aborted(session); },
                             .not_taken = [this](std::string const& id) { auditor_.not_taken(id); }});

    make_room();
    auto const first = plan();
    for (unsigned i = 0; i < config_.threads; ++i) {
        shards_.emplace_back(ShardThread::Parts{.clock = clock_,
                                                .recorder = metrics_.recorder(i, log_),
                                                .connections = connections_,
                                                .clients = clients_,
                                                .escaped = escaped,
                                                .seed = random_bytes<std::uint64_t>()},
                             first,
                             auth::Gatekeeper::Parts{.throttle = throttle_,
                                                     .tickets = tickets_,
                                                     .worker = hasher_,
                                                     .clock = clock_,
                                                     .knowledge = knowledge_,
                                                     .observer = journal_,
                                                     .key = key,
                                                     .hashing = hashing_});
    }
}

// ---- starting

Exit Gateway::Inside::run() {
    std::signal(SIGPIPE, SIG_IGN);
    std::vector<std::string> problems;
    auto targets = TargetMaker::read(config_.notify, sources_.variable, problems);
    for (auto const& problem : problems) log_.app(LogLevel::error, "configuration", problem);
    if (!problems.empty()) return Exit::not_started;
    Listeners listeners;
    if (!open_audit() || !open(listeners) || !open_control() || !confine()) {
        for (int const fd : listeners.traffic) ::close(fd);
        if (listeners.admin >= 0) ::close(listeners.admin);
        return Exit::not_started;
    }
    tell_room();
    for (auto const& warning : config_.warnings) log_.app(LogLevel::warn, "configuration", warning);

    listen_to_signals();
    auto const executor = io_.get_executor();
    watcher_.emplace(executor, deadlines_, [this] { reload("a watched file changed", [](bool) {}); });
    watcher_->watch(config_.files, config_.file_marks);
    probe_.emplace(resources_, probe_settings(), [this](opencode::ProbeResult const& result) { probed(result); });
    make_herald(std::move(targets));
    probe_->start();

    auto traffic = listeners.traffic.begin();
    for (auto& shard : shards_) shard.start(*traffic++);
    rt::give_way_to_traffic();  // only now: they would inherit it
    health_.enter(ops::Phase::ready);
    admin_.emplace(executor, listeners.admin, !config_.admin_listen.is_unix(),
                   ops::AdminAnswers{.metrics =
                                         [this] {
                                             return metrics_.exposition(health_, log_, [this](ops::Exposition& out) {
                                                 show_notifications(out);
                                                 show_audit(out);
                                             });
                                         },
                                     .readiness =
                                         [this](bool with_upstream) {
                                             auto report = health_.readiness(with_upstream);
                                             return std::pair(report.ready, std::move(report.body));
                                         },
                                     .overview = [this] { return health_.overview(); }});
    tell_listening(listeners);
    auditor_.gateway("gateway_started", {{"pid", std::int64_t{::getpid()}}, {"version", version()}});
    tell_notifications();

    while (!finished_) {
        try {
            io_.run();
            break;
        } catch (...) {
            auto const what = what_of(std::current_exception());
            log_.app(LogLevel::error, "bug", "an exception left the gateway's own loop", {{"what", what}});
        }
    }
    if (exit_ == Exit::failed) return exit_;  // tasks are left that use all of this: see Exit
    io_.restart();
    io_.poll();       // what was closed hears of it while everything it uses is still here
    shards_.clear();  // joins their threads
    hasher_.stop();
    scribe_.stop();
    health_.enter(ops::Phase::stopped);
    auditor_.gateway("gateway_stopped", {{"exit", std::int64_t{static_cast<int>(exit_)}}});
    log_.app(LogLevel::info, "stopped", "", {{"exit", std::int64_t{static_cast<int>(exit_)}}});
    return exit_;
}

void Gateway::Inside::make_room() {
    auto const room = find_room(config_.limits.connections, config_.threads);
    room_ = room.connections;
    open_files_ = room.open_files;
}

void Gateway::Inside::tell_room() {
    auto const wanted = config_.limits.connections;
    if (room_ >= wanted) return;
    log_.app(LogLevel::warn, "few_descriptors",
             "the limit of open files is too low for limits.connections: so many are taken in, and more are refused",
             {{"open_files", std::uint64_t{open_files_}},
              {"connections", std::uint64_t{wanted}},
              {"taken_in", std::uint64_t{room_}}});
}

bool Gateway::Inside::open(Listeners& listeners) {
    bool ok = true;
    auto const failed = [&](std::string_view setting, rt::Address const& address, error_code why) {
        auto const text = address.text();
        auto const message = why.message();
        log_.app(LogLevel::error, "listen_failed", listen_advice(why),
                 {{"setting", setting}, {"address", text}, {"why", message}});
        ok = false;
    };
    listeners.traffic_at = config_.listen;
    for (unsigned i = 0; i < config_.threads; ++i) {
        if (i > 0 && config_.listen.is_unix()) {  // one socket, many who accept from it
            int const again = ::fcntl(listeners.traffic.front(), F_DUPFD_CLOEXEC, 0);
            if (again < 0) {
                failed("listen", config_.listen, error_code(errno, boost::system::system_category()));
                break;
            }
            listeners.traffic.push_back(again);
            continue;
        }
        auto const wanted = listeners.traffic_at;
        if (i == 0 && config_.threads > 1 && wanted.port != 0) {
            // Shards share the address, and so could a second gateway: it would take half of the connections.
            rt::Address bound;
            auto const alone = proxy::open_listener(wanted, false, bound);
            if (!alone) {
                failed("listen", wanted, alone.error());
                break;
            }
            ::close(*alone);
        }
        auto const fd = proxy::open_listener(wanted, config_.threads > 1, listeners.traffic_at);
        if (!fd) {
            failed("listen", wanted, fd.error());
            break;
        }
        listeners.traffic.push_back(*fd);
    }
    auto const fd = proxy::open_listener(config_.admin_listen, false, listeners.admin_at);
    if (fd) {
        listeners.admin = *fd;
    } else {
        failed("admin_listen", config_.admin_listen, fd.error());
    }
    return ok;
}

bool Gateway::Inside::open_control() {
    auto const& path = config_.control_socket;
    if (path.empty()) return true;
    auto const mask = ::umask(0077);  // before any other thread of ours runs
    auto why = own_folder(std::filesystem::path(path).parent_path(), config_.control_socket_given);
    int fd = -1;
    if (!why) {
        rt::Address bound;
        auto const opened = proxy::open_listener({{}, 0, path}, false, bound);
        if (opened) {
            fd = *opened;
        } else {
            why = opened.error();
        }
    }
    ::umask(mask);
    if (fd < 0) {
        auto const message = why.message();
        bool const asked_for = config_.control_socket_given;
        log_.app(asked_for ? LogLevel::error : LogLevel::warn, "no_control_socket",
                 asked_for ? "the control socket that was asked for cannot be had"
                           : "`ocgate drain`, `pending` and the like will not reach this gateway; signals do",
                 {{"path", path}, {"why", message}});
        return !asked_for;
    }
    control_.emplace(
        io_.get_executor(), deadlines_, fd,
        ControlActions{
            .drain =
                [this](std::chrono::milliseconds within, std::function<void(bool)> done) {
                    if (drained_) return done(!forced_);
                    drain_askers_.push_back(std::move(done));
                    drain("the control socket asked for it", within);
                },
            .reload =
                [this](std::function<void(bool)> done) { reload("the control socket asked for it", std::move(done)); },
            .page =
                [this](proxy::PageRequest request, std::function<void(proxy::PageAnswer)> done) {
                    serve_page(std::move(request), std::move(done));
                }});
    return true;
}

/// Everything listens, and no thread carries traffic yet: from here on the process makes only the system calls it lives
/// by.
bool Gateway::Inside::confine() {
    bool const wanted = confinement_.asked != Sandbox::off && confinement_.calls.problem.empty();
    if (wanted) confinement_.calls = ops::confine_calls();
    auto const missing = lacking(confinement_);
    auto const files = files_text(confinement_);
    auto const calls = calls_text(confinement_);
    log_.app(missing.empty() ? LogLevel::info : LogLevel::error, "sandbox", missing,
             {{"files", std::string_view(files)}, {"calls", std::string_view(calls)}});
    return missing.empty();
}

void Gateway::Inside::tell_listening(Listeners const& listeners) {
    auto const traffic = listeners.traffic_at.text();
    auto const admin = listeners.admin_at.text();
    auto const upstream = config_.upstream.text();
    log_.announce("listening", {{"traffic", traffic},
                                {"admin", admin},
                                {"upstream", upstream},
                                {"control", std::string_view(control_ ? config_.control_socket : "")},
                                {"threads", std::uint64_t{config_.threads}},
                                {"pid", std::int64_t{::getpid()}},
                                {"version", version()}});
}

Gateway::Gateway(Config config, Flags flags, Sources sources, ops::Log& log, Confinement confinement)
    : inside_(std::make_unique<Inside>(std::move(config), std::move(flags), std::move(sources), log,
                                       std::move(confinement))) {}

Gateway::~Gateway() = default;

Exit Gateway::run() { return inside_->run(); }

}  // namespace ocgate::app
