/* What subscribers hear: hosts with every beat, decisions as they are taken, servers only when they change. */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "base/json.h"
#include "control/methods.h"
#include "engine_rig.h"

typedef struct {
    Rig rig;
    char *folder, *path;
    ControlServer *server;
    MethodsContext context;
    MethodsPublisher *publisher;
    int fd;
    GString *heard;
    guint hosts, decisions, gone;
    GHashTable *servers; /* name -> how often */
} Ear;

static void begin(Ear *ear, gconstpointer data)
{
    *ear = (Ear){.fd = -1, .heard = g_string_new(NULL)};
    ear->servers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    ear->folder = g_dir_make_tmp("aerostat-publish-XXXXXX", NULL);
    ear->path = g_build_filename(ear->folder, "socket", NULL);
    rig_begin(&ear->rig, 9 * GIB, MODE_OBSERVE);
    fake_guest_add(ear->rig.fake, "calm", GIB);
    fake_guest_add(ear->rig.fake, "lively", GIB);
    rig_start(&ear->rig, NULL);
    ear->context.engine = ear->rig.engine;
    ear->server = control_server_new(ear->path, NULL, methods_dispatch, &ear->context, NULL);
    g_assert_nonnull(ear->server);
    ear->publisher = methods_publisher_new(ear->rig.engine, ear->server);
}

static void end(Ear *ear, gconstpointer data)
{
    if (ear->fd >= 0)
        close(ear->fd);
    methods_publisher_free(ear->publisher);
    control_server_free(ear->server);
    rig_end(&ear->rig);
    g_autofree char *lock = g_strconcat(ear->path, ".lock", NULL);
    g_unlink(lock);
    g_rmdir(ear->folder);
    g_free(ear->folder);
    g_free(ear->path);
    g_hash_table_unref(ear->servers);
    g_string_free(ear->heard, TRUE);
}

static void take_line(Ear *ear, const char *line, size_t length)
{
    g_autoptr(json_t) object = json_loadb(line, length, 0, NULL);
    json_t *params = json_object_get(object, "params");
    const char *type = json_string_value(json_object_get(params, "type"));
    json_t *data = json_object_get(params, "data");
    if (g_strcmp0(type, "host") == 0)
        ear->hosts++;
    else if (g_strcmp0(type, "decision") == 0)
        ear->decisions++;
    else if (g_strcmp0(type, "gone") == 0 &&
             g_strcmp0(json_string_value(json_object_get(data, "name")), "calm") == 0)
        ear->gone++;
    if (g_strcmp0(type, "server") != 0)
        return;
    const char *name = json_string_value(json_object_get(data, "name"));
    gpointer n = g_hash_table_lookup(ear->servers, name);
    g_hash_table_insert(ear->servers, g_strdup(name), GUINT_TO_POINTER(GPOINTER_TO_UINT(n) + 1));
}

/* Reads what there is; TRUE so that it may stand in a condition. */
static gboolean hear(Ear *ear)
{
    char buffer[65536];
    for (ssize_t got; (got = recv(ear->fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0;)
        g_string_append_len(ear->heard, buffer, got);
    for (char *line_end; (line_end = strchr(ear->heard->str, '\n'));) {
        size_t length = (size_t)(line_end - ear->heard->str);
        take_line(ear, ear->heard->str, length);
        g_string_erase(ear->heard, 0, (gssize)length + 1);
    }
    return TRUE;
}

static guint times(Ear *ear, const char *name)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(ear->servers, name));
}

static void subscribe(Ear *ear)
{
    static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"events\"}\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, ear->path, sizeof address.sun_path);
    ear->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(ear->fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(send(ear->fd, line, sizeof line - 1, MSG_NOSIGNAL), ==, sizeof line - 1);
    RIG_UNTIL(control_server_subscribers(ear->server) == 1);
}

/* Its caution fades for a while; then beats go by without a word of it. */
static void assert_falls_silent(Ear *ear, const char *name)
{
    guint before = times(ear, name) + 1;
    for (guint i = 0; i < 100 && before != times(ear, name); i++) {
        before = times(ear, name);
        guint hosts = ear->hosts;
        RIG_UNTIL(hear(ear) && ear->hosts > hosts + 5);
    }
    g_assert_cmpuint(before, ==, times(ear, name));
}

static void test_changes(Ear *ear, gconstpointer data)
{
    RIG_UNTIL(rig_server(&ear->rig, "calm") && rig_server(&ear->rig, "calm")->decided &&
              !rig_server(&ear->rig, "calm")->adopting && !rig_server(&ear->rig, "lively")->adopting);
    rig_pass(400); /* what it needs has settled */
    subscribe(ear);
    RIG_UNTIL(hear(ear) && times(ear, "calm") == 1 && times(ear, "lively") == 1 && ear->hosts > 0);
    guint hosts = ear->hosts;
    FakeGuest *lively = fake_guest_find(ear->rig.fake, "lively");
    FAKE(ear->rig.fake, lively->used_bytes += 64 * MIB);
    RIG_UNTIL(hear(ear) && times(ear, "lively") > 1);
    RIG_UNTIL(hear(ear) && ear->hosts > hosts + 10);
    g_assert_cmpuint(times(ear, "calm"), ==, 1);
    assert_falls_silent(ear, "lively");
    engine_set_mode(ear->rig.engine, MODE_MANAGE, NULL, NULL);
    RIG_UNTIL(hear(ear) && ear->decisions > 0);
}

/* Who comes and goes is told of each time, and not remembered. */
static void test_gone(Ear *ear, gconstpointer data)
{
    FakeGuest *calm = fake_guest_find(ear->rig.fake, "calm");
    subscribe(ear);
    for (guint i = 1; i <= 3; i++) {
        RIG_UNTIL(hear(ear) && times(ear, "calm") >= i);
        FAKE(ear->rig.fake, calm->gone = TRUE);
        RIG_UNTIL(!rig_server(&ear->rig, "calm"));
        RIG_UNTIL(hear(ear) && ear->gone == i);
        FAKE(ear->rig.fake, calm->gone = FALSE);
        guint before = times(ear, "calm");
        RIG_UNTIL(hear(ear) && times(ear, "calm") > before);
    }
}

/* Nobody listens any more, then somebody does again: that one hears of every server. */
static void test_second_listener(Ear *ear, gconstpointer data)
{
    subscribe(ear);
    RIG_UNTIL(hear(ear) && times(ear, "calm") > 0 && times(ear, "lively") > 0);
    close(ear->fd);
    RIG_UNTIL(control_server_subscribers(ear->server) == 0);
    rig_pass(100);
    g_hash_table_remove_all(ear->servers);
    g_string_truncate(ear->heard, 0);
    subscribe(ear);
    RIG_UNTIL(hear(ear) && times(ear, "calm") > 0 && times(ear, "lively") > 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/publish/changes", Ear, NULL, begin, test_changes, end);
    g_test_add("/publish/gone", Ear, NULL, begin, test_gone, end);
    g_test_add("/publish/second-listener", Ear, NULL, begin, test_second_listener, end);
    return g_test_run();
}
