/* Accounts and what is limited for them: attempts to log in, refusals in the audit, tokens. */
#include <string.h>
#include <unistd.h>
#include "accounts_rig.h"
#include "control/limiter.h"
#include "store/tokens.h"

static guint tokens_of(json_t *account)
{
    g_assert_true(json_is_integer(json_object_get(account, "tokens")));
    return (guint)json_integer_value(json_object_get(account, "tokens"));
}

/* A new password ends sessions; of the tokens it says how many are left, and ends them only when asked to. */
static void test_password_and_tokens(House *house, gconstpointer data)
{
    g_autofree char *token = owner_token(house);
    add_user(house, "bob", "owner");
    json_decref(ask_well(house, NULL, "token_add", "{\"label\":\"bob's\",\"user\":\"bob\"}"));
    json_decref(ask_well(house, NULL, "token_add",
                         "{\"label\":\"short\",\"user\":\"alice\",\"expires_in_seconds\":1}"));
    rig_pass(1200);
    g_autoptr(json_t) kept =
        ask_well(house, NULL, "user_password", "{\"name\":\"alice\",\"password\":\"a new horse\"}");
    g_assert_cmpuint(tokens_of(kept), ==, 1);
    json_decref(ask_well(house, token, "whoami", "{}"));
    ask_badly(house, token, "user_password",
              "{\"password\":\"" PASSWORD "\",\"current\":\"a new horse\",\"revoke_tokens\":1}", "invalid",
              "revoke_tokens");
    g_autoptr(json_t) none =
        ask_well(house, token, "user_password",
                 "{\"password\":\"" PASSWORD "\",\"current\":\"a new horse\",\"revoke_tokens\":true}");
    g_assert_cmpuint(tokens_of(none), ==, 0);
    ask_badly(house, token, "whoami", "{}", "unauthenticated", "log in again");
    g_autoptr(json_t) bobs = ask_well(house, NULL, "token_list", "{\"user\":\"bob\"}");
    g_assert_cmpuint(json_array_size(json_object_get(bobs, "tokens")), ==, 1);
}

static void test_too_many_tokens(House *house, gconstpointer data)
{
    add_user(house, "alice", "owner");
    for (guint i = 0; i < TOKENS_PER_ACCOUNT; i++)
        json_decref(ask_well(house, NULL, "token_add",
                             i ? "{\"label\":\"x\",\"user\":\"alice\"}"
                               : "{\"label\":\"x\",\"user\":\"alice\",\"expires_in_seconds\":1}"));
    rig_pass(1200);
    json_decref(ask_well(house, NULL, "token_add", "{\"label\":\"in its place\",\"user\":\"alice\"}"));
    ask_badly(house, NULL, "token_add", "{\"label\":\"x\",\"user\":\"ALICE\"}", "conflict",
              "alice has 100 tokens");
    add_user(house, "bob", "owner");
    json_decref(ask_well(house, NULL, "token_add", "{\"label\":\"x\",\"user\":\"bob\"}"));
}

/* How many of the audit's entries are @who's and have @part in their result. */
static guint count_refusals(House *house, const char *who, const char *part)
{
    g_autoptr(json_t) answer = ask_well(house, NULL, "audit", "{\"limit\":1000}");
    guint n = 0;
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(answer, "entries"), i, entry)
    {
        n += g_str_equal(word(entry, "who"), who) && strstr(word(entry, "result"), part);
    }
    return n;
}

/* Who asks for what is not his again and again does not fill the store; nobody else's refusals are left out for it. */
static void test_refusals_without_end(House *house, gconstpointer data)
{
    g_autofree char *token = owner_token(house);
    for (guint i = 0; i < REFUSALS_A_MINUTE + 40; i++)
        json_decref(ask(house, token, "set", "{\"name\":\"" FOREIGN "\",\"ballooning_enabled\":false}"));
    json_decref(ask(house, NULL, "own", "{\"name\":\"web-9\",\"user\":null}"));
    g_autoptr(json_t) who = ask_well(house, NULL, "whoami", "{}");
    const char *me = word(who, "user");
    /* The worker writes in order: the last one there, so are those before it. */
    RIG_UNTIL(count_refusals(house, me, "not-found") == 1);
    g_assert_cmpuint(count_refusals(house, "alice", "not-found"), ==, REFUSALS_A_MINUTE);
    g_assert_cmpuint(count_refusals(house, "alice", "more refusals were not recorded"), ==, 1);
    g_assert_cmpuint(count_refusals(house, "alice", ""), ==, REFUSALS_A_MINUTE + 1);
}

/* Nobody's program changes things without end; what changes nothing is not even written down. */
static void test_changes_without_end(House *house, gconstpointer data)
{
    static const char *const sets[] = {"{\"name\":\"" MINE "\",\"ballooning_enabled\":false}",
                                       "{\"name\":\"" MINE "\",\"ballooning_enabled\":true}"};
    g_autofree char *token = owner_token(house);
    g_autoptr(json_t) before = ask_well(house, token, "set", sets[1]);
    g_autoptr(json_t) same = ask_well(house, token, "set", sets[1]);
    g_assert_cmpint(json_integer_value(json_object_get(before, "revision")), ==,
                    json_integer_value(json_object_get(same, "revision")));
    for (guint i = 1; i < REFUSALS_A_MINUTE; i++)
        json_decref(ask_well(house, token, "set", sets[(i + 1) % 2]));
    ask_badly(house, token, "set", sets[1], "rate-limited", "more than 60 changes in a minute");
    json_decref(ask_well(house, token, "show", "{\"name\":\"" MINE "\"}"));
    json_decref(ask_well(house, NULL, "set", sets[1])); /* an operator's scripts have more to do */
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
    g_assert_cmpuint(limiter_wait_s(limiter, "carol", "evil", now_us + INT64_C(59) * G_USEC_PER_SEC), ==, 1);
    g_assert_cmpuint(limiter_wait_s(limiter, "carol", "evil", now_us + INT64_C(60) * G_USEC_PER_SEC), ==, 0);
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

static void test_refusals(void)
{
    g_autoptr(Refusals) refusals = refusals_new();
    int64_t now_us = 1, minute_us = INT64_C(60000000);
    guint left = 9;
    for (guint i = 0; i < REFUSALS_A_MINUTE; i++)
        g_assert_cmpint(refusals_take(refusals, "a", now_us + i, &left), ==, REFUSAL_WRITE);
    g_assert_cmpuint(left, ==, 0);
    g_assert_cmpint(refusals_take(refusals, "a", now_us + minute_us - 1, &left), ==, REFUSAL_LAST);
    g_assert_cmpint(refusals_take(refusals, "a", now_us + minute_us - 1, &left), ==, REFUSAL_LEAVE);
    g_assert_cmpint(refusals_take(refusals, "b", now_us + minute_us - 1, &left), ==, REFUSAL_WRITE);
    g_assert_cmpint(refusals_take(refusals, "a", now_us + minute_us, &left), ==, REFUSAL_WRITE);
    g_assert_cmpuint(left, ==, 2);
    g_assert_cmpint(refusals_take(refusals, "a", now_us + 2 * minute_us, &left), ==, REFUSAL_WRITE);
    g_assert_cmpuint(left, ==, 0);
    for (guint i = 0; i < 5000; i++) { /* as many callers as there may ever be */
        g_autofree char *name = g_strdup_printf("caller %u", i);
        g_assert_cmpint(refusals_take(refusals, name, now_us, &left), ==, REFUSAL_WRITE);
    }
}

#define ADD(name, test) g_test_add("/accounts-limits/" name, House, NULL, house_begin, test, house_end)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("password-and-tokens", test_password_and_tokens);
    ADD("too-many-tokens", test_too_many_tokens);
    ADD("refusals-without-end", test_refusals_without_end);
    ADD("changes-without-end", test_changes_without_end);
    ADD("flood", test_flood);
    ADD("ipv6-source", test_ipv6_source);
    g_test_add_func("/accounts-limits/limiter", test_limiter);
    g_test_add_func("/accounts-limits/refusals", test_refusals);
    return g_test_run();
}
