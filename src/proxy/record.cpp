// What is kept of a request beyond its head, and of an answer for those who want to see it.
#include "exchange.hpp"

namespace ocgate::proxy {

void Exchange::keep_record() {
    if (!kept_.empty()) return;
    std::string_view* const views[] = {&record_.method, &record_.path,        &record_.user_agent,
                                       &record_.cf_ray, &record_.traceparent, &request_id_};
    std::size_t total = 1;
    for (auto const* view : views) total += view->size();
    kept_.reserve(total);
    kept_.push_back(' ');
    for (auto* view : views) {
        auto const at = kept_.size();
        kept_.append(*view);
        *view = std::string_view(kept_).substr(at, view->size());
    }
}

void Exchange::clear_desk() {
    keep_record();
    if (!head_consumed_) client_->consume(desk_->request.bytes);
    head_consumed_ = true;
    desk_.reset();
}

void Exchange::collect(std::string_view content, bool complete) {
    if (!watched_) return;
    if (watched_->content.size() + content.size() > Gatekeeper::watched_bytes) {
        watched_.reset();
        return;
    }
    watched_->content.append(content);
    if (complete) {
        snapshot_->gatekeeper->saw_answer(watched_->target, record_.status, watched_->content, user_);
        watched_.reset();
    }
}

}  // namespace ocgate::proxy
