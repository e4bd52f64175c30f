#include "sandbox.hpp"

#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace ocgate::app {
namespace {

namespace fs = std::filesystem;
using Use = ops::Place::Use;

std::string folder_of(fs::path const& file) {
    auto folder = file.parent_path().string();
    return folder.empty() ? "." : folder;
}

class Places {
public:
    void add(std::string path, Use use) {
        if (path.empty()) return;
        auto const same = [&](ops::Place const& one) { return one.path == path && one.use == use; };
        if (std::none_of(all_.begin(), all_.end(), same)) all_.push_back({std::move(path), use});
    }

    /// Where its name is, and where what it points to lies (`..data` of a mounted secret is below the former). Of what
    /// lies at the very top the file alone: its folder is everything.
    void add_folder_of(std::string const& file, Use use) {
        if (file.empty()) return;
        std::error_code problem;
        auto const real = fs::canonical(file, problem);
        for (auto const& name : {fs::path(file), problem ? fs::path(file) : real}) {
            auto folder = folder_of(name);
            add(folder == "/" ? name.string() : std::move(folder), use);
        }
    }

    /// /etc/resolv.conf may point to a folder where files replace each other.
    void add_of_etc(std::string const& name) {
        auto const path = "/etc/" + name;
        add(path, Use::read);
        std::error_code problem;
        auto const real = fs::canonical(path, problem);
        if (!problem && real.parent_path() != "/etc") add(folder_of(real), Use::read);
    }

    std::vector<ops::Place> take() { return std::move(all_); }

private:
    std::vector<ops::Place> all_;
};

void add_what_libraries_read(Places& places, Sources const& sources) {
    // Names of hosts: glibc, with the modules that nsswitch.conf names.
    for (auto const* name : {"resolv.conf", "hosts", "nsswitch.conf", "host.conf", "gai.conf", "services", "protocols",
                             "ld.so.cache", "localtime"})
        places.add_of_etc(name);
    // Where others than root's may write nothing, and read no secrets, the folder does no harm: NetworkManager replaces
    // resolv.conf in it.
    if (::geteuid() != 0) places.add("/etc", Use::read);
    for (auto const* path : {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/proc",
                             "/sys/devices/system/cpu", "/dev/null", "/dev/urandom", "/dev/random"})
        places.add(path, Use::read);
    // Certificates: OpenSSL finds one by its hash when it needs it.
    for (auto const* path :
         {"/etc/ssl", "/usr/lib/ssl", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates"})
        places.add(path, Use::read);
    for (auto const* name : {"SSL_CERT_DIR", "SSL_CERT_FILE", "TZDIR"}) {
        auto const value = sources.variable(name);
        if (!value) continue;
        for (std::size_t at = 0; at < value->size();) {  // folders with colons between them
            auto const end = std::min(value->find(':', at), value->size());
            places.add(value->substr(at, end - at), Use::read);
            at = end + 1;
        }
    }
}

/// They have to be there to be allowed. What is wrong with them is told by whoever uses them.
void make_folders(Config const& config) {
    auto const mask = ::umask(0077);
    std::error_code ignored;
    if (auto const folder = fs::path(config.control_socket).parent_path(); !folder.empty())
        fs::create_directory(folder, ignored);
    ::umask(mask);
    if (config.state_dir.empty()) return;
    auto const state = fs::path(config.state_dir);
    if (state.has_parent_path()) fs::create_directories(state.parent_path(), ignored);
    (void)::mkdir(state.c_str(), 0700);
}

std::vector<int> capabilities_of(Config const& config) {
    // As root: files of others stay readable, those that are left to be opened.
    std::vector<int> kept{CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH};
    auto const ports = ports_of(config);
    if (std::any_of(ports.begin(), ports.end(), [](auto port) { return port != 0 && port < 1024; }))
        kept.push_back(CAP_NET_BIND_SERVICE);
    return kept;
}

}  // namespace

std::vector<ops::Place> places_of(Config const& config, Sources const& sources) {
    Places places;
    for (auto const& file : config.files) places.add_folder_of(file, Use::read);
    places.add_folder_of(config.notify.ca_file, Use::read);
    for (auto const& target : config.notify.targets) places.add_folder_of(target.ca_file, Use::read);
    places.add(config.state_dir, Use::write);
    if (config.audit.kind == ops::AuditPlace::Kind::file) places.add_folder_of(config.audit.path, Use::append);
    for (auto const* path : {&config.control_socket, &config.listen.unix_path, &config.admin_listen.unix_path})
        if (!path->empty()) places.add(folder_of(*path), Use::listen);
    add_what_libraries_read(places, sources);
    return places.take();
}

std::vector<std::uint16_t> ports_of(Config const& config) {
    std::vector<std::uint16_t> ports;
    for (auto const* address : {&config.listen, &config.admin_listen}) {
        if (address->is_unix()) continue;
        // The second thread binds the port that the first one was given.
        if (address->port == 0 && address == &config.listen && config.threads > 1) return {};
        ports.push_back(address->port);
    }
    return ports;
}

Confinement confine_files(Config const& config, Sources const& sources) {
    Confinement confinement{.asked = config.sandbox};
    if (config.sandbox == Sandbox::off) {
        confinement.files.problem = confinement.calls.problem = "turned off";
    } else if (with_sanitizers) {
        confinement.files.problem = confinement.calls.problem = "this build has sanitizers, which need more than it";
    } else {
        make_folders(config);
        ops::drop_capabilities(capabilities_of(config));
        confinement.files = ops::confine_files(places_of(config, sources), ports_of(config));
    }
    return confinement;
}

std::string files_text(Confinement const& confinement) {
    auto const& files = confinement.files;
    return files.holds() ? "landlock " + std::to_string(files.level) : "no: " + files.problem;
}

std::string calls_text(Confinement const& confinement) {
    auto const& calls = confinement.calls;
    return calls.holds() ? "seccomp" : "no: " + calls.problem;
}

std::string lacking(Confinement const& confinement) {
    if (confinement.asked != Sandbox::on) return {};
    for (auto const* part : {&confinement.files, &confinement.calls})
        if (!part->holds() && !part->problem.empty())
            return "the sandbox cannot be had: " + part->problem +
                   ". --sandbox auto (OCGATE_SANDBOX=auto) starts with what there is";
    return {};
}

}  // namespace ocgate::app
