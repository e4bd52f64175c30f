// What the audit says of whom, in which words: of requests, of what they came to in opencode, of the gateway's own
// pages. Where the lines go is ops' business.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "ocgate/opencode/model.hpp"
#include "ocgate/opencode/routes.hpp"
#include "ocgate/ops/audit.hpp"
#include "ocgate/proxy/doors.hpp"

namespace ocgate::app {

/// Somebody whose request was let in.
struct Who {
    std::string user, client_address, request_id;
};

class Auditor {
public:
    static constexpr std::size_t max_answers = 256;   ///< remembered until opencode says what they came to
    static constexpr std::size_t max_pending = 1000;  ///< requests whose words are remembered; as many as a Model's

    explicit Auditor(ops::Audit& audit) : audit_(audit) {}

    // Any thread. What may last has a line when it begins, and everything one when it is over.
    void began(proxy::Deed const& deed) const noexcept;
    void ended(proxy::Deed const& deed, unsigned status, rt::Duration took) const noexcept;

    // The gateway's own loop.
    /// An answer to a permission or question is on its way to opencode.
    void answering(opencode::Act const& act, Who who);
    /// It was not taken.
    void not_taken(std::string const& request_id);
    /// What opencode says of its requests: the answer, and whose it was. Nobody's where none went through here.
    void happened(opencode::Happening const& happening);
    /// A page of the gateway's own was asked to change something.
    void page(proxy::PageRequest const& request, proxy::PageAnswer const& answer) const;
    void gateway(std::string_view event, std::initializer_list<ops::LogField> fields) const noexcept {
        audit_.write(event, fields);
    }

private:
    struct Asked {
        std::string kind, command, patterns, always;  ///< without secrets
    };
    struct Answer {
        std::string request;
        Who who;
    };
    void over(std::string_view event, std::string const& request, std::string const& session, std::string const& root,
              std::string_view reply);
    void remember(std::string const& request, Asked asked);

    ops::Audit& audit_;
    std::map<std::string, Asked, std::less<>> asked_;
    std::deque<Answer> answers_;
};

}  // namespace ocgate::app
