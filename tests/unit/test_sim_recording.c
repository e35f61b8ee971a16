/* Recordings: written, read back the same, cut off, mangled, and replayed with another pool. */
#include <string.h>
#include <glib/gstdio.h>
#include "base/error.h"
#include "base/u64.h"
#include "sim/manager_aerostat.h"
#include "sim/program.h"
#include "recording/recording.h"
#include "sim/replay.h"
#include "sim/world.h"

#define S INT64_C(1000000)

typedef struct {
    char *path;
    FILE *file;
    RecordingEncoder *encoder;
} Paper;

static void paper_begin(Paper *paper, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    int fd = g_file_open_tmp("recording-XXXXXX", &paper->path, &error);
    g_assert_no_error(error);
    paper->file = fdopen(fd, "w");
    paper->encoder = recording_encoder_new();
}

static void paper_end(Paper *paper, gconstpointer data)
{
    g_clear_pointer(&paper->file, fclose);
    g_unlink(paper->path);
    g_free(paper->path);
    recording_encoder_free(paper->encoder);
}

/* A line to be freed, or NULL. Returns whether there was one. */
static gboolean put(Paper *paper, char *line)
{
    gboolean any = line != NULL;
    if (any)
        g_assert_cmpint(fputs(line, paper->file), >=, 0);
    g_free(line);
    return any;
}

static Recording *read_back(Paper *paper)
{
    g_autoptr(GError) error = NULL;
    g_clear_pointer(&paper->file, fclose);
    Recording *recording = recording_load(paper->path, &error);
    g_assert_no_error(error);
    return recording;
}

static ServerFacts facts_like(uint64_t balloon)
{
    return (ServerFacts){.maximum_bytes = 4 * GIB,
                         .minimum_bytes = GIB,
                         .weight = 100,
                         .balloon_bytes = balloon,
                         .target_bytes = balloon,
                         .resident_bytes = UNKNOWN,
                         .overhead_bytes = 100 * MIB,
                         .boot_count = 1,
                         .available_bytes = UNKNOWN,
                         .swap_in_bytes = UNKNOWN,
                         .swap_out_bytes = UNKNOWN,
                         .major_faults = UNKNOWN,
                         .refaults = UNKNOWN,
                         .stall_us = UNKNOWN,
                         .booted = true};
}

static gboolean write_beat(Paper *paper, int64_t now_us, const HostFacts *host, const char *const *names,
                           const ServerFacts *facts, size_t n)
{
    RecordedBeat beat = {
        .now_us = now_us, .host = host, .mode = "manage", .names = names, .facts = facts, .n = n};
    return put(paper, recording_encoder_beat(paper->encoder, &beat));
}

static const RecordedFacts *row(const Recording *recording, guint i)
{
    return &g_array_index(recording->facts, RecordedFacts, i);
}

static void test_round_trip(Paper *paper, gconstpointer data)
{
    HostFacts host = {8 * GIB, 400 * MIB}, smaller = {7 * GIB, 350 * MIB};
    put(paper, recording_encoder_header(paper->encoder, &host, "manage", 1700000000));
    const char *const names[] = {"web \"1\" \xc3\xa4", "db"};
    ServerFacts facts[2] = {facts_like(2 * GIB), facts_like(3 * GIB)};
    facts[1].fixed = FIXED_HUGEPAGES;
    g_assert_true(write_beat(paper, 500 * S, &host, names, facts, 2));
    g_assert_false(write_beat(paper, 501 * S, &host, names, facts, 2)); /* nothing changed */
    facts[0].sample_us = 499 * S;                                       /* before the recording began */
    facts[0].available_bytes = GIB;
    facts[0].hold = HOLD_RESTING;
    facts[0].weight = 250;
    facts[0].busy = true;
    write_beat(paper, 502 * S, &host, names, facts, 2);
    write_beat(paper, 503 * S, &smaller, names, facts, 1); /* db is gone */

    g_autoptr(Recording) recording = read_back(paper);
    g_assert_null(recording->note);
    g_assert_cmpstr(recording->mode, ==, "manage");
    g_assert_cmpint(recording->started_s, ==, 1700000000);
    g_assert_cmpuint(recording->host.slack_bytes, ==, 400 * MIB);
    g_assert_cmpint(recording->duration_us, ==, 3 * S);
    g_assert_cmpuint(recording->names->len, ==, 2);
    g_assert_cmpstr(recording->names->pdata[0], ==, names[0]);
    g_assert_cmpuint(recording->facts->len, ==, 4);
    g_assert_cmpuint(row(recording, 1)->facts.balloon_bytes, ==, 3 * GIB);
    g_assert_cmpint(row(recording, 1)->facts.fixed, ==, FIXED_HUGEPAGES);
    const RecordedFacts *changed = row(recording, 2);
    g_assert_cmpint(changed->t_us, ==, 2 * S);
    g_assert_cmpint(changed->facts.sample_us, ==, RECORDING_EPOCH_US - 1 * S);
    g_assert_cmpuint(changed->facts.available_bytes, ==, GIB);
    g_assert_cmpuint(changed->facts.resident_bytes, ==, UNKNOWN);
    g_assert_cmpint(changed->facts.hold, ==, HOLD_RESTING);
    g_assert_cmpuint(changed->facts.weight, ==, 250);
    g_assert_true(changed->facts.busy);
    g_assert_true(changed->facts.booted);
    g_assert_true(row(recording, 3)->gone);
    g_assert_cmpuint(recording->pools->len, ==, 1);
    g_assert_cmpuint(g_array_index(recording->pools, RecordedPool, 0).host.pool_bytes, ==, 7 * GIB);
}

/* Whoever could not take a line gets everything anew, and is told. */
static void test_lost(Paper *paper, gconstpointer data)
{
    HostFacts host = {8 * GIB, 0};
    put(paper, recording_encoder_header(paper->encoder, &host, NULL, 1));
    const char *const names[] = {"a", "b"};
    ServerFacts facts[2] = {facts_like(2 * GIB), facts_like(3 * GIB)};
    write_beat(paper, 1 * S, &host, names, facts, 2);
    facts[0].balloon_bytes = GIB;
    recording_encoder_lose(paper->encoder);
    recording_encoder_lose(paper->encoder);
    write_beat(paper, 4 * S, &host, names, facts, 2);
    g_assert_false(write_beat(paper, 5 * S, &host, names, facts, 2));
    g_assert_true(write_beat(paper, 14 * S, &host, names, facts, 2)); /* still watched */
    g_autoptr(Recording) recording = read_back(paper);
    g_assert_cmpuint(recording->lost, ==, 2);
    g_assert_cmpint(recording->duration_us, ==, 13 * S);
    g_assert_cmpuint(recording->facts->len, ==, 4);
    g_assert_cmpuint(row(recording, 2)->facts.balloon_bytes, ==, GIB);
    g_assert_cmpuint(row(recording, 3)->facts.balloon_bytes, ==, 3 * GIB);
}

/* What is reserved, and the mode, stand where they change. */
static void test_host_changes(Paper *paper, gconstpointer data)
{
    HostFacts host = {8 * GIB, 0};
    const char *const names[] = {"a"};
    ServerFacts facts = facts_like(2 * GIB);
    RecordedBeat beat = {.host = &host, .mode = "observe", .names = names, .facts = &facts, .n = 1};
    put(paper, recording_encoder_header(paper->encoder, &host, "observe", 1));
    put(paper, recording_encoder_beat(paper->encoder, &beat));
    beat.now_us = S;
    beat.reserved_bytes = GIB;
    put(paper, recording_encoder_beat(paper->encoder, &beat));
    beat.now_us = 2 * S;
    beat.mode = "manage";
    g_autofree char *line = recording_encoder_beat(paper->encoder, &beat);
    g_assert_cmpstr(line, ==, "{\"t\":2000000,\"mode\":\"manage\"}\n");
    g_autoptr(Recording) recording = read_back(paper);
    g_assert_cmpuint(recording->pools->len, ==, 1);
    const RecordedPool *pool = &g_array_index(recording->pools, RecordedPool, 0);
    g_assert_cmpuint(pool->host.pool_bytes, ==, 8 * GIB);
    g_assert_cmpuint(pool->reserved_bytes, ==, GIB);
}

/* A modelled host, recorded as the daemon would. */
typedef struct {
    Paper *paper;
    GPtrArray *names;
    guint moves;
} Recorder;

static void on_decision(const HostFacts *host, const ServerFacts *facts, const Decision *decision,
                        int64_t now_us, gpointer user_data)
{
    Recorder *recorder = user_data;
    RecordedBeat beat = {.now_us = now_us,
                         .host = host,
                         .names = (const char *const *)recorder->names->pdata,
                         .facts = facts,
                         .decision = decision,
                         .n = decision->n};
    for (size_t i = 0; i < decision->n; i++)
        recorder->moves += decision->rows[i].move != MOVE_NONE;
    put(recorder->paper, recording_encoder_beat(recorder->paper->encoder, &beat));
}

static guint record(Paper *paper, const char *scenario_name)
{
    g_autofree char *path = g_build_filename(SCENARIO_DIR, scenario_name, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(Scenario) scenario = scenario_load(path, NULL, &error);
    g_assert_no_error(error);
    HostFacts host = {scenario->pool_bytes, scenario_slack(scenario)};
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint i = 0; i < scenario->guests->len; i++)
        g_ptr_array_add(names, ((GuestSpec *)scenario->guests->pdata[i])->name);
    Recorder recorder = {.paper = paper, .names = names};
    put(paper, recording_encoder_header(paper->encoder, &host, "manage", 1700000000));
    g_autoptr(World) world = world_new(scenario, &MANAGER_AEROSTAT);
    manager_aerostat_listen(world_manager(world), on_decision, &recorder);
    world_advance(world, scenario->duration_us);
    g_assert_cmpint(fflush(paper->file), ==, 0);
    return recorder.moves;
}

static void test_replay(Paper *paper, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    guint moves = record(paper, "rotating-30s.conf");
    g_autoptr(Recording) recording = recording_load(paper->path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(recording->moves->len, ==, moves);
    g_assert_cmpuint(moves, >, 10);
    /* As it was: nobody short. With half the pool: somebody. */
    g_autoptr(Scenario) same = replay_scenario(recording, paper->path, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(same->guests->len, ==, 4);
    g_autoptr(Run) run = world_run(same, &MANAGER_AEROSTAT, world_oracle(same), 0);
    g_assert_cmpfloat(run->summary.work_percent, >, 98);
    const char *const half[] = {"pool=50%", NULL};
    g_autoptr(Scenario) less = replay_scenario(recording, paper->path, half, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(less->pool_bytes, ==, 4 * GIB);
    g_autoptr(Run) short_run = world_run(less, &MANAGER_AEROSTAT, world_oracle(less), 0);
    g_assert_cmpfloat(short_run->summary.work_percent, <, run->summary.work_percent - 5);
    g_assert_cmpuint(short_run->summary.reliefs, >, 0);
}

static void test_cut_off(Paper *paper, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    record(paper, "burst-idle-donors.conf");
    g_autofree char *text = NULL;
    gsize length = 0;
    g_assert_true(g_file_get_contents(paper->path, &text, &length, &error));
    gsize header = (gsize)(strchr(text, '\n') - text) + 1;
    for (gsize cut = length - 700; cut < length; cut++) {
        g_autoptr(Recording) recording = recording_parse(text, cut, "r", &error);
        g_assert_no_error(error);
        g_assert_true((recording->note != NULL) == (text[cut - 1] != '\n'));
    }
    g_autoptr(Recording) only = recording_parse(text, header, "r", &error);
    g_assert_no_error(error);
    g_assert_null(replay_scenario(only, "r", NULL, &error)); /* a header alone has nobody */
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
}

#define HEADER                                                                                               \
    "{\"aerostat_recording\":1,\"version\":\"0.1.0\",\"started\":1,\"pool_bytes\":8589934592,\"slack_"       \
    "bytes\":0}\n"
#define SERVER "{\"t\":0,\"servers\":{\"a\":{\"max\":4294967296,\"min\":0,\"weight\":100}}}\n"

static const struct {
    const char *text, *says;
} refused[] = {
    {"", "is empty"},
    {"{}\n", "r:1: this is no recording"},
    {"{\"aerostat_recording\":2}\n", "it is of format 2"},
    {"{\"aerostat_recording\":\"1\"}\n", "is not an integer"},
    {"{\"aerostat_recording\":1,\"started\":1,\"pool_bytes\":-1,\"slack_bytes\":0}\n",
     "pool_bytes is out of range"},
    {HEADER "[]\n", "r:2:"},
    {HEADER "{}\n", "t is not an integer"},
    {HEADER "{\"t\":-1}\n", "t is out of range"},
    {HEADER "{\"t\":5}\n{\"t\":4}\n", "r:3: t goes back"},
    {HEADER "{\"t\":0,\"servers\":{\"a\":1}}\n", "a server is not an object"},
    {HEADER "{\"t\":0,\"servers\":{\"\":{\"max\":1,\"weight\":1}}}\n", "name is empty"},
    {HEADER "{\"t\":0,\"servers\":{\"a\":{}}}\n", "has no maximum or no weight"},
    {HEADER "{\"t\":0,\"servers\":{\"a\":{\"max\":1,\"weight\":0}}}\n", "weight is out of range"},
    {HEADER "{\"t\":0,\"servers\":{\"a\":{\"max\":1,\"min\":2,\"weight\":1}}}\n",
     "its minimum is above its maximum"},
    {HEADER "{\"t\":0,\"servers\":{\"a\":{\"max\":1e30,\"weight\":1}}}\n", "max is not an integer"},
    {HEADER "{\"t\":0,\"servers\":{\"a\":{\"max\":9000000000000000000,\"weight\":1}}}\n",
     "max is out of range"},
    {HEADER "{\"t\":0,\"servers\":{\"a\":{\"max\":1,\"weight\":1,\"hold\":\"x\"}}}\n",
     "hold is no known reason"},
    {HEADER "{\"t\":0,\"servers\":{\"a\":{\"max\":1,\"weight\":1,\"busy\":1}}}\n", "busy is not a boolean"},
    {HEADER "{\"t\":0,\"decisions\":{\"a\":{\"move\":\"none\"}}}\n", "is not known"},
    {HEADER SERVER "{\"t\":1,\"decisions\":{\"a\":{\"move\":\"x\"}}}\n", "move is no known"},
    {HEADER SERVER "{\"t\":1,\"decisions\":{\"a\":{\"move\":\"none\",\"to\":1}}}\n",
     "need is not an integer"},
    {HEADER SERVER "{\"t\":1,\"gone\":[1]}\n", "gone has something"},
    {HEADER SERVER "{\"t\":1,\"gone\":[\"b\"]}\n", "is not known"},
    {HEADER SERVER "{\"t\":1,\"pool_bytes\":1}\n", "slack_bytes is not an integer"},
    {HEADER SERVER "{\"t\":1,\"reserved_bytes\":-1}\n", "reserved_bytes is out of range"},
    {HEADER SERVER "{\"t\":1,\"lost\":0}\n", "lost is out of range"},
};

static void test_refused(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Recording) recording =
            recording_parse(refused[i].text, strlen(refused[i].text), "r", &error);
        if (recording)
            g_error("was taken: %s", refused[i].text);
        g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
        if (!strstr(error->message, refused[i].says))
            g_error("\"%s\" does not say \"%s\"", error->message, refused[i].says);
    }
}

static void test_mangled(void)
{
    const char *text =
        HEADER SERVER "{\"t\":1000000,\"servers\":{\"a\":{\"avail\":5,\"sample\":7}},\"gone\":[\"a\"]}\n";
    gsize length = strlen(text);
    for (gsize at = 0; at < length * 8; at++) {
        g_autofree char *copy = g_strdup(text);
        copy[at / 8] = (char)(copy[at / 8] ^ (1 << (at % 8)));
        g_autoptr(GError) error = NULL;
        g_autoptr(Recording) recording = recording_parse(copy, length, "r", &error);
        g_assert_true((recording == NULL) == (error != NULL));
        if (recording && recording->host.pool_bytes > 0) {
            g_autoptr(GError) replayed = NULL;
            g_autoptr(Scenario) scenario = replay_scenario(recording, "r", NULL, &replayed);
            g_assert_true((scenario == NULL) == (replayed != NULL));
        }
    }
}

/* The program itself. */
static int run_program(char **argv, char **ret_out, char **ret_err)
{
    size_t out_size = 0, err_size = 0;
    char *out_text = NULL, *err_text = NULL;
    FILE *out = open_memstream(&out_text, &out_size), *err = open_memstream(&err_text, &err_size);
    int status = sim_main((int)g_strv_length(argv), argv, out, err);
    fclose(out);
    fclose(err);
    *ret_out = out_text;
    *ret_err = err_text;
    return status;
}

static void check_program(char **argv, int status, const char *out_says, const char *err_says)
{
    char *out, *err;
    g_assert_cmpint(run_program(argv, &out, &err), ==, status);
    if (out_says && !strstr(out, out_says))
        g_error("\"%s\" does not say \"%s\"", out, out_says);
    if (err_says && !strstr(err, err_says))
        g_error("\"%s\" does not say \"%s\"", err, err_says);
    free(out);
    free(err);
}

static void test_program(Paper *paper, gconstpointer data)
{
    record(paper, "burst-idle-donors.conf");
    char *scenario = g_build_filename(SCENARIO_DIR, "burst-idle-donors.conf", NULL);
    g_autofree char *svg = g_strconcat(paper->path, ".svg", NULL);
    check_program((char *[]){"aerostat-sim", scenario, NULL}, 0, "x real time", "");
    check_program((char *[]){"aerostat-sim", "--json", "--policy", "mom", scenario, NULL}, 0, "\"oom_kills\"",
                  "");
    check_program((char *[]){"aerostat-sim", "--policy", "static", "--svg", svg, scenario, NULL}, 0, "static",
                  "");
    g_assert_true(g_file_test(svg, G_FILE_TEST_EXISTS));
    g_unlink(svg);
    check_program((char *[]){"aerostat-sim", paper->path, "--set", "pool=60%", NULL}, 0,
                  "would have been short", "");
    check_program((char *[]){"aerostat-sim", "--svg", "/nonexistent/x.svg", scenario, NULL}, 1, NULL,
                  "x.svg");
    check_program((char *[]){"aerostat-sim", NULL}, 2, NULL, "name one scenario");
    check_program((char *[]){"aerostat-sim", "a", "b", NULL}, 2, NULL, "name one scenario");
    check_program((char *[]){"aerostat-sim", "--what", NULL}, 2, NULL, "--what");
    check_program((char *[]){"aerostat-sim", "-p", "momm", scenario, NULL}, 2, NULL, "did you mean");
    check_program((char *[]){"aerostat-sim", "/nonexistent", NULL}, 1, NULL, "cannot be read");
    check_program((char *[]){"aerostat-sim", "/", NULL}, 1, NULL, "cannot be read");
    check_program((char *[]){"aerostat-sim", "--version", NULL}, 0, "aerostat-sim ", "");
    g_free(scenario);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/sim/recording/round-trip", Paper, NULL, paper_begin, test_round_trip, paper_end);
    g_test_add("/sim/recording/replay", Paper, NULL, paper_begin, test_replay, paper_end);
    g_test_add("/sim/recording/cut-off", Paper, NULL, paper_begin, test_cut_off, paper_end);
    g_test_add_func("/sim/recording/refused", test_refused);
    g_test_add_func("/sim/recording/mangled", test_mangled);
    g_test_add("/sim/recording/lost", Paper, NULL, paper_begin, test_lost, paper_end);
    g_test_add("/sim/recording/host-changes", Paper, NULL, paper_begin, test_host_changes, paper_end);
    g_test_add("/sim/program", Paper, NULL, paper_begin, test_program, paper_end);
    return g_test_run();
}
