/*
 * History: the figures of host and servers over time, in steps of 10 s (kept 24 h), 5 min (30 days) and 1 h (2 years).
 * Everything is written and read by the store's worker, with a connection of its own: no caller ever waits for the disk.
 */
#pragma once
#include "store/store.h"

#define HISTORY_STEP_S         10
#define HISTORY_POINTS_DEFAULT 300
#define HISTORY_POINTS_MAX     2000

/* Averages over one step; UINT64_MAX where nothing is known. */
typedef struct {
    uint64_t balloon_bytes, used_bytes, resident_bytes, target_bytes, maximum_bytes, demand_bytes;
    uint64_t stalled_us; /* a sum, not an average */
} HistoryFigures;

typedef struct {
    char *id, *name;
    HistoryFigures figures;
} HistoryServer;

typedef struct {
    uint64_t committed_bytes, pool_bytes, slack_bytes, available_bytes;
    double pressure; /* negative: not known */
} HistoryHost;

/* One step of everything. */
typedef struct {
    int64_t time_s; /* Unix time at which the step began: a multiple of HISTORY_STEP_S */
    HistoryHost host;
    GPtrArray *servers; /* (element-type HistoryServer) (owned) */
} HistoryStep;

HistoryStep *history_step_new(int64_t time_s);
void history_step_free(HistoryStep *step);

/* history_append: (transfer full) @step. Written in batches, within a minute; what a killed daemon had not written is a
 * gap. When it cannot be written the newest quarter of an hour is kept and tried again. */
void history_append(Store *store, HistoryStep *step);

typedef struct {
    const char *server_id; /* (nullable) NULL: the host */
    gboolean with_servers; /* of the host: every server's balloon as well */
    int64_t from_s, to_s;  /* Unix time; what is asked for is [from, to) */
    guint points;          /* at most so many */
} HistoryQuery;

/* @result: (transfer full) {"step_seconds", "points": [...]} as docs/control.md has them; NULL with @error. */
typedef void (*HistoryAnswer)(json_t *result, const GError *error, gpointer user_data);

/* history_read: @answer is called once, from the caller's main context, unless the store is freed before. */
void history_read(Store *store, const HistoryQuery *query, HistoryAnswer answer, gpointer user_data);
