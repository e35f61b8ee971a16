/*
 * Scenario: one host, its guests and what they will want over time, as a file says it.
 *
 * docs/simulator.md has the format for people; scenario_keys.c has every key with its limits.
 */
#pragma once
#include <glib.h>
#include "policy/facts.h"
#include "policy/params.h"

/* Beyond these a file is refused: a host has hundreds of servers, and a day of phases fits. */
#define SCENARIO_FILE_MAX_BYTES (1024UL * 1024UL)
#define SCENARIO_MAX_GUESTS     2000
#define SCENARIO_MAX_PHASES     10000
#define SCENARIO_MAX_TIMES      1000
#define SCENARIO_MAX_US         (INT64_C(48) * 3600 * 1000000)

typedef enum {
    MODEL_IDEAL,        /* gives and takes as measured */
    MODEL_SLOW,         /* inflates at 20 MiB/s */
    MODEL_BUSY,         /* inflates at 109 MiB/s, answers late */
    MODEL_STUCK,        /* never inflates */
    MODEL_INTERMITTENT, /* inflates for 5 s, does not for 5 s, ... */
    MODEL_SILENT,       /* no statistics, ever */
    MODEL_STALE,        /* its statistics stop at stale-at */
    MODEL_REBOOTING,    /* reboots every reboot-every */
    MODEL_LIAR_HIGH,    /* says it has nothing left */
    MODEL_LIAR_LOW,     /* says nearly all is free */
    MODEL_DEAF,         /* takes targets and does nothing, up or down */
    MODEL_THRASHING,    /* swaps on a slow disk, and stops answering while it does */
    MODEL_CACHE_HEAVY,  /* its hot files count as available, but losing them costs work */
    MODEL_N
} GuestModel;

const char *guest_model_name(GuestModel model);

/* What a guest wants from at_us on. */
typedef struct {
    int64_t at_us;
    uint64_t memory_bytes;     /* anonymous working set */
    uint64_t cache_bytes;      /* files it reads again and again */
    uint64_t rate_bytes_per_s; /* how fast it grows there; 0 = as fast as it can touch */
} Phase;

typedef struct {
    char *name;
    guint line; /* of its section; 0 when it comes from a recording */
    GuestModel model;
    uint64_t maximum_bytes, minimum_bytes, start_bytes; /* UNKNOWN = default */
    uint32_t weight;
    FixedReason fixed;
    gboolean deflates_on_oom, reports_free_pages;
    uint64_t swap_bytes;
    uint64_t cold_cache_bytes; /* files read once: they fill what is free, and nobody misses them */
    uint64_t overhead_bytes;
    uint64_t inflate_bytes_per_s, deflate_bytes_per_s,
        touch_bytes_per_s; /* 0 = drawn from the measured range */
    uint64_t swap_bytes_per_s, disk_bytes_per_s;
    int64_t statistics_period_us;
    int64_t statistics_lag_us; /* -1 = drawn anew for each sample from the measured range */
    int64_t residency_lag_us;
    int64_t boot_us;   /* from a reset to its balloon driver's first answer */
    int64_t repeat_us; /* phases begin anew; 0 = never */
    int64_t shift_us;  /* all phases but the first come this much later */
    int64_t stale_at_us;
    int64_t reboot_every_us;
    guint count;        /* of the section: NAME-1 ... NAME-count */
    int64_t stagger_us; /* each copy's further shift */
    GArray *phases;     /* of Phase, by time, the first at 0 */
    GArray *reboots;    /* of int64_t */
    GArray *hangs;      /* of int64_t: its QEMU stops answering for hang_us */
    int64_t hang_us;
} GuestSpec;

typedef struct {
    char *name;
    uint64_t pool_bytes;
    gboolean slack_is_percent;
    double slack_percent;
    uint64_t slack_bytes;
    int64_t duration_us, tick_us;
    int64_t beat_us, fast_beat_us; /* the daemon's slow beat, and its beat while something moves */
    int64_t observe_us; /* what one look at one server takes: beats are no closer together than all of them */
    int64_t watch_us;   /* looks at residency alone between beats (engine/burst.c); 0 = never */
    int64_t warmup_us;  /* measured from here on: what an arbitrary beginning costs is nobody's merit */
    uint64_t seed;
    uint32_t lost_reply_permille, late_reply_permille;
    int64_t late_reply_us, deadline_us;
    GArray *restarts; /* of int64_t: the daemon is killed, and is back after restart_us */
    int64_t restart_us;
    PolicyParams params;
    GPtrArray *guests; /* of GuestSpec */
} Scenario;

GuestSpec *guest_spec_new(const char *name);
void guest_spec_free(GuestSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestSpec, guest_spec_free)

/* scenario_new: all defaults and no guest. */
Scenario *scenario_new(const char *name);
void scenario_free(Scenario *scenario);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scenario, scenario_free)

/*
 * scenario_parse: any bytes are safe.
 * @name: stands for the file in messages
 * @sets: (nullable): NULL-terminated KEY=VALUE of --set, applied after the file
 * Returns: (transfer full), checked and with every default filled in; or NULL with AEROSTAT_ERROR_INVALID:
 *          "FILE:LINE: what is wrong; what would be right" ("--set KEY=VALUE: ..." for a set).
 */
Scenario *scenario_parse(const char *text, gsize length, const char *name, const char *const *sets,
                         GError **error);

/* scenario_load: the same from a file of at most SCENARIO_FILE_MAX_BYTES. */
Scenario *scenario_load(const char *path, const char *const *sets, GError **error);

/*
 * scenario_apply_sets: KEY=VALUE where KEY is a key of [host] or [faults], policy.PARAM, or KEY.NAME for a key of
 * server NAME. A percentage for the pool is of the pool in the file.
 */
gboolean scenario_apply_sets(Scenario *scenario, const char *const *sets, GError **error);

/* scenario_finish: expands copies, fills in what depends on other values, and checks all of it together. */
gboolean scenario_finish(Scenario *scenario, const char *place, GError **error);

/* scenario_starts: (array length=guests): each guest's balloon size at the beginning. Where its section does not say: an
 * equal share of the pool less its slack, between minimum and maximum, the same whatever policy follows. */
void scenario_starts(const Scenario *scenario, uint64_t *ret_bytes);

uint64_t scenario_slack(const Scenario *scenario);
GuestSpec *scenario_find(const Scenario *scenario, const char *name);
