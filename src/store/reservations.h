/* Reservations as they outlive the daemon; what they mean is the engine's. */
#pragma once
#include "store/audit.h"

typedef struct {
    int64_t id;
    char *for_name;     /* (nullable) */
    uint64_t bytes;     /* overhead included */
    int64_t expires_us; /* Unix time */
} StoredReservation;

void stored_reservation_free(StoredReservation *reservation);

/* store_reservation_add: returns its id, never used before; 0 with an error. */
int64_t store_reservation_add(Store *store, const char *for_name, uint64_t bytes, int64_t expires_us,
                              const AuditEntry *audit, GError **error);
/* store_reservation_change: makes one that is there larger, or last longer. */
gboolean store_reservation_change(Store *store, int64_t id, uint64_t bytes, int64_t expires_us,
                                  const AuditEntry *audit, GError **error);
/* Fine when it is gone already. */
gboolean store_reservation_remove(Store *store, int64_t id, const AuditEntry *audit, GError **error);
/* store_reservation_remove_later: on the worker; for one that ended by itself. */
void store_reservation_remove_later(Store *store, int64_t id);
/* Those that have not expired at @now_us (Unix time), oldest first. (element-type StoredReservation) (transfer full) */
GPtrArray *store_reservations(Store *store, int64_t now_us, GError **error);
