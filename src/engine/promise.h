/*
 * Promises: the raises that were sent to hypervisors and not answered, in a file that outlives a killed daemon. A hypervisor
 * may carry one out long after whoever asked is gone: the next daemon counts it until it has asked anew.
 *
 * One line of fixed length per request under way. A write reaches the kernel's memory, no disk: it is there for whoever comes
 * after the process, and guests do not outlive the host either.
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

/* promises_note: @bytes are about to be asked for; in the place of what was asked before. Errors as above. */
gboolean promises_note(Promises *promises, const char *uri, const char *id, uint64_t bytes, GError **error);
/* promises_kept: nothing of this server is under way any more. */
void promises_kept(Promises *promises, const char *uri, const char *id);
/* promises_open_bytes: what was last asked for and never answered; 0: nothing. */
uint64_t promises_open_bytes(const Promises *promises, const char *uri, const char *id);
