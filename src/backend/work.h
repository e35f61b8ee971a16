/*
 * Work: a blocking job on a worker thread, answered by a deadline on the engine's thread whatever happens, and kept
 * until it has really returned. For backends whose library has no connection to take care of.
 */
#pragma once
#include <stdint.h>
#include <glib.h>

typedef struct WorkPool WorkPool;

typedef struct {
    /* On a worker: everything it may touch is in @data, which is its own until it has returned. */
    void (*run)(gpointer data, GError **error);
    /* (nullable) On the engine's thread, once: @data is NULL when the deadline has passed (AEROSTAT_ERROR_TIMEOUT). */
    void (*done)(gpointer data, const GError *error, gpointer user_data);
    /* (nullable) On the engine's thread: it has really returned, in time (after done) or late. */
    void (*returned)(gpointer user_data);
    gpointer data; /* owned */
    GDestroyNotify free_data;
    gpointer user_data; /* owned: released when the job has returned, or with the pool */
    GDestroyNotify free_user_data;
    int64_t deadline_us; /* from when it starts to run */
    gboolean is_long;    /* takes no lane: others do not wait for it */
    const char
        *what; /* (nullable) borrowed until work_start() returns: "container web-1", for the timeout's text */
} WorkSpec;

/* @lanes: so many short jobs run at once; one that is overdue leaves its lane. */
WorkPool *work_pool_new(unsigned lanes);
/* No done() and no returned() any more; a job that hangs is freed if it ever returns. */
void work_pool_free(WorkPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WorkPool, work_pool_free)

/* work_start: takes over what @spec owns. done() comes later, never from within. */
void work_start(WorkPool *pool, const WorkSpec *spec);
