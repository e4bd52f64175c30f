// Reading an event or a list never throws, whatever it is; what is kept of it is bounded; and the type found in the
// beginning of an event is the one it is read with.
#include <nlohmann/json.hpp>

#include "ocgate/opencode/event.hpp"
#include "property.hpp"

using namespace ocgate;

namespace {

constexpr std::size_t longest_text = 4096;

void check(std::string const& text) { MUST(text.size() <= longest_text); }
void check(std::vector<std::string> const& texts) {
    MUST(texts.size() <= 16);
    for (auto const& text : texts) check(text);
}
void check(opencode::Permission const& p) {
    MUST(!p.id.empty() && !p.session.empty());
    for (auto const* text : {&p.id, &p.session, &p.message, &p.kind, &p.command}) check(*text);
    check(p.patterns);
    check(p.always);
}
void check(opencode::Question const& q) {
    MUST(!q.id.empty() && !q.session.empty() && q.asks.size() <= 8);
    for (auto const& ask : q.asks) {
        check(ask.header);
        check(ask.text);
        check(ask.options);
    }
}
void check(opencode::ToolEnded const& ended) {
    MUST(!ended.call.empty());
    for (auto const* text : {&ended.session, &ended.call, &ended.tool}) check(*text);
}
void check(opencode::StepInfo const& step) {
    MUST(!step.message.empty() && !step.session.empty());
    for (auto const* text : {&step.agent, &step.provider, &step.model, &step.finish, &step.error_name}) check(*text);
    auto const& u = step.usage;
    MUST(u.cost >= 0 && u.cost <= 1e6);
    for (auto const n : {u.input, u.output, u.reasoning, u.cache_read, u.cache_write})
        MUST(n >= 0 && n <= 1'000'000'000'000);
    for (auto const& call : step.calls) check(call);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::Input const input(data, size);
    auto const exact = fuzz::exactly(input.text);
    auto const text = fuzz::view(exact);

    auto const event = opencode::read_event(text);
    MUST(!event.type.empty());
    check(event.type);
    check(event.directory);
    if (auto const* asked = std::get_if<opencode::PermissionAsked>(&event.what)) check(asked->permission);
    if (auto const* asked = std::get_if<opencode::QuestionAsked>(&event.what)) check(asked->question);
    if (auto const* seen = std::get_if<opencode::SessionSeen>(&event.what)) MUST(!seen->info.id.empty());
    if (auto const* step = std::get_if<opencode::StepChanged>(&event.what)) check(step->step);
    if (auto const* step = std::get_if<opencode::NewerStepBegan>(&event.what)) check(step->step);
    if (auto const* step = std::get_if<opencode::NewerStepEnded>(&event.what)) check(step->step);
    if (auto const* ended = std::get_if<opencode::ToolEnded>(&event.what)) check(*ended);

    auto const type = opencode::type_of_long(text);
    auto const place = input.place();
    auto const beginning = fuzz::exactly(text.substr(0, place));
    auto const early = opencode::type_of_long(fuzz::view(beginning));
    MUST(early.empty() || early == type);
    // Of two members of one name a reader of JSON takes the last, which the beginning cannot tell.
    bool const once = text.find("type\"", text.find("type\"") + 1) == text.npos &&
                      text.find("payload", text.find("payload") + 1) == text.npos;
    if (!type.empty() && once && nlohmann::json::accept(text)) MUST(event.type == type);

    if (auto const list = opencode::read_permissions(text)) {
        for (auto const& entry : *list) check(entry);
    }
    if (auto const list = opencode::read_questions(text)) {
        for (auto const& entry : *list) check(entry);
    }
    static_cast<void>(opencode::read_statuses(text));
    static_cast<void>(opencode::read_session(text));
    static_cast<void>(opencode::read_last_step(text));
    if (auto const steps = opencode::read_steps(text)) {
        for (auto const& step : *steps) check(step);
    }
    if (auto const terminals = opencode::read_terminals(text)) {
        for (auto const& id : *terminals) MUST(!id.empty() && id.size() <= longest_text);
    }
    return 0;
}
