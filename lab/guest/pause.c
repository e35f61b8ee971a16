/* How workers sleep: a guest that has nothing to do is to use no processor, and to begin at once when it has. */
#define _GNU_SOURCE
#include "lab.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void pause_until_changed(struct shared *shared, uint32_t seen, int64_t limit_us)
{
    struct timespec limit = {.tv_sec = limit_us / 1000000, .tv_nsec = limit_us % 1000000 * 1000};
    syscall(SYS_futex, &shared->changes, FUTEX_WAIT, seen, limit_us < 0 ? NULL : &limit, NULL, 0);
}

void pause_end(struct shared *shared)
{
    atomic_fetch_add(&shared->changes, 1);
    syscall(SYS_futex, &shared->changes, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}
