// A model, a clock moved by hand and events written by hand.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <iterator>

#include "happenings.hpp"

namespace ocgate::opencode {

using Words = std::vector<std::string>;
using namespace std::chrono_literals;

class ModelTest : public testing::Test {
protected:
    /// Without what began, which is in `began`.
    Words words_of(Happenings const& happenings) {
        auto words = in_words(happenings);
        auto const is_begin = [](auto const& one) { return one.ends_with(" began"); };
        std::copy_if(words.begin(), words.end(), std::back_inserter(began), is_begin);
        std::erase_if(words, is_begin);
        return words;
    }
    Words apply(decltype(Event::what) what) {
        now += 1ms;
        return words_of(model.apply(Event{"type", next_id(), directory, std::move(what)}, now));
    }
    std::string next_id() { return "evt_" + std::to_string(++events); }

    Words session(std::string const& id, std::string const& parent = {}) {
        SessionInfo info;
        info.id = id;
        info.parent = parent;
        info.title = "title of " + id;
        info.directory = directory;
        info.updated_ms = ++server_ms;
        return apply(SessionSeen{info, false});
    }
    Words busy(std::string const& id) { return apply(StatusChanged{id, {State::busy, 0, {}, 0}}); }
    Words retry(std::string const& id, unsigned attempt) {
        return apply(StatusChanged{id, {State::retry, attempt, "try later", 0}});
    }
    /// As opencode does it: two events.
    Words idle(std::string const& id) {
        auto told = apply(StatusChanged{id, {}});
        EXPECT_EQ(apply(WentIdle{id}), Words{});
        return told;
    }
    StepInfo step_info(std::string const& id, std::string const& message, std::string const& finish = {}) {
        StepInfo step;
        step.session = id;
        step.message = message;
        step.agent = "build";
        step.finish = finish;
        step.created_ms = ++server_ms;
        step.completed = !finish.empty();
        step.usage.cost = 0.5;
        step.usage.output = 10;
        return step;
    }
    Words step(std::string const& id, std::string const& message, std::string const& finish = {}) {
        return apply(StepChanged{step_info(id, message, finish)});
    }
    Words cut_off(std::string const& id, std::string const& message, std::string const& error) {
        auto info = step_info(id, message);
        info.completed = true;
        info.error_name = error;
        return apply(StepChanged{info});
    }
    Words error(std::string const& id, std::string const& name) {
        return apply(SessionFailed{id, name, "words of " + name, 0});
    }
    Words aborted(std::string const& id) { return error(id, std::string(aborted_error)); }

    static Permission permission(std::string const& id, std::string const& session, std::string const& message = {}) {
        Permission p;
        p.id = id;
        p.session = session;
        p.message = message;
        p.kind = "bash";
        p.command = "ls";
        return p;
    }
    static Question question(std::string const& id, std::string const& session, std::string const& message = {}) {
        Question q;
        q.id = id;
        q.session = session;
        q.message = message;
        q.asks.push_back({"Colour", "Which?", {"Red"}, false});
        return q;
    }
    Words asks(Permission const& p) { return apply(PermissionAsked{p}); }
    Words asks(Question const& q) { return apply(QuestionAsked{q}); }
    Words asks(std::string const& id, std::string const& session) { return asks(permission(id, session)); }
    Words replied(std::string const& id, std::string const& reply) { return apply(PermissionAnswered{{}, id, reply}); }

    static Status is_busy() { return {State::busy, 0, {}, 0}; }
    /// All three answers, asked for just now.
    Words reconcile(Statuses statuses, std::vector<Permission> permissions = {}, std::vector<Question> questions = {}) {
        now += 1ms;
        return words_of(
            model.reconcile({directory, std::move(statuses), std::move(permissions), std::move(questions)}, now, now));
    }
    Words settle(std::string const& id, std::optional<StepInfo> const& last) {
        return words_of(model.settle(id, last, now));
    }

    void a_running_root(std::string const& id = "ses_1") {
        session(id);
        busy(id);
    }

    Model model;
    Words began;
    rt::Instant now{1h};
    std::string directory = "/work";
    int events = 0;
    std::int64_t server_ms = 0;
};

}  // namespace ocgate::opencode
