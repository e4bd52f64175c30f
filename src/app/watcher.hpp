// Notices that configuration, secrets or htpasswd files have changed. Folders are watched, not files: a mounted secret
// changes by renaming `..data`, an editor by renaming a new file over the old one.
#pragma once

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ocgate/app/config.hpp"
#include "ocgate/rt/deadline.hpp"

namespace ocgate::app {

/// Calls `changed` when any watched file is another one than at the last `watch` or `changed`: other inode, size,
/// modification time, or there at all. Only once they have been the same for `settle`, whoever still writes them, but
/// `longest` after the first change was seen at the latest. A look every `patrol` catches what inotify does not see
/// (network file systems, exhausted limits). All on the executor's thread.
class Watcher {
public:
    static constexpr std::chrono::milliseconds settle{250};
    static constexpr std::chrono::seconds longest{2};
    static constexpr std::chrono::seconds patrol{10};

    Watcher(rt::Executor executor, rt::Deadlines& deadlines, std::function<void()> changed);
    ~Watcher();
    Watcher(Watcher const&) = delete;
    Watcher& operator=(Watcher const&) = delete;

    /// Watches these instead of the ones before; `marks` say as what they have been seen, so that a change between the
    /// reading and this call is noticed, too. Paths that do not exist are watched for.
    void watch(std::vector<std::string> const& files, std::vector<FileMark> const& marks);
    /// `changed` is called once more a `patrol` from now, unless a file changes or others are watched before. Allocates
    /// nothing.
    void again();
    void stop();

private:
    void listen();
    void look();

    rt::Deadlines& deadlines_;
    std::function<void()> changed_;
    boost::asio::posix::basic_stream_descriptor<rt::Executor> inotify_;
    std::map<std::string, int> folders_;  ///< watched folder → inotify's number; as many as there are files at most
    std::map<std::string, FileMark> marks_;      ///< as seen last
    std::optional<rt::Instant> changing_since_;  ///< seen, and not told yet
    std::optional<rt::Instant> again_at_;
    std::optional<rt::Instant> looked_at_;
    std::array<char, 4096> events_;  ///< what inotify says is only a reason to look
    rt::Deadline due_;
    std::shared_ptr<bool> alive_;  ///< for completions that come after the end
};

}  // namespace ocgate::app
