/* The control socket with real sockets: what good clients get, and what no client can do to it. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "control_rig.h"
#include "base/error.h"
#include "base/json.h"
#include "control/client.h"
#include "control/connection.h"
#include "control/request.h"
#include "control/server.h"

#define NOBODY 65534

/* --- requests --- */

static void test_answers(Fixture *fixture, gconstpointer data)
{
    int fd = raw_connect(fixture->path);
    say(fd, "{\"jsonrpc\":\"2.0\",\"id\":9007199254740993,\"method\":\"echo\",\"params\":{\"bytes\":"
            "72057594037927935}}\n"
            "\n  \r\n" /* empty lines are nobody's request */
            "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"echo\"}\n");
    g_autoptr(json_t) first = hear_json(fd), second = hear_json(fd);
    g_assert_cmpint(json_integer_value(json_object_get(first, "id")), ==, 9007199254740993);
    g_assert_cmpint(json_integer_value(json_object_get(json_object_get(first, "result"), "bytes")), ==,
                    72057594037927935);
    g_assert_true(json_is_null(json_object_get(second, "id")));
    g_assert_true(json_is_object(json_object_get(second, "result")));
    g_assert_true(fixture->caller.operator_);
    g_assert_cmpint(fixture->caller.pid, ==, getpid());
    g_assert_cmpint((int)fixture->caller.uid, ==, (int)getuid());
    close(fd);
}

static void test_notification(Fixture *fixture, gconstpointer data)
{
    int fd = raw_connect(fixture->path);
    say(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}\n{\"jsonrpc\":\"2.0\",\"method\":\"fail\"}\n"
            "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"echo\"}\n");
    g_autoptr(json_t) answer = hear_json(fd);
    g_assert_cmpint(json_integer_value(json_object_get(answer, "id")), ==, 3);
    g_assert_cmpuint(fixture->calls, ==, 3);
    close(fd);
}

static void test_errors(Fixture *fixture, gconstpointer data)
{
    int fd = raw_connect(fixture->path);
    say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"fail\"}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":"
            "\"no\\u001b[2J\"}\n"
            "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"fail-elsewhere\"}\n");
    g_autoptr(json_t) no_room = hear_json(fd), unknown = hear_json(fd), elsewhere = hear_json(fd);
    g_assert_cmpint(error_code(no_room), ==, error_code_jsonrpc(AEROSTAT_ERROR_NO_ROOM));
    g_assert_cmpstr(error_kind(no_room), ==, "no-room");
    g_assert_cmpint(error_code(unknown), ==, JSONRPC_METHOD_NOT_FOUND);
    g_assert_cmpstr(error_kind(unknown), ==, "not-found");
    g_assert_cmpstr(error_kind(elsewhere), ==, "failed");
    close(fd);
}

static void test_bad_requests(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *line;
        int code;
        int id; /* that comes back; 0: null */
    } rows[] = {
        {"nonsense", JSONRPC_PARSE_ERROR, 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"", JSONRPC_PARSE_ERROR, 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"} x", JSONRPC_PARSE_ERROR, 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"echo\"}", JSONRPC_PARSE_ERROR, 0},
        {"\xff\xfe", JSONRPC_PARSE_ERROR, 0},
        {"42", JSONRPC_INVALID_REQUEST, 0},
        {"\"echo\"", JSONRPC_INVALID_REQUEST, 0},
        {"null", JSONRPC_INVALID_REQUEST, 0},
        {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}]", JSONRPC_INVALID_REQUEST, 0},
        {"[]", JSONRPC_INVALID_REQUEST, 0},
        {"{}", JSONRPC_INVALID_REQUEST, 0},
        {"{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"echo\"}", JSONRPC_INVALID_REQUEST, 7},
        {"{\"jsonrpc\":2.0,\"id\":7,\"method\":\"echo\"}", JSONRPC_INVALID_REQUEST, 7},
        {"{\"id\":7,\"method\":\"echo\"}", JSONRPC_INVALID_REQUEST, 7},
        {"{\"jsonrpc\":\"2.0\",\"id\":7}", JSONRPC_INVALID_REQUEST, 7},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":5}", JSONRPC_INVALID_REQUEST, 7},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"\"}", JSONRPC_INVALID_REQUEST, 7},
        {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"echo\"}", JSONRPC_INVALID_REQUEST, 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"echo\",\"params\":[1]}", JSONRPC_INVALID_PARAMS, 7},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"echo\",\"params\":null}", JSONRPC_INVALID_PARAMS, 7},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"echo\",\"params\":\"x\"}", JSONRPC_INVALID_PARAMS, 7},
    };
    int fd = raw_connect(fixture->path);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("row %zu", i);
        say(fd, rows[i].line);
        say(fd, "\n");
        g_autoptr(json_t) answer = hear_json(fd);
        g_assert_cmpint(error_code(answer), ==, rows[i].code);
        g_assert_cmpint(json_integer_value(json_object_get(answer, "id")), ==, rows[i].id);
    }
    g_assert_cmpuint(fixture->calls, ==, 0);
    close(fd);
    check_alive(fixture);
}

static void test_deep(Fixture *fixture, gconstpointer data)
{
    g_autofree char *open = g_strnfill(30000, '['), *close_ = g_strnfill(30000, ']');
    g_autofree char *line = g_strdup_printf(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"a\":%s%s}}\n", open, close_);
    int fd = raw_connect(fixture->path);
    say(fd, line);
    g_autoptr(json_t) answer = hear_json(fd);
    g_assert_cmpint(error_code(answer), ==, JSONRPC_PARSE_ERROR);
    close(fd);
    check_alive(fixture);
}

/* --- lines --- */

static char *padded_request(gsize length)
{
    const char *head = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"a\":\"",
               *tail = "\"}}";
    g_autofree char *fill = g_strnfill(length - strlen(head) - strlen(tail), 'x');
    return g_strconcat(head, fill, tail, NULL);
}

static void test_longest_line(Fixture *fixture, gconstpointer data)
{
    g_autofree char *line = padded_request(LINE_LIMIT_BYTES);
    int fd = raw_connect(fixture->path);
    say(fd, line);
    say(fd, "\n");
    g_autoptr(json_t) answer = hear_json(fd);
    g_assert_nonnull(json_object_get(answer, "result"));
    close(fd);
}

static void test_oversized_line(Fixture *fixture, gconstpointer data)
{
    g_autofree char *line = padded_request(LINE_LIMIT_BYTES + 1);
    int fd = raw_connect(fixture->path);
    say(fd, line);
    g_autoptr(json_t) answer = hear_json(fd);
    g_assert_cmpstr(error_kind(answer), ==, "invalid");
    g_assert_true(json_is_null(json_object_get(answer, "id")));
    hear_end(fd);
    close(fd);
    g_assert_cmpuint(fixture->calls, ==, 0);
    check_alive(fixture);
}

static void test_half_lines(Fixture *fixture, gconstpointer data)
{
    const char *request = "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"echo\"}\n";
    int fd = raw_connect(fixture->path);
    for (const char *p = request; *p != '\0'; p++) {
        char byte[2] = {*p, '\0'};
        say(fd, byte);
    }
    g_autoptr(json_t) answer = hear_json(fd);
    g_assert_cmpint(json_integer_value(json_object_get(answer, "id")), ==, 5);
    say(fd, "{\"jsonrpc\":\"2.0\",");
    close(fd); /* in the middle of a line */
    turn();
    g_assert_cmpuint(fixture->calls, ==, 1);
    check_alive(fixture);
}

static void test_half_close(Fixture *fixture, gconstpointer data)
{
    int fd = raw_connect(fixture->path);
    say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"large\"}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":"
            "\"large\"}\n"
            "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"large\"}\n{\"half");
    shutdown(fd, SHUT_WR);
    for (int id = 1; id <= 3; id++) {
        g_autoptr(json_t) answer = hear_json(fd);
        g_assert_cmpint(json_integer_value(json_object_get(answer, "id")), ==, id);
    }
    hear_end(fd);
    close(fd);
}

/* What was asked for is done although the client did not wait for the answer. */
static void test_ask_and_leave(Fixture *fixture, gconstpointer data)
{
    int fd = raw_connect(fixture->path);
    const char *request = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}\n";
    g_assert_cmpint(send(fd, request, strlen(request), 0), ==, (ssize_t)strlen(request));
    close(fd);
    for (int i = 0; i < 10; i++)
        turn();
    g_assert_cmpuint(fixture->calls, ==, 1);
}

/* --- too much --- */

static void test_flood(Fixture *fixture, gconstpointer data)
{
    enum { N = 10000 };
    GString *all = g_string_new(NULL);
    for (int i = 0; i < N; i++)
        g_string_append_printf(all, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"echo\"}\n", i);
    int fd = raw_connect(fixture->path);
    gsize done = 0;
    g_autoptr(GByteArray) heard = g_byte_array_new();
    int64_t deadline_us = g_get_monotonic_time() + PATIENCE_US;
    int lines = 0;
    while (lines < N) {
        if (done < all->len) {
            ssize_t sent = send(fd, all->str + done, all->len - done, MSG_NOSIGNAL);
            done += sent > 0 ? (gsize)sent : 0;
        }
        g_main_context_iteration(NULL, FALSE);
        guint8 buffer[4096];
        ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        if (got > 0)
            g_byte_array_append(heard, buffer, (guint)got);
        for (ssize_t i = 0; i < got; i++)
            lines += buffer[i] == '\n' ? 1 : 0;
        g_assert_cmpint(g_get_monotonic_time(), <, deadline_us);
    }
    g_byte_array_append(heard, (const guint8 *)"", 1);
    g_auto(GStrv) answers = g_strsplit((const char *)heard->data, "\n", 0);
    for (int i = 0; i < N; i++) { /* every one, in order */
        g_autofree char *expected = g_strdup_printf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{}}", i);
        g_assert_cmpstr(answers[i], ==, expected);
    }
    g_string_free(all, TRUE);
    close(fd);
}

static void test_never_reads(Fixture *fixture, gconstpointer data)
{
    int fd = raw_connect(fixture->path);
    const char *request = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"large\"}\n";
    for (int i = 0; i < 20000; i++) {
        send(fd, request, strlen(request), MSG_NOSIGNAL);
        g_main_context_iteration(NULL, FALSE);
    }
    turn(); /* would never end if a full client kept the loop busy */
    /* 100 KiB each: what the limit and the kernel's own buffer hold, and not one request more. */
    g_assert_cmpuint(fixture->calls, <, 64);
    check_alive(fixture);
    close(fd);
    turn();
    check_alive(fixture);
}

static void test_too_many(Fixture *fixture, gconstpointer data)
{
    int fds[128];
    for (gsize i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = raw_connect(fixture->path);
        turn();
    }
    int late = raw_connect(fixture->path);
    g_autoptr(json_t) refusal = hear_json(late);
    g_assert_cmpstr(error_kind(refusal), ==, "unavailable");
    hear_end(late);
    close(late);
    for (gsize i = 0; i < G_N_ELEMENTS(fds); i++)
        close(fds[i]);
    turn();
    check_alive(fixture);
}

/* --- events --- */

static json_t *hear_event(int fd, const char *type)
{
    g_autoptr(json_t) event = hear_json(fd);
    g_assert_cmpstr(json_string_value(json_object_get(event, "method")), ==, "event");
    g_assert_null(json_object_get(event, "id"));
    json_t *params = json_object_get(event, "params");
    g_assert_cmpstr(json_string_value(json_object_get(params, "type")), ==, type);
    return json_incref(json_object_get(params, "data"));
}

static void subscribe(int fd)
{
    say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"events\"}\n");
    g_autoptr(json_t) answer = hear_json(fd);
    g_assert_true(json_is_true(json_object_get(json_object_get(answer, "result"), "subscribed")));
}

static void test_events(Fixture *fixture, gconstpointer data)
{
    g_autoptr(json_t) fact = json_pack("{s:i}", "n", 5);
    control_server_emit(fixture->server, "host", NULL, fact, NULL); /* nobody listens: nothing happens */
    int reader = raw_connect(fixture->path), other = raw_connect(fixture->path);
    subscribe(reader);
    g_assert_cmpuint(control_server_subscribers(fixture->server), ==, 1);
    control_server_emit(fixture->server, "decision", NULL, fact, NULL);
    g_autoptr(json_t) event = hear_event(reader, "decision");
    g_assert_true(json_equal(event, fact));

    /* Calls go on beside the events, and who did not ask gets none. */
    say(other, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\"}\n");
    say(reader, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"echo\"}\n");
    g_autoptr(json_t) answer = hear_json(other), own = hear_json(reader);
    g_assert_cmpint(json_integer_value(json_object_get(answer, "id")), ==, 2);
    g_assert_cmpint(json_integer_value(json_object_get(own, "id")), ==, 3);
    close(reader);
    turn();
    g_assert_cmpuint(control_server_subscribers(fixture->server), ==, 0);
    close(other);
}

static void test_slow_reader(Fixture *fixture, gconstpointer data)
{
    enum { N = 3000 };
    int slow = raw_connect(fixture->path);
    subscribe(slow);
    g_autofree char *padding = g_strnfill(1000, 'x');
    for (int i = 0; i < N; i++) {
        g_autoptr(json_t) fact = json_pack("{s:i, s:s}", "n", i, "padding", padding);
        control_server_emit(fixture->server, "host", NULL, fact, NULL);
        g_main_context_iteration(NULL, FALSE);
    }
    json_int_t heard = 0, lost = 0, last = -1;
    while (lost == 0) {
        g_autoptr(json_t) event = hear_json(slow);
        json_t *params = json_object_get(event, "params");
        const char *type = json_string_value(json_object_get(params, "type"));
        if (strcmp(type, "lost") == 0) {
            lost = json_integer_value(json_object_get(json_object_get(params, "data"), "events"));
            break;
        }
        json_int_t n = json_integer_value(json_object_get(json_object_get(params, "data"), "n"));
        g_assert_cmpint(n, ==, last + 1); /* until then, all of them */
        last = n;
        heard++;
    }
    g_assert_cmpint(heard + lost, ==, N);
    g_autoptr(json_t) fact = json_pack("{s:i}", "n", 1);
    control_server_emit(fixture->server, "host", NULL, fact, NULL);
    g_autoptr(json_t) event = hear_event(slow, "host");
    g_assert_true(json_equal(event, fact));
    close(slow);
    check_alive(fixture);
}

static void test_reader_without_writing(Fixture *fixture, gconstpointer data)
{
    int fd = raw_connect(fixture->path);
    subscribe(fd);
    shutdown(fd, SHUT_WR); /* says nothing more, still listens */
    turn();
    g_autoptr(json_t) fact = json_pack("{s:i}", "n", 5);
    control_server_emit(fixture->server, "host", NULL, fact, NULL);
    g_autoptr(json_t) event = hear_event(fd, "host");
    g_assert_true(json_equal(event, fact));
    close(fd);
    turn();
    g_assert_cmpuint(control_server_subscribers(fixture->server), ==, 0);
}

/* --- who may have the socket --- */

/* A dead socket's file, as SIGKILL leaves it. */
static void leave_stale(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(dead, (struct sockaddr *)&address, sizeof address), ==, 0);
    close(dead);
}

static void test_second_server(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(control_server_new(fixture->path, NULL, dispatch, fixture, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT);
    g_autofree char *process = g_strdup_printf("process %d", (int)getpid());
    g_assert_nonnull(strstr(error->message, process));
    check_alive(fixture);
}

static void test_lock_gone(Fixture *fixture, gconstpointer data)
{
    /* Somebody removed the lock file: a socket that answers is still not taken over. */
    g_autofree char *lock = g_strconcat(fixture->path, ".lock", NULL);
    g_assert_cmpint(g_unlink(lock), ==, 0);
    g_autoptr(GError) error = NULL;
    g_assert_null(control_server_new(fixture->path, NULL, dispatch, fixture, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT);
    check_alive(fixture);
}

static void test_stale_socket(Fixture *fixture, gconstpointer data)
{
    g_autofree char *path = g_build_filename(fixture->folder, "stale.sock", NULL);
    leave_stale(path);
    GError *error = NULL;
    ControlServer *server = control_server_new(path, NULL, dispatch, fixture, &error);
    g_assert_no_error(error);
    struct stat info;
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpuint(info.st_mode & 0777, ==, 0666);
    control_server_free(server);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void test_bad_paths(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = g_strnfill(120, 'x');
    g_autofree char *long_path = g_build_filename(fixture->folder, name, NULL);
    g_assert_null(control_server_new(long_path, NULL, dispatch, fixture, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_null(control_server_new("", NULL, dispatch, fixture, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
    g_clear_error(&error);

    g_autofree char *file = g_build_filename(fixture->folder, "file", NULL);
    g_assert_true(g_file_set_contents(file, "mine", -1, NULL));
    g_assert_null(control_server_new(file, NULL, dispatch, fixture, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT);
    g_autofree char *contents = NULL;
    g_assert_true(g_file_get_contents(file, &contents, NULL, NULL));
    g_assert_cmpstr(contents, ==, "mine");
    g_assert_cmpint(g_unlink(file), ==, 0);
}

/* One daemon of many: waits for the start, says how it went, and holds what it won until all have tried. */
static G_NORETURN void race(const char *path, const int go[2], const int tried[2], const int done[2])
{
    char c = 'x';
    close(go[1]);
    close(done[1]);
    if (read(go[0], &c, 1) < 0)
        _exit(9);
    ControlServer *server = control_server_new(path, NULL, dispatch, NULL, NULL);
    c = server != NULL ? 'y' : 'n';
    if (write(tried[1], &c, 1) != 1 || read(done[0], &c, 1) < 0)
        _exit(9);
    control_server_free(server);
    _exit(0);
}

static int count_winners(const char *path)
{
    enum { N = 8 };
    int go[2], tried[2], done[2], winners = 0;
    g_assert_cmpint(pipe(go) | pipe(tried) | pipe(done), ==, 0);
    pid_t pids[N];
    for (int i = 0; i < N; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            race(path, go, tried, done);
    }
    close(go[1]);
    close(tried[1]);
    for (int i = 0; i < N; i++) {
        char c;
        g_assert_cmpint(read(tried[0], &c, 1), ==, 1);
        winners += c == 'y' ? 1 : 0;
    }
    close(done[1]);
    for (int i = 0; i < N; i++)
        g_assert_cmpint(waitpid(pids[i], NULL, 0), ==, pids[i]);
    close(go[0]);
    close(tried[0]);
    close(done[0]);
    return winners;
}

/* Many daemons starting at the same time over a dead one's socket: one wins. */
static void test_race(Fixture *fixture, gconstpointer data)
{
    g_autofree char *path = g_build_filename(fixture->folder, "race.sock", NULL);
    for (int round = 0; round < 20; round++) {
        leave_stale(path);
        g_assert_cmpint(count_winners(path), ==, 1);
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    }
}

/* --- who may ask --- */

/* In a child with another identity: how opening and calling ends, as an exit status. */
static int call_as(Fixture *fixture, uid_t uid, gid_t extra_group)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (setgroups(extra_group != 0 ? 1 : 0, &extra_group) < 0 || setgid(NOBODY) < 0 || setuid(uid) < 0)
            _exit(99);
        g_autoptr(GError) error = NULL;
        ControlClient *client = control_client_open(fixture->path, &error);
        if (client == NULL)
            _exit(10 + error->code);
        json_t *result = control_client_call(client, "echo", NULL, 10000, &error);
        _exit(result != NULL ? 0 : 50 + error->code);
    }
    int status;
    int64_t deadline_us = g_get_monotonic_time() + PATIENCE_US;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(1000);
        g_assert_cmpint(g_get_monotonic_time(), <, deadline_us);
    }
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_foreign_user(Fixture *fixture, gconstpointer data)
{
    if (getuid() != 0) {
        g_test_skip("only root can try being somebody else");
        return;
    }
    g_assert_cmpint(call_as(fixture, NOBODY, 0), ==, 0); /* what it may do is the dispatch's to say */
    g_assert_cmpuint(fixture->calls, ==, 1);
    g_assert_cmpint((int)fixture->caller.uid, ==, NOBODY);
    g_assert_false(fixture->caller.operator_);
    g_assert_cmpint(chmod(fixture->path, 0660), ==, 0);
    g_assert_cmpint(call_as(fixture, NOBODY, 0), ==, 10 + AEROSTAT_ERROR_DENIED); /* the file's mode */
    check_alive(fixture);
}

static void test_group(Fixture *fixture, gconstpointer data)
{
    struct group *group = getgrnam("daemon");
    if (getuid() != 0 || group == NULL) {
        g_test_skip("needs root and a group \"daemon\"");
        return;
    }
    gid_t gid = group->gr_gid;
    control_server_free(fixture->server);
    g_autoptr(GError) error = NULL;
    fixture->server = control_server_new(fixture->path, "daemon", dispatch, fixture, &error);
    g_assert_no_error(error);
    struct stat info;
    g_assert_cmpint(stat(fixture->path, &info), ==, 0);
    g_assert_cmpuint(info.st_gid, ==, gid);
    g_assert_cmpint(call_as(fixture, NOBODY, gid), ==, 0);
    g_assert_true(fixture->caller.operator_);
    g_assert_cmpint(call_as(fixture, NOBODY, 0), ==, 0);
    g_assert_false(fixture->caller.operator_);

    control_server_free(fixture->server);
    fixture->server = control_server_new(fixture->path, "no-such-group-here", dispatch, fixture, &error);
    g_assert_no_error(error);
    check_alive(fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    static const struct {
        const char *name;
        void (*run)(Fixture *fixture, gconstpointer data);
    } tests[] = {
        {"answers", test_answers},
        {"notification", test_notification},
        {"errors", test_errors},
        {"bad-requests", test_bad_requests},
        {"deep", test_deep},
        {"longest-line", test_longest_line},
        {"oversized-line", test_oversized_line},
        {"half-lines", test_half_lines},
        {"half-close", test_half_close},
        {"ask-and-leave", test_ask_and_leave},
        {"flood", test_flood},
        {"never-reads", test_never_reads},
        {"too-many", test_too_many},
        {"events", test_events},
        {"slow-reader", test_slow_reader},
        {"reader-without-writing", test_reader_without_writing},
        {"second-server", test_second_server},
        {"lock-gone", test_lock_gone},
        {"stale-socket", test_stale_socket},
        {"bad-paths", test_bad_paths},
        {"race", test_race},
        {"foreign-user", test_foreign_user},
        {"group", test_group},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/control/", tests[i].name, NULL);
        g_test_add(path, Fixture, NULL, set_up, tests[i].run, tear_down);
    }
    return g_test_run();
}
