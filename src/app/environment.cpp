#include "environment.hpp"

#include <openssl/crypto.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

namespace ocgate::app {

void hide_environment() {
    static auto& kept = *new std::vector<std::string>;  // for as long as there is a process: `environ` points into it
    std::size_t count = 0;
    while (::environ != nullptr && ::environ[count] != nullptr) ++count;
    kept.reserve(count);  // none of them moves afterwards
    for (std::size_t i = 0; i < count; ++i) {
        char* const entry = ::environ[i];
        ::environ[i] = kept.emplace_back(entry).data();
        auto const name = std::strcspn(entry, "=");
        auto const size = std::strlen(entry);
        if (size > name) OPENSSL_cleanse(entry + name + 1, size - name - 1);
    }
}

}  // namespace ocgate::app
