/* Keeps the list of reservations, oldest first: that is also the order in which they get their room. */
#include "engine/reservation.h"
#include "base/error.h"
#include "base/size.h"
#include "engine/ballooning.h"
#include "engine/engine_private.h"
#include "store/reservations.h"

#define TAKEN_UP_US INT64_C(3000000)
/* Numbers of what operations keep: far from the others', which the store gives. */
#define KEPT_FIRST (UINT64_C(1) << 40)

void reservation_free(Reservation *reservation)
{
    g_free(reservation->for_name);
    g_free(reservation->namesake_id);
    g_free(reservation);
}

GPtrArray *engine_reservations(Engine *engine)
{
    return engine->reservations;
}

static const Tracked *running(Engine *engine, const char *name)
{
    for (guint i = 0; name && i < engine->servers->len; i++) {
        const Tracked *tracked = engine->servers->pdata[i];
        if (g_str_equal(tracked->latest->name, name) && tracked_counts(tracked))
            return tracked;
    }
    return NULL;
}

static gboolean is_for(const Reservation *reservation, const Tracked *tracked)
{
    return g_strcmp0(reservation->for_name, tracked->latest->name) == 0 &&
           g_strcmp0(reservation->namesake_id, tracked->latest->id) != 0;
}

/* The server that it was for, once that runs. */
static const Tracked *running_for(Engine *engine, const Reservation *reservation)
{
    for (guint i = 0; i < engine->servers->len; i++) {
        const Tracked *tracked = engine->servers->pdata[i];
        if (is_for(reservation, tracked) && tracked_counts(tracked))
            return tracked;
    }
    return NULL;
}

/* (nullable) Another server of the same name, on another hypervisor. */
static const char *namesake_of(const Engine *engine, const Tracked *tracked)
{
    for (guint i = 0; tracked && i < engine->servers->len; i++) {
        const Tracked *other = engine->servers->pdata[i];
        if (other != tracked && g_str_equal(other->latest->name, tracked->latest->name))
            return other->latest->id;
    }
    return NULL;
}

/* As the ledger counts it; a server that has just come up may hold everything. */
static uint64_t held_now(const Engine *engine, const Tracked *tracked)
{
    uint64_t overhead = tracked_overhead(tracked, &engine->defaults);
    if (!tracked->decided)
        return u64_add_sat(tracked_bound(tracked), overhead);
    return u64_add_sat(ledger_held(&tracked->facts, &engine->params), overhead);
}

/* The most that an operation keeps for a server of that name, other than @namesake_id (nullable). */
static uint64_t kept_for(const Engine *engine, const char *name, const char *namesake_id)
{
    uint64_t most = 0;
    for (guint i = 0; i < engine->reservations->len; i++) {
        const Reservation *reservation = engine->reservations->pdata[i];
        gboolean other = namesake_id && g_strcmp0(reservation->namesake_id, namesake_id) == 0;
        if (reservation->kept && !other && g_str_equal(reservation->for_name, name))
            most = u64_max(most, reservation->bytes);
    }
    return most;
}

/* What a server that has come up holds of its reservation is no longer reserved, but held. */
static uint64_t still_reserved(Engine *engine, const Reservation *reservation)
{
    const Tracked *tracked = running_for(engine, reservation);
    /* Somebody's for a server that an operation is starting by now: its room is kept once. */
    uint64_t kept =
        reservation->kept || !reservation->for_name ? 0 : kept_for(engine, reservation->for_name, NULL);
    if (kept > 0)
        return u64_sub_sat(reservation->bytes, kept);
    if (!tracked)
        return reservation->bytes;
    if (reservation->kept)
        return u64_sub_sat(reservation->bytes, held_now(engine, tracked));
    uint64_t held = u64_add_sat(tracked_bound(tracked), tracked_overhead(tracked, &engine->defaults));
    return u64_sub_sat(reservation->bytes, held);
}

uint64_t engine_reserved_bytes(Engine *engine)
{
    uint64_t sum = 0;
    for (guint i = 0; i < engine->reservations->len; i++)
        sum = u64_add_sat(sum, still_reserved(engine, engine->reservations->pdata[i]));
    return sum;
}

uint64_t engine_promised(Engine *engine, const Tracked *tracked, uint64_t minimum_bytes)
{
    if (!tracked_counts(tracked))
        return 0;
    uint64_t low = minimum_bytes;
    if ((tracked->decided ? tracked->facts.fixed : tracked->latest->fixed) != FIXED_NO)
        low = tracked_bound(tracked);
    low = u64_add_sat(low, tracked_overhead(tracked, &engine->defaults));
    return u64_max(low, kept_for(engine, tracked->latest->name, tracked->latest->id));
}

uint64_t engine_reserved_besides(Engine *engine, const char *name, const char *id)
{
    uint64_t sum = 0;
    for (guint i = 0; i < engine->reservations->len; i++) {
        const Reservation *reservation = engine->reservations->pdata[i];
        gboolean others = id && g_strcmp0(reservation->namesake_id, id) == 0;
        gboolean own = name && !others && g_strcmp0(reservation->for_name, name) == 0;
        gboolean promised = reservation->kept && running_for(engine, reservation);
        if (!own && !promised)
            sum = u64_add_sat(sum, still_reserved(engine, reservation));
    }
    return sum;
}

/* By the settings as they are now, which the newest decision need not know yet; one that is pinned, by what it was pinned
 * to. */
static uint64_t promised_now(Engine *engine, const Tracked *tracked)
{
    uint64_t low = tracked_minimum(tracked, &engine->defaults);
    if (tracked->decided && ballooning_pins(tracked))
        low = u64_max(low, tracked->facts.minimum_bytes);
    return engine_promised(engine, tracked, low);
}

/* @bytes: with @overhead_bytes of it for a QEMU; @name, @id: (nullable): whose: what is promised to and reserved for it already
 * is not counted besides; what is promised to @namesake_id (nullable) is. */
static gboolean check_room(Engine *engine, uint64_t bytes, uint64_t overhead_bytes, const char *name,
                           const char *id, const char *namesake_id, GError **error)
{
    uint64_t sum = u64_add_sat(bytes, engine_reserved_besides(engine, name, id));
    for (guint i = 0; i < engine->servers->len; i++) {
        const Tracked *tracked = engine->servers->pdata[i];
        if (!name || !g_str_equal(tracked->latest->name, name) ||
            g_strcmp0(tracked->latest->id, namesake_id) == 0)
            sum = u64_add_sat(sum, promised_now(engine, tracked));
    }
    if (engine->host.beats == 0 || engine->host.state == ENGINE_DISCONNECTED) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                    "nobody knows yet what the servers hold; try again when the hypervisor answers");
        return FALSE;
    }
    if (sum <= engine->host.pool_bytes)
        return TRUE;
    uint64_t missing = sum - engine->host.pool_bytes;
    g_autofree char *missing_text = size_format(missing), *bytes_text = size_format(bytes);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NO_ROOM,
                "no room for %s%s: what the running servers are guaranteed leaves %s too little "
                "(%" G_GUINT64_FORMAT " bytes missing); lower minima, stop a server, or enlarge the pool",
                bytes_text, overhead_bytes > 0 ? " with overhead" : "", missing_text, (guint64)missing);
    if (error)
        error_set_missing(*error, missing);
    return FALSE;
}

/* Its number: the store's, which are never used twice, or one more than the last. 0 with an error. */
static guint64 store_number(Engine *engine, uint64_t bytes, const char *for_name, int64_t lifetime_us,
                            const AuditEntry *audit, GError **error)
{
    if (!engine->store)
        return ++engine->last_reservation;
    return (guint64)store_reservation_add(engine->store, for_name, bytes, g_get_real_time() + lifetime_us,
                                          audit, error);
}

/* A server that is to start, as a virtual machine or a container. A new QEMU may come to more than the one that runs. */
static uint64_t room_for(const Engine *engine, const Tracked *tracked, uint64_t bytes, gboolean is_kvm)
{
    uint64_t room = tracked ? 0 : bytes;
    if (is_kvm)
        room = u64_add_sat(
            bytes, size_setting_resolve(&engine->defaults.overhead, bytes, TRACKED_OVERHEAD_GUESS_BYTES));
    if (!tracked)
        return room;
    uint64_t overhead = tracked_counts(tracked) ? tracked_overhead(tracked, &engine->defaults) : 0;
    return u64_max(room, u64_add_sat(tracked_bound(tracked), overhead));
}

/* Room for one start is reserved once, whoever asks: an operation, libvirt's hook, or somebody beforehand. */
static Reservation *reserved_for(Engine *engine, const char *for_name)
{
    for (guint i = 0; for_name && i < engine->reservations->len; i++) {
        Reservation *reservation = engine->reservations->pdata[i];
        if (g_strcmp0(reservation->for_name, for_name) == 0)
            return reservation;
    }
    return NULL;
}

/* The newest decision did not know of it, and grants since then may have taken the very room. */
static void look_for_room(Engine *engine)
{
    const PlanTotals *totals = &engine->host.totals;
    uint64_t granted = u64_add_sat(totals->granted_bytes, engine->granted_since_bytes);
    reservations_update(engine, u64_add_sat(totals->ledger.committed_bytes, granted), g_get_monotonic_time());
    engine_look(engine);
}

/* An operation's room is not in the store: it asks again after a restart. */
static gboolean enlarge(Engine *engine, Reservation *reservation, uint64_t bytes, int64_t lifetime_us,
                        const AuditEntry *audit, GError **error)
{
    int64_t now_us = g_get_monotonic_time(), expires_us = MAX(reservation->expires_us, now_us + lifetime_us);
    bytes = u64_max(reservation->bytes, bytes);
    if (engine->store && !reservation->kept &&
        !store_reservation_change(engine->store, (int64_t)reservation->id, bytes,
                                  g_get_real_time() + expires_us - now_us, audit, error))
        return FALSE;
    reservation->bytes = bytes;
    reservation->expires_us = expires_us;
    look_for_room(engine);
    return TRUE;
}

const Reservation *engine_reserve(Engine *engine, uint64_t bytes, const char *for_name, int64_t lifetime_us,
                                  const AuditEntry *audit, GError **error)
{
    if (bytes == 0 || bytes > SIZE_MAX_BYTES) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "a reservation must be above 0 and below 64 PiB");
        return NULL;
    }
    if (running(engine, for_name)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                    "server %s runs already; nothing needs to be reserved for it", for_name);
        return NULL;
    }
    uint64_t whole = room_for(engine, NULL, bytes, TRUE);
    Reservation *same = reserved_for(engine, for_name);
    if ((!same || whole > same->bytes) &&
        !check_room(engine, whole, whole - bytes, for_name, NULL, NULL, error))
        return NULL;
    if (same)
        return enlarge(engine, same, whole, lifetime_us, audit, error) ? same : NULL;
    guint64 id = store_number(engine, whole, for_name, lifetime_us, audit, error);
    if (id == 0)
        return NULL;
    Reservation *reservation = g_new0(Reservation, 1);
    reservation->id = id;
    reservation->for_name = g_strdup(for_name);
    reservation->bytes = whole;
    reservation->expires_us = g_get_monotonic_time() + lifetime_us;
    g_ptr_array_add(engine->reservations, reservation);
    g_autofree char *size = size_format(whole);
    g_autofree char *text =
        g_strdup_printf("%s are being made free for %s.", size, for_name ? for_name : "a reservation");
    engine_note(engine, text);
    look_for_room(engine);
    return reservation;
}

const Reservation *engine_keep_room(Engine *engine, const Tracked *tracked, const char *name, uint64_t bytes,
                                    gboolean is_kvm, int64_t lifetime_us, GError **error)
{
    uint64_t whole = room_for(engine, tracked, bytes, is_kvm);
    uint64_t overhead = is_kvm ? u64_sub_sat(whole, bytes) : 0;
    const char *namesake_id = namesake_of(engine, tracked);
    name = tracked ? tracked->latest->name : name;
    if (!check_room(engine, whole, overhead, name, tracked ? tracked->latest->id : NULL, namesake_id, error))
        return NULL;
    Reservation *reservation = g_new0(Reservation, 1);
    reservation->id = KEPT_FIRST + ++engine->last_kept;
    reservation->for_name = g_strdup(name);
    reservation->namesake_id = g_strdup(namesake_id);
    reservation->bytes = whole;
    reservation->overhead_bytes = overhead;
    reservation->expires_us = g_get_monotonic_time() + lifetime_us;
    reservation->kept = TRUE;
    g_ptr_array_add(engine->reservations, reservation);
    look_for_room(engine);
    return reservation;
}

const Reservation *engine_kept_room(Engine *engine, guint64 id)
{
    for (guint i = 0; i < engine->reservations->len; i++) {
        const Reservation *reservation = engine->reservations->pdata[i];
        if (reservation->id == id)
            return reservation;
    }
    return NULL;
}

void engine_give_up_room(Engine *engine, guint64 id)
{
    const Reservation *reservation = engine_kept_room(engine, id);
    if (reservation)
        g_ptr_array_remove(engine->reservations, (gpointer)reservation);
}

gboolean engine_release(Engine *engine, guint64 id, const AuditEntry *audit, GError **error)
{
    for (guint i = 0; i < engine->reservations->len; i++) {
        const Reservation *reservation = engine->reservations->pdata[i];
        if (reservation->id != id)
            continue;
        if (reservation->kept) {
            g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                        "that room belongs to an operation on %s, which gives it up itself",
                        reservation->for_name);
            return FALSE;
        }
        if (engine->store && !store_reservation_remove(engine->store, (int64_t)id, audit, error))
            return FALSE;
        g_ptr_array_remove_index(engine->reservations, i);
        return TRUE;
    }
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND,
                "there is no reservation %" G_GUINT64_FORMAT "; it may have expired or been taken up", id);
    return FALSE;
}

/* A server is only believed to have come up once it has been there for a while: a look that began before its start
 * may yet come in and miss it. */
static gboolean taken_up(Engine *engine, Reservation *reservation, int64_t now_us)
{
    if (reservation->kept)
        return FALSE;
    if (!running(engine, reservation->for_name)) {
        reservation->up_since_us = 0;
        return FALSE;
    }
    if (reservation->up_since_us == 0)
        reservation->up_since_us = now_us;
    return now_us - reservation->up_since_us >= TAKEN_UP_US;
}

void reservations_load(Engine *engine)
{
    g_autoptr(GError) error = NULL;
    int64_t wall_us = g_get_real_time();
    g_autoptr(GPtrArray) stored = store_reservations(engine->store, wall_us, &error);
    if (!stored) {
        g_autofree char *text = g_strdup_printf("Reservations cannot be read: %s", error->message);
        engine_note(engine, text);
        return;
    }
    for (guint i = 0; i < stored->len; i++) {
        StoredReservation *found = stored->pdata[i];
        Reservation *reservation = g_new0(Reservation, 1);
        reservation->id = (guint64)found->id;
        reservation->for_name = g_steal_pointer(&found->for_name);
        reservation->bytes = found->bytes;
        reservation->expires_us = g_get_monotonic_time() + found->expires_us - wall_us;
        g_ptr_array_add(engine->reservations, reservation);
    }
}

void reservations_update(Engine *engine, uint64_t committed_bytes, int64_t now_us)
{
    for (guint i = engine->reservations->len; i > 0; i--) {
        Reservation *reservation = engine->reservations->pdata[i - 1];
        if (now_us < reservation->expires_us && !taken_up(engine, reservation, now_us))
            continue;
        if (engine->store && !reservation->kept)
            store_reservation_remove_later(engine->store, (int64_t)reservation->id);
        g_ptr_array_remove_index(engine->reservations, i - 1);
    }
    uint64_t sum = committed_bytes;
    for (guint i = 0; i < engine->reservations->len; i++) {
        Reservation *reservation = engine->reservations->pdata[i];
        sum = u64_add_sat(sum, still_reserved(engine, reservation));
        reservation->missing_bytes = u64_sub_sat(sum, engine->host.pool_bytes);
        reservation->ready = reservation->missing_bytes == 0;
    }
}
