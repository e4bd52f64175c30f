#include "watcher.hpp"

#include <sys/inotify.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace ocgate::app {

Watcher::Watcher(rt::Executor executor, rt::Deadlines& deadlines, std::function<void()> changed)
    : deadlines_(deadlines),
      changed_(std::move(changed)),
      inotify_(executor),
      due_(
          deadlines, [](void* self) { static_cast<Watcher*>(self)->look(); }, this),
      alive_(std::make_shared<bool>(true)) {
    int const fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) return;  // the patrol alone, then
    inotify_.assign(fd);
    listen();
}

Watcher::~Watcher() { stop(); }

void Watcher::stop() {
    *alive_ = false;
    due_.set(rt::never);
    error_code ignored;
    if (inotify_.is_open()) inotify_.close(ignored);
}

void Watcher::watch(std::vector<std::string> const& files, std::vector<FileMark> const& marks) {
    std::set<std::string> folders;
    marks_.clear();
    for (std::size_t i = 0; i < files.size(); ++i) {
        auto folder = std::filesystem::path(files[i]).parent_path().string();
        folders.insert(folder.empty() ? "." : std::move(folder));
        marks_.emplace(files[i], marks[i]);
    }
    if (inotify_.is_open()) {
        std::erase_if(folders_, [&](auto const& entry) {
            if (folders.contains(entry.first)) return false;
            if (entry.second >= 0) ::inotify_rm_watch(inotify_.native_handle(), entry.second);
            return true;
        });
        for (auto const& folder : folders) {
            auto& number = folders_.try_emplace(folder, -1).first->second;
            constexpr std::uint32_t what =
                IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF;
            // Adding a folder that is watched already gives the same number.
            number = ::inotify_add_watch(inotify_.native_handle(), folder.c_str(), what | IN_ONLYDIR);
        }
    }
    changing_since_.reset();
    again_at_.reset();
    // What has changed since the marks were taken came before inotify looked.
    if (*alive_) due_.set(deadlines_.now());
}

void Watcher::again() {
    if (!*alive_) return;
    again_at_ = deadlines_.now() + patrol;
    due_.set(std::min(due_.when(), *again_at_));
}

void Watcher::listen() {
    inotify_.async_read_some(boost::asio::buffer(events_), [this, alive = alive_](error_code why, std::size_t) {
        if (why || !*alive) return;
        auto const now = deadlines_.now();
        // A folder where much goes on is no reason to look all the time.
        auto const next = looked_at_ ? std::max(now, *looked_at_ + settle) : now;
        due_.set(std::min(due_.when(), next));
        listen();
    });
}

void Watcher::look() {
    auto const now = deadlines_.now();
    looked_at_ = now;
    bool moved = false;
    for (auto& [path, mark] : marks_) {
        auto const seen = mark_of(path);
        moved |= seen != mark;
        mark = seen;
    }
    if (moved && !changing_since_) changing_since_ = now;
    // Half a list of users is one with fewer users, and half a password is another one.
    if (moved && now < *changing_since_ + longest) return due_.set(now + settle);
    auto const next = now + (moved ? rt::Duration(settle) : rt::Duration(patrol));
    bool const tell = changing_since_ || (again_at_ && now >= *again_at_);
    changing_since_.reset();
    if (tell) again_at_.reset();
    due_.set(again_at_ ? std::min(next, *again_at_) : next);
    if (tell) changed_();
}

}  // namespace ocgate::app
