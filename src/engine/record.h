/* Record: facts and decisions of every beat, as the lines of a recording, to whoever asked. Costs nothing without. */
#pragma once
#include "engine/engine.h"

typedef struct {
    /* ready: whether one more line would be taken now. A beat for which it says no is left out and counted. */
    gboolean (*ready)(gpointer user_data);
    /* line: a whole line with its newline; borrowed. */
    void (*line)(const char *line, gpointer user_data);
    gpointer user_data;
} RecordSink;

typedef struct EngineRecord EngineRecord;

/* engine_record: begins with the next beat. AEROSTAT_ERROR_CONFLICT when ENGINE_RECORDS_MAX are under way. Belongs to
 * the engine; to be ended before it. */
#define ENGINE_RECORDS_MAX 8
EngineRecord *engine_record(Engine *engine, const RecordSink *sink, GError **error);
void engine_record_end(EngineRecord *record);

/* Once a beat, between decision and action. */
void records_beat(Engine *engine, int64_t now_us);
void record_free(EngineRecord *record);
