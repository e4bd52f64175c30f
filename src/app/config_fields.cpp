#include "config_fields.hpp"

#include <algorithm>

#include "config_json.hpp"

namespace ocgate::app {
namespace {

bool among(std::string_view word, Fields::Words words) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

std::string hint(std::string_view meant) {
    return meant.empty() ? std::string() : "; did you mean " + in_quotes(meant) + "?";
}

}  // namespace

std::string below(std::string const& place, std::size_t index) { return place + "/" + std::to_string(index); }

Fields::Fields(Loader& loader, nlohmann::json const& object, std::string place)
    : loader_(loader), place_(std::move(place)) {
    if (object.is_object()) {
        object_ = &object;
    } else {
        complain(place_, "expected an object, got " + kind_of(object));
    }
}

void Fields::only(Words known, Words elsewhere, std::string_view no_place) {
    if (!object_) return;
    for (auto const& [key, value] : object_->items()) {
        if (among(key, known)) continue;
        if (among(key, elsewhere)) {
            complain(place(key), std::string(no_place));
        } else {
            complain(place(key), "unknown key" + hint(nearest(key, known)));
        }
    }
}

std::string Fields::place(std::string_view key) const { return pointer_to(place_, key); }

nlohmann::json const* Fields::find(std::string_view key) const {
    if (!object_) return nullptr;
    auto const found = object_->find(key);
    return found == object_->end() ? nullptr : &*found;
}

template <class T>
std::optional<T> Fields::kept(std::string_view key, Taken<T> taken) {
    if (!taken.value) complain(place(key), std::move(taken.problem));
    return std::move(taken.value);
}

std::optional<std::string> Fields::text(std::string_view key, std::string_view wanted, std::size_t most) {
    auto const* const value = find(key);
    if (!value) return std::nullopt;
    if (!value->is_string()) {
        complain(place(key), "expected " + std::string(wanted) + ", got " + kind_of(*value));
        return std::nullopt;
    }
    auto const& text = value->get_ref<std::string const&>();
    if (!text.empty() && text.size() <= most) return text;
    complain(place(key), "expected " + std::string(wanted) + ", got " +
                             (text.empty() ? "\"\"" : "more than " + std::to_string(most) + " bytes"));
    return std::nullopt;
}

std::optional<std::uint64_t> Fields::integer(std::string_view key, std::uint64_t low, std::uint64_t high) {
    auto const* const value = find(key);
    return value ? kept(key, take_integer(Given{value}, low, high)) : std::nullopt;
}

std::optional<std::uint64_t> Fields::size(std::string_view key, std::uint64_t low, std::uint64_t high) {
    auto const* const value = find(key);
    return value ? kept(key, take_size(Given{value}, low, high)) : std::nullopt;
}

std::optional<milliseconds> Fields::duration(std::string_view key, milliseconds low, milliseconds high) {
    auto const* const value = find(key);
    return value ? kept(key, take_duration(Given{value}, {low, high})) : std::nullopt;
}

std::optional<std::size_t> Fields::word(std::string_view key, Words words) {
    auto const* const value = find(key);
    return value ? kept(key, take_word(Given{value}, words)) : std::nullopt;
}

std::optional<std::string> Fields::path(std::string_view key) {
    auto const* const value = find(key);
    return value ? kept(key, take_path(Given{value, loader_.folder()})) : std::nullopt;
}

std::optional<Secret> Fields::secret(std::string_view key) {
    auto const* const form = find(key);
    return form ? loader_.secret_of(*form, place(key)) : std::nullopt;
}

std::optional<Secret> Fields::text_or_secret(std::string_view key) {
    auto const* const form = find(key);
    if (!form || !form->is_string()) return secret(key);
    auto const& text = form->get_ref<std::string const&>();
    if (!text.empty()) return Secret(text);
    complain(place(key), "expected a text, {\"env\": \"NAME\"} or {\"file\": \"/path\"}, got \"\"");
    return std::nullopt;
}

nlohmann::json const* Fields::array(std::string_view key, std::string_view of_what, std::size_t most) {
    auto const* const value = find(key);
    if (!value || (value->is_array() && value->size() <= most)) return value;
    complain(place(key), "expected an array of at most " + std::to_string(most) + " " + std::string(of_what) +
                             ", got " + (value->is_array() ? std::to_string(value->size()) : kind_of(*value)));
    return nullptr;
}

std::optional<std::vector<std::string>> Fields::texts(std::string_view key, std::string_view of_what,
                                                      std::size_t most) {
    auto const* const list = array(key, of_what, most);
    if (!list) return std::nullopt;
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < list->size(); ++i) {
        auto const& entry = (*list)[i];
        texts.push_back(entry.is_string() ? entry.get<std::string>() : std::string());
        if (!texts.back().empty()) continue;
        complain(below(place(key), i),
                 "expected a text, got " + (entry.is_string() ? std::string("\"\"") : kind_of(entry)));
    }
    return texts;
}

std::optional<std::vector<std::string>> Fields::words(std::string_view key, std::string_view of_what, Words words) {
    auto given = texts(key, of_what, 100);
    if (!given) return std::nullopt;
    for (std::size_t i = 0; i < given->size(); ++i) {
        auto const& word = (*given)[i];
        if (word.empty() || among(word, words)) continue;
        std::string known;
        for (auto const one : words) known.append(known.empty() ? "" : ", ").append(one);
        complain(below(place(key), i),
                 "expected one of " + known + ", got " + in_quotes(word) + hint(nearest(word, words)));
    }
    return given;
}

std::optional<std::vector<milliseconds>> Fields::durations(std::string_view key, std::size_t most, milliseconds low,
                                                           milliseconds high) {
    auto const* const list = array(key, "durations", most);
    if (!list) return std::nullopt;
    std::vector<milliseconds> times;
    for (std::size_t i = 0; i < list->size(); ++i) {
        auto taken = take_duration(Given{&(*list)[i]}, {low, high});
        if (taken.value) {
            times.push_back(*taken.value);
        } else {
            complain(below(place(key), i), std::move(taken.problem));
        }
    }
    return times;
}

}  // namespace ocgate::app
