/*
 * Store: what must outlive the daemon, in one SQLite file (WAL) in the state folder: each server's own settings and the
 * mode an operator last chose. One migration function per schema version, a copy beside before each upgrade.
 */
#pragma once
#include <stdint.h>
#include <glib.h>

typedef struct Store Store;

typedef struct {
    gboolean has_minimum;
    uint64_t minimum_bytes;
    gboolean has_weight;
    uint32_t weight;
} ServerSettings;

/*
 * store_open: opens or creates @folder/aerostat.db (folder 0750, file 0640), migrates it to the newest schema.
 * Errors: AEROSTAT_ERROR_FAILED naming the file: not writable, not a database, written by a newer version (nothing is
 * touched then). A failed migration leaves the old file as it was.
 */
Store *store_open(const char *folder, GError **error);
void store_free(Store *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Store, store_free)

/* A server nobody has set anything for has an all-FALSE answer. @id is the backend's id. */
gboolean store_get_settings(Store *store, const char *id, ServerSettings *ret, GError **error);
/* Both or neither: one transaction, durable when it returns. */
gboolean store_set_settings(Store *store, const char *id, const char *name, const ServerSettings *settings,
                            GError **error);

/* store_get_mode: NULL without error when none was ever chosen at run time; "observe" or "manage". */
char *store_get_mode(Store *store, GError **error);
gboolean store_set_mode(Store *store, const char *mode, GError **error);
