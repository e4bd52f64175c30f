// How many times crypt(3) was asked in this program: the tests' own `crypt_r` stands before libcrypt's and counts.
#pragma once

#include <cstddef>

namespace ocgate::test {

[[nodiscard]] std::size_t crypt_calls() noexcept;

}  // namespace ocgate::test
