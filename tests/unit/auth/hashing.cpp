#include "hashing.hpp"

#include <crypt.h>
#include <dlfcn.h>

#include <atomic>

namespace ocgate::test {
namespace {

std::atomic<std::size_t> calls{0};

}  // namespace

std::size_t crypt_calls() noexcept { return calls.load(); }

}  // namespace ocgate::test

extern "C" char* crypt_r(char const* phrase, char const* setting, crypt_data* data) noexcept {
    using Function = char* (*)(char const*, char const*, crypt_data*);
    static auto const real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "crypt_r"));
    ++ocgate::test::calls;
    return real(phrase, setting, data);
}
