/*
 * A Backend in memory: guests that use memory, inflate, deflate, reboot, hang and refuse, on a thread of their own that
 * never stands still, so that what the engine hears comes from another thread and is a little old, as in the field.
 *
 * It also keeps the truth, which no ledger can talk away: what the guests really hold and what they have been promised.
 *
 * Time runs FAKE_SPEED times faster than in the field: a second of the wall clock that statistics are stamped with lasts
 * 100 ms. Rates are per real second.
 */
#pragma once
#include "backend/backend.h"
#include "base/u64.h"

#define FAKE_SPEED    10
#define FAKE_OVERHEAD (64 * MIB)

typedef struct FakeBackend FakeBackend;

typedef enum { FAKE_ANSWERS, FAKE_REFUSES, FAKE_LOSES, FAKE_CARRIES_OUT_SILENTLY } FakeManner;

/* Read and written under fake_lock(), which FAKE() takes. */
typedef struct {
    /* What it is. */
    char *id, *name;
    uint64_t maximum_bytes;
    uint64_t inflate_bytes_per_s, deflate_bytes_per_s;
    gboolean deflates_on_oom;
    FixedReason fixed;
    unsigned boot_ms;           /* from a start or reset until its driver answers; far away: it has none */
    unsigned period_ms, lag_ms; /* of its statistics */
    /* What it does now. */
    uint64_t used_bytes;                  /* wants to; it gets what there is */
    uint64_t goal_bytes, use_bytes_per_s; /* ... and goes there at that speed, while the latter is not 0 */
    uint64_t cached_bytes;                /* resident besides, as far as there is room ... */
    uint64_t cache_bytes_per_s;           /* ... and grows at that speed */
    gboolean silent;                      /* sends no statistics */
    gboolean hangs;                       /* its QEMU answers nothing */
    gboolean still;                       /* what the engine last said of it */
    gboolean paused;
    gboolean container, autostart; /* as its definition says */
    gboolean unfound;              /* nobody knows its process */
    gboolean gone;                 /* its hypervisor does not know it any more */
    FakeManner manner; /* to set_target: FAKE_LOSES and FAKE_CARRIES_OUT_SILENTLY end in a timeout */
    unsigned answer_ms;
    /* How it is. */
    gboolean running;
    int pid;
    int statm, stat;      /* its files, or -1 */
    gboolean awake;       /* its processors run */
    int64_t processor_us; /* what they have used */
    uint64_t boot_count;
    int64_t booted_us;     /* when its driver answers, or has begun to */
    uint64_t target_bytes; /* in force */
    uint64_t truth_bytes;  /* guest RAM that is not in the balloon */
    uint64_t shown_bytes;  /* `actual` */
    gboolean actual_stale; /* reset: `actual` is what it was until the balloon is told something else */
    uint64_t update_s, available_bytes; /* statistics */
    int64_t sample_due_us, seen_us;     /* taken but not seen before the latter */
    uint64_t next_update_s, next_available_bytes;
    /* What happened to it. */
    unsigned targets_set, targets_asked, fresh_asked, ooms;
    uint64_t lowest_target_bytes;
} FakeGuest;

/* fake_backend_new: owned by whom it is given to; the engine frees it. */
FakeBackend *fake_backend_new(void);
Backend *fake_base(FakeBackend *fake);
void fake_lock(FakeBackend *fake);
void fake_unlock(FakeBackend *fake);

/* FAKE: the value of an expression or assignment about guests, under the lock. */
#define FAKE(fake, expression)                                                                               \
    ({                                                                                                       \
        fake_lock(fake);                                                                                     \
        __typeof__(expression) got_ = (expression);                                                          \
        fake_unlock(fake);                                                                                   \
        got_;                                                                                                \
    })

/* fake_guest_add: up and running, with all its memory and a tenth of it in use. The id is its name and "-id". */
FakeGuest *fake_guest_add(FakeBackend *fake, const char *name, uint64_t maximum_bytes);
FakeGuest *fake_guest_find(FakeBackend *fake, const char *name);
/* fake_guest_by_id: also of one that its hypervisor does not know any more. */
FakeGuest *fake_guest_by_id(FakeBackend *fake, const char *id);
/* fake_show_residency: from now on each guest's residency stands in @proc/PID/statm and its processor time in @proc/PID/stat, a millisecond old at most.
 * fake_hide_residency: takes those files away again. */
void fake_show_residency(FakeBackend *fake, const char *proc);
void fake_hide_residency(FakeBackend *fake, const char *proc);
/* Main thread: these tell the engine. */
void fake_start(FakeBackend *fake, FakeGuest *guest);
void fake_stop(FakeBackend *fake, FakeGuest *guest);
void fake_reset(FakeBackend *fake, FakeGuest *guest);
void fake_disconnect(FakeBackend *fake);
void fake_connect(FakeBackend *fake);
/* Tells nobody: somebody else's `virsh setmem`. */
void fake_setmem(FakeBackend *fake, FakeGuest *guest, uint64_t bytes);

/* What the whole backend does: FALSE at first. */
void fake_answer_at_once(FakeBackend *fake, gboolean at_once); /* from within observe() and set_target() */
void fake_hold_observations(FakeBackend *fake, gboolean hold); /* none is answered until it ends */

/* The truth: max(what it holds, its target in force) + overhead, over all that run; and the most there was. */
uint64_t fake_committed(FakeBackend *fake);
uint64_t fake_peak(FakeBackend *fake);
void fake_forget_peak(FakeBackend *fake);
unsigned fake_observations(FakeBackend *fake);
int64_t fake_wall_s(void);
