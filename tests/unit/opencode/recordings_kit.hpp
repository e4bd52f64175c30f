// Where the recordings are.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace ocgate::opencode {

inline std::filesystem::path recordings_folder() {
    return std::filesystem::path(__FILE__).parent_path().parent_path().parent_path() / "recordings";
}

/// Empty when there is none.
inline std::string recording_of(std::string const& scenario) {
    std::ifstream file(recordings_folder() / (scenario + ".global.sse"), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace ocgate::opencode
