#include "config_json.hpp"

#include <algorithm>
#include <deque>

namespace ocgate::app {
namespace {

using nlohmann::json;

constexpr std::size_t shown_bytes = 80;

std::string visible(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (char const c : text.substr(0, shown_bytes)) {
        auto const byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7F) {
            out += c;
        } else {
            out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
        }
    }
    if (text.size() > shown_bytes) out += "...";
    return out;
}

/// `line:column` from 1 of the byte before `position` (the parser counts what it has read).
std::string line_and_column(std::string_view text, std::size_t position) {
    auto const before = text.substr(0, std::min(position == 0 ? 0 : position - 1, text.size()));
    auto const line = std::count(before.begin(), before.end(), '\n') + 1;
    auto const start = before.rfind('\n');
    auto const column = start == std::string_view::npos ? before.size() + 1 : before.size() - start;
    return std::to_string(line) + ":" + std::to_string(column);
}

/// The library's message without its prefix and without `last read: '…'`, which repeats what stands in the file.
std::string safe_message(std::string_view what) {
    std::string message(what);
    if (auto const end = message.find("] "); end != std::string::npos) message.erase(0, end + 2);
    if (auto const read = message.find("; last read: "); read != std::string::npos) message.erase(read);
    if (message.find("number overflow") != std::string::npos) return "a number that is too large";
    if (auto const colon = message.find(": "); message.starts_with("parse error") && colon != std::string::npos)
        message.erase(0, colon + 2);
    return message;
}

/// Builds the value. The library's own builder lets the last of two equal keys win in silence.
class Builder final : public nlohmann::json_sax<json> {
public:
    Builder(std::string_view text, std::string const& name, ReadJson& result)
        : text_(text), name_(name), result_(result) {}

    bool null() override { return add(nullptr), true; }
    bool boolean(bool value) override { return add(value), true; }
    bool number_integer(json::number_integer_t value) override { return add(value), true; }
    bool number_unsigned(json::number_unsigned_t value) override { return add(value), true; }
    bool number_float(json::number_float_t value, json::string_t const&) override { return add(value), true; }
    bool string(json::string_t& value) override { return add(std::move(value)), true; }
    bool binary(json::binary_t&) override { return false; }
    bool start_object(std::size_t) override { return open(json::object()); }
    bool start_array(std::size_t) override { return open(json::array()); }
    bool end_object() override { return levels_.pop_back(), true; }
    bool end_array() override { return levels_.pop_back(), true; }
    bool key(json::string_t& key) override {
        levels_.back().key = std::move(key);
        return true;
    }
    bool parse_error(std::size_t position, std::string const&, json::exception const& error) override {
        auto message = safe_message(error.what());
        if (message.find("unexpected '}'") != std::string::npos || message.find("unexpected ']'") != std::string::npos)
            message += " (no comma may follow the last element)";
        result_.errors.push_back({name_ + ":" + line_and_column(text_, position), "not JSON: " + message, "config"});
        return false;
    }

private:
    struct Level {
        json* container;
        std::string pointer;
        std::string key;  ///< of the member that comes next, in an object
    };

    json& add(json value) {
        if (levels_.empty()) return result_.value = std::move(value);
        auto& level = levels_.back();
        if (level.container->is_array()) {
            level.container->push_back(std::move(value));
            return level.container->back();
        }
        if (level.container->contains(level.key)) {
            if (result_.errors.size() <= max_config_errors)
                result_.errors.push_back(
                    {pointer_to(level.pointer, level.key), "given twice; keep one of them", "config"});
            // Read on, for the errors behind it, but aside: the members of a second object must not mix with the first.
            return spare_.emplace_back(std::move(value));
        }
        return (*level.container)[level.key] = std::move(value);
    }

    bool open(json container) {
        if (levels_.size() == max_json_depth) {
            result_.errors.push_back(
                {levels_.back().pointer, "nested deeper than " + std::to_string(max_json_depth) + " levels", "config"});
            return false;
        }
        auto pointer = levels_.empty() ? std::string() : place_of_next();
        auto& placed = add(std::move(container));
        levels_.push_back({&placed, std::move(pointer), {}});
        return true;
    }

    std::string place_of_next() const {
        auto const& level = levels_.back();
        return level.container->is_array() ? level.pointer + "/" + std::to_string(level.container->size())
                                           : pointer_to(level.pointer, level.key);
    }

    std::string_view text_;
    std::string const& name_;
    ReadJson& result_;
    std::vector<Level> levels_;
    std::deque<json> spare_;
};

}  // namespace

std::string in_quotes(std::string_view text) { return "\"" + visible(text) + "\""; }

std::string pointer_to(std::string const& parent, std::string_view key) {
    std::string escaped;
    for (char const c : key.substr(0, shown_bytes + 1)) {
        if (c == '~') {
            escaped += "~0";
        } else if (c == '/') {
            escaped += "~1";
        } else {
            escaped += c;
        }
    }
    return parent + "/" + visible(escaped);
}

ReadJson read_json(std::string_view text, std::string const& name) {
    ReadJson result;
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
        result.errors.push_back({name, "expected a JSON object, the file is empty; {} is the smallest", "config"});
        return result;
    }
    // The parser takes a NUL for the end and would not look at what follows.
    if (auto const nul = text.find('\0'); nul != std::string_view::npos) {
        result.errors.push_back({name + ":" + line_and_column(text, nul + 1), "not JSON: a NUL byte", "config"});
        return result;
    }
    Builder builder(text, name, result);
    if (!json::sax_parse(text, &builder, json::input_format_t::json, true, true)) {
        result.value = nullptr;
        return result;
    }
    if (!result.value.is_object()) {
        result.errors.push_back({name, "expected a JSON object at the top", "config"});
        result.value = nullptr;
    }
    return result;
}

}  // namespace ocgate::app
