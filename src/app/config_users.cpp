// The part of the configuration that deals with names and secrets. No message repeats a value from here.
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>

#include "config_json.hpp"
#include "config_kinds.hpp"
#include "config_loader.hpp"
#include "ocgate/auth/basic.hpp"
#include "ocgate/auth/htpasswd.hpp"

namespace ocgate::app {
namespace {

constexpr std::string_view password_forms = "expected {\"env\": \"NAME\"} or {\"file\": \"/path\"}";
constexpr std::string_view name_form = "expected a name of 1 to 255 bytes, UTF-8 without colon and control characters";

bool is_variable_name(std::string_view text) {
    auto const fits = [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    };
    return !text.empty() && text.size() <= 255 && !(text.front() >= '0' && text.front() <= '9') &&
           std::all_of(text.begin(), text.end(), fits);
}

/// The value of an Authorization field (RFC 7617 §2).
Secret basic(std::string_view name, Secret const& password) {
    std::string pair(name);
    pair += ':';
    pair += password.reveal();
    std::string field = "Basic ";
    auto const start = field.size();
    field.resize(start + (pair.size() + 2) / 3 * 4 + 1);  // EVP_EncodeBlock writes a final zero
    auto const length =
        ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(field.data()) + start,
                          reinterpret_cast<unsigned char const*>(pair.data()), static_cast<int>(pair.size()));
    field.resize(start + static_cast<std::size_t>(length));
    ::OPENSSL_cleanse(pair.data(), pair.size());
    return Secret(std::move(field));
}

/// Why no client could log in with this password; empty when it can.
std::string password_problem(Secret const& password) {
    if (auth::parse_basic(basic("x", password).reveal())) return {};
    return "expected UTF-8 without control characters, short enough for a login (6000 bytes)";
}

}  // namespace

void Loader::read_accounts() {
    read_server_pair();
    if (auto const* const users = other(users_pointer)) {
        user_wanted_ = true;
        if (!users->is_array() || users->size() > max_users) {
            complain(std::string(users_pointer),
                     "expected an array of at most " + std::to_string(max_users) + " users, got " + kind_of(*users));
        } else {
            for (std::size_t i = 0; i < users->size(); ++i)
                read_user((*users)[i], std::string(users_pointer) + "/" + std::to_string(i));
        }
    }
    read_htpasswd();
    auto const& accounts = loaded_.config.auth.accounts;
    // An empty list of users or an htpasswd file of comments only is no attempt that failed; it is nobody.
    bool const failed = user_wanted_ && !loaded_.errors.empty();
    if (accounts.empty() && !file_broken_ && !failed)
        complain("OPENCODE_SERVER_PASSWORD",
                 "nobody could log in: set this variable (or OPENCODE_SERVER_PASSWORD_FILE), or name users or an "
                 "htpasswd_file in the configuration file");
}

void Loader::read_server_pair() {
    auto const name = variable("OPENCODE_SERVER_USERNAME");
    auto const errors = error_count();
    auto password = secret_variable("OPENCODE_SERVER_PASSWORD");
    if (name && !auth::is_user_name(*name)) complain("OPENCODE_SERVER_USERNAME", std::string(name_form));
    if (password) {
        if (auto problem = password_problem(*password); !problem.empty())
            complain("OPENCODE_SERVER_PASSWORD", std::move(problem));
    }
    server_pair_failed_ = errors != error_count();
    user_wanted_ = server_pair_failed_ || password;
    if (server_pair_failed_) return;
    if (!password) {
        if (name) warn("OPENCODE_SERVER_USERNAME has no effect without OPENCODE_SERVER_PASSWORD");
        return;
    }
    if (auth::looks_like_hash(password->reveal()))
        warn(
            "OPENCODE_SERVER_PASSWORD looks like a hash, but it is the password itself; hashes stand in users or in "
            "an htpasswd file");
    server_pair_ = Pair{name.value_or("opencode"), std::move(*password)};
    auth::Account account;
    account.name = server_pair_->name;
    account.password = server_pair_->password;
    account.source = "OPENCODE_SERVER_PASSWORD";
    loaded_.config.auth.accounts.push_back(std::move(account));
}

void Loader::read_user(nlohmann::json const& user, std::string const& place) {
    if (!user.is_object())
        return complain(place, "expected an object with name and password or password_hash, got " + kind_of(user));
    auth::Account account;
    account.source = place;
    bool good = true;
    auto const bad = [&](std::string const& where, std::string message) {
        complain(where, std::move(message));
        good = false;
    };
    for (auto const& [key, value] : user.items()) {
        if (key == "name" || key == "password" || key == "password_hash") continue;
        static constexpr std::string_view keys[] = {"name", "password", "password_hash"};
        auto const meant = nearest(key, keys);
        bad(pointer_to(place, key),
            "unknown key" + (meant.empty() ? std::string() : "; did you mean " + in_quotes(meant) + "?"));
    }

    if (auto const name = user.find("name"); name == user.end()) {
        bad(place, "a name is missing");
    } else if (!name->is_string() || !auth::is_user_name(name->get_ref<std::string const&>())) {
        bad(place + "/name", std::string(name_form) + ", got " + kind_of(*name));
    } else {
        account.name = name->get<std::string>();
        auto const& accounts = loaded_.config.auth.accounts;
        auto const same = std::find_if(accounts.begin(), accounts.end(), [&](auth::Account const& other) {
            return other.name == account.name && other.source.starts_with(users_pointer);
        });
        if (same != accounts.end()) bad(place + "/name", "the name of " + same->source + " once more");
    }

    auto const password = user.find("password");
    auto const hash = user.find("password_hash");
    if ((password == user.end()) == (hash == user.end()))
        bad(place, "expected either password or password_hash; `ocgate hash-password` makes a hash");
    if (password != user.end()) {
        auto const at = place + "/password";
        if (password->is_string()) {
            bad(at, std::string(password_forms) +
                        ", got a string; no password stands in clear in the file, but its "
                        "hash may, as password_hash (see `ocgate hash-password`)");
        } else if (auto secret = secret_of(*password, at); !secret) {
            good = false;
        } else if (auto problem = password_problem(*secret); !problem.empty()) {
            bad(at, std::move(problem));
        } else {
            if (auth::looks_like_hash(secret->reveal()))
                warn(at + " looks like a hash, but is taken as the password itself; a hash is a password_hash");
            account.password = std::move(*secret);
        }
    }
    if (hash != user.end()) {
        auto const at = place + "/password_hash";
        std::optional<Secret> text;
        if (hash->is_string()) {
            text = Secret(hash->get<std::string>());
        } else {
            text = secret_of(*hash, at);
            good = good && text.has_value();
        }
        if (text) {
            if (auto problem = auth::hash_problem(text->reveal()); !problem.empty()) bad(at, std::move(problem));
            account.hash = text->reveal();
        }
    }
    if (good) loaded_.config.auth.accounts.push_back(std::move(account));
}

void Loader::read_htpasswd() {
    auto const& path = loaded_.config.htpasswd_file;
    if (path.empty()) {
        user_wanted_ = user_wanted_ || given("htpasswd_file");
        return;
    }
    auto const file = read(path);
    if (!file.problem.empty()) {
        user_wanted_ = true;
        return complain(place_of("htpasswd_file"), in_quotes(path) + " cannot be read: " + file.problem,
                        "htpasswd_file");
    }
    auto parsed = auth::parse_htpasswd(file.content);
    for (auto& error : parsed.errors) {
        user_wanted_ = true;
        complain(path + (error.line == 0 ? "" : ":" + std::to_string(error.line)), std::move(error.message),
                 "htpasswd_file");
    }
    if (parsed.accounts.empty() && parsed.errors.empty())
        warn(place_of("htpasswd_file") + ": there is no user in " + in_quotes(path));
    if (!parsed.errors.empty()) return;
    auto& accounts = loaded_.config.auth.accounts;
    std::move(parsed.accounts.begin(), parsed.accounts.end(), std::back_inserter(accounts));
}

void Loader::read_upstream_credential() {
    auto& config = loaded_.config;
    auto const errors = error_count();
    // What the file says is checked also where a variable overrules it.
    std::optional<Secret> password;
    std::string place(upstream_password_pointer);
    if (auto const* const form = other(upstream_password_pointer)) password = secret_of(*form, place);
    if (auto from_environment = secret_variable("OCGATE_UPSTREAM_PASSWORD")) {
        password = std::move(from_environment);
        place = "OCGATE_UPSTREAM_PASSWORD";
    }
    bool const failed = errors != error_count();
    bool const named = !config.upstream_user.empty();
    if (!named) config.upstream_user = server_pair_ ? server_pair_->name : "opencode";
    if (!password && !failed && server_pair_) {
        password = server_pair_->password;
        place = "OPENCODE_SERVER_PASSWORD";
    }
    if (!password) {
        config.upstream_user.clear();
        if (named && !failed && !file_broken_ && !server_pair_failed_)
            complain(place_of("upstream_username"),
                     "a password for the upstream is missing: set OCGATE_UPSTREAM_PASSWORD or "
                     "OCGATE_UPSTREAM_PASSWORD_FILE, or password beside username in the file",
                     "upstream_username");
        return;
    }
    auto field = basic(config.upstream_user, *password);
    if (!auth::parse_basic(field.reveal()))
        return complain(place, "expected UTF-8 without control characters, with the name at most 6000 bytes");
    config.upstream_authorization = std::move(field);
}

std::optional<Secret> Loader::secret_of(nlohmann::json const& form, std::string const& place) {
    auto const refuse = [&](std::string const& found) -> std::optional<Secret> {
        complain(place, std::string(password_forms) + ", got " + found);
        return std::nullopt;
    };
    if (!form.is_object()) return refuse(kind_of(form));
    if (form.size() != 1) return refuse("an object with " + std::to_string(form.size()) + " keys");
    auto const entry = form.begin();
    auto const& key = entry.key();
    auto const& value = entry.value();
    if (key != "env" && key != "file") return refuse("an object with another key");
    auto const at = place + "/" + key;
    if (!value.is_string() || value.get_ref<std::string const&>().empty()) {
        complain(at, "expected a string that is not empty, got " + (value.is_string() ? "\"\"" : kind_of(value)));
        return std::nullopt;
    }
    auto const& text = value.get_ref<std::string const&>();
    if (key == "file") return secret_file(text, at, folder_);
    // The name is not repeated: it may be the secret itself, put in the wrong place.
    if (!is_variable_name(text)) {
        complain(at, "expected the name of an environment variable: letters, digits and underscores");
        return std::nullopt;
    }
    auto found = variable(text);
    if (!found) {
        complain(at, "the environment variable named here is not set, or is empty");
        return std::nullopt;
    }
    return Secret(std::move(*found));
}

std::optional<Secret> Loader::secret_variable(std::string const& name) {
    auto text = variable(name);
    auto const path = variable(name + "_FILE");
    if (text && path) {
        complain(name + "_FILE", "set together with " + name + "; keep one of them");
        return std::nullopt;
    }
    if (text) return Secret(std::move(*text));
    if (path) return secret_file(*path, name + "_FILE", {});
    return std::nullopt;
}

std::optional<Secret> Loader::secret_file(std::string const& path, std::string const& place, std::string_view folder) {
    if (path.find('\0') != std::string::npos) {
        complain(place, "expected a path");
        return std::nullopt;
    }
    auto file = read(resolve_path(path, folder));
    if (!file.problem.empty()) {
        // Without a slash it may be the secret itself, put in the wrong place.
        bool const tell = path.find('/') != std::string::npos;
        complain(place,
                 (tell ? in_quotes(path) : std::string("the file named here")) + " cannot be read: " + file.problem);
        return std::nullopt;
    }
    std::string_view text = file.content;
    if (text.ends_with('\n')) text.remove_suffix(1);
    if (text.ends_with('\r')) text.remove_suffix(1);
    Secret secret{std::string(text)};
    ::OPENSSL_cleanse(file.content.data(), file.content.size());
    if (secret.empty()) {
        complain(place, "the file is empty; expected a secret on its first line");
        return std::nullopt;
    }
    return secret;
}

}  // namespace ocgate::app
