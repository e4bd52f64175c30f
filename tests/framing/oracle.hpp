// A second reader of HTTP/1.1, which shares nothing with the gateway's: it knows only what the gateway may write, to
// the letter, and takes anything else for a fault. So "what arrived" is not judged by those who sent it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "corpus.hpp"

namespace ocgate::framing {

struct Message {
    std::string method, target;  ///< of a request
    unsigned status = 0;         ///< of an answer
    Fields fields;
    std::string content;
    bool whole = false;
    bool to_the_end = false;  ///< an answer whose content ends with the connection

    [[nodiscard]] std::vector<std::string> values(std::string_view name) const;
    [[nodiscard]] std::string value(std::string_view name) const;  ///< of the only one, else ""
};

struct Read {
    std::vector<Message> messages;  ///< the last may not be whole
    std::string rest;               ///< what came behind a switch of protocols
    std::string complaint;          ///< why it is not what the gateway may write; then the rest was not read
};

/// What an upstream has received on one connection. A WebSocket handshake ends the messages.
Read read_requests(std::string_view bytes);

/// What a client has received. `methods`: of its requests, in order. `ended`: nothing more will come.
Read read_answers(std::string_view bytes, std::vector<std::string> const& methods, bool ended);

/// What is wrong with a request as it arrived upstream, whatever the client sent; empty: nothing.
std::string fault_of_request(Message const& request, std::string_view credential, std::string_view client_address);

/// What is wrong with an answer as the client got it; empty: nothing.
std::string fault_of_answer(Message const& answer);

}  // namespace ocgate::framing
