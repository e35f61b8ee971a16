/* Recording: the lines, and the table of members. */
#include <string.h>
#include "base/json.h"
#include "policy/reasons.h"
#include "recording/members.h"

/* A host where nothing changes shows in the recording that it was still watched. */
#define QUIET_US (INT64_C(10) * 1000000)

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
    FACT("unused", MEMBER_COUNTER, unused_bytes),
    FACT("swap_in", MEMBER_COUNTER, swap_in_bytes),
    FACT("swap_out", MEMBER_COUNTER, swap_out_bytes),
    FACT("faults", MEMBER_COUNTER, major_faults),
    FACT("refaults", MEMBER_COUNTER, refaults),
    FACT("stall_us", MEMBER_COUNTER, stall_us),
    FACT("told", MEMBER_TIME, told_us),
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
    gboolean stale;  /* the reader may not have got it */
} Written;

struct RecordingEncoder {
    HostFacts host;
    uint64_t reserved_bytes;
    char *mode; /* (nullable) */
    gboolean begun;
    int64_t first_us, last_us;
    guint64 beats, lost;
    GHashTable *servers; /* name -> Written */
};

RecordingEncoder *recording_encoder_new(void)
{
    RecordingEncoder *encoder = g_new0(RecordingEncoder, 1);
    encoder->servers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return encoder;
}

void recording_encoder_free(RecordingEncoder *encoder)
{
    if (!encoder)
        return;
    g_hash_table_unref(encoder->servers);
    g_free(encoder->mode);
    g_free(encoder);
}

char *recording_encoder_header(RecordingEncoder *encoder, const HostFacts *host, const char *mode,
                               int64_t started_s)
{
    encoder->host = *host;
    g_free(encoder->mode);
    encoder->mode = g_strdup(mode);
    g_autoptr(json_t) header = json_object();
    json_object_set_new(header, "aerostat_recording", json_integer(RECORDING_VERSION));
    json_object_set_new(header, "version", json_string(AEROSTAT_VERSION));
    json_object_set_new(header, "started", json_integer(started_s));
    if (mode)
        json_object_set_new(header, "mode", json_string(mode));
    json_object_set_new(header, "pool_bytes", json_bytes(host->pool_bytes));
    json_object_set_new(header, "slack_bytes", json_bytes(host->slack_bytes));
    return json_line(header);
}

void recording_encoder_lose(RecordingEncoder *encoder)
{
    encoder->lost++;
}

static json_t *member_json(const RecordingEncoder *encoder, const Member *member, const ServerFacts *facts)
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
        return us == 0 ? json_null() : json_integer(us - encoder->first_us);
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
static json_t *server_json(RecordingEncoder *encoder, const char *name, const ServerFacts *facts)
{
    Written *written = g_hash_table_lookup(encoder->servers, name);
    gboolean whole = !written || written->stale;
    json_t *object = NULL;
    for (guint i = 0; i < RECORDING_N_MEMBERS; i++) {
        const Member *member = &RECORDING_MEMBERS[i];
        if (!whole && member_equal(member, facts, &written->facts))
            continue;
        if (!object)
            object = json_object();
        json_object_set_new(object, member->name, member_json(encoder, member, facts));
    }
    if (!written) {
        written = g_new0(Written, 1);
        g_hash_table_insert(encoder->servers, g_strdup(name), written);
    }
    written->facts = *facts;
    written->seen_in = encoder->beats;
    written->stale = FALSE;
    return object;
}

static json_t *gone_json(RecordingEncoder *encoder)
{
    json_t *gone = NULL;
    GHashTableIter iter;
    gpointer name, value;
    g_hash_table_iter_init(&iter, encoder->servers);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        if (((Written *)value)->seen_in == encoder->beats)
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

/* Some lines were not taken, and nobody knows which facts were in them: everything is said anew. */
static void tell_lost(RecordingEncoder *encoder, json_t *line)
{
    if (encoder->lost == 0)
        return;
    json_object_set_new(line, "lost", json_integer((json_int_t)encoder->lost));
    encoder->lost = 0;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, encoder->servers);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        ((Written *)value)->stale = TRUE;
}

static void tell_host(RecordingEncoder *encoder, const RecordedBeat *beat, json_t *line)
{
    if (beat->host->pool_bytes != encoder->host.pool_bytes ||
        beat->host->slack_bytes != encoder->host.slack_bytes) {
        json_object_set_new(line, "pool_bytes", json_bytes(beat->host->pool_bytes));
        json_object_set_new(line, "slack_bytes", json_bytes(beat->host->slack_bytes));
        encoder->host = *beat->host;
    }
    if (beat->reserved_bytes != encoder->reserved_bytes) {
        json_object_set_new(line, "reserved_bytes", json_bytes(beat->reserved_bytes));
        encoder->reserved_bytes = beat->reserved_bytes;
    }
    if (beat->mode && g_strcmp0(beat->mode, encoder->mode) != 0) {
        json_object_set_new(line, "mode", json_string(beat->mode));
        g_free(encoder->mode);
        encoder->mode = g_strdup(beat->mode);
    }
}

static void tell_servers(RecordingEncoder *encoder, const RecordedBeat *beat, json_t *line)
{
    json_t *servers = json_object();
    for (size_t i = 0; i < beat->n; i++) {
        json_t *server = server_json(encoder, beat->names[i], &beat->facts[i]);
        if (server)
            json_object_set_new(servers, beat->names[i], server);
    }
    if (json_object_size(servers) > 0)
        json_object_set_new(line, "servers", servers);
    else
        json_decref(servers);
}

char *recording_encoder_beat(RecordingEncoder *encoder, const RecordedBeat *beat)
{
    if (!encoder->begun) {
        encoder->begun = TRUE;
        encoder->first_us = encoder->last_us = beat->now_us;
    }
    encoder->beats++;
    g_autoptr(json_t) line = json_object();
    json_object_set_new(line, "t", json_integer(beat->now_us - encoder->first_us));
    tell_lost(encoder, line);
    tell_host(encoder, beat, line);
    tell_servers(encoder, beat, line);
    json_t *moves = moves_json(beat), *gone = gone_json(encoder);
    if (moves)
        json_object_set_new(line, "decisions", moves);
    if (gone)
        json_object_set_new(line, "gone", gone);
    if (json_object_size(line) == 1 && beat->now_us - encoder->last_us < QUIET_US)
        return NULL;
    encoder->last_us = beat->now_us;
    return json_line(line);
}
