/* The client's side of the control socket: what it makes of answers, of silence, and of strangers. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "control_rig.h"
#include "base/error.h"
#include "control/client.h"

typedef struct {
    const char *path, *method;
    int timeout_ms;
    json_t *result;
    GError *error;
    gint finished;
} Call;

static gpointer call_in_thread(gpointer user_data)
{
    Call *call = user_data;
    ControlClient *client = control_client_open(call->path, &call->error);
    if (client != NULL) {
        call->result = control_client_call(client, call->method, json_pack("{s:i}", "a", 7), call->timeout_ms,
                                           &call->error);
        control_client_free(client);
    }
    g_atomic_int_set(&call->finished, 1);
    return NULL;
}

static Call call_method(const char *path, const char *method, int timeout_ms, gboolean serve)
{
    Call call = {.path = path, .method = method, .timeout_ms = timeout_ms};
    GThread *thread = g_thread_new("call", call_in_thread, &call);
    while (serve && g_atomic_int_get(&call.finished) == 0) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(100);
    }
    g_thread_join(thread);
    return call;
}

static void test_client(Fixture *fixture, gconstpointer data)
{
    Call good = call_method(fixture->path, "echo", 10000, TRUE);
    g_assert_no_error(good.error);
    g_assert_cmpint(json_integer_value(json_object_get(good.result, "a")), ==, 7);
    json_decref(good.result);

    Call large = call_method(fixture->path, "large", 10000, TRUE);
    g_assert_no_error(large.error);
    g_assert_cmpuint(json_string_length(json_object_get(large.result, "text")), ==, 100 * 1024);
    json_decref(large.result);

    Call failed = call_method(fixture->path, "fail", 10000, TRUE);
    g_assert_error(failed.error, AEROSTAT_ERROR, AEROSTAT_ERROR_NO_ROOM);
    g_assert_cmpstr(failed.error->message, ==, "server web-1: 12 bytes are missing");
    g_clear_error(&failed.error);

    Call stuck = call_method(fixture->path, "echo", 200, FALSE); /* nobody runs the server's loop */
    g_assert_error(stuck.error, AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT);
    g_clear_error(&stuck.error);
    turn();
    check_alive(fixture);
}

static void test_client_unavailable(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(fixture->folder, "nobody.sock", NULL);
    g_assert_null(control_client_open(path, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, "systemctl status aerostatd"));
    g_clear_error(&error);
    g_assert_null(control_client_open("", &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
}

/* Something else listens there: it says @words and hangs up. */
static GError *call_stranger(Fixture *fixture, const char *words)
{
    g_autofree char *path = g_build_filename(fixture->folder, "stranger.sock", NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(listener, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(listener, 1), ==, 0);
    Call call = {.path = path, .method = "status", .timeout_ms = 10000};
    GThread *thread = g_thread_new("call", call_in_thread, &call);
    int fd = accept(listener, NULL, NULL);
    g_assert_cmpint(send(fd, words, strlen(words), MSG_NOSIGNAL), ==, (ssize_t)strlen(words));
    close(fd);
    g_thread_join(thread);
    close(listener);
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_null(call.result);
    return call.error;
}

static void test_client_stranger(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *words;
        AerostatError code;
    } rows[] = {
        {"", AEROSTAT_ERROR_UNAVAILABLE},
        {"half a line", AEROSTAT_ERROR_UNAVAILABLE},
        {"220 mail ready\r\n", AEROSTAT_ERROR_FAILED},
        {"[]\n", AEROSTAT_ERROR_FAILED},
        {"{\"jsonrpc\":\"2.0\",\"id\":77,\"result\":{}}\n", AEROSTAT_ERROR_UNAVAILABLE},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":\"odd\"}\n", AEROSTAT_ERROR_FAILED},
        {"{\"jsonrpc\":\"2.0\",\"id\":1}\n", AEROSTAT_ERROR_FAILED},
        {"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1,\"message\":\"no\",\"data\":{\"kind\":"
         "\"denied\"}}}\n",
         AEROSTAT_ERROR_DENIED},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("row %zu", i);
        g_autoptr(GError) error = call_stranger(fixture, rows[i].words);
        g_assert_error(error, AEROSTAT_ERROR, (int)rows[i].code);
    }
}

static gpointer follow_in_thread(gpointer user_data)
{
    Call *call = user_data;
    ControlClient *client = control_client_open(call->path, &call->error);
    g_assert_no_error(call->error);
    g_autoptr(json_t) subscribed = control_client_call(client, "events", NULL, 10000, &call->error);
    g_assert_no_error(call->error);
    g_assert_nonnull(subscribed);
    /* The call's answer comes behind events that are there already: they are kept. */
    g_autoptr(json_t) echoed = control_client_call(client, "echo", NULL, 10000, &call->error);
    g_assert_no_error(call->error);
    g_assert_nonnull(echoed);
    while (call->error == NULL) {
        g_autoptr(json_t) event = control_client_next_event(client, &call->error);
        if (event != NULL)
            call->timeout_ms += (int)json_integer_value(json_object_get(json_object_get(event, "data"), "n"));
        struct pollfd fd = {.fd = control_client_fd(client), .events = POLLIN};
        if (event == NULL && call->error == NULL)
            poll(&fd, 1, 1000);
    }
    control_client_free(client);
    g_atomic_int_set(&call->finished, 1);
    return NULL;
}

static void test_client_events(Fixture *fixture, gconstpointer data)
{
    Call call = {.path = fixture->path};
    GThread *thread = g_thread_new("follow", follow_in_thread, &call);
    int64_t deadline_us = g_get_monotonic_time() + PATIENCE_US;
    while (control_server_subscribers(fixture->server) == 0) {
        g_main_context_iteration(NULL, FALSE);
        g_assert_cmpint(g_get_monotonic_time(), <, deadline_us);
    }
    for (int n = 1; n <= 100; n++) {
        g_autoptr(json_t) fact = json_pack("{s:i}", "n", n);
        control_server_emit(fixture->server, "host", NULL, fact, NULL);
    }
    while (fixture->calls == 0 && g_get_monotonic_time() < deadline_us)
        g_main_context_iteration(NULL, FALSE);
    turn();
    g_clear_pointer(&fixture->server, control_server_free); /* the daemon goes */
    g_thread_join(thread);
    g_assert_error(call.error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE);
    g_clear_error(&call.error);
    g_assert_cmpint(call.timeout_ms, ==, 5050);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/control-client/calls", Fixture, NULL, set_up, test_client, tear_down);
    g_test_add("/control-client/unavailable", Fixture, NULL, set_up, test_client_unavailable, tear_down);
    g_test_add("/control-client/stranger", Fixture, NULL, set_up, test_client_stranger, tear_down);
    g_test_add("/control-client/events", Fixture, NULL, set_up, test_client_events, tear_down);
    return g_test_run();
}
