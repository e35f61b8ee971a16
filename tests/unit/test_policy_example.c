/*
 * The worked example of docs/policy.md, computed: the document must hold what this prints, to the last digit.
 *
 *   test_policy_example POLICY.MD           compares
 *   test_policy_example --print             prints it, for the document
 */
#include <stdio.h>
#include <string.h>
#include "policy_rig.h"

#define SERVERS 3
#define BEGIN   "<!-- example: begin -->\n"
#define END     "<!-- example: end -->"

static const char *const names[SERVERS] = {"web", "db", "batch"};
static const uint64_t used_mib[SERVERS] = {960, 500, 300};
static const char *document_path;

typedef struct {
    HostFacts host;
    ServerFacts servers[SERVERS];
    ServerTrack tracks[SERVERS];
    PolicyParams params;
    Decision *decision;
    int64_t now_us;
} Example;

static Example example_new(void)
{
    static const uint64_t balloon_mib[SERVERS] = {1024, 1536, 1200};
    Example example = {.host = {.pool_bytes = 4 * GIB, .slack_bytes = 200 * MIB},
                       .params = policy_params_default(),
                       .decision = decision_new(),
                       .now_us = START_US};
    for (size_t i = 0; i < SERVERS; i++) {
        example.servers[i] = rig_server(2 * GIB, balloon_mib[i] * MIB, used_mib[i] * MIB, START_US);
        example.servers[i].overhead_bytes = 112 * MIB;
    }
    example.servers[2].weight = 200;
    return example;
}

static void decide(Example *example)
{
    decision_make(&example->host, example->servers, example->tracks, SERVERS, &example->params,
                  example->now_us, example->decision);
}

/* Everything asked for happens before the next beat, and every guest is seen anew. */
static void carry_out(Example *example, int64_t step_us)
{
    int64_t decided_us = example->now_us;
    example->now_us += step_us;
    for (size_t i = 0; i < SERVERS; i++) {
        ServerFacts *facts = &example->servers[i];
        const PlanRow *row = &example->decision->rows[i];
        if (row->move != MOVE_NONE)
            plan_carried_out(&example->tracks[i].move, facts, row, decided_us);
        facts->target_bytes = row->target_bytes;
        facts->balloon_bytes = row->target_bytes;
        rig_sample(facts, row->target_bytes, used_mib[i] * MIB, example->now_us);
    }
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (double)MIB;
}

static void print_beat(GString *out, const Example *example, const char *title)
{
    const Ledger *ledger = &example->decision->totals.ledger;
    g_string_append_printf(out, "%s: %.0f of %.0f MiB committed, %.0f free\n", title,
                           mib(ledger->committed_bytes), mib(ledger->pool_bytes), mib(ledger->free_bytes));
    g_string_append(out, "  server  balloon   used   need  floor  share  move            target\n");
    for (size_t i = 0; i < SERVERS; i++) {
        const Demand *demand = &example->decision->demands[i];
        const PlanRow *row = &example->decision->rows[i];
        g_string_append_printf(out, "  %-6s  %7.0f %6.0f %6.0f %6.0f %6.0f  %-14s %7.0f\n", names[i],
                               mib(example->servers[i].balloon_bytes), mib(demand->used_bytes),
                               mib(demand->need_bytes), mib(demand->floor_bytes), mib(row->allocation_bytes),
                               row->move == MOVE_NONE ? wait_name(row->wait) : move_name(row->move),
                               mib(row->target_bytes));
    }
}

static char *example_text(void)
{
    GString *out = g_string_new("```text\n");
    Example example = example_new();
    decide(&example);
    print_beat(out, &example, "First beat");
    carry_out(&example, SECOND_US / 5);
    decide(&example);
    print_beat(out, &example, "\nA fifth of a second later");
    for (int beat = 0; beat < 60; beat++) {
        carry_out(&example, SECOND_US);
        decide(&example);
    }
    print_beat(out, &example, "\nA minute later");
    decision_free(example.decision);
    g_string_append(out, "```\n");
    return g_string_free(out, FALSE);
}

static void test_document(void)
{
    g_autofree char *document = NULL;
    g_autoptr(GError) error = NULL;
    g_file_get_contents(document_path, &document, NULL, &error);
    g_assert_no_error(error);
    const char *begin = strstr(document, BEGIN);
    g_assert_nonnull(begin);
    begin += strlen(BEGIN);
    const char *end = strstr(begin, END);
    g_assert_nonnull(end);
    g_autofree char *written = g_strndup(begin, (gsize)(end - begin));
    g_autofree char *computed = example_text();
    g_assert_cmpstr(written, ==, computed);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--print") == 0) {
        g_autofree char *text = example_text();
        fputs(text, stdout);
        return 0;
    }
    g_test_init(&argc, &argv, NULL);
    if (argc < 2) {
        fprintf(stderr, "usage: test_policy_example docs/policy.md | --print\n");
        return 2;
    }
    document_path = argv[1];
    g_test_add_func("/policy/example", test_document);
    return g_test_run();
}
