/* Holds calls to libvirt as a QEMU or libvirtd that hangs would, and counts them. */
#pragma once
#include <glib.h>

extern struct gate {
    char hung[64]; /* glob of names; empty: none */
    gboolean daemon_hung;
    gboolean refuse_open;
    unsigned waiting;   /* calls that are held now */
    unsigned stillborn; /* so many connections are dead as soon as they are open */
    unsigned live_ms;   /* a question about a balloon takes so long */
    unsigned live_now,
        live_paired; /* such questions under way, and those that began while there was another */
    unsigned period_zero, period_set, target_calls, bulk_calls, lists, lookups;
} gate;

/* gate_set: holds the calls on servers that match @hung, all of them, or refuses connections, from now on. */
void gate_set(const char *hung, gboolean daemon_hung, gboolean refuse_open);
/* gate_put: sets one of the counters above. */
void gate_put(unsigned *counter, unsigned value);
/* gate_count: one of the counters above, which worker threads write. */
unsigned gate_count(const unsigned *counter);
