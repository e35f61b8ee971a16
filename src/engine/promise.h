/*
 * Promises: what servers may yet rise to, in a file that outlives a killed daemon: raises under way or of unknown fate, and
 * targets that guests have not come to. A hypervisor may carry one out long after whoever asked is gone, and a guest may take
 * it up later still: the next daemon counts it until it has asked anew.
 *
 * One line of fixed length per server. A write reaches the kernel's memory, no disk: it is there for whoever comes after the
 * process, and guests do not outlive the host either. A line that is older than it should be costs one needless raise.
 */
#pragma once
#include <stdint.h>
#include <glib.h>

typedef struct Promises Promises;

/*
 * promises_open: reads @path, or begins it (mode 0640); an unreadable line counts for nothing.
 * @path: (nullable): NULL keeps nothing.
 * Errors: AEROSTAT_ERROR_FAILED naming the file.
 */
Promises *promises_open(const char *path, GError **error);
void promises_free(Promises *promises);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Promises, promises_free)

/* All of the following: @promises: (nullable); @uri, @id: the backend's, and the server's in it. */

/* promises_note: it may rise to @bytes; in the place of what stood there. Errors as above. */
gboolean promises_note(Promises *promises, const char *uri, const char *id, uint64_t bytes, GError **error);
/* promises_kept: it rises no more by itself. */
void promises_kept(Promises *promises, const char *uri, const char *id);
/* promises_open_bytes: what stands there; 0: nothing. */
uint64_t promises_open_bytes(const Promises *promises, const char *uri, const char *id);
