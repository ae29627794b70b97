/*
 * Loaded before libc into a member: its clocks go wrong and its disk goes slow, as a file in shared
 * memory says. The harness writes that file (shim_control.py) and may change it at any time.
 *
 * JEPSEN_SHIM names the file. Its layout is struct control: a counter that is odd while the rest is
 * being written, so that a reader never mixes two settings; then
 *   wall_ns    added to CLOCK_REALTIME: a clock that was set wrong, or set right again
 *   from_ns, shown_ns, rate_ppm
 *              CLOCK_MONOTONIC read shown_ns when the kernel's was at from_ns, and gains rate_ppm
 *              parts in a million since: a crystal that is too fast or too slow. It never goes back.
 *   sync_ns    how long every fsync and fdatasync waits before it begins
 *
 * Other clocks (CPU times, boot time) stay right, and so do the kernel's own timeouts: a member
 * that drifts sleeps true seconds, and reads wrong ones.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL
#define MILLION 1000000LL

struct control {
    uint64_t sequence;
    int64_t wall_ns;
    int64_t from_ns;
    int64_t shown_ns;
    int64_t rate_ppm;
    int64_t sync_ns;
};

static volatile struct control *shared;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("JEPSEN_SHIM");
    int fd;
    void *place;

    if (path == NULL) return;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        perror(path);
        _exit(70);
    }
    place = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (place == MAP_FAILED) {
        perror(path);
        _exit(70);
    }
    shared = place;
}

static struct control read_control(void) {
    struct control seen = {0};
    uint64_t before;

    if (shared == NULL) return seen;
    do {
        before = __atomic_load_n(&shared->sequence, __ATOMIC_ACQUIRE);
        seen.wall_ns = shared->wall_ns;
        seen.from_ns = shared->from_ns;
        seen.shown_ns = shared->shown_ns;
        seen.rate_ppm = shared->rate_ppm;
        seen.sync_ns = shared->sync_ns;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while ((before & 1) || before != __atomic_load_n(&shared->sequence, __ATOMIC_RELAXED));
    return seen;
}

static int is_wall(clockid_t clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

static int is_monotonic(clockid_t clock) {
    return clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE;
}

static int64_t skewed(clockid_t clock, int64_t now_ns) {
    struct control seen = read_control();

    if (is_wall(clock)) return now_ns + seen.wall_ns;
    if (!is_monotonic(clock) || seen.from_ns == 0) return now_ns;
    int64_t since_ns = now_ns - seen.from_ns;
    return seen.shown_ns + since_ns + since_ns / MILLION * seen.rate_ppm +
           since_ns % MILLION * seen.rate_ppm / MILLION;
}

int clock_gettime(clockid_t clock, struct timespec *answer) {
    int status = (int)syscall(SYS_clock_gettime, clock, answer);

    if (status == 0 && (is_wall(clock) || is_monotonic(clock))) {
        int64_t now_ns = skewed(clock, answer->tv_sec * NS_PER_S + answer->tv_nsec);
        answer->tv_sec = now_ns / NS_PER_S;
        answer->tv_nsec = now_ns % NS_PER_S;
    }
    return status;
}

int gettimeofday(struct timeval *restrict answer, void *restrict zone) {
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    answer->tv_sec = now.tv_sec;
    answer->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *answer) {
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (answer != NULL) *answer = now.tv_sec;
    return now.tv_sec;
}

static void wait_for_the_disk(void) {
    int64_t wait_ns = read_control().sync_ns;
    struct timespec left = {wait_ns / NS_PER_S, wait_ns % NS_PER_S};

    while (wait_ns > 0 && nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

int fsync(int fd) {
    wait_for_the_disk();
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    wait_for_the_disk();
    return (int)syscall(SYS_fdatasync, fd);
}
