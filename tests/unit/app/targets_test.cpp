#include "targets.hpp"

#include <gmock/gmock.h>

#include <chrono>
#include <filesystem>
#include <fstream>

namespace ocgate::app {
namespace {

namespace fs = std::filesystem;

class Targets : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "ocgate-targets-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
    }
    void TearDown() override { fs::remove_all(folder_); }

    [[nodiscard]] std::string mark() const {
        NotifyConfig config;
        TargetConfig target;
        target.name = "hook";
        target.what = notify::webhook_at("https://hooks.example/x").value();
        target.ca_file = folder_ / "ca.pem";
        target.mark = "as configured";
        config.targets.push_back(std::move(target));
        std::vector<std::string> problems;
        auto const none = [](std::string const&) -> std::optional<std::string> { return std::nullopt; };
        return TargetMaker::read(config, none, problems).mark();
    }
    void write(std::string const& text) const {
        std::ofstream(folder_ / "new") << text;
        // As a copy that keeps times: the file is another one all the same.
        fs::last_write_time(folder_ / "new", fs::file_time_type(std::chrono::hours(1)));
        fs::rename(folder_ / "new", folder_ / "ca.pem");
    }

    fs::path folder_;
};

// What is built of it is built anew at a reload.
TEST_F(Targets, AnotherCertificateUnderTheSameNameMakesAnotherTarget) {
    auto const none = mark();
    write("one");
    auto const first = mark();
    EXPECT_NE(none, first);
    EXPECT_EQ(mark(), first);
    write("two");
    EXPECT_NE(mark(), first);
}

}  // namespace
}  // namespace ocgate::app
