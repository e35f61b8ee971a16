/* The step that every start begins with: the room has to be there before anything is done. */
#include "base/error.h"
#include "base/size.h"
#include "engine/reservation.h"
#include "manage/manage_private.h"

/* Longer than any operation takes; it is given up when the operation ends. */
#define KEPT_US (INT64_C(2) * 3600 * G_USEC_PER_SEC)

static const Reservation *kept(Job *job)
{
    return engine_kept_room(job_manage(job)->engine, *job_room_slot(job));
}

static gboolean keep(Job *job)
{
    g_autoptr(GError) error = NULL;
    /* Of a reinstallation that is taken back the old server starts. */
    uint64_t bytes = u64_max(job_get_bytes(job, "memory_bytes"), job_get_bytes(job, "old_memory_bytes"));
    const Reservation *room = engine_keep_room(job_manage(job)->engine, job_server(job), job_name(job), bytes,
                                               !job_get(job, "container"), KEPT_US, &error);
    *job_room_slot(job) = room ? room->id : 0;
    if (!room)
        job_fail(job, g_steal_pointer(&error));
    return room != NULL;
}

static void fail_missing(Job *job, const Reservation *room, const char *why)
{
    g_autofree char *missing = size_format(room->missing_bytes), *bytes = size_format(room->bytes);
    GError *error = g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_NO_ROOM,
                                "no room for %s%s: %s missing (%" G_GUINT64_FORMAT " bytes); %s; "
                                "stop a server, lower minima, or enlarge the pool",
                                bytes, room->overhead_bytes > 0 ? " with overhead" : "", missing,
                                (guint64)room->missing_bytes, why);
    error_set_missing(error, room->missing_bytes);
    job_fail(job, error);
}

static void tell_missing(Job *job, const Reservation *room)
{
    g_autofree char *missing = size_format(room->missing_bytes);
    char *text =
        g_strdup_printf("%s: room is being made; %s still to come back from others.", job_name(job), missing);
    if (g_strcmp0(job_operation(job)->text, text) != 0)
        job_text(job, text);
    else
        g_free(text);
}

gboolean job_room(Job *job)
{
    if (!kept(job) && !keep(job))
        return FALSE;
    const Reservation *room = kept(job);
    if (room->ready)
        return TRUE;
    if (engine_host(job_manage(job)->engine)->mode == MODE_OBSERVE)
        fail_missing(job, room, "in observe mode no memory is taken from others");
    else
        tell_missing(job, room);
    return FALSE;
}

void job_room_begin(Job *job)
{
    if (job_room(job))
        job_next(job);
}

void job_room_poll(Job *job)
{
    if (job_room(job))
        job_next(job);
}

void job_room_expired(Job *job)
{
    const Reservation *room = kept(job);
    if (room)
        fail_missing(job, room, "what the others use did not leave more within a minute");
}

void job_room_ended(Job *job)
{
    engine_give_up_room(job_manage(job)->engine, *job_room_slot(job));
}
