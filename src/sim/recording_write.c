/* Recording: the writer, and the table of members. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "base/json.h"
#include "policy/reasons.h"
#include "sim/recording_members.h"

#define FACT(name, kind, member)                                                                             \
    {                                                                                                        \
        name, kind, offsetof(ServerFacts, member)                                                            \
    }

const Member RECORDING_MEMBERS[] = {
    FACT("max", MEMBER_BYTES, maximum_bytes),
    FACT("min", MEMBER_BYTES, minimum_bytes),
    FACT("weight", MEMBER_WEIGHT, weight),
    FACT("fixed", MEMBER_FIXED, fixed),
    FACT("hold", MEMBER_HOLD, hold),
    FACT("balloon", MEMBER_BYTES, balloon_bytes),
    FACT("target", MEMBER_BYTES, target_bytes),
    FACT("resident", MEMBER_COUNTER, resident_bytes),
    FACT("overhead", MEMBER_BYTES, overhead_bytes),
    FACT("boot", MEMBER_COUNTER, boot_count),
    FACT("sample", MEMBER_TIME, sample_us),
    FACT("sample_balloon", MEMBER_BYTES, sample_balloon_bytes),
    FACT("avail", MEMBER_COUNTER, available_bytes),
    FACT("swap_in", MEMBER_COUNTER, swap_in_bytes),
    FACT("swap_out", MEMBER_COUNTER, swap_out_bytes),
    FACT("faults", MEMBER_COUNTER, major_faults),
    FACT("refaults", MEMBER_COUNTER, refaults),
    FACT("stall_us", MEMBER_COUNTER, stall_us),
    FACT("oom_deflates", MEMBER_BOOL, deflates_on_oom),
    FACT("booted", MEMBER_BOOL, booted),
    FACT("busy", MEMBER_BOOL, busy),
};
const guint RECORDING_N_MEMBERS = G_N_ELEMENTS(RECORDING_MEMBERS);

static gsize member_size(MemberKind kind)
{
    switch (kind) {
    case MEMBER_BYTES:
    case MEMBER_COUNTER:
        return sizeof(uint64_t);
    case MEMBER_WEIGHT:
        return sizeof(uint32_t);
    case MEMBER_TIME:
        return sizeof(int64_t);
    case MEMBER_BOOL:
        return sizeof(bool);
    case MEMBER_FIXED:
        return sizeof(FixedReason);
    case MEMBER_HOLD:
        return sizeof(HoldReason);
    }
    return 0;
}

gboolean member_equal(const Member *member, const ServerFacts *a, const ServerFacts *b)
{
    return memcmp((const char *)a + member->offset, (const char *)b + member->offset,
                  member_size(member->kind)) == 0;
}

typedef struct {
    ServerFacts facts;
    guint64 seen_in; /* number of the beat */
} Written;

struct RecordingWriter {
    int fd;
    HostFacts host;
    gboolean begun;
    int64_t first_us;
    guint64 beats;
    GHashTable *servers; /* name -> Written */
};

static gboolean write_line(int fd, const json_t *object, GError **error)
{
    g_autofree char *line = json_line(object);
    gsize length = strlen(line), done = 0;
    while (done < length) {
        ssize_t wrote = write(fd, line + done, length - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0) {
            g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "the recording cannot be written: %s",
                        g_strerror(errno));
            return FALSE;
        }
        done += (gsize)wrote;
    }
    return TRUE;
}

RecordingWriter *recording_writer_new(int fd, const HostFacts *host, int64_t started_s, GError **error)
{
    g_autoptr(RecordingWriter) writer = g_new0(RecordingWriter, 1);
    writer->fd = fd;
    writer->host = *host;
    writer->servers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(json_t) header = json_object();
    json_object_set_new(header, "aerostat_recording", json_integer(RECORDING_VERSION));
    json_object_set_new(header, "version", json_string(AEROSTAT_VERSION));
    json_object_set_new(header, "started", json_integer(started_s));
    json_object_set_new(header, "pool_bytes", json_bytes(host->pool_bytes));
    json_object_set_new(header, "slack_bytes", json_bytes(host->slack_bytes));
    if (!write_line(fd, header, error))
        return NULL;
    return g_steal_pointer(&writer);
}

void recording_writer_free(RecordingWriter *writer)
{
    if (!writer)
        return;
    close(writer->fd);
    g_hash_table_unref(writer->servers);
    g_free(writer);
}

static json_t *member_json(const RecordingWriter *writer, const Member *member, const ServerFacts *facts)
{
    const void *at = (const char *)facts + member->offset;
    switch (member->kind) {
    case MEMBER_BYTES:
        return json_bytes(*(const uint64_t *)at);
    case MEMBER_COUNTER:
        return json_bytes_or_null(*(const uint64_t *)at);
    case MEMBER_WEIGHT:
        return json_integer(*(const uint32_t *)at);
    case MEMBER_TIME: {
        int64_t us = *(const int64_t *)at;
        return us == 0 ? json_null() : json_integer(us - writer->first_us);
    }
    case MEMBER_BOOL:
        return json_boolean(*(const bool *)at);
    case MEMBER_FIXED:
        return json_string(fixed_name(*(const FixedReason *)at));
    case MEMBER_HOLD:
        return json_string(hold_name(*(const HoldReason *)at));
    }
    return json_null();
}

/* NULL when nothing changed. */
static json_t *server_json(RecordingWriter *writer, const char *name, const ServerFacts *facts)
{
    Written *written = g_hash_table_lookup(writer->servers, name);
    json_t *object = NULL;
    for (guint i = 0; i < RECORDING_N_MEMBERS; i++) {
        const Member *member = &RECORDING_MEMBERS[i];
        if (written && member_equal(member, facts, &written->facts))
            continue;
        if (!object)
            object = json_object();
        json_object_set_new(object, member->name, member_json(writer, member, facts));
    }
    if (!written) {
        written = g_new0(Written, 1);
        g_hash_table_insert(writer->servers, g_strdup(name), written);
    }
    written->facts = *facts;
    written->seen_in = writer->beats;
    return object;
}

static json_t *gone_json(RecordingWriter *writer)
{
    json_t *gone = NULL;
    GHashTableIter iter;
    gpointer name, value;
    g_hash_table_iter_init(&iter, writer->servers);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        if (((Written *)value)->seen_in == writer->beats)
            continue;
        if (!gone)
            gone = json_array();
        json_array_append_new(gone, json_string(name));
        g_hash_table_iter_remove(&iter);
    }
    return gone;
}

static json_t *moves_json(const RecordedBeat *beat)
{
    json_t *moves = NULL;
    for (size_t i = 0; beat->decision && i < beat->n; i++) {
        const PlanRow *row = &beat->decision->rows[i];
        if (row->move == MOVE_NONE)
            continue;
        if (!moves)
            moves = json_object();
        json_t *move = json_object();
        json_object_set_new(move, "move", json_string(move_name(row->move)));
        json_object_set_new(move, "to", json_bytes(row->target_bytes));
        json_object_set_new(move, "need", json_bytes(beat->decision->demands[i].need_bytes));
        json_object_set_new(move, "share", json_bytes(row->allocation_bytes));
        json_object_set_new(moves, beat->names[i], move);
    }
    return moves;
}

gboolean recording_writer_beat(RecordingWriter *writer, const RecordedBeat *beat, GError **error)
{
    if (!writer->begun) {
        writer->begun = TRUE;
        writer->first_us = beat->now_us;
    }
    writer->beats++;
    g_autoptr(json_t) line = json_object();
    json_object_set_new(line, "t", json_integer(beat->now_us - writer->first_us));
    if (beat->host->pool_bytes != writer->host.pool_bytes ||
        beat->host->slack_bytes != writer->host.slack_bytes) {
        json_object_set_new(line, "pool_bytes", json_bytes(beat->host->pool_bytes));
        json_object_set_new(line, "slack_bytes", json_bytes(beat->host->slack_bytes));
        writer->host = *beat->host;
    }
    json_t *servers = json_object();
    for (size_t i = 0; i < beat->n; i++) {
        json_t *server = server_json(writer, beat->names[i], &beat->facts[i]);
        if (server)
            json_object_set_new(servers, beat->names[i], server);
    }
    if (json_object_size(servers) > 0)
        json_object_set_new(line, "servers", servers);
    else
        json_decref(servers);
    json_t *moves = moves_json(beat), *gone = gone_json(writer);
    if (moves)
        json_object_set_new(line, "decisions", moves);
    if (gone)
        json_object_set_new(line, "gone", gone);
    if (json_object_size(line) == 1)
        return TRUE;
    return write_line(writer->fd, line, error);
}
