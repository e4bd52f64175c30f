/* Preloaded into the gateway by kit/bad_machine.py: a clock that was set, and a disk that fails. A test says so in a
   shared page: by how many seconds the time of day is off, and which error (errno) writing to `OCGATE_TEST_DISK` and
   what is below comes to; 0: none. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct page {
    volatile int64_t seconds;
    volatile int64_t error;
    volatile int64_t failed; /* how often it struck */
};

static struct page *shared;
static char const *disk;

__attribute__((constructor)) static void begin(void) {
    char const *const path = getenv("OCGATE_TEST_MACHINE");
    char const *const folder = getenv("OCGATE_TEST_DISK");
    disk = folder ? strdup(folder) : NULL; /* the gateway wipes its environment */
    int const file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *const mapped = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) shared = mapped;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int clock_gettime(clockid_t which, struct timespec *now) {
    static __typeof__(&clock_gettime) real;
    if (!real) real = REAL(clock_gettime);
    int const result = real(which, now);
    if (result == 0 && shared && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += shared->seconds;
    }
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec time;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &time) != 0) return -1;
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}

static int fails(int file) {
    if (!shared || !disk || shared->error == 0) return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t const n = readlink(link, path, sizeof path - 1);
    if (n < 0 || strncmp(path, disk, strlen(disk)) != 0) return 0;
    __atomic_fetch_add((int64_t *)&shared->failed, 1, __ATOMIC_RELAXED);
    errno = (int)shared->error;
    return 1;
}

#define FAILING(result, name, parameters, arguments)  \
    result name parameters {                          \
        static __typeof__(&name) real;                \
        if (!real) real = REAL(name);                 \
        return fails(file) ? (result)-1 : real arguments; \
    }

FAILING(ssize_t, write, (int file, void const *bytes, size_t n), (file, bytes, n))
FAILING(ssize_t, pwrite, (int file, void const *bytes, size_t n, off_t at), (file, bytes, n, at))
FAILING(ssize_t, pwrite64, (int file, void const *bytes, size_t n, off64_t at), (file, bytes, n, at))
FAILING(int, fsync, (int file), (file))
FAILING(int, fdatasync, (int file), (file))
FAILING(int, ftruncate, (int file, off_t size), (file, size))
FAILING(int, ftruncate64, (int file, off64_t size), (file, size))
FAILING(int, fallocate, (int file, int mode, off_t at, off_t n), (file, mode, at, n))
