#include "ocgate/notify/template.hpp"

#include <boost/throw_exception.hpp>
#include <limits>
#include <stdexcept>

#include "template_parts.hpp"
#include "text.hpp"

namespace ocgate::notify {
namespace {

using nlohmann::json;

constexpr std::size_t max_placeholders = 200;
constexpr int max_depth = 32;

bool is_name(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/// Reads one template from front to back.
class Reader {
public:
    explicit Reader(std::string_view text) : text_(text) {}

    Parsed<std::vector<Piece>> read() {
        if (text_.size() > max_template_bytes) return failed("longer than 16 KiB");
        while (at_ < text_.size()) {
            auto const open = text_.find("{{", at_);
            take_literal(text_.substr(at_, open == std::string_view::npos ? open : open - at_));
            if (open == std::string_view::npos) break;
            at_ = open + 2;
            if (++placeholders_ > max_placeholders) return failed("more than 200 placeholders");
            if (!read_placeholder()) return failed(why_);
        }
        return std::move(pieces_);
    }

private:
    TemplateError failed(std::string why) const { return {at_, std::move(why)}; }

    bool wrong(std::string why) {
        why_ = std::move(why);
        return false;
    }

    void take_literal(std::string_view literal) {
        at_ += literal.size();
        if (literal.empty()) return;
        // A run of backquotes opens code, and only a run as long closes it.
        for (std::size_t i = 0; i < literal.size();) {
            auto const from = i;
            while (i < literal.size() && literal[i] == '`') ++i;
            auto const run = i - from;
            if (run == 0)
                ++i;
            else if (quotes_ == 0)
                quotes_ = run;
            else if (quotes_ == run)
                quotes_ = 0;
        }
        Piece piece;
        piece.literal = literal;
        pieces_.push_back(std::move(piece));
    }

    bool read_placeholder() {
        Piece piece;
        piece.placeholder = true;
        using Around = Piece::Around;
        piece.around = quotes_ == 0 ? Around::nothing : quotes_ < 3 ? Around::code : Around::block;
        do {
            skip_blanks();
            auto name = take_name();
            if (name.empty()) return wrong("expected a name: {{session.title}}");
            piece.path.push_back(std::move(name));
        } while (take('.'));
        while (take('|')) {
            skip_blanks();
            auto const begin = at_;
            auto const name = take_name();
            bool const has_argument = take(':');
            std::string argument;
            if (has_argument && !take_argument(argument)) return false;
            std::string why;
            auto filter = read_filter(name, has_argument, std::move(argument), why);
            if (!filter.apply) {
                at_ = begin;
                return wrong(std::move(why));
            }
            piece.filters.push_back(std::move(filter));
        }
        if (!text_.substr(at_).starts_with("}}")) return wrong("expected }} or a filter");
        at_ += 2;
        pieces_.push_back(std::move(piece));
        return true;
    }

    void skip_blanks() {
        while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    }

    bool take(char c) {
        skip_blanks();
        if (at_ == text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }

    std::string take_name() {
        auto const begin = at_;
        while (at_ < text_.size() && is_name(text_[at_])) ++at_;
        return std::string(text_.substr(begin, at_ - begin));
    }

    /// `"in quotes"`, or up to the next bar or the end.
    bool take_argument(std::string& argument) {
        bool const quoted = text_.substr(at_).starts_with('"');
        if (quoted) ++at_;
        auto const end = quoted ? text_.find('"', at_) : text_.find_first_of("|}", at_);
        if (end == std::string_view::npos) return wrong(quoted ? "a quote is not closed" : "expected }}");
        argument = text_.substr(at_, end - at_);
        at_ = quoted ? end + 1 : end;
        return true;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t quotes_ = 0;
    std::size_t placeholders_ = 0;
    std::vector<Piece> pieces_;
    std::string why_;
};

std::string spelt(Piece const& piece, std::string const& value, Escape escape) {
    constexpr auto no_bound = std::numeric_limits<std::size_t>::max() / 2;
    if (escape == Escape::text) return clean(value, Lines::keep);
    if (escape == Escape::line) return clean(value, Lines::join);
    switch (piece.around) {
        case Piece::Around::code:
            return fit_utf16(clean(value, Lines::join), no_bound, discord_code_spelling);
        case Piece::Around::block:
            return fit_utf16(clean(value, Lines::keep), no_bound, discord_block_spelling);
        case Piece::Around::nothing:
            break;
    }
    return fit_utf16(clean(value, Lines::keep), no_bound, discord_spelling);
}

/// Bounded before it is spelt, so that no value, however large, costs more.
std::string bounded_text(Piece const& piece, json const& values) {
    return cut_bytes(text_of(value_of(piece, values)), max_rendered_bytes);
}

std::string joined(std::vector<Piece> const& pieces, json const& values) {
    std::string out;
    for (auto const& piece : pieces) {
        out += piece.placeholder ? bounded_text(piece, values) : piece.literal;
        if (out.size() > max_rendered_bytes) return cut_bytes(out, max_rendered_bytes);
    }
    return out;
}

}  // namespace

void throw_exception_from_error(TemplateError const& error, boost::source_location const& where) {
    boost::throw_exception(std::invalid_argument(error.why), where);
}

Parsed<Template> Template::parse(std::string_view text) {
    auto pieces = Reader(text).read();
    if (!pieces) return pieces.error();
    Template made;
    made.pieces_ = std::make_shared<std::vector<Piece> const>(std::move(*pieces));
    return made;
}

std::string Template::render(json const& values, Escape escape) const {
    std::string out;
    if (!pieces_) return out;
    for (auto const& piece : *pieces_) {
        // The operator's own words may have bytes that are no UTF-8, too.
        out += piece.placeholder ? spelt(piece, bounded_text(piece, values), escape) : piece.literal;
        if (out.size() > max_rendered_bytes) break;
    }
    std::string well_formed;
    for (auto rest = std::string_view(out); !rest.empty();) {
        auto const one = front_character(rest);
        well_formed += one.size() == 1 && (one[0] & 0x80) != 0 ? std::string_view("\xEF\xBF\xBD") : one;
        rest.remove_prefix(one.size());
    }
    return cut_bytes(well_formed, max_rendered_bytes);
}

struct JsonTemplate::Node {
    json constant;                   ///< where nothing is put in
    std::vector<Piece> pieces;       ///< a string
    std::vector<std::string> names;  ///< of the items of an object
    std::vector<Node> items;         ///< of a list or an object
    enum class Kind { constant, text, object, list } kind = Kind::constant;

    [[nodiscard]] json render(json const& values) const {
        switch (kind) {
            case Kind::text:
                if (pieces.size() == 1 && pieces[0].placeholder) return value_of(pieces[0], values);
                return joined(pieces, values);
            case Kind::object: {
                auto made = json::object();
                for (std::size_t i = 0; i < items.size(); ++i) made[names[i]] = items[i].render(values);
                return made;
            }
            case Kind::list: {
                auto made = json::array();
                for (auto const& node : items) made.push_back(node.render(values));
                return made;
            }
            case Kind::constant:
                break;
        }
        return constant;
    }

    static Parsed<Node> read(json const& document, int depth) {
        Node node;
        if (depth > max_depth) return TemplateError{0, "nested more than 32 deep"};
        if (document.is_string()) {
            auto pieces = Reader(document.get_ref<std::string const&>()).read();
            if (!pieces) return TemplateError{0, "in " + document.dump() + ": " + pieces.error().why};
            node.kind = Kind::text;
            node.pieces = std::move(*pieces);
        } else if (document.is_object()) {
            node.kind = Kind::object;
            for (auto const& [name, value] : document.items()) {
                auto member = read(value, depth + 1);
                if (!member) return member.error();
                node.names.push_back(name);
                node.items.push_back(std::move(*member));
            }
        } else if (document.is_array()) {
            node.kind = Kind::list;
            for (auto const& value : document) {
                auto item = read(value, depth + 1);
                if (!item) return item.error();
                node.items.push_back(std::move(*item));
            }
        } else {
            node.constant = document;
        }
        return node;
    }
};

Parsed<JsonTemplate> JsonTemplate::parse(std::string_view text) {
    if (text.size() > max_template_bytes) return TemplateError{max_template_bytes, "longer than 16 KiB"};
    json document;
    try {
        document = json::parse(text);
    } catch (json::parse_error const& error) {
        return TemplateError{error.byte, "not JSON here"};
    } catch (json::out_of_range const&) {
        return TemplateError{0, "a number in it is too large"};
    }
    auto root = Node::read(document, 0);
    if (!root) return root.error();
    JsonTemplate made;
    made.root_ = std::make_shared<Node const>(std::move(*root));
    return made;
}

json JsonTemplate::render(json const& values) const { return root_ ? root_->render(values) : json(); }

}  // namespace ocgate::notify
