// A value that must never be printed. Knows nothing of where it came from or what it opens.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <utility>

namespace ocgate {

/// Holds a secret text and overwrites it when it goes. Prints as `***`; reading it takes the word `reveal`.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string text) : text_(std::move(text)) {}
    Secret(Secret const&) = default;
    /// A short text is copied by a move: what is left behind is overwritten, too.
    Secret(Secret&& other) noexcept : text_(std::move(other.text_)) { other.wipe(); }
    Secret& operator=(Secret other) noexcept {
        text_.swap(other.text_);
        return *this;
    }
    ~Secret();

    [[nodiscard]] std::string_view reveal() const noexcept { return text_; }
    [[nodiscard]] bool empty() const noexcept { return text_.empty(); }

private:
    void wipe() noexcept;
    std::string text_;
};

std::ostream& operator<<(std::ostream& out, Secret const& secret);

/// Compares in time that depends on the lengths only.
[[nodiscard]] bool same_secret(std::string_view a, std::string_view b) noexcept;

}  // namespace ocgate
