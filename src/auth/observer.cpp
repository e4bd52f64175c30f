#include "ocgate/auth/observer.hpp"

namespace ocgate::auth {

std::string_view to_string(AuthResult result) noexcept {
    switch (result) {
        case AuthResult::admitted:
            return "admitted";
        case AuthResult::ticket:
            return "ticket";
        case AuthResult::exempt:
            return "exempt";
        case AuthResult::missing:
            return "missing";
        case AuthResult::malformed:
            return "malformed";
        case AuthResult::wrong:
            return "wrong";
        case AuthResult::throttled:
            return "throttled";
        case AuthResult::queue_full:
            return "queue_full";
        case AuthResult::cross_site:
            return "cross_site";
        case AuthResult::misdirected:
            return "misdirected";
    }
    return "wrong";
}

}  // namespace ocgate::auth
