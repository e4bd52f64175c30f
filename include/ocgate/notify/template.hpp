// `{{path|filter}}` over a JSON value. A template is written by the operator and trusted; what it puts in is not, so
// every value is escaped for the target it goes to, and no filter can say otherwise.
#pragma once

#include <boost/system/result.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace ocgate::notify {

/// Where a rendered text goes.
enum class Escape : std::uint8_t {
    text,     ///< plain text: controls go, lines stay
    line,     ///< plain text on one line
    discord,  ///< Discord's markdown; inside backquotes of the template nothing can close them
};

struct TemplateError {
    std::size_t at;  ///< byte of the template
    std::string why;
};

/// boost::system::result asks for this when `value()` is called on an error.
[[noreturn]] void throw_exception_from_error(TemplateError const& error, boost::source_location const& where);

template <class T>
using Parsed = boost::system::result<T, TemplateError>;

inline constexpr std::size_t max_template_bytes = 16 * 1024;
inline constexpr std::size_t max_rendered_bytes = 64 * 1024;

struct Piece;

/// A path is names and array indices with dots between, `session.title`, `questions.0.text`; a missing one is empty.
/// Filters, left to right: upper, lower, trim, line, cut:N (characters), default:TEXT, join:TEXT (of an array),
/// count (of an array), basename, duration (of milliseconds), time (of Unix milliseconds, RFC 3339), url, json.
class Template {
public:
    static Parsed<Template> parse(std::string_view text);

    /// At most `max_rendered_bytes`, well-formed UTF-8.
    [[nodiscard]] std::string render(nlohmann::json const& values, Escape escape) const;

private:
    std::shared_ptr<std::vector<Piece> const> pieces_;
};

/// A JSON document whose strings are templates. A string that is one placeholder and nothing else becomes the value
/// itself, number, list or object; in any other string values are text. So whatever a value holds, the result is the
/// same document with other values in it.
class JsonTemplate {
public:
    static Parsed<JsonTemplate> parse(std::string_view text);

    [[nodiscard]] nlohmann::json render(nlohmann::json const& values) const;

private:
    struct Node;
    std::shared_ptr<Node const> root_;
};

}  // namespace ocgate::notify
