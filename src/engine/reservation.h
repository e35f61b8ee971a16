/*
 * Reservations: room kept for a server that is about to start. A reservation narrows the pool for everybody else, so
 * that reclaims make the room and nothing is granted from it; when the named server is seen running, it takes its place. With a store they outlive the daemon.
 */
#pragma once
#include "engine/engine.h"

typedef struct {
    guint64 id;
    char *for_name;          /* (nullable) */
    char *namesake_id;       /* (nullable) of another server of that name: nothing of it is this one's */
    uint64_t bytes;          /* overhead included */
    int64_t expires_us;      /* monotonic: an abandoned reservation does not starve the host */
    int64_t up_since_us;     /* since when its server has been seen running; 0 = not yet */
    gboolean ready;          /* the room is there: the server may start */
    uint64_t missing_bytes;  /* until it is ready: so much has still to come back */
    uint64_t overhead_bytes; /* of an operation's: so much of `bytes` is for a QEMU; a container has none */
    gboolean kept; /* an operation's: stays until that releases it; what its server holds is part of it */
} Reservation;

/*
 * engine_reserve:
 * @bytes:    guest memory; the overhead of one QEMU is added
 * @for_name: (nullable): released by itself once a server of this name runs. What is reserved for it already is returned,
 *            enlarged where that is too little
 * @lifetime_us: until it expires by itself
 * AEROSTAT_ERROR_NO_ROOM with the missing bytes when the others' minima leave no such room even in the end;
 * AEROSTAT_ERROR_CONFLICT when the server runs already; AEROSTAT_ERROR_INVALID for a size of 0.
 */
const Reservation *engine_reserve(Engine *engine, uint64_t bytes, const char *for_name, int64_t lifetime_us,
                                  const AuditEntry *audit, GError **error);
/*
 * engine_keep_room: for an operation that starts a server, starts it anew, or makes it anew: room for all it may hold before
 * and after, overhead included, of which what it holds now is a part. @tracked: (nullable) the server as it is; without it
 * @name says whose. @bytes: of guest memory that it will have, as a virtual machine (@is_kvm) or a container. Not in the store: who goes on with an operation asks again. Errors as engine_reserve(),
 * and NO_ROOM carries error_set_missing().
 */
const Reservation *engine_keep_room(Engine *engine, const Tracked *tracked, const char *name, uint64_t bytes,
                                    gboolean is_kvm, int64_t lifetime_us, GError **error);
/* engine_kept_room: NULL when it has expired. engine_give_up_room: fine when it has. */
const Reservation *engine_kept_room(Engine *engine, guint64 id);
void engine_give_up_room(Engine *engine, guint64 id);

gboolean engine_release(Engine *engine, guint64 id, const AuditEntry *audit, GError **error);
/* (element-type Reservation), oldest first */
GPtrArray *engine_reservations(Engine *engine);
uint64_t engine_reserved_bytes(Engine *engine);
/* engine_promised: to a server with that minimum: it, or all it has where that is fixed, or what an operation keeps for it.
 * engine_reserved_besides: all that is reserved and not part of that; nor for the server of @name and @id (nullable). */
uint64_t engine_promised(Engine *engine, const Tracked *tracked, uint64_t minimum_bytes);
uint64_t engine_reserved_besides(Engine *engine, const char *name, const char *id);

/* reservations_load: those a daemon before this one has left. */
void reservations_load(Engine *engine);
/* Once a beat: drops what has expired or been taken up, and says which have their room. */
void reservations_update(Engine *engine, uint64_t committed_bytes, int64_t now_us);
void reservation_free(Reservation *reservation);
