// A target that breaks as its input says, for driver_test.py.
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const how(reinterpret_cast<char const*>(data), size);
    if (how == "abort") std::abort();
    if (how == "address") {
        std::string const text(100, 'x');  // on the heap
        auto const* volatile bytes = text.data();
        return bytes[200] == 'y' ? 1 : 0;
    }
    if (how == "undefined") {
        int volatile largest = INT_MAX;
        largest = largest + 1;
    }
    if (how == "leak") {
        [[maybe_unused]] auto* volatile lost = new std::string(100, 'x');
        lost = nullptr;
    }
    return 0;
}
