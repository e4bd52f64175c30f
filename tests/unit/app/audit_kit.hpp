// An audit in a file of its own, read back.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "auditor.hpp"

namespace ocgate::app {

class AuditFile {
public:
    AuditFile() {
        std::string pattern = testing::TempDir() + "ocgate-audit-XXXXXX";
        EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        ops::AuditPlace const place{ops::AuditPlace::Kind::file, folder_ + "/audit"};
        std::string problem;
        auto file = ops::Audit::open(place, problem);
        EXPECT_EQ(problem, "");
        audit_->adopt(place, std::move(file));
    }
    ~AuditFile() { std::filesystem::remove_all(folder_); }
    AuditFile(AuditFile const&) = delete;
    AuditFile& operator=(AuditFile const&) = delete;

    [[nodiscard]] ops::Audit& audit() { return *audit_; }
    [[nodiscard]] Auditor& auditor() { return auditor_; }
    /// All that was written; nothing can be written afterwards.
    [[nodiscard]] std::vector<nlohmann::json> lines() {
        audit_.reset();
        std::vector<nlohmann::json> found;
        std::ifstream file(folder_ + "/audit");
        for (std::string line; std::getline(file, line);) found.push_back(nlohmann::json::parse(line));
        return found;
    }

private:
    std::string folder_;
    ops::Log log_{{.level = ops::LogLevel::off}};
    std::optional<ops::Audit> audit_{std::in_place, log_};
    Auditor auditor_{*audit_};
};

}  // namespace ocgate::app
