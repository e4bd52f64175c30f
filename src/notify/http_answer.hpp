// The answer to a request, read from a channel. Strict (wire/head.hpp), bounded, interim answers skipped.
#pragma once

#include "http_channel.hpp"

namespace ocgate::notify {

/// Reads the whole answer to a `method`. Content that is not framed by its length is whole only if the end is orderly.
/// On failure after a whole head `answer` holds that (a status) and what came of the content, no more than is allowed.
rt::Task<error_code> receive_answer(Channel& channel, std::string_view method, std::size_t max_content_bytes,
                                    HttpResponse& answer);

/// Reads a proxy's answer to CONNECT: its status. What follows a 2xx is the tunnel.
rt::Task<error_code> receive_connected(Channel& channel, unsigned& status);

}  // namespace ocgate::notify
