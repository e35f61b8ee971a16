/* History's inside: what the worker does with its own connection. Nothing here is for the engine's thread. */
#pragma once
#include <sqlite3.h>
#include "store/history.h"

typedef struct HistoryAsk HistoryAsk;
typedef struct HistoryBuffer HistoryBuffer;

/* Steps that have not been written: one write a minute costs a sixth of one every ten seconds. */
HistoryBuffer *history_buffer_new(void);
void history_buffer_free(HistoryBuffer *buffer);
/* history_buffer_add: (transfer full) @step. @db: NULL when there is none now. TRUE when it was time to write, and all was
 * written. FALSE without an error when it was not; with one when that failed: the steps stay, the oldest go first when they
 * are too many. */
gboolean history_buffer_add(HistoryBuffer *buffer, sqlite3 *db, HistoryStep *step, GError **error);
gboolean history_buffer_flush(HistoryBuffer *buffer, sqlite3 *db, GError **error);

/* The three resolutions, finest first. */
typedef struct {
    const char *suffix; /* of its tables */
    int64_t step_s, keep_s;
} HistoryLevel;
#define HISTORY_LEVELS 3
extern const HistoryLevel HISTORY_LEVEL[HISTORY_LEVELS];

/* history_tidy: averages what is complete into the coarser tables; @forget: forgets what is too old. */
gboolean history_tidy(sqlite3 *db, int64_t now_s, gboolean forget, GError **error);
/* history_level_end: up to where a level is filled before @before_s, in Unix seconds; 0: not at all. -1 with an error. What a
 * clock that was ahead has left behind that does not count. */
int64_t history_level_end(sqlite3 *db, guint level, int64_t before_s, GError **error);
/* history_read_points: the answer of history_read(), but "name". */
json_t *history_read_points(sqlite3 *db, const HistoryQuery *query, GError **error);

/* store_free(): answers those who still wait. */
void history_cancel_asks(Store *store);
