#include "ocgate/opencode/activity.hpp"

#include <algorithm>

#include "remembered.hpp"

namespace ocgate::opencode {
namespace {

constexpr rt::Duration echo = std::chrono::seconds(5);
constexpr std::size_t max_mishaps = 256;
/// Of the newer API: steps and calls that run.
constexpr std::size_t max_running = 1'000;

bool has_control(std::string_view text) noexcept {
    return std::any_of(text.begin(), text.end(), [](char c) {
        auto const byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7F;
    });
}

}  // namespace

struct Activity::Inside {
    /// One failure, of which opencode tells twice: in the session's error and in the message it ended.
    struct Mishap {
        std::string name;
        bool of_step = false;
        rt::Instant when{};
    };
    struct Asked {
        std::string kind;
        std::optional<rt::Instant> since;  ///< nothing: found waiting, nobody knows for how long
        bool over = false;                 ///< it was taken for that, at least
    };

    struct Hear;
    struct Happen;

    explicit Inside(Limits l)
        : limits(l),
          steps(l.max_remembered),
          calls(l.max_remembered),
          told(l.max_remembered),
          born(l.max_remembered),
          permissions(l.max_remembered),
          questions(l.max_remembered) {}

    // ---- names

    [[nodiscard]] std::string clean(std::string const& name) const {
        return name.size() > limits.max_name_bytes || has_control(name) ? std::string(other) : name;
    }
    /// The name itself, as long as there is room for one more.
    template <class Map>
    [[nodiscard]] std::string label(Map const& map, std::string const& name, std::size_t most) const {
        auto found = name.empty() ? std::string(other) : clean(name);
        return map.contains(found) || map.size() < most ? found : std::string(other);
    }
    Work& work_of(StepInfo const& step) {
        Worker worker{clean(step.provider), clean(step.model), clean(step.agent)};
        bool const room = deeds.work.contains(worker) || deeds.work.size() < limits.max_workers;
        if (!room) worker = {std::string(other), std::string(other), std::string(other)};
        return deeds.work[worker];
    }

    // ---- steps, tools, errors

    /// A fork of a session has copies of its messages, with other ids, and tells them like new ones. They are older
    /// than it.
    [[nodiscard]] bool copied(std::string const& session, std::int64_t when_ms) const {
        auto const* const created = born.find(session);
        return created && when_ms < *created;
    }

    bool count_step(StepInfo const& step) {
        if (!step.completed || !step.of_model() || step.message.empty()) return false;
        if (steps.find(step.message) || copied(step.session, step.created_ms)) return false;
        steps.add(step.message, true);
        auto& work = work_of(step);
        ++work.steps;
        work.usage += step.usage;
        if (step.created_ms > 0 && step.completed_ms > 0) {
            auto const took_ms = std::clamp<std::int64_t>(step.completed_ms - step.created_ms, 0, longest_ms);
            work.took.observe(std::chrono::milliseconds(took_ms));
        }
        return true;
    }

    bool count_call(ToolEnded const& call) {
        if (call.call.empty() || calls.find(call.call) || copied(call.session, call.ended_ms)) return false;
        calls.add(call.call, true);
        auto const* const name = called.find(call.call);
        auto const& tool = call.tool.empty() && name ? *name : call.tool;
        ++deeds.tools[label(deeds.tools, tool, limits.max_tools)][call.failed ? 1 : 0];
        called.forget(call.call);
        return true;
    }

    void count_error(std::string const& name) { ++deeds.errors[label(deeds.errors, name, limits.max_errors)]; }

    void failed(std::string const& session, std::string const& name, bool of_step, rt::Instant now) {
        if (auto const last = mishaps.find(session); last != mishaps.end()) {
            auto const& [before, by_step, when] = last->second;
            bool const same = before == name && by_step != of_step && now - when < echo;
            if (same) {
                mishaps.erase(last);
                return;
            }
        }
        count_error(name);
        if (session.empty()) return;
        if (mishaps.size() >= max_mishaps)
            std::erase_if(mishaps, [&](auto const& one) { return now - one.second.when >= echo; });
        if (mishaps.size() < max_mishaps) mishaps.insert_or_assign(session, Mishap{name, of_step, now});
    }

    std::optional<StepInfo> step_told(StepInfo const& step, rt::Instant now) {
        if (steps.find(step.message) || copied(step.session, step.created_ms)) return {};
        active(now);
        if (!count_step(step)) return {};
        if (!step.error_name.empty()) failed(step.session, step.error_name, true, now);
        return step;
    }

    /// False: this very event was told before.
    bool first_time(Event const& event) {
        if (event.id.empty()) return true;
        if (told.find(event.id)) return false;
        told.add(event.id, true);
        return true;
    }

    // ---- terminals

    void opened(std::string const& id, std::string const& directory) {
        if (terminals.size() < limits.max_terminals) terminals.insert_or_assign(id, directory);
    }
    void found(std::vector<std::string> const& ids, std::string const& directory) {
        std::erase_if(terminals, [&](auto const& one) { return one.second == directory; });
        for (auto const& id : ids) opened(id, directory);
    }

    void active(rt::Instant now) { deeds.last_active = std::max(deeds.last_active.value_or(now), now); }

    /// A year: of what takes longer the clock was set.
    static constexpr std::int64_t longest_ms = std::int64_t{365} * 24 * 3600 * 1000;

    Limits limits;
    Deeds deeds;
    Remembered<bool> steps, calls;  ///< that were counted
    Remembered<bool> told;          ///< events that nothing else tells apart
    Remembered<std::int64_t> born;  ///< when a session was created
    Remembered<Asked> permissions;  ///< also those that are over: one that was only taken for over may come back
    Remembered<Asked> questions;
    Remembered<StepInfo> begun{max_running};
    Remembered<std::string> called{max_running};  ///< the tools' names
    std::map<std::string, Mishap, std::less<>> mishaps;
    std::map<std::string, std::string, std::less<>> terminals;  ///< and their directories
    std::string asking;                                         ///< the request whose event was heard last
};

Activity::Activity() : Activity(Limits{}) {}
Activity::Activity(Limits limits) : inside_(std::make_unique<Inside>(limits)) {}
Activity::~Activity() = default;
Activity::Activity(Activity&&) noexcept = default;
Activity& Activity::operator=(Activity&&) noexcept = default;

Deeds const& Activity::deeds() const noexcept { return inside_->deeds; }

bool Activity::count(StepInfo const& step) {
    auto& a = *inside_;
    for (auto const& call : step.calls) a.count_call(call);
    bool const counted = a.count_step(step);
    if (counted && !step.error_name.empty()) a.count_error(step.error_name);
    return counted;
}

void Activity::knows(std::string_view message) { inside_->steps.add(std::string(message), true); }

void Activity::lost() {
    inside_->terminals.clear();
    inside_->deeds.terminals_open = 0;
}

struct Activity::Inside::Hear {
    Inside& a;
    Event const& event;
    rt::Instant now;
    std::optional<StepInfo> step{};

    template <class T>
    void operator()(T const&) {}
    void operator()(Ignored const&) {
        // A piece of what a model writes. While it writes, there may be nothing else for minutes.
        if (event.type.ends_with(".delta")) a.active(now);
    }
    void operator()(SessionSeen const& e) {
        if (e.info.created_ms > 0) a.born.add(e.info.id, e.info.created_ms);
    }
    void operator()(StatusChanged const& e) {
        if (e.status.state != State::idle) a.active(now);
    }
    void operator()(SessionFailed const& e) {
        if (!a.first_time(event)) return;
        a.active(now);
        a.failed(e.session, e.name, false, now);
    }
    void operator()(PermissionAsked const& e) { a.asking = e.permission.id; }
    void operator()(QuestionAsked const& e) { a.asking = e.question.id; }
    void operator()(StepChanged const& e) { step = a.step_told(e.step, now); }
    void operator()(ToolEnded const& e) {
        if (a.count_call(e)) a.active(now);
    }
    void operator()(ToolCalled const& e) {
        a.called.add(e.call, e.tool);
        a.active(now);
    }
    void operator()(NewerStepBegan const& e) {
        a.begun.add(e.step.message, e.step);
        a.active(now);
    }
    void operator()(NewerStepEnded const& e) {
        auto whole = e.step;
        if (auto const* const begun = a.begun.find(e.step.message)) {
            whole.agent = begun->agent;
            whole.provider = begun->provider;
            whole.model = begun->model;
            whole.created_ms = begun->created_ms;
        }
        a.begun.forget(e.step.message);
        step = a.step_told(whole, now);
    }
    void operator()(NewerRetry const&) {
        if (!a.first_time(event)) return;
        ++a.deeds.retries;
        a.active(now);
    }
    void operator()(Compacted const&) {
        if (!a.first_time(event)) return;
        ++a.deeds.compactions;
        a.active(now);
    }
    void operator()(TerminalOpened const& e) {
        a.opened(e.id, event.directory);
        a.active(now);
    }
    void operator()(TerminalClosed const& e) {
        if (a.terminals.erase(e.id) > 0) a.active(now);
    }
    void operator()(TerminalsFound const& e) { a.found(e.ids, event.directory); }
    void operator()(InstanceGone const& e) { a.found({}, e.directory); }
    void operator()(AllGone const&) { a.terminals.clear(); }
};

std::optional<StepInfo> Activity::heard(Event const& event, rt::Instant now) {
    Inside::Hear hear{*inside_, event, now};
    std::visit(hear, event.what);
    inside_->deeds.terminals_open = inside_->terminals.size();
    return std::move(hear.step);
}

struct Activity::Inside::Happen {
    Inside& a;
    rt::Instant now;

    template <class T>
    void operator()(T const&) const {}
    void operator()(PermissionPending const& h) const {
        a.active(now);
        auto const& id = h.permission.id;
        auto const* const known = a.permissions.find(id);
        if (known && !known->over) return;
        auto const kind = a.label(a.deeds.permissions, h.permission.kind, a.limits.max_permissions);
        ++a.deeds.permissions[kind].asked;
        a.permissions.add(id, {kind, known ? known->since : since(id)});
    }
    void operator()(PermissionOver const& h) const {
        auto const* const asked = a.permissions.find(h.id);
        auto const kind = asked ? asked->kind : std::string(other);
        auto const since = asked ? asked->since : std::nullopt;
        a.permissions.add(h.id, {kind, since, true});
        ++a.deeds.permissions[kind].over[static_cast<std::size_t>(h.outcome)];
        if (h.outcome == PermissionOver::Outcome::gone) return;
        a.active(now);
        if (since) a.deeds.permissions_took.observe(now - *since);
    }
    void operator()(QuestionPending const& h) const {
        a.active(now);
        auto const& id = h.question.id;
        auto const* const known = a.questions.find(id);
        if (known && !known->over) return;
        ++a.deeds.questions_asked;
        a.questions.add(id, {{}, known ? known->since : since(id)});
    }
    void operator()(QuestionOver const& h) const {
        auto const* const asked = a.questions.find(h.id);
        auto const since = asked ? asked->since : std::nullopt;
        a.questions.add(h.id, {{}, since, true});
        ++a.deeds.questions_over[static_cast<std::size_t>(h.outcome)];
        if (h.outcome == QuestionOver::Outcome::gone) return;
        a.active(now);
        if (since) a.deeds.questions_took.observe(now - *since);
    }
    void operator()(TurnBegan const&) const { a.active(now); }
    void operator()(TurnCompleted const& h) const {
        ended(0);
        if (h.seen_from_start) a.deeds.turns_took.observe(h.duration);
    }
    void operator()(TurnFailed const&) const { ended(1); }
    void operator()(TurnAborted const&) const { ended(2); }
    void operator()(Retrying const&) const {
        ++a.deeds.retries;
        a.active(now);
    }

    void ended(std::size_t outcome) const {
        ++a.deeds.turns[outcome];
        a.active(now);
    }
    [[nodiscard]] std::optional<rt::Instant> since(std::string const& id) const {
        return id == a.asking ? std::optional(now) : std::nullopt;
    }
};

void Activity::happened(Happening const& happening, rt::Instant now) {
    std::visit(Inside::Happen{*inside_, now}, happening);
}

}  // namespace ocgate::opencode
