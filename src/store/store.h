/*
 * Store: what must outlive the daemon, in one SQLite file (WAL) in the state folder: each server's own settings and the
 * mode an operator last chose (here), accounts, tokens, audit, operations, reservations and history (headers of those
 * names). One migration function per schema version, a copy beside before each upgrade.
 *
 * All functions are for one thread, the engine's. They write and sync a few pages when somebody changes something; what
 * happens by itself or can be caused by a stranger goes to a worker (..._later(), history.h).
 */
#pragma once
#include <stdint.h>
#include <glib.h>
#include <jansson.h>
#include "store/audit.h"

typedef struct {
    gboolean has_minimum;
    uint64_t minimum_bytes;
    gboolean has_weight;
    uint32_t weight;
    gboolean ballooning_disabled; /* the owner's wish; what is so is another matter */
    uint64_t revision;            /* 0: nothing was ever set; higher with every change */
} ServerSettings;

/*
 * store_open: opens or creates @folder/aerostat.db (folder 0750, file 0640), migrates it to the newest schema.
 * Errors: AEROSTAT_ERROR_FAILED naming the file: not writable, not a database, written by a newer version (nothing is
 * touched then). A failed migration leaves the old file as it was.
 */
Store *store_open(const char *folder, GError **error);
/* Waits until the worker has written what it was given. */
void store_free(Store *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Store, store_free)

/* A server nobody has set anything for has an all-FALSE answer. @id is the backend's id. */
gboolean store_get_settings(Store *store, const char *id, ServerSettings *ret, GError **error);
/* All or none: one transaction with @audit (nullable), durable when it returns. @settings' revision does not matter;
 * it is the new one afterwards. */
gboolean store_set_settings(Store *store, const char *id, const char *name, ServerSettings *settings,
                            const AuditEntry *audit, GError **error);

/* store_get_mode: NULL without error when none was ever chosen at run time; "observe" or "manage". */
char *store_get_mode(Store *store, GError **error);
gboolean store_set_mode(Store *store, const char *mode, const AuditEntry *audit, GError **error);

/* store_problem: (transfer full) (nullable) why the worker cannot write (a full disk), as a sentence. */
char *store_problem(Store *store);
