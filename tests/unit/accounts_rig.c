#include "accounts_rig.h"
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib/gstdio.h>

int dial(const House *house)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, house->path, sizeof address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    return fd;
}

void house_begin(House *house, gconstpointer data)
{
    *house = (House){.in = g_string_new(NULL)};
    house->folder = g_dir_make_tmp("aerostat-accounts-XXXXXX", NULL);
    house->path = g_build_filename(house->folder, "socket", NULL);
    house->state = g_build_filename(house->folder, "state", NULL);
    house->store = store_open(house->state, NULL);
    g_assert_nonnull(house->store);
    rig_begin(&house->rig, 9 * GIB, MODE_OBSERVE);
    house->rig.options.store = house->store;
    fake_guest_add(house->rig.fake, MINE, GIB);
    fake_guest_add(house->rig.fake, FOREIGN, GIB);
    rig_start(&house->rig, NULL);
    house->login = login_new(house->store);
    house->refusals = refusals_new();
    house->changes = refusals_new();
    house->context = (MethodsContext){.engine = house->rig.engine,
                                      .store = house->store,
                                      .login = house->login,
                                      .refusals = house->refusals,
                                      .changes = house->changes};
    house->server = control_server_new(house->path, NULL, methods_dispatch, &house->context, NULL);
    house->publisher = methods_publisher_new(house->rig.engine, house->server);
    RIG_UNTIL(engine_servers(house->rig.engine)->len == 2 && engine_host(house->rig.engine)->beats > 1);
    house->fd = dial(house);
}

static void remove_all(const char *folder)
{
    const char *name;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
}

void house_end(House *house, gconstpointer data)
{
    close(house->fd);
    methods_publisher_free(house->publisher);
    control_server_free(house->server);
    rig_end(&house->rig);
    login_free(house->login);
    refusals_free(house->refusals);
    refusals_free(house->changes);
    store_free(house->store);
    remove_all(house->state);
    remove_all(house->folder);
    g_free(house->folder);
    g_free(house->path);
    g_free(house->state);
    g_string_free(house->in, TRUE);
}

void say(int fd, const char *line)
{
    g_assert_cmpint(send(fd, line, strlen(line), MSG_NOSIGNAL), ==, (ssize_t)strlen(line));
}

json_t *hear_one(GString *in, int fd)
{
    char buffer[65536];
    ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got > 0)
        g_string_append_len(in, buffer, got);
    char *newline = strchr(in->str, '\n');
    if (!newline)
        return NULL;
    json_t *object = json_loadb(in->str, (size_t)(newline - in->str), 0, NULL);
    g_string_erase(in, 0, newline - in->str + 1);
    g_assert_nonnull(object);
    return object;
}

json_t *hear(House *house)
{
    json_t *object = NULL;
    RIG_UNTIL((object = hear_one(house->in, house->fd)) != NULL);
    return object;
}

json_t *ask(House *house, const char *auth, const char *method, const char *params)
{
    g_autoptr(json_t) request = json_pack("{s:s, s:i, s:s}", "jsonrpc", "2.0", "id", 1, "method", method);
    json_t *object = json_loads(params, 0, NULL);
    g_assert_nonnull(object);
    json_object_set_new(request, "params", object);
    const char *equals = auth ? strchr(auth, '=') : NULL;
    if (auth && !equals) {
        json_object_set_new(request, "auth", json_object());
    } else if (auth) {
        g_autofree char *key = g_strndup(auth, (gsize)(equals - auth));
        json_object_set_new(request, "auth", json_pack("{s:s}", key, equals + 1));
        json_object_set_new(request, "from", json_string("192.0.2.7"));
    }
    g_autofree char *line = json_line(request);
    say(house->fd, line);
    return hear(house);
}

json_t *ask_well(House *house, const char *auth, const char *method, const char *params)
{
    g_autoptr(json_t) answer = ask(house, auth, method, params);
    json_t *result = json_object_get(answer, "result");
    if (!result) {
        g_autofree char *text = json_line(answer);
        g_error("%s %s: %s", method, params, text);
    }
    return json_incref(result);
}

const char *kind_of(json_t *answer)
{
    json_t *data = json_object_get(json_object_get(answer, "error"), "data");
    return json_string_value(json_object_get(data, "kind"));
}

const char *message_of(json_t *answer)
{
    return json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
}

void ask_badly(House *house, const char *auth, const char *method, const char *params, const char *kind,
               const char *words)
{
    g_autoptr(json_t) answer = ask(house, auth, method, params);
    if (g_strcmp0(kind_of(answer), kind) != 0 || !strstr(message_of(answer), words)) {
        g_autofree char *text = json_line(answer);
        g_error("%s %s: wanted %s with \"%s\": %s", method, params, kind, words, text);
    }
}

const char *word(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

void add_user(House *house, const char *name, const char *role)
{
    g_autofree char *params =
        g_strdup_printf("{\"name\":\"%s\",\"role\":\"%s\",\"password\":\"" PASSWORD "\"}", name, role);
    json_decref(ask_well(house, NULL, "user_add", params));
}

char *log_in(House *house, const char *user)
{
    g_autofree char *params = g_strdup_printf("{\"user\":\"%s\",\"password\":\"" PASSWORD "\"}", user);
    g_autoptr(json_t) result = ask_well(house, NULL, "login", params);
    return g_strconcat("session=", word(result, "session"), NULL);
}

char *owner_token(House *house)
{
    add_user(house, "alice", "owner");
    json_decref(ask_well(house, NULL, "own", "{\"name\":\"" MINE "\",\"user\":\"ALICE\"}"));
    g_autoptr(json_t) token = ask_well(house, NULL, "token_add", "{\"user\":\"alice\",\"label\":\"tests\"}");
    return g_strconcat("token=", word(token, "token"), NULL);
}
