#include "ocgate/opencode/event_cutter.hpp"

#include <algorithm>
#include <utility>

namespace ocgate::opencode {
namespace {

constexpr std::string_view data_name = "data";
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
/// A store that has grown beyond this is given back after its event: most events are below 1 KiB.
constexpr std::size_t rest_bytes = 64 * 1024;

/// The offset of the first LF or CR, or the size. memchr twice is many times as fast as looking for either at once.
std::size_t line_end(std::string_view bytes) noexcept {
    auto const lf = std::min(bytes.find('\n'), bytes.size());
    return std::min(bytes.substr(0, lf).find('\r'), lf);
}

}  // namespace

EventCutter::EventCutter(OnEvent on_event, std::size_t max_event_bytes, std::size_t kept_of_long)
    : on_event_(std::move(on_event)), max_bytes_(max_event_bytes), kept_(std::min(kept_of_long, max_event_bytes)) {}

void EventCutter::reset() noexcept {
    held_.clear();
    if (held_.capacity() > rest_bytes) held_ = std::string();
    bytes_ = 0;
    lines_ = 0;
    in_ = In::name;
    name_bytes_ = 0;
    bom_bytes_ = 0;
    at_stream_start_ = true;
    after_cr_ = false;
    long_ = false;
}

void EventCutter::feed(std::string_view bytes) {
    while (!bytes.empty()) {
        if (std::exchange(after_cr_, false) && bytes.front() == '\n') {
            bytes.remove_prefix(1);
            continue;
        }
        std::size_t taken = 0;
        if (at_stream_start_) {
            taken = take_start(bytes);
        } else if (in_ == In::name) {
            taken = take_name(bytes.front());
        } else if (in_ == In::value_start) {
            in_ = In::value;
            taken = bytes.front() == ' ' ? 1 : 0;
        } else {
            taken = take_value(bytes);
        }
        bytes.remove_prefix(taken);
    }
}

/// Passes over a byte order mark. A broken one is the beginning of some field's name that nobody knows.
std::size_t EventCutter::take_start(std::string_view bytes) noexcept {
    if (bytes.front() == byte_order_mark[bom_bytes_]) {
        ++bom_bytes_;
        at_stream_start_ = bom_bytes_ < byte_order_mark.size();
        return 1;
    }
    at_stream_start_ = false;
    if (bom_bytes_ > 0) in_ = In::other;
    return 0;
}

std::size_t EventCutter::take_name(char c) {
    if (c == '\n' || c == '\r') {
        end_line(c);
    } else if (c == ':' && name_bytes_ == data_name.size()) {
        begin_data_line();
        in_ = In::value_start;
    } else if (name_bytes_ < data_name.size() && c == data_name[name_bytes_]) {
        ++name_bytes_;
    } else {
        in_ = In::other;
    }
    return 1;
}

std::size_t EventCutter::take_value(std::string_view bytes) {
    auto const end = line_end(bytes);
    auto const part = bytes.substr(0, end);
    if (in_ == In::value) {
        bool const alone = lines_ == 1 && bytes_ == 0;
        if (alone && bytes.substr(end, 2) == "\n\n") {  // the whole event lies in `bytes`
            Cut const cut{part.substr(0, part.size() > max_bytes_ ? kept_ : part.size()), part.size(),
                          part.size() <= max_bytes_};
            lines_ = 0;
            in_ = In::name;
            name_bytes_ = 0;
            on_event_(cut);
            return end + 2;
        }
        append(part);
    }
    if (end == bytes.size()) return end;
    end_line(bytes[end]);
    return end + 1;
}

void EventCutter::end_line(char end) {
    after_cr_ = end == '\r';
    bool const named = in_ == In::name;
    auto const name_bytes = std::exchange(name_bytes_, std::uint8_t{0});
    in_ = In::name;
    if (!named) return;
    if (name_bytes == 0) {
        end_event();
    } else if (name_bytes == data_name.size()) {
        begin_data_line();  // `data` without a colon is a line of data, an empty one
    }
}

void EventCutter::begin_data_line() {
    if (lines_++ == 0) {
        held_.clear();
        if (held_.capacity() > rest_bytes) held_ = std::string();
    } else {
        append("\n");
    }
}

void EventCutter::append(std::string_view bytes) {
    bytes_ += bytes.size();
    if (long_) return;
    if (bytes_ <= max_bytes_) {
        held_.append(bytes);
        return;
    }
    long_ = true;
    if (held_.size() < kept_) held_.append(bytes.substr(0, kept_ - held_.size()));
    held_.resize(std::min(held_.size(), kept_));
    held_.shrink_to_fit();
}

void EventCutter::end_event() {
    if (lines_ == 0) return;
    Cut const cut{held_, std::exchange(bytes_, 0), !std::exchange(long_, false)};
    lines_ = 0;
    on_event_(cut);  // held_ is emptied when the next event begins, so that this may throw
}

}  // namespace ocgate::opencode
