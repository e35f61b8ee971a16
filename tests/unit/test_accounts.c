/* Accounts over a real socket and a real store: logging in, tokens, who may call what, and what the audit says of it. */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "base/error.h"
#include "base/json.h"
#include "control/limiter.h"
#include "control/login.h"
#include "control/method.h"
#include "engine_rig.h"

#define MINE     "web-1"
#define FOREIGN  "secret-db"
#define PASSWORD "correct horse"

typedef struct {
    Rig rig;
    char *folder, *path, *state;
    Store *store;
    Login *login;
    ControlServer *server;
    MethodsPublisher *publisher;
    MethodsContext context;
    int fd;
    GString *in;
} House;

static int dial(const House *house)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, house->path, sizeof address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    return fd;
}

static void begin(House *house, gconstpointer data)
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
    house->context =
        (MethodsContext){.engine = house->rig.engine, .store = house->store, .login = house->login};
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

static void end(House *house, gconstpointer data)
{
    close(house->fd);
    methods_publisher_free(house->publisher);
    control_server_free(house->server);
    rig_end(&house->rig);
    login_free(house->login);
    store_free(house->store);
    remove_all(house->state);
    remove_all(house->folder);
    g_free(house->folder);
    g_free(house->path);
    g_free(house->state);
    g_string_free(house->in, TRUE);
}

static void say(int fd, const char *line)
{
    g_assert_cmpint(send(fd, line, strlen(line), MSG_NOSIGNAL), ==, (ssize_t)strlen(line));
}

/* The next line that is there; NULL when none is. */
static json_t *hear_one(GString *in, int fd)
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

static json_t *hear(House *house)
{
    json_t *object = NULL;
    RIG_UNTIL((object = hear_one(house->in, house->fd)) != NULL);
    return object;
}

/* @auth: (nullable) as in "token=..." or "session=...", empty for nobody in particular; @params: JSON. */
static json_t *ask(House *house, const char *auth, const char *method, const char *params)
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

static json_t *ask_well(House *house, const char *auth, const char *method, const char *params)
{
    g_autoptr(json_t) answer = ask(house, auth, method, params);
    json_t *result = json_object_get(answer, "result");
    if (!result) {
        g_autofree char *text = json_line(answer);
        g_error("%s %s: %s", method, params, text);
    }
    return json_incref(result);
}

static const char *kind_of(json_t *answer)
{
    json_t *data = json_object_get(json_object_get(answer, "error"), "data");
    return json_string_value(json_object_get(data, "kind"));
}

static const char *message_of(json_t *answer)
{
    return json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
}

static void ask_badly(House *house, const char *auth, const char *method, const char *params,
                      const char *kind, const char *words)
{
    g_autoptr(json_t) answer = ask(house, auth, method, params);
    if (g_strcmp0(kind_of(answer), kind) != 0 || !strstr(message_of(answer), words)) {
        g_autofree char *text = json_line(answer);
        g_error("%s %s: wanted %s with \"%s\": %s", method, params, kind, words, text);
    }
}

static const char *word(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void add_user(House *house, const char *name, const char *role)
{
    g_autofree char *params =
        g_strdup_printf("{\"name\":\"%s\",\"role\":\"%s\",\"password\":\"" PASSWORD "\"}", name, role);
    json_decref(ask_well(house, NULL, "user_add", params));
}

/* (transfer full) "session=..." */
static char *log_in(House *house, const char *user)
{
    g_autofree char *params = g_strdup_printf("{\"user\":\"%s\",\"password\":\"" PASSWORD "\"}", user);
    g_autoptr(json_t) result = ask_well(house, NULL, "login", params);
    return g_strconcat("session=", word(result, "session"), NULL);
}

static char *owner_token(House *house)
{
    add_user(house, "alice", "owner");
    json_decref(ask_well(house, NULL, "own", "{\"name\":\"" MINE "\",\"user\":\"ALICE\"}"));
    g_autoptr(json_t) token = ask_well(house, NULL, "token_add", "{\"user\":\"alice\",\"label\":\"tests\"}");
    return g_strconcat("token=", word(token, "token"), NULL);
}

static void test_login(House *house, gconstpointer data)
{
    add_user(house, "Alice", "owner");
    g_autoptr(json_t) in =
        ask_well(house, NULL, "login", "{\"user\":\"alice\",\"password\":\"" PASSWORD "\"}");
    g_assert_cmpstr(word(in, "user"), ==, "Alice");
    g_assert_cmpstr(word(in, "role"), ==, "owner");
    g_assert_cmpint(json_integer_value(json_object_get(in, "expires_in_us")), >, 0);
    g_autofree char *session = g_strconcat("session=", word(in, "session"), NULL);
    g_autoptr(json_t) who = ask_well(house, session, "whoami", "{}");
    g_assert_cmpstr(word(who, "user"), ==, "Alice");
    g_assert_cmpstr(word(who, "role"), ==, "owner");
    g_assert_cmpstr(word(who, "via"), ==, "session");
    ask_badly(house, NULL, "login", "{\"user\":\"alice\",\"password\":\"wrong horse\"}", "unauthenticated",
              "the user name or the password is wrong");
    ask_badly(house, NULL, "login", "{\"user\":\"nobody\",\"password\":\"wrong horse\"}", "unauthenticated",
              "the user name or the password is wrong");
    ask_badly(house, NULL, "login", "{\"user\":\"alice\"}", "invalid", "password");
    json_decref(ask_well(house, session, "logout", "{}"));
    ask_badly(house, session, "whoami", "{}", "unauthenticated", "log in again");
    ask_badly(house, "session=", "whoami", "{}", "unauthenticated", "log in again");
    ask_badly(house, "token=aero_nonsense", "list", "{}", "unauthenticated", "log in again");
    ask_badly(house, "cookie=x", "list", "{}", "invalid", "auth must be");
    /* Whoever relays for nobody in particular has none of its own rights. */
    ask_badly(house, "", "list", "{}", "unauthenticated", "needs a login");
    ask_badly(house, NULL, "logout", "{}", "conflict", "no session");
    /* The session may not be used as a token, nor the other way round. */
    g_autofree char *again = log_in(house, "alice");
    g_autofree char *turned = g_strconcat("token=", strchr(again, '=') + 1, NULL);
    ask_badly(house, turned, "whoami", "{}", "unauthenticated", "log in again");
}

static void test_passwords(House *house, gconstpointer data)
{
    add_user(house, "alice", "owner");
    add_user(house, "bob", "owner");
    g_autofree char *alice = log_in(house, "alice"), *elsewhere = log_in(house, "alice");
    ask_badly(house, alice, "user_password", "{\"password\":\"a new horse\"}", "invalid", "current password");
    ask_badly(house, alice, "user_password", "{\"password\":\"a new horse\",\"current\":\"no\"}", "forbidden",
              "current password is wrong");
    ask_badly(house, alice, "user_password", "{\"password\":\"short\",\"current\":\"" PASSWORD "\"}",
              "invalid", "too short");
    ask_badly(house, alice, "user_password", "{\"name\":\"bob\",\"password\":\"a new horse\"}", "forbidden",
              "for operators");
    json_decref(ask_well(house, alice, "user_password",
                         "{\"password\":\"a new horse\",\"current\":\"" PASSWORD "\"}"));
    json_decref(ask_well(house, alice, "whoami", "{}")); /* this one goes on, the other has ended */
    ask_badly(house, elsewhere, "whoami", "{}", "unauthenticated", "log in again");
    json_decref(ask_well(house, NULL, "login", "{\"user\":\"alice\",\"password\":\"a new horse\"}"));
    json_decref(ask_well(house, NULL, "user_password", "{\"name\":\"alice\",\"password\":\"" PASSWORD "\"}"));
    ask_badly(house, alice, "whoami", "{}", "unauthenticated", "log in again");
    ask_badly(house, NULL, "user_password", "{\"password\":\"a new horse\"}", "invalid", "whose password");
    ask_badly(house, NULL, "user_password", "{\"name\":\"carol\",\"password\":\"a new horse\"}", "not-found",
              "no account");
}

static void test_accounts(House *house, gconstpointer data)
{
    add_user(house, "alice", "owner");
    add_user(house, "root.2@example.org", "operator");
    ask_badly(house, NULL, "user_add",
              "{\"name\":\"ALICE\",\"role\":\"owner\",\"password\":\"" PASSWORD "\"}", "conflict", "already");
    ask_badly(house, NULL, "user_add", "{\"name\":\"x\",\"role\":\"king\",\"password\":\"" PASSWORD "\"}",
              "invalid", "operator or owner");
    json_decref(ask_well(house, NULL, "own", "{\"name\":\"" MINE "\",\"user\":\"alice\"}"));
    ask_badly(house, NULL, "own", "{\"name\":\"" MINE "\",\"user\":\"carol\"}", "not-found", "no account");
    ask_badly(house, NULL, "own", "{\"name\":\"" MINE "\"}", "invalid", "user");
    ask_badly(house, NULL, "own", "{\"name\":\"web-9\",\"user\":\"alice\"}", "not-found", "no server");
    g_autoptr(json_t) list = ask_well(house, NULL, "user_list", "{}");
    json_t *alice = json_array_get(json_object_get(list, "users"), 0);
    g_assert_cmpstr(word(alice, "name"), ==, "alice");
    g_assert_cmpint(json_integer_value(json_object_get(alice, "servers")), ==, 1);
    g_autoptr(json_t) server = ask_well(house, NULL, "show", "{\"name\":\"" MINE "\"}");
    g_assert_cmpstr(word(server, "owner"), ==, "alice");
    g_autofree char *session = log_in(house, "alice");
    json_decref(ask_well(house, NULL, "user_remove", "{\"name\":\"alice\"}"));
    ask_badly(house, session, "whoami", "{}", "unauthenticated", "log in again");
    ask_badly(house, NULL, "user_remove", "{\"name\":\"alice\"}", "not-found", "no account");
    g_autoptr(json_t) orphan = ask_well(house, NULL, "show", "{\"name\":\"" MINE "\"}");
    g_assert_true(json_is_null(json_object_get(orphan, "owner")));
}

static void test_tokens(House *house, gconstpointer data)
{
    g_autofree char *alice = owner_token(house);
    g_autoptr(json_t) own =
        ask_well(house, alice, "token_add", "{\"label\":\"second\",\"expires_in_seconds\":1}");
    g_assert_true(g_str_has_prefix(word(own, "token"), "aero_"));
    g_autoptr(json_t) list = ask_well(house, alice, "token_list", "{}");
    json_t *tokens = json_object_get(list, "tokens");
    g_assert_cmpuint(json_array_size(tokens), ==, 2);
    g_assert_null(json_object_get(json_array_get(tokens, 0), "token")); /* shown once */
    g_autofree char *second = g_strconcat("token=", word(own, "token"), NULL);
    rig_pass(1200);
    ask_badly(house, second, "list", "{}", "unauthenticated", "log in again");
    add_user(house, "bob", "owner");
    g_autoptr(json_t) bobs = ask_well(house, NULL, "token_add", "{\"label\":\"bob's\",\"user\":\"bob\"}");
    g_autofree char *revoke =
        g_strdup_printf("{\"id\":%d}", (int)json_integer_value(json_object_get(bobs, "id")));
    ask_badly(house, alice, "token_revoke", revoke, "not-found", "no token");
    ask_badly(house, alice, "token_add", "{\"label\":\"x\",\"user\":\"bob\"}", "forbidden", "for operators");
    ask_badly(house, alice, "token_list", "{\"user\":\"bob\"}", "forbidden", "for operators");
    ask_badly(house, NULL, "token_add", "{\"label\":\"x\"}", "invalid", "whose token");
    ask_badly(house, alice, "token_add", "{\"label\":\"\"}", "invalid", "what the token is for");
    ask_badly(house, alice, "token_add", "{\"label\":\"a\\nb\"}", "invalid", "one line");
    ask_badly(house, alice, "token_add", "{\"label\":\"x\",\"expires_in_seconds\":0}", "invalid",
              "expires_in_seconds");
    json_decref(ask_well(house, NULL, "token_revoke", revoke));
    ask_badly(house, NULL, "token_revoke", revoke, "not-found", "no token");
}

/* What a method could need, all at once: each takes what it knows. */
static char *params_for(const char *server)
{
    return g_strdup_printf(
        "{\"name\":\"%s\",\"ballooning_enabled\":false,\"action\":\"stop\",\"image\":\"none\","
        "\"confirm\":\"%s\",\"memory_bytes\":1073741824,\"user\":\"alice\",\"label\":\"x\","
        "\"role\":\"owner\",\"password\":\"" PASSWORD "\",\"id\":1,\"bytes\":1048576,"
        "\"for\":\"%s\"}",
        server, server, server);
}

/* Nothing that belongs to somebody else, in any field. */
static void assert_private(json_t *answer)
{
    g_autofree char *text = json_line(answer);
    if (strstr(text, FOREIGN))
        g_error("tells of a foreign server: %s", text);
}

/* The same words for a foreign server as for one that is not there. */
static void assert_not_found(House *house, const char *token, const char *method)
{
    g_autofree char *foreign = params_for(FOREIGN), *unknown = params_for("nowhere-1");
    g_autoptr(json_t) a = ask(house, token, method, foreign);
    g_autoptr(json_t) b = ask(house, token, method, unknown);
    g_assert_cmpstr(kind_of(a), ==, "not-found");
    g_assert_cmpstr(kind_of(b), ==, "not-found");
    g_auto(GStrv) parts = g_strsplit(message_of(a), FOREIGN, -1);
    g_autofree char *same = g_strjoinv("nowhere-1", parts);
    g_assert_cmpstr(same, ==, message_of(b));
}

static void try_method(House *house, const char *token, const MethodRow *row)
{
    g_autofree char *foreign = params_for(FOREIGN);
    g_test_message("%s", row->name);
    if (g_str_equal(row->name, "events") || g_str_equal(row->name, "login"))
        return; /* tests of their own */
    g_autoptr(json_t) answer = NULL;
    switch (row->access) {
    case ACCESS_UNSET:
        g_error("method %s has no access rule", row->name);
    case ACCESS_SERVER:
    case ACCESS_SERVER_OR_ALL:
        assert_not_found(house, token, row->name);
        break;
    case ACCESS_OPERATOR:
    case ACCESS_OPERATOR_SERVER:
        answer = ask(house, token, row->name, foreign);
        g_assert_cmpstr(kind_of(answer), ==, "forbidden");
        break;
    case ACCESS_ACCOUNT:
        answer = ask(house, token, row->name, "{}");
        assert_private(answer);
        break;
    case ACCESS_ANYONE:
        answer = ask(house, NULL, row->name, "{}");
        assert_private(answer);
        break;
    }
}

static void test_every_method(House *house, gconstpointer data)
{
    g_autofree char *token = owner_token(house);
    guint tried = 0;
    for (guint i = 0; i < N_METHOD_TABLES; i++)
        for (guint j = 0; j < METHOD_TABLES[i]->n; j++, tried++)
            try_method(house, token, &METHOD_TABLES[i]->rows[j]);
    g_assert_cmpuint(tried, >, 20);
    /* Nothing has happened to it. */
    g_autoptr(json_t) server = ask_well(house, NULL, "show", "{\"name\":\"" FOREIGN "\"}");
    g_assert_cmpint(json_integer_value(json_object_get(server, "revision")), ==, 0);
    g_assert_true(json_is_null(json_object_get(server, "owner")));
}

/* What an owner may see and do with his own, and no more of it than is his. */
static void test_owner(House *house, gconstpointer data)
{
    static const char *const READS[] = {"show", "explain", "journal", "audit", "history"};
    g_autofree char *token = owner_token(house);
    json_decref(ask_well(house, NULL, "set", "{\"name\":\"" FOREIGN "\",\"weight\":7}"));
    json_decref(ask_well(house, NULL, "set", "{\"name\":\"" MINE "\",\"weight\":7}"));
    for (guint i = 0; i < G_N_ELEMENTS(READS); i++) {
        g_autoptr(json_t) own = ask_well(house, token, READS[i], "{\"name\":\"" MINE "\"}");
        assert_private(own);
    }
    g_autoptr(json_t) list = ask_well(house, token, "list", "{}");
    g_assert_cmpuint(json_array_size(json_object_get(list, "servers")), ==, 1);
    g_autoptr(json_t) all = ask_well(house, token, "journal", "{}");
    assert_private(all);
    g_autoptr(json_t) status = ask_well(house, token, "status", "{}");
    g_assert_cmpuint(json_object_size(status), ==, 4);
    g_assert_cmpint(json_integer_value(json_object_get(status, "servers")), ==, 1);
    ask_badly(house, token, "set", "{\"name\":\"" MINE "\",\"weight\":9}", "forbidden",
              "weight is for operators");
    ask_badly(house, token, "set", "{\"name\":\"" MINE "\",\"minimum_bytes\":null}", "forbidden",
              "minimum_bytes");
    ask_badly(house, token, "history", "{}", "forbidden", "host's history");
    json_decref(ask_well(house, token, "set", "{\"name\":\"" MINE "\",\"ballooning_enabled\":false}"));
    ServerSettings kept;
    g_assert_true(store_get_settings(house->store, rig_server(&house->rig, MINE)->latest->id, &kept, NULL));
    g_assert_true(kept.ballooning_disabled);
    g_assert_cmpuint(kept.weight, ==, 7);
    json_decref(ask_well(house, NULL, "own", "{\"name\":\"" MINE "\",\"user\":null}"));
    ask_badly(house, token, "show", "{\"name\":\"" MINE "\"}", "not-found", "no server");
}

static void test_conflict(House *house, gconstpointer data)
{
    g_autoptr(json_t) first =
        ask_well(house, NULL, "set", "{\"name\":\"" MINE "\",\"weight\":5,\"revision\":0}");
    g_assert_cmpint(json_integer_value(json_object_get(first, "revision")), ==, 1);
    ask_badly(house, NULL, "set", "{\"name\":\"" MINE "\",\"weight\":6,\"revision\":0}", "conflict",
              "somebody else has changed its settings");
    g_autoptr(json_t) second =
        ask_well(house, NULL, "set", "{\"name\":\"" MINE "\",\"weight\":null,\"revision\":1}");
    g_assert_cmpint(json_integer_value(json_object_get(second, "revision")), ==, 2);
    ask_badly(house, NULL, "set", "{\"name\":\"" MINE "\",\"weight\":6,\"revision\":\"2\"}", "invalid",
              "revision");
    ask_badly(house, NULL, "set", "{\"name\":\"" MINE "\",\"ballooning_enabled\":\"no\"}", "invalid",
              "ballooning_enabled");
}

static void test_audit(House *house, gconstpointer data)
{
    g_autofree char *token = owner_token(house);
    json_decref(ask_well(house, token, "set", "{\"name\":\"" MINE "\",\"ballooning_enabled\":false}"));
    json_decref(ask(house, token, "set", "{\"name\":\"" FOREIGN "\",\"ballooning_enabled\":false}"));
    json_decref(ask(house, NULL, "login", "{\"user\":\"eve'; DROP TABLE audit; --\",\"password\":\"x\"}"));
    json_t *entries = NULL;
    g_autoptr(json_t) answer = NULL;
    /* Refusals come by the worker. */
    do {
        json_decref(answer);
        answer = ask_well(house, NULL, "audit", "{}");
        entries = json_object_get(answer, "entries");
    } while (json_array_size(entries) < 6);
    json_t *failed = json_array_get(entries, 0), *refused = json_array_get(entries, 1),
           *done = json_array_get(entries, 2), *owned = json_array_get(entries, 4);
    g_assert_cmpstr(word(failed, "action"), ==, "login");
    g_assert_cmpstr(word(failed, "who"), ==, "eve'; DROP TABLE audit; --");
    g_assert_nonnull(strstr(word(failed, "result"), "wrong"));
    g_assert_cmpstr(word(refused, "name"), ==, FOREIGN);
    g_assert_true(g_str_has_prefix(word(refused, "result"), "not-found: "));
    g_assert_cmpstr(word(done, "action"), ==, "set");
    g_assert_cmpstr(word(done, "who"), ==, "alice");
    g_assert_cmpstr(word(done, "from"), ==, "web 192.0.2.7");
    g_assert_cmpstr(word(done, "result"), ==, "done");
    g_assert_true(json_is_true(json_object_get(json_object_get(done, "before"), "ballooning_enabled")));
    g_assert_true(json_is_false(json_object_get(json_object_get(done, "after"), "ballooning_enabled")));
    g_assert_cmpstr(word(owned, "action"), ==, "own");
    g_assert_cmpstr(word(owned, "from"), ==, "local");
    g_assert_true(g_str_has_suffix(word(owned, "who"), "@local"));
    g_autoptr(json_t) own = ask_well(house, token, "audit", "{}");
    json_t *mine = json_object_get(own, "entries");
    g_assert_cmpuint(json_array_size(mine), ==, 1); /* not even how it came to be hers */
    g_assert_cmpstr(word(json_array_get(mine, 0), "action"), ==, "set");
    g_autofree char *older =
        g_strdup_printf("{\"limit\":1,\"before\":%d}", (int)json_integer_value(json_object_get(done, "id")));
    g_autoptr(json_t) page = ask_well(house, NULL, "audit", older);
    json_t *next = json_array_get(json_object_get(page, "entries"), 0);
    g_assert_cmpint(json_integer_value(json_object_get(next, "id")), <,
                    json_integer_value(json_object_get(done, "id")));
    ask_badly(house, NULL, "audit", "{\"limit\":0}", "invalid", "1 to");
    ask_badly(house, token, "audit", "{\"name\":\"" FOREIGN "\"}", "not-found", "no server");
}

/* Words that have broken other programs, in every text field there is: refused with a reason, or kept as they are. */
static void test_bad_words(House *house, gconstpointer data)
{
    static const char *const WORDS[] = {"",        "..",     "../../etc/passwd",
                                        "a/b",     "a\\\"b", "';DROP TABLE accounts;--",
                                        "a b",     "-rf",    "\\u0000",
                                        "\\u202e", "a\\nb",  "root@local",
                                        "<b>x",    "$(id)",  "%s%n",
                                        "\\ud800"};
    g_autofree char *endless = g_strnfill(300, 'x');
    for (guint i = 0; i <= G_N_ELEMENTS(WORDS); i++) {
        const char *bad = i < G_N_ELEMENTS(WORDS) ? WORDS[i] : endless;
        g_autofree char *line = g_strdup_printf(
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"user_add\",\"params\":{\"name\":\"%s\","
            "\"role\":\"owner\",\"password\":\"" PASSWORD "\"}}\n",
            bad);
        say(house->fd, line);
        g_autoptr(json_t) answer = hear(house);
        g_test_message("%s: %s", bad, message_of(answer));
        g_assert_cmpstr(kind_of(answer), ==, "invalid");
    }
    const char raw[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"show\",\"params\":{\"name\":\"\xff\xfe\"}}\n";
    say(house->fd, raw);
    g_autoptr(json_t) invalid = hear(house);
    g_assert_cmpstr(kind_of(invalid), ==, "invalid");
    add_user(house, "alice", "owner");
    json_decref(
        ask_well(house, NULL, "token_add", "{\"user\":\"alice\",\"label\":\"'; DROP TABLE tokens; --\"}"));
    g_autoptr(json_t) list = ask_well(house, NULL, "token_list", "{}");
    json_t *kept = json_array_get(json_object_get(list, "tokens"), 0);
    g_assert_cmpstr(word(kept, "label"), ==, "'; DROP TABLE tokens; --");
    g_autoptr(json_t) users = ask_well(house, NULL, "user_list", "{}");
    g_assert_cmpuint(json_array_size(json_object_get(users, "users")), ==, 1);
}

/* A thousand wrong passwords from one address do not keep anybody else out; from there nobody gets in for a while. */
static void test_flood(House *house, gconstpointer data)
{
    add_user(house, "alice", "owner");
    add_user(house, "bob", "owner");
    g_autofree char *known = log_in(house, "alice");
    int flood = dial(house);
    g_autoptr(GString) in = g_string_new(NULL);
    guint refused = 0, wrong = 0;
    for (guint i = 0; i < 1000; i++) {
        g_autofree char *line = g_strdup_printf(
            "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"login\",\"from\":\"198.51.100.%d\",\"params\":"
            "{\"user\":\"%s\",\"password\":\"guess %u\"}}\n",
            i, 9, i % 2 ? "bob" : "alice", i);
        json_t *answer = NULL;
        say(flood, line);
        if (i % 50 == 49) { /* as they come: wrong ones late, refused ones at once */
            g_main_context_iteration(NULL, FALSE);
            while ((answer = hear_one(in, flood)) != NULL) {
                refused += g_strcmp0(kind_of(answer), "rate-limited") == 0;
                wrong += g_strcmp0(kind_of(answer), "unauthenticated") == 0;
                json_decref(answer);
            }
        }
        for (guint turn = 0; turn < 3; turn++)
            g_main_context_iteration(NULL, FALSE);
    }
    json_t *answer = NULL;
    while (refused + wrong < 1000) {
        RIG_UNTIL((answer = hear_one(in, flood)) != NULL);
        refused += g_strcmp0(kind_of(answer), "rate-limited") == 0;
        wrong += g_strcmp0(kind_of(answer), "unauthenticated") == 0;
        if (g_strcmp0(kind_of(answer), "rate-limited") == 0) {
            json_t *figures = json_object_get(json_object_get(answer, "error"), "data");
            g_assert_cmpint(json_integer_value(json_object_get(figures, "retry_after_s")), >, 0);
        }
        json_decref(answer);
    }
    g_test_message("%u wrong, %u refused", wrong, refused);
    g_assert_cmpuint(wrong, <=, 20);
    g_free(log_in(house, "alice"));
    g_autofree char *bob = log_in(house, "bob");
    json_decref(ask_well(house, known, "whoami", "{}"));
    json_decref(ask_well(house, bob, "whoami", "{}"));
    close(flood);
}

/* One that has a whole /64 is one source still: the fifth attempt at the same time is one too many, wherever in it. */
static void test_ipv6_source(House *house, gconstpointer data)
{
    add_user(house, "alice", "owner");
    static const char *const FROM[] = {"2001:db8::1", "2001:db8::2:1", "2001:DB8::3", "2001:db8::4",
                                       "2001:db8::ffff:5"};
    for (guint i = 0; i < G_N_ELEMENTS(FROM); i++) {
        g_autofree char *line =
            g_strdup_printf("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"login\",\"from\":\"%s\",\"params\":"
                            "{\"user\":\"alice\",\"password\":\"guess %u\"}}\n",
                            FROM[i], i);
        say(house->fd, line);
    }
    guint refused = 0;
    for (guint i = 0; i < G_N_ELEMENTS(FROM); i++) {
        g_autoptr(json_t) answer = hear(house);
        refused += g_strcmp0(kind_of(answer), "rate-limited") == 0;
    }
    g_assert_cmpuint(refused, ==, 1);
}

/* An owner hears of his own servers only, and nothing of the host; nothing at all once the token is revoked. */
static void test_events(House *house, gconstpointer data)
{
    g_autofree char *token = owner_token(house);
    int ear = dial(house);
    g_autoptr(GString) in = g_string_new(NULL);
    g_autofree char *line =
        g_strdup_printf("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"events\",\"auth\":{\"token\":\"%s\"}}\n",
                        strchr(token, '=') + 1);
    say(ear, line);
    json_t *answer = NULL;
    RIG_UNTIL((answer = hear_one(in, ear)) != NULL);
    g_assert_nonnull(json_object_get(answer, "result"));
    json_decref(answer);
    guint servers = 0;
    for (guint i = 0; i < 40; i++) {
        rig_pass(20);
        json_decref(ask_well(house, NULL, "set",
                             i % 2 ? "{\"name\":\"" MINE "\",\"weight\":5}"
                                   : "{\"name\":\"" MINE "\",\"weight\":6}"));
        json_decref(ask_well(house, NULL, "set",
                             i % 2 ? "{\"name\":\"" FOREIGN "\",\"weight\":5}"
                                   : "{\"name\":\"" FOREIGN "\",\"weight\":6}"));
        while ((answer = hear_one(in, ear)) != NULL) {
            const char *type = word(json_object_get(answer, "params"), "type");
            assert_private(answer);
            g_assert_cmpstr(type, !=, "host");
            servers += g_strcmp0(type, "server") == 0;
            json_decref(answer);
        }
    }
    g_assert_cmpuint(servers, >, 5);
    close(ear);
}

static void test_limiter(void)
{
    g_autoptr(Limiter) limiter = limiter_new();
    int64_t now_us = 1;
    limiter_succeeded(limiter, "Alice", "home", now_us);
    for (guint i = 0; i < 4; i++) {
        g_assert_false(limiter_failed(limiter, "alice", "evil", now_us));
        g_assert_cmpuint(limiter_wait_s(limiter, "alice", "evil", now_us), ==, 0);
    }
    g_assert_true(limiter_failed(limiter, "bob", "evil", now_us)); /* the source's fifth, whoever it tried */
    g_assert_cmpuint(limiter_wait_s(limiter, "carol", "evil", now_us), ==, 1);
    g_assert_cmpuint(limiter_wait_s(limiter, "carol", "home", now_us), ==, 0);
    for (guint i = 0; i < 20; i++)
        limiter_failed(limiter, "bob", "evil", now_us);
    g_assert_cmpuint(limiter_wait_s(limiter, "carol", "evil", now_us), ==, 60);
    g_assert_cmpuint(limiter_wait_s(limiter, "carol", "evil", now_us + 59 * G_USEC_PER_SEC), ==, 1);
    g_assert_cmpuint(limiter_wait_s(limiter, "carol", "evil", now_us + 60 * G_USEC_PER_SEC), ==, 0);
    /* From many places against one account: strangers wait, who is known to it does not. */
    for (guint i = 0; i < 10; i++) {
        g_autofree char *source = g_strdup_printf("bot-%u", i);
        limiter_failed(limiter, "alice", source, now_us);
    }
    g_assert_cmpuint(limiter_wait_s(limiter, "ALICE", "bot-99", now_us), >, 0);
    g_assert_cmpuint(limiter_wait_s(limiter, "alice", "home", now_us), ==, 0);
    /* One that has an account of its own gets no new tries for the others by logging in to it. */
    limiter_succeeded(limiter, "evil", "evil", now_us);
    g_assert_cmpuint(limiter_wait_s(limiter, "alice", "evil", now_us), ==, 60);
    now_us += INT64_C(901) * G_USEC_PER_SEC;
    g_assert_false(limiter_failed(limiter, "alice", "evil", now_us)); /* forgotten */
    g_assert_cmpuint(limiter_wait_s(limiter, "alice", "evil", now_us), ==, 0);
    for (guint i = 0; i < 100000; i++) { /* bounded, whatever comes */
        g_autofree char *any = g_strdup_printf("%u", i);
        limiter_failed(limiter, any, any, now_us + i);
    }
}

#define ADD(name, test) g_test_add("/accounts/" name, House, NULL, begin, test, end)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("login", test_login);
    ADD("passwords", test_passwords);
    ADD("accounts", test_accounts);
    ADD("tokens", test_tokens);
    ADD("every-method", test_every_method);
    ADD("owner", test_owner);
    ADD("conflict", test_conflict);
    ADD("audit", test_audit);
    ADD("bad-words", test_bad_words);
    ADD("flood", test_flood);
    ADD("ipv6-source", test_ipv6_source);
    ADD("events", test_events);
    g_test_add_func("/accounts/limiter", test_limiter);
    return g_test_run();
}
