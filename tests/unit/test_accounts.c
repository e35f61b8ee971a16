/* Accounts over a real socket and a real store: logging in, tokens, who may call what, and what the audit says of it. */
#include <string.h>
#include <unistd.h>
#include "accounts_rig.h"

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
    ask_badly(house, alice, "user_password", "{\"password\":\"a new\\thorse\",\"current\":\"" PASSWORD "\"}",
              "invalid", "control character");
    ask_badly(house, NULL, "user_add",
              "{\"name\":\"eve\",\"role\":\"owner\",\"password\":\"a new horse\\u007f\"}", "invalid",
              "control character");
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

/* A login that is being compared while the password changes is one with the old password. */
static void test_login_beside_a_change(House *house, gconstpointer data)
{
    add_user(house, "alice", "owner");
    int other = dial(house);
    g_autoptr(GString) in = g_string_new(NULL);
    say(other, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"user_password\",\"params\":"
               "{\"name\":\"alice\",\"password\":\"a new horse\"}}\n");
    say(other, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"login\",\"params\":"
               "{\"user\":\"alice\",\"password\":\"" PASSWORD "\"}}\n");
    json_t *answers[3] = {NULL};
    while (!answers[1] || !answers[2]) {
        json_t *answer = NULL;
        RIG_UNTIL((answer = hear_one(in, other)) != NULL);
        answers[json_integer_value(json_object_get(answer, "id"))] = answer;
    }
    g_assert_nonnull(json_object_get(answers[1], "result"));
    g_assert_cmpstr(kind_of(answers[2]), ==, "unauthenticated");
    json_decref(answers[1]);
    json_decref(answers[2]);
    json_decref(ask_well(house, NULL, "login", "{\"user\":\"alice\",\"password\":\"a new horse\"}"));
    close(other);
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

/* Of what an operator has done to it: not where he sat, nor where the host keeps its disks. */
static void test_audit_for_owner(House *house, gconstpointer data)
{
    g_autofree char *token = owner_token(house);
    g_autofree char *id = g_strdup(rig_server(&house->rig, MINE)->latest->id);
    const AuditEntry entry = {.who = "root@local",
                              .from = "web 192.0.2.9",
                              .action = "reinstall",
                              .name = MINE,
                              .server_id = id,
                              .after = "{\"image\":\"debian\",\"disk\":\"/srv/disks/web-1\",\"boot\":\"x\"}"};
    g_autoptr(GError) error = NULL;
    g_assert_true(store_audit(house->store, &entry, &error));
    json_decref(ask_well(house, token, "set", "{\"name\":\"" MINE "\",\"ballooning_enabled\":false}"));
    g_autoptr(json_t) own = ask_well(house, token, "audit", "{}");
    json_t *entries = json_object_get(own, "entries");
    g_autofree char *text = json_dumps(entries, 0);
    g_assert_cmpuint(json_array_size(entries), ==, 2);
    g_assert_null(strstr(text, "/srv/disks"));
    g_assert_null(strstr(text, "192.0.2.9"));
    g_assert_cmpstr(word(json_object_get(json_array_get(entries, 1), "after"), "image"), ==, "debian");
    g_assert_cmpstr(word(json_array_get(entries, 0), "from"), ==, "web 192.0.2.7"); /* her own */
    g_autoptr(json_t) all = ask_well(house, NULL, "audit", "{}");
    g_autofree char *whole = json_dumps(all, 0);
    g_assert_nonnull(strstr(whole, "/srv/disks"));
    g_assert_nonnull(strstr(whole, "192.0.2.9"));
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

#define ADD(name, test) g_test_add("/accounts/" name, House, NULL, house_begin, test, house_end)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("login", test_login);
    ADD("passwords", test_passwords);
    ADD("login-beside-a-change", test_login_beside_a_change);
    ADD("accounts", test_accounts);
    ADD("tokens", test_tokens);
    ADD("every-method", test_every_method);
    ADD("owner", test_owner);
    ADD("conflict", test_conflict);
    ADD("audit", test_audit);
    ADD("audit-for-owner", test_audit_for_owner);
    ADD("bad-words", test_bad_words);
    ADD("events", test_events);
    return g_test_run();
}
