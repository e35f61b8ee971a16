#include "control_rig.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "base/error.h"
#include "control/request.h"

json_t *dispatch(ControlRequest *request, gpointer user_data, GError **error)
{
    Fixture *fixture = user_data;
    const char *method = request->method;
    json_t *params = request->params;
    if (strcmp(method, "events") == 0)
        return json_pack("{s:b}", "subscribed", 1);
    fixture->calls++;
    fixture->caller = *request->peer;
    if (strcmp(method, "echo") == 0)
        return json_incref(params);
    if (strcmp(method, "large") == 0) {
        g_autofree char *text = g_strnfill(100 * 1024, 'x');
        return json_pack("{s:s}", "text", text);
    }
    if (strcmp(method, "fail") == 0)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NO_ROOM, "server web-1: 12 bytes are missing");
    if (strcmp(method, "fail-elsewhere") == 0)
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "a broken \xff name");
    return NULL;
}

void set_up(Fixture *fixture, gconstpointer data)
{
    GError *error = NULL;
    fixture->folder = g_dir_make_tmp("aerostat-control-XXXXXX", &error);
    g_assert_no_error(error);
    g_assert_cmpint(chmod(fixture->folder, 0755), ==, 0);
    fixture->path = g_build_filename(fixture->folder, "run", "control.sock", NULL);
    fixture->server = control_server_new(fixture->path, NULL, dispatch, fixture, &error);
    g_assert_no_error(error);
}

void tear_down(Fixture *fixture, gconstpointer data)
{
    control_server_free(fixture->server);
    g_assert_false(g_file_test(fixture->path, G_FILE_TEST_EXISTS));
    g_autofree char *run = g_path_get_dirname(fixture->path);
    g_assert_cmpint(g_rmdir(run), ==, 0); /* so nothing was left in it */
    g_assert_cmpint(g_rmdir(fixture->folder), ==, 0);
    g_free(fixture->path);
    g_free(fixture->folder);
}

/* --- a client that may misbehave --- */

int raw_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(fcntl(fd, F_SETFL, O_NONBLOCK), ==, 0);
    return fd;
}

void turn(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

void say(int fd, const char *text)
{
    gsize length = strlen(text), done = 0;
    while (done < length) {
        ssize_t sent = send(fd, text + done, length - done, MSG_NOSIGNAL);
        if (sent > 0)
            done += (gsize)sent;
        else
            g_assert_cmpint(errno, ==, EAGAIN);
        turn();
    }
}

/* The next line, or NULL when the server has closed. One byte at a time: slow, and needs no buffer. */
char *hear(int fd)
{
    GString *line = g_string_new(NULL);
    int64_t deadline_us = g_get_monotonic_time() + PATIENCE_US;
    for (;;) {
        char c;
        ssize_t got = recv(fd, &c, 1, 0);
        if (got == 1 && c == '\n')
            return g_string_free(line, FALSE);
        if (got == 1) {
            g_string_append_c(line, c);
            continue;
        }
        if (got == 0 || errno == ECONNRESET) {
            g_string_free(line, TRUE);
            return NULL;
        }
        g_assert_cmpint(errno, ==, EAGAIN);
        g_assert_cmpint(g_get_monotonic_time(), <, deadline_us);
        g_main_context_iteration(NULL, FALSE);
    }
}

json_t *hear_json(int fd)
{
    g_autofree char *line = hear(fd);
    g_assert_nonnull(line);
    json_t *value = json_loads(line, 0, NULL);
    g_assert_nonnull(value);
    g_assert_cmpstr(json_string_value(json_object_get(value, "jsonrpc")), ==, "2.0");
    return value;
}

void hear_end(int fd)
{
    g_autofree char *line = hear(fd);
    g_assert_null(line);
}

json_int_t error_code(json_t *answer)
{
    json_t *error = json_object_get(answer, "error");
    g_assert_true(json_is_object(error));
    g_assert_true(json_is_string(json_object_get(error, "message")));
    g_assert_true(json_is_string(json_object_get(json_object_get(error, "data"), "kind")));
    return json_integer_value(json_object_get(error, "code"));
}

const char *error_kind(json_t *answer)
{
    return json_string_value(
        json_object_get(json_object_get(json_object_get(answer, "error"), "data"), "kind"));
}

/* The server is still there, for others and for good requests. */
void check_alive(Fixture *fixture)
{
    int fd = raw_connect(fixture->path);
    say(fd, "{\"jsonrpc\":\"2.0\",\"id\":\"alive\",\"method\":\"echo\",\"params\":{\"a\":1}}\n");
    g_autoptr(json_t) answer = hear_json(fd);
    g_assert_cmpstr(json_string_value(json_object_get(answer, "id")), ==, "alive");
    g_assert_cmpint(json_integer_value(json_object_get(json_object_get(answer, "result"), "a")), ==, 1);
    close(fd);
    turn();
}
