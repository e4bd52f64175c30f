// One object of the file that is no part of the table of settings: its fields by name, every mistake told with its
// place, and reading goes on. What may be a secret in the wrong place is not repeated.
#pragma once

#include "config_kinds.hpp"
#include "config_loader.hpp"

namespace ocgate::app {

/// `/notifications/targets` and a name or number below it, as a JSON pointer.
[[nodiscard]] std::string below(std::string const& place, std::size_t index);

class Fields {
public:
    using Words = std::span<std::string_view const>;

    /// Complains when it is no object.
    Fields(Loader& loader, nlohmann::json const& object, std::string place);

    /// Complains of every key that is not in `known`. One of `elsewhere` is not unknown: it is `no_place` for it.
    void only(Words known, Words elsewhere = {}, std::string_view no_place = {});

    [[nodiscard]] std::string const& place() const noexcept { return place_; }
    [[nodiscard]] std::string place(std::string_view key) const;
    void complain(std::string const& place, std::string message) { loader_.complain(place, std::move(message)); }

    /// nullptr: it is not there.
    [[nodiscard]] nlohmann::json const* find(std::string_view key) const;

    // Nothing when it is not there, and when it is wrong, which is told.
    std::optional<std::string> text(std::string_view key, std::string_view wanted, std::size_t most = 1024);
    std::optional<std::uint64_t> integer(std::string_view key, std::uint64_t low, std::uint64_t high);
    std::optional<std::uint64_t> size(std::string_view key, std::uint64_t low, std::uint64_t high);
    std::optional<milliseconds> duration(std::string_view key, milliseconds low, milliseconds high);
    std::optional<std::size_t> word(std::string_view key, Words words);  ///< its index
    std::optional<std::string> path(std::string_view key);
    std::optional<Secret> secret(std::string_view key);
    /// Also as a text in clear.
    std::optional<Secret> text_or_secret(std::string_view key);
    /// An array of texts; one that is none or empty, which is told, stands in it as "", so that the others keep their
    /// places.
    std::optional<std::vector<std::string>> texts(std::string_view key, std::string_view of_what, std::size_t most);
    /// `texts`, each one of `words`; near misses are told.
    std::optional<std::vector<std::string>> words(std::string_view key, std::string_view of_what, Words words);
    std::optional<std::vector<milliseconds>> durations(std::string_view key, std::size_t most, milliseconds low,
                                                       milliseconds high);

private:
    template <class T>
    std::optional<T> kept(std::string_view key, Taken<T> taken);
    /// The array at `key` with at most so many entries.
    nlohmann::json const* array(std::string_view key, std::string_view of_what, std::size_t most);

    Loader& loader_;
    nlohmann::json const* object_ = nullptr;  ///< nullptr: it is none
    std::string place_;
};

}  // namespace ocgate::app
