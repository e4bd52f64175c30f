#include "ocgate/auth/htpasswd.hpp"

#include <unordered_map>

namespace ocgate::auth {
namespace {

class Reader {
public:
    explicit Reader(std::string_view source) : source_(source) {}

    void read_line(std::size_t number, std::string_view line) {
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.size() > max_htpasswd_line_bytes)
            return complain(number, "longer than " + std::to_string(max_htpasswd_line_bytes) + " bytes");
        if (line.find_first_not_of(" \t") == std::string_view::npos || line.front() == '#') return;
        auto const colon = line.find(':');
        if (colon == std::string_view::npos) return complain(number, "expected `name:hash`, found no colon");
        auto const name = line.substr(0, colon);
        auto const rest = line.substr(colon + 1);
        auto const hash = rest.substr(0, rest.find(':'));
        if (!is_user_name(name))
            return complain(number, "expected a user name of 1 to 255 bytes, UTF-8 without control characters");
        if (auto problem = hash_problem(hash); !problem.empty()) return complain(number, std::move(problem));
        if (auto const [seen, fresh] = lines_.emplace(name, number); !fresh)
            return complain(number, "the user of line " + std::to_string(seen->second) + " once more");
        if (file_.accounts.size() == max_htpasswd_entries)
            return complain(number, "more than " + std::to_string(max_htpasswd_entries) + " users");
        Account account;
        account.name = name;
        account.hash = hash;
        account.source = source_ + " line " + std::to_string(number);
        file_.accounts.push_back(std::move(account));
    }

    void complain(std::size_t line, std::string message) { file_.errors.push_back({line, std::move(message)}); }
    [[nodiscard]] bool enough() const { return file_.errors.size() >= max_htpasswd_errors; }
    [[nodiscard]] bool full() const { return file_.accounts.size() == max_htpasswd_entries && !file_.errors.empty(); }
    Htpasswd result() { return std::move(file_); }

private:
    std::string const source_;
    Htpasswd file_;
    std::unordered_map<std::string_view, std::size_t> lines_;  ///< name to the line that has it; views into the text
};

}  // namespace

Htpasswd parse_htpasswd(std::string_view text, std::string_view source) {
    Reader reader(source);
    if (text.size() > max_htpasswd_bytes) {
        reader.complain(0, "expected at most " + std::to_string(max_htpasswd_bytes) + " bytes");
        return reader.result();
    }
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    for (std::size_t number = 1; !text.empty() && !reader.enough() && !reader.full(); ++number) {
        auto const end = text.find('\n');
        reader.read_line(number, text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return reader.result();
}

}  // namespace ocgate::auth
