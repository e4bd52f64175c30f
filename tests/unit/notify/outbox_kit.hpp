// What the tests of the outbox share: a folder of their own, short incidents, everything an outbox holds as text.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "ocgate/notify/outbox.hpp"

namespace ocgate::notify {

class Folder {
public:
    Folder() {
        std::string pattern = testing::TempDir() + "ocgate-outbox-XXXXXX";
        if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(Folder const&) = delete;
    Folder& operator=(Folder const&) = delete;

    [[nodiscard]] std::filesystem::path const& path() const noexcept { return path_; }
    [[nodiscard]] std::filesystem::path file() const { return path_ / "outbox.db"; }

private:
    std::filesystem::path path_;
};

/// What was returned; a failed test and an empty value when it was an error.
template <class T>
T kept(Kept<T> answer) {
    if (answer) return std::move(*answer);
    ADD_FAILURE() << to_string(answer.error().trouble) << ": " << answer.error().text;
    return T{};
}

inline Outbox kept(Kept<Outbox> answer) {
    if (!answer) throw std::runtime_error(answer.error().text);
    return std::move(*answer);
}

inline Outbox::Opened kept(Kept<Outbox::Opened> answer) {
    if (!answer) throw std::runtime_error(answer.error().text);
    return std::move(*answer);
}

inline NewIncident an_incident(std::string key, Weight weight = Weight::block) {
    return {.key = std::move(key), .kind = "kind", .subject = "session", .weight = weight, .facts = "{}"};
}

inline NewDelivery a_delivery(std::string dedupe, std::string target, Action action = Action::publish,
                              std::int64_t not_before_ms = 0) {
    NewDelivery delivery{.dedupe = std::move(dedupe), .target = std::move(target), .action = action};
    delivery.payload = "{\"for\":\"" + delivery.dedupe + "\"}";
    delivery.not_before_ms = not_before_ms;
    return delivery;
}

inline std::vector<std::string> dedupes(std::vector<Dropped> const& dropped) {
    std::vector<std::string> names;
    for (auto const& one : dropped) names.push_back(one.dedupe);
    return names;
}

inline std::vector<std::string> dedupes(std::vector<Due> const& due) {
    std::vector<std::string> names;
    for (auto const& one : due) names.push_back(one.ticket.dedupe);
    return names;
}

/// All that an operator can see of it, so that two can be compared; empty when it cannot be read.
inline std::string contents(Outbox& outbox) {
    auto const incidents = outbox.list_incidents(1000);
    auto const deliveries = outbox.list_deliveries(1000);
    auto const disabled = outbox.disabled();
    if (!incidents || !deliveries || !disabled) return {};
    std::string text = "contents\n";
    for (auto const& it : *incidents) {
        text += it.key + ' ' + it.kind + ' ' + it.subject + ' ' + std::string(to_string(it.weight)) + ' ' +
                std::string(to_string(it.state)) + " <" + it.outcome + "> <" + it.by + "> " +
                std::to_string(std::hash<std::string>{}(it.facts)) + ' ' + std::to_string(it.raised_ms) + ' ' +
                std::to_string(it.opened_ms) + ' ' + std::to_string(it.ended_ms) + '\n';
    }
    for (auto const& it : *deliveries) {
        text += it.dedupe + ' ' + it.incident + ' ' + it.target + ' ' + std::string(to_string(it.action)) + ' ' +
                std::string(to_string(it.state)) + ' ' + std::to_string(it.attempt) + ' ' +
                std::to_string(it.not_before_ms) + ' ' + std::to_string(it.lease_until_ms) + " <" + it.remote_id +
                "> <" + it.last_error + "> " + std::to_string(it.created_ms) + ' ' + std::to_string(it.updated_ms) +
                '\n';
    }
    for (auto const& it : *disabled) text += it.target + " <" + it.why + "> <" + it.mark + ">\n";
    return text;
}

}  // namespace ocgate::notify
