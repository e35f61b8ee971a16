/* Limiter: who has failed to log in too often and must wait. Pure bookkeeping: time is an argument, memory is bounded. */
#pragma once
#include <stdint.h>
#include <glib.h>

typedef struct Limiter Limiter;

Limiter *limiter_new(void);
void limiter_free(Limiter *limiter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Limiter, limiter_free)

/*
 * limiter_wait_s: for how many seconds an attempt on @account from @source is refused; 0: not at all.
 * A source (an address, a local user) may fail 5 times, an account 10 times; then each failure doubles the wait, up to a
 * minute. A source that has logged in to this very account lately does not wait for what others do to it, so nobody can
 * lock an owner out. Failures are forgotten after a quarter of an hour without one.
 */
guint limiter_wait_s(Limiter *limiter, const char *account, const char *source, int64_t now_us);
/* limiter_failed: TRUE when it begins to make somebody wait: worth writing down. */
gboolean limiter_failed(Limiter *limiter, const char *account, const char *source, int64_t now_us);
/* limiter_succeeded: the account's failures are forgotten, the source's are not: who has one account must not be able to
 * try all the others. */
void limiter_succeeded(Limiter *limiter, const char *account, const char *source, int64_t now_us);
