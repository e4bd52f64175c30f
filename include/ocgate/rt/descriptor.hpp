// Owns a file descriptor.
#pragma once

#include <unistd.h>

#include <utility>

namespace ocgate::rt {

class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int descriptor) noexcept : descriptor_(descriptor) {}
    Descriptor(Descriptor&& other) noexcept : descriptor_(other.release()) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        reset(other.release());
        return *this;
    }
    ~Descriptor() { reset(); }

    [[nodiscard]] int get() const noexcept { return descriptor_; }
    [[nodiscard]] explicit operator bool() const noexcept { return descriptor_ >= 0; }
    [[nodiscard]] int release() noexcept { return std::exchange(descriptor_, -1); }
    /// Closes what is held. close(2) is not repeated after EINTR: on Linux the descriptor is gone by then.
    void reset(int descriptor = -1) noexcept {
        auto const old = std::exchange(descriptor_, descriptor);
        if (old >= 0) ::close(old);
    }

private:
    int descriptor_ = -1;
};

}  // namespace ocgate::rt
