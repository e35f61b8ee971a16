/* Recordings of a living engine, over a real socket, read back by the reader that the simulator has. */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "base/error.h"
#include "base/json.h"
#include "control/methods.h"
#include "engine/record.h"
#include "engine_rig.h"
#include "recording/recording.h"

typedef struct {
    Rig rig;
    char *folder, *path;
    ControlServer *server;
    MethodsContext context;
    GString *heard;   /* raw, from the last descriptor that was read */
    GString *lines;   /* of the recording */
    guint answers, n; /* n: lines of the recording */
    char *refusal;    /* kind of the last error */
} Ear;

static void begin(Ear *ear, gconstpointer data)
{
    *ear = (Ear){.heard = g_string_new(NULL), .lines = g_string_new(NULL)};
    ear->folder = g_dir_make_tmp("aerostat-record-XXXXXX", NULL);
    ear->path = g_build_filename(ear->folder, "socket", NULL);
    rig_begin(&ear->rig, 9 * GIB, MODE_MANAGE);
    fake_guest_add(ear->rig.fake, "calm", GIB);
    fake_guest_add(ear->rig.fake, "lively", GIB);
    rig_start(&ear->rig, NULL);
    ear->context.engine = ear->rig.engine;
    ear->server = control_server_new(ear->path, NULL, methods_dispatch, &ear->context, NULL);
    g_assert_nonnull(ear->server);
}

static void end(Ear *ear, gconstpointer data)
{
    control_server_free(ear->server);
    rig_end(&ear->rig);
    g_autofree char *lock = g_strconcat(ear->path, ".lock", NULL);
    g_unlink(lock);
    g_rmdir(ear->folder);
    g_free(ear->folder);
    g_free(ear->path);
    g_free(ear->refusal);
    g_string_free(ear->heard, TRUE);
    g_string_free(ear->lines, TRUE);
}

static int call(const Ear *ear)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, ear->path, sizeof address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    return fd;
}

static void ask(int fd)
{
    static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"record\"}\n";
    g_assert_cmpint(send(fd, line, sizeof line - 1, MSG_NOSIGNAL), ==, sizeof line - 1);
}

static void take_line(Ear *ear, const char *line, size_t length)
{
    g_autoptr(json_t) object = json_loadb(line, length, 0, NULL);
    const char *method = json_string_value(json_object_get(object, "method"));
    json_t *failure = json_object_get(object, "error");
    if (g_strcmp0(method, "record") == 0) {
        const char *text = json_string_value(json_object_get(json_object_get(object, "params"), "line"));
        g_string_append(ear->lines, text);
        g_string_append_c(ear->lines, '\n');
        ear->n++;
        return;
    }
    ear->answers++;
    if (failure) {
        g_free(ear->refusal);
        ear->refusal = g_strdup(json_string_value(json_object_get(json_object_get(failure, "data"), "kind")));
    }
}

/* Reads what there is; TRUE so that it may stand in a condition. */
static gboolean hear(Ear *ear, int fd)
{
    char buffer[65536];
    for (ssize_t got; (got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0;)
        g_string_append_len(ear->heard, buffer, got);
    for (char *line_end; (line_end = memchr(ear->heard->str, '\n', ear->heard->len));) {
        size_t length = (size_t)(line_end - ear->heard->str);
        take_line(ear, ear->heard->str, length);
        g_string_erase(ear->heard, 0, (gssize)length + 1);
    }
    return TRUE;
}

static guint count_lines(const GString *text)
{
    guint n = 0;
    for (gsize i = 0; i < text->len; i++)
        n += text->str[i] == '\n';
    return n;
}

static Recording *read_back(const GString *lines)
{
    g_autoptr(GError) error = NULL;
    Recording *recording = recording_parse(lines->str, lines->len, "r", &error);
    g_assert_no_error(error);
    return recording;
}

static void test_socket(Ear *ear, gconstpointer data)
{
    int fd = call(ear);
    ask(fd);
    RIG_UNTIL(hear(ear, fd) && count_lines(ear->lines) >= 3);
    FakeGuest *lively = fake_guest_find(ear->rig.fake, "lively");
    FAKE(ear->rig.fake, lively->used_bytes = 600 * MIB);
    guint before = count_lines(ear->lines);
    RIG_UNTIL(hear(ear, fd) && count_lines(ear->lines) >= before + 20);
    g_autoptr(Recording) recording = read_back(ear->lines);
    g_assert_null(recording->note);
    g_assert_cmpuint(recording->lost, ==, 0);
    g_assert_cmpstr(recording->mode, ==, "manage");
    g_assert_cmpuint(recording->host.pool_bytes, ==, engine_host(ear->rig.engine)->pool_bytes);
    g_assert_cmpuint(recording->names->len, ==, 2);
    gboolean seen = FALSE;
    for (guint i = 0; i < recording->facts->len; i++) {
        const RecordedFacts *row = &g_array_index(recording->facts, RecordedFacts, i);
        g_assert_cmpuint(row->facts.maximum_bytes, ==, GIB);
        seen |= row->facts.available_bytes != UNKNOWN && row->facts.available_bytes < 500 * MIB;
    }
    g_assert_true(seen);
    /* A second recording on the same connection would mix with it. */
    ask(fd);
    RIG_UNTIL(hear(ear, fd) && ear->answers == 2);
    g_assert_cmpstr(ear->refusal, ==, "conflict");
    close(fd);
}

/* Who hangs up makes room for others; more than a few at once are refused. */
static void test_many(Ear *ear, gconstpointer data)
{
    int fds[ENGINE_RECORDS_MAX], last = call(ear);
    for (guint i = 0; i < ENGINE_RECORDS_MAX; i++) {
        fds[i] = call(ear);
        ask(fds[i]);
        RIG_UNTIL(hear(ear, fds[i]) && ear->answers == i + 1);
        g_string_truncate(ear->heard, 0);
    }
    g_assert_null(ear->refusal);
    ask(last);
    RIG_UNTIL(hear(ear, last) && ear->answers == ENGINE_RECORDS_MAX + 1);
    g_assert_cmpstr(ear->refusal, ==, "conflict");
    for (guint i = 0; i < ENGINE_RECORDS_MAX; i++)
        close(fds[i]);
    g_string_truncate(ear->lines, 0);
    for (gint64 end_us = g_get_monotonic_time() + RIG_PATIENCE_US; ear->lines->len == 0;) {
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
        ask(last);
        rig_pass(200);
        hear(ear, last);
    }
    close(last);
}

typedef struct {
    gboolean slow;
    GString *lines;
} Reader;

static gboolean reader_ready(gpointer user_data)
{
    return !((Reader *)user_data)->slow;
}

static void reader_line(const char *line, gpointer user_data)
{
    g_string_append(((Reader *)user_data)->lines, line);
}

/* What a slow reader missed is counted, and what comes after it stands by itself. */
static void test_slow_reader(Ear *ear, gconstpointer data)
{
    Engine *engine = ear->rig.engine;
    Reader reader = {.lines = ear->lines};
    RecordSink sink = {.ready = reader_ready, .line = reader_line, .user_data = &reader};
    EngineRecord *record = engine_record(engine, &sink, NULL);
    RIG_UNTIL(count_lines(ear->lines) >= 4);
    guint before = count_lines(ear->lines);
    guint64 beats = engine_host(engine)->beats;
    reader.slow = TRUE;
    RIG_UNTIL(engine_host(engine)->beats >= beats + 5);
    g_assert_cmpuint(count_lines(ear->lines), ==, before);
    guint64 missed = engine_host(engine)->beats - beats;
    reader.slow = FALSE;
    RIG_UNTIL(count_lines(ear->lines) > before);
    engine_record_end(record);
    guint after = count_lines(ear->lines);
    rig_pass(300);
    g_assert_cmpuint(count_lines(ear->lines), ==, after);
    g_autoptr(Recording) recording = read_back(ear->lines);
    g_assert_cmpuint(recording->lost, ==, missed);
    /* The line after the gap has everybody, whole. */
    guint n = 0;
    for (guint i = 0; i < recording->facts->len; i++)
        n += g_array_index(recording->facts, RecordedFacts, i).t_us == recording->duration_us;
    g_assert_cmpuint(n, ==, 2);
}

/* A stream of its own, which is filled until it says stop. */
static json_t *flood_dispatch(ControlRequest *request, gpointer user_data, GError **error)
{
    *(ControlStream **)user_data = control_stream_open(request, "record", g_free, g_malloc(1), error);
    return json_object();
}

static void test_bounded(Ear *ear, gconstpointer data)
{
    g_autofree char *path = g_build_filename(ear->folder, "flood", NULL);
    ControlStream *stream = NULL;
    ControlServer *server = control_server_new(path, NULL, flood_dispatch, &stream, NULL);
    g_autofree char *own = g_steal_pointer(&ear->path);
    ear->path = g_strdup(path);
    int fd = call(ear);
    ask(fd);
    RIG_UNTIL(stream != NULL && hear(ear, fd) && ear->answers == 1);
    guint sent = 0;
    g_autofree char *filling = g_strnfill(10000, 'x');
    for (; control_stream_ready(stream); sent++) {
        g_autofree char *text = g_strdup_printf("%06u %s", sent, filling);
        control_stream_send(stream, json_pack("{s:s}", "line", text));
        g_assert_cmpuint(sent, <, 1000);
    }
    g_assert_cmpuint(sent, >, 100);
    /* Counted as they come: a turn that takes long leaves the connection none. */
    RIG_UNTIL(hear(ear, fd) && ear->n == sent);
    RIG_UNTIL(control_stream_ready(stream));
    for (guint i = 0; i < sent; i++)
        g_assert_cmpint(strtol(ear->lines->str + i * (gsize)10008, NULL, 10), ==, i);
    close(fd);
    control_server_free(server);
    g_autofree char *lock = g_strconcat(path, ".lock", NULL);
    g_unlink(lock);
    g_free(ear->path);
    ear->path = g_steal_pointer(&own);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/record/socket", Ear, NULL, begin, test_socket, end);
    g_test_add("/record/many", Ear, NULL, begin, test_many, end);
    g_test_add("/record/slow-reader", Ear, NULL, begin, test_slow_reader, end);
    g_test_add("/record/bounded", Ear, NULL, begin, test_bounded, end);
    return g_test_run();
}
