/* Worker: one thread with one connection to the store's file, which does one thing after the other. */
#pragma once
#include <glib.h>
#include <sqlite3.h>

typedef struct Worker Worker;

/* On the worker's thread. @db: NULL when the file cannot be opened now. FALSE with an error is what worker_problem() says
 * until something is written; FALSE without one: nothing was to be done yet. */
typedef gboolean (*WorkerRun)(sqlite3 *db, gpointer data, GError **error);

/* worker_new: opens its connection to @path at its first work. */
Worker *worker_new(const char *path);
/* Does what it was given first. */
void worker_free(Worker *worker);

/* worker_do: @data goes by @destroy on the worker's thread. @writes: that it succeeds shows that the file can be written. */
void worker_do(Worker *worker, gboolean writes, WorkerRun run, gpointer data, GDestroyNotify destroy);

/* worker_note: what became of a write elsewhere: @error (borrowed), or NULL when it was done. */
void worker_note(Worker *worker, const GError *error);

/* worker_problem: (transfer full) (nullable) from any thread. */
char *worker_problem(Worker *worker);
