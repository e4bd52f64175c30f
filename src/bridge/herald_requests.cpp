// What people ask of the herald: a test, a target that is to be tried again, quiet, and what is written down.
#include <nlohmann/json.hpp>

#include "herald_inside.hpp"

namespace ocgate::bridge {
namespace {
using nlohmann::json;

constexpr std::string_view mutes_name = "mutes";

}  // namespace

rt::Task<std::optional<std::vector<TestResult>>> Herald::test(std::string target) {
    std::vector<std::string> names;
    std::vector<std::pair<std::string, std::string>> disabled;
    for (auto const& one : courier_->status()) {
        if (!target.empty() && one.name != target) continue;
        names.push_back(one.name);
        if (!one.disabled.empty()) disabled.emplace_back(one.name, one.disabled);
    }
    if (tests_.size() >= max_tests || stopping_ || (names.empty() && !target.empty())) co_return std::nullopt;
    auto const at = now_ms();
    auto const key = "test/" + std::to_string(at) + "/" + std::to_string(++test_number_);
    auto const test = std::make_shared<Test>(needs_.deadlines, names);
    for (auto const& [name, why] : disabled) test->set(name, "failed", why);
    if (!test->over()) {
        tests_.emplace(key, test);
        json const facts{{"at_ms", at}};
        raise({.key = key, .kind = "test", .subject = {}, .weight = notify::Weight::error, .facts = facts.dump()});
        test->changed.forget();
        test->patience.set(needs_.deadlines.now() + test_patience);
        co_await test->changed.wait();
        test->patience.set(rt::never);
        tests_.erase(key);
    }
    co_return std::move(test->results);
}

rt::Task<notify::Kept<bool>> Herald::enable(std::string target) {
    if (exchanging_ || stopping_) {
        co_return notify::OutboxError{notify::Trouble::busy, "the targets are being exchanged; ask again"};
    }
    co_return co_await courier_->enable(std::move(target));
}

rt::Task<bool> Herald::mute(std::string subject, std::chrono::milliseconds how_long) {
    bool const done =
        how_long.count() > 0 ? router_.mute(subject, needs_.wall() + how_long) : (router_.unmute(subject), true);
    if (!done) co_return false;
    mutes_known_ = true;
    then([this] { center_->route_again(); });
    co_await remember_mutes();
    co_return true;
}

rt::Task<void> Herald::remember_mutes() {
    auto remember = [document = router_.mutes_document()](notify::Outbox& outbox) {
        return outbox.remember(mutes_name, document);
    };
    auto const kept = co_await needs_.store.run(std::move(remember));
    mutes_unsaved_ = !kept;
    if (!kept) in_trouble(kept.error());
}

/// Once: what people have said since is newer than what an outbox that was away still holds.
rt::Task<void> Herald::recall_mutes() {
    if (mutes_known_) {
        if (mutes_unsaved_) co_await remember_mutes();
        co_return;
    }
    auto recall = [](notify::Outbox& outbox) { return outbox.recall(mutes_name); };
    auto const mutes = co_await needs_.store.run(std::move(recall));
    if (!mutes || mutes_known_) co_return;
    if (*mutes) router_.restore_mutes(**mutes);
    mutes_known_ = kept().durable || !kept().wanted;
}

rt::Task<notify::Kept<Ledger>> Herald::ledger(std::size_t most) {
    auto job = [most](notify::Outbox& outbox) -> notify::Kept<Ledger> {
        auto incidents = outbox.list_incidents(most);
        if (!incidents) return incidents.error();
        auto deliveries = outbox.list_deliveries(most);
        if (!deliveries) return deliveries.error();
        auto counts = outbox.counts();
        if (!counts) return counts.error();
        return Ledger{std::move(*incidents), std::move(*deliveries), std::move(*counts)};
    };
    co_return co_await needs_.store.run(std::move(job));
}

}  // namespace ocgate::bridge
