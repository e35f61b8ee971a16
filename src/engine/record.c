#include "engine/record.h"
#include "base/error.h"
#include "engine/engine_private.h"
#include "engine/reservation.h"
#include "recording/recording.h"

struct EngineRecord {
    Engine *engine;
    RecordSink sink;
    RecordingEncoder *encoder;
    gboolean begun;
};

EngineRecord *engine_record(Engine *engine, const RecordSink *sink, GError **error)
{
    if (engine->records->len >= ENGINE_RECORDS_MAX) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                    "%d recordings are under way already, which is the most at once; end one of them first",
                    ENGINE_RECORDS_MAX);
        return NULL;
    }
    EngineRecord *record = g_new0(EngineRecord, 1);
    record->engine = engine;
    record->sink = *sink;
    record->encoder = recording_encoder_new();
    g_ptr_array_add(engine->records, record);
    return record;
}

void record_free(EngineRecord *record)
{
    recording_encoder_free(record->encoder);
    g_free(record);
}

void engine_record_end(EngineRecord *record)
{
    g_ptr_array_remove(record->engine->records, record);
}

/* A recording knows servers by name: of several backends' servers of one name all but the first tell theirs. */
static void add_name(GPtrArray *names, GHashTable *used, const Tracked *tracked)
{
    const char *own = tracked->latest->name, *backend = tracked->backend->ops->name;
    char *name = g_strdup(own);
    for (guint n = 1; g_hash_table_contains(used, name); n++) {
        g_free(name);
        name = n == 1 ? g_strdup_printf("%s@%s", own, backend) : g_strdup_printf("%s@%s:%u", own, backend, n);
    }
    g_hash_table_add(used, name);
    g_ptr_array_add(names, name);
}

static void tell(EngineRecord *record, const RecordedBeat *beat)
{
    if (!record->sink.ready(record->sink.user_data)) {
        recording_encoder_lose(record->encoder);
        return;
    }
    if (!record->begun) {
        record->begun = TRUE;
        g_autofree char *header =
            recording_encoder_header(record->encoder, beat->host, beat->mode, record->engine->wall_s());
        record->sink.line(header, record->sink.user_data);
    }
    g_autofree char *line = recording_encoder_beat(record->encoder, beat);
    if (line)
        record->sink.line(line, record->sink.user_data);
}

void records_beat(Engine *engine, int64_t now_us)
{
    if (engine->records->len == 0)
        return;
    g_autoptr(GHashTable) used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint i = 0; i < engine->counted->len; i++)
        add_name(names, used, engine->counted->pdata[i]);
    HostFacts host = {.pool_bytes = engine->host.pool_bytes, .slack_bytes = engine->host.slack_wanted_bytes};
    RecordedBeat beat = {
        .now_us = now_us,
        .host = &host,
        .reserved_bytes = engine_reserved_bytes(engine),
        .mode = engine->host.mode == MODE_MANAGE ? "manage" : "observe",
        .names = (const char *const *)names->pdata,
        .facts = (const ServerFacts *)(const void *)engine->facts->data,
        .decision = engine->decision,
        .n = engine->facts->len,
    };
    for (guint i = 0; i < engine->records->len; i++)
        tell(engine->records->pdata[i], &beat);
}
