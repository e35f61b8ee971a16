/* The method `record`: a recording's lines as notifications to the connection that asked. */
#include <string.h>
#include "base/json.h"
#include "control/method.h"
#include "engine/record.h"

typedef struct {
    EngineRecord *record;
    ControlStream *stream;
} Listener;

static gboolean ready(gpointer user_data)
{
    return control_stream_ready(((Listener *)user_data)->stream);
}

static void send_line(const char *line, gpointer user_data)
{
    size_t length = strlen(line) - 1; /* whoever writes it down ends it */
    control_stream_send(((Listener *)user_data)->stream, json_pack("{s:s%}", "line", line, length));
}

static void closed(gpointer user_data)
{
    Listener *listener = user_data;
    if (listener->record)
        engine_record_end(listener->record);
    g_free(listener);
}

static json_t *method_record(Call *call, GError **error)
{
    Listener *listener = g_new0(Listener, 1);
    listener->stream = control_stream_open(call->request, "record", closed, listener, error);
    if (!listener->stream) {
        g_free(listener);
        return NULL;
    }
    RecordSink sink = {.ready = ready, .line = send_line, .user_data = listener};
    listener->record = engine_record(call->engine, &sink, error);
    if (!listener->record) {
        control_stream_close(listener->stream);
        return NULL;
    }
    return json_pack("{s:b}", "recording", 1);
}

static const MethodRow ROWS[] = {
    {"record", method_record, ACCESS_OPERATOR, FALSE},
};
const MethodTable methods_record = {ROWS, G_N_ELEMENTS(ROWS)};
