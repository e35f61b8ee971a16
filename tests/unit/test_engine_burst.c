/* Bursts as the engine meets them: residency in files that change by the millisecond, and what is granted before anybody
 * has said a word. */
#include <inttypes.h>
#include <string.h>
#include "engine/engine_private.h"
#include "engine_rig.h"

#define POOL (UINT64_C(5) * GIB)
/* The target leads a burst of grow() by 200 ms. */
#define LEAD_US INT64_C(100000)

/* Two servers of 4 GiB and a slack of 1 GiB less what their QEMUs take. */
typedef struct {
    Rig rig;
    FakeGuest *idle, *needy;
} Burst;

static void set_size(FakeGuest *guest, uint64_t bytes)
{
    guest->target_bytes = guest->truth_bytes = guest->shown_bytes = bytes;
}

static void burst_begin(Burst *burst, Mode mode)
{
    rig_begin(&burst->rig, POOL, mode);
    burst->rig.config->slack = (SizeSetting){.bytes = GIB / 2};
    burst->idle = fake_guest_add(burst->rig.fake, "idle", 4 * GIB);
    burst->needy = fake_guest_add(burst->rig.fake, "needy", 4 * GIB);
    fake_lock(burst->rig.fake);
    set_size(burst->idle, 5 * GIB / 2);
    set_size(burst->needy, GIB);
    burst->idle->deflates_on_oom = burst->needy->deflates_on_oom = TRUE;
    fake_unlock(burst->rig.fake);
    fake_forget_peak(burst->rig.fake);
    fake_show_residency(burst->rig.fake, burst->rig.proc);
}

/* Until nothing moves any more: what follows is an answer to the burst alone. */
static void burst_settled(Burst *burst)
{
    Rig *rig = &burst->rig;
    rig_start(rig, NULL);
    RIG_UNTIL(rig_server(rig, "needy") && rig_server(rig, "idle"));
    RIG_UNTIL(!rig_server(rig, "needy")->adopting && !rig_server(rig, "idle")->adopting);
    for (unsigned quiet = 0, before = 0; quiet < 8; quiet++) {
        rig_pass(50);
        unsigned asked = FAKE(rig->fake, burst->idle->targets_asked + burst->needy->targets_asked);
        quiet = asked == before ? quiet : 0;
        before = asked;
    }
}

/* 3 GiB a second, which at this speed is 300 MiB. */
static void grow(Burst *burst, uint64_t to_bytes)
{
    fake_lock(burst->rig.fake);
    burst->needy->goal_bytes = to_bytes;
    burst->needy->use_bytes_per_s = 3 * GIB;
    fake_unlock(burst->rig.fake);
}

/* The backend is told who stands still; the engine does too while all do. */
static void test_tells_who_is_still(void)
{
    Burst burst;
    burst_begin(&burst, MODE_MANAGE);
    burst_settled(&burst);
    Rig *rig = &burst.rig;
    Tracked *both[] = {rig_server(rig, "idle"), rig_server(rig, "needy")};
    int64_t now_us = g_get_monotonic_time();
    for (int i = 0; i < 2; i++) {
        both[i]->latest->reports_free_pages = TRUE;
        both[i]->facts.resident_bytes = both[i]->facts.balloon_bytes / 4;
        both[i]->track.move.last_step_us = 0;
        both[i]->row.move = MOVE_NONE;
        both[i]->row.short_bytes = 0;
        both[i]->still = i == 0;
    }
    g_assert_false(engine_tell_still(rig->engine, now_us));
    g_assert_true(FAKE(rig->fake, burst.idle->still));
    g_assert_false(FAKE(rig->fake, burst.needy->still));
    both[1]->still = TRUE;
    g_assert_true(engine_tell_still(rig->engine, now_us));
    g_assert_true(FAKE(rig->fake, burst.needy->still));
    both[0]->still = FALSE;
    g_assert_false(engine_tell_still(rig->engine, now_us));
    g_assert_false(FAKE(rig->fake, burst.idle->still));
    rig_end(rig);
}

static const JournalEntry *find_entry(Rig *rig, gboolean (*wanted)(const JournalEntry *))
{
    g_autoptr(GPtrArray) all = journal_recent(engine_journal(rig->engine), NULL, 10000);
    for (guint i = all->len; i > 0; i--)
        if (wanted(all->pdata[i - 1]))
            return all->pdata[i - 1];
    return NULL;
}

static gboolean is_burst(const JournalEntry *entry)
{
    return entry->burst_bytes > 0;
}

static gboolean is_rise(const JournalEntry *entry)
{
    return entry->rise.waits > 0;
}

static void assert_within_pool(Rig *rig)
{
    const EngineHost *host = engine_host(rig->engine);
    g_assert_cmpuint(fake_peak(rig->fake), <=, host->pool_bytes);
    g_assert_cmpuint(host->committed_peak_bytes, <=, host->pool_bytes);
    g_assert_cmpfloat(host->over_seconds, ==, 0);
}

/* No statistics, no observation: residency is all there is. */
static void test_granted_on_residency_alone(void)
{
    Burst burst;
    Rig *rig = &burst.rig;
    burst_begin(&burst, MODE_MANAGE);
    rig->options.deadline_ms = RIG_PATIENCE_US / 1000; /* who is waited for is not given up meanwhile */
    burst_settled(&burst);
    unsigned looks = fake_observations(rig->fake);
    fake_hold_observations(rig->fake, TRUE);
    FAKE(rig->fake, burst.needy->silent = TRUE);
    rig_pass(60); /* an observation under way ends */
    looks = fake_observations(rig->fake);
    uint64_t before = FAKE(rig->fake, burst.needy->target_bytes);
    grow(&burst, 3 * GIB / 2);
    RIG_UNTIL(find_entry(rig, is_burst));
    RIG_UNTIL(FAKE(rig->fake, burst.needy->target_bytes) > before);
    g_assert_cmpuint(fake_observations(rig->fake), ==, looks);
    const JournalEntry *entry = find_entry(rig, is_burst);
    g_assert_cmpstr(entry->server, ==, "needy");
    g_assert_cmpint(entry->move, ==, MOVE_GRANT_NEED);
    g_assert_nonnull(strstr(entry->text, "it touched "));
    g_assert_cmpint(entry->sent_us, >=, entry->wall_us);
    assert_within_pool(rig);
    fake_hold_observations(rig->fake, FALSE);
    rig_end(rig);
}

/* Answers of guests that burst come late: who is known to leave memory unused is asked for it before. */
static void test_donor_is_asked_without_answers(void)
{
    Burst burst;
    Rig *rig = &burst.rig;
    burst_begin(&burst, MODE_MANAGE);
    /* All is lent, and what it leaves unused of that is known. */
    rig->config->slack = (SizeSetting){.bytes = 0};
    rig->params.ready_permille = 0;
    /* It is known long enough, also to a machine that is busy with other tests. */
    rig->params.stale_us = RIG_PATIENCE_US;
    rig->options.deadline_ms = RIG_PATIENCE_US / 1000;
    burst_settled(&burst);
    RIG_UNTIL(rig_server(rig, "idle")->facts.sample_us >
              rig_server(rig, "idle")->track.move.reclaim_sample_us);
    fake_hold_observations(rig->fake, TRUE);
    rig_pass(20); /* an observation under way ends */
    uint64_t before = FAKE(rig->fake, burst.idle->target_bytes);
    unsigned looks = fake_observations(rig->fake);
    grow(&burst, 2 * GIB);
    RIG_UNTIL(FAKE(rig->fake, burst.idle->target_bytes) < before);
    g_assert_cmpuint(fake_observations(rig->fake), ==, looks);
    assert_within_pool(rig);
    fake_hold_observations(rig->fake, FALSE);
    rig_end(rig);
}

/* A donor that hangs is nobody's concern but its own. */
static void test_donor_hangs(void)
{
    Burst burst;
    Rig *rig = &burst.rig;
    burst_begin(&burst, MODE_MANAGE);
    burst_settled(&burst);
    FAKE(rig->fake, burst.idle->hangs = TRUE);
    uint64_t before = FAKE(rig->fake, burst.needy->target_bytes);
    grow(&burst, GIB);
    RIG_UNTIL(FAKE(rig->fake, burst.needy->target_bytes) > before);
    /* While it speaks, its word may be there before its room runs out. */
    FAKE(rig->fake, burst.needy->silent = TRUE);
    grow(&burst, 9 * GIB / 4); /* past what it may have been given of the surplus by then */
    RIG_UNTIL(find_entry(rig, is_burst));
    RIG_UNTIL(find_entry(rig, is_burst)->performed);
    assert_within_pool(rig);
    rig_end(rig);
}

static void test_whole_rise_is_told(void)
{
    Burst burst;
    Rig *rig = &burst.rig;
    burst_begin(&burst, MODE_MANAGE);
    burst_settled(&burst);
    grow(&burst, 2 * GIB);
    RIG_UNTIL(FAKE(rig->fake, burst.needy->used_bytes) == 2 * GIB);
    RIG_UNTIL(find_entry(rig, is_rise));
    const JournalEntry *entry = find_entry(rig, is_rise);
    const EngineHost *host = engine_host(rig->engine);
    g_assert_cmpstr(entry->server, ==, "needy");
    g_assert_cmpint(entry->rise.first_grant_us, >=, 0);
    g_assert_cmpint(entry->rise.first_grant_us, <=, entry->rise.lasted_us + 1000);
    g_assert_cmpint(entry->rise.longest_us, <=, entry->rise.lasted_us);
    g_assert_cmpuint(entry->rise.got_bytes, >, 400 * MIB);
    g_assert_nonnull(strstr(entry->text, "of slack"));
    g_assert_nonnull(strstr(entry->text, "from idle"));
    g_assert_nonnull(entry->private_text);
    g_assert_nonnull(strstr(entry->private_text, "from another server"));
    g_assert_null(strstr(entry->private_text, "idle"));
    g_assert_cmpuint(host->first_grant_p50_us, <=, host->first_grant_p99_us);
    g_assert_cmpuint(host->relief_p50_us, <=, host->relief_p99_us);
    g_assert_cmpint(rig_server(rig, "needy")->waited_us, >, 0);
    if (rig->longest_pause_us < LEAD_US)
        g_assert_cmpuint(FAKE(rig->fake, burst.needy->ooms), ==, 0);
    else
        g_test_message("the loop stood for %" PRId64 " us: no word on how close it was",
                       rig->longest_pause_us);
    assert_within_pool(rig);
    rig_end(rig);
}

static void test_observe_mode_grants_nothing(void)
{
    Burst burst;
    Rig *rig = &burst.rig;
    burst_begin(&burst, MODE_OBSERVE);
    rig_start(rig, NULL);
    RIG_UNTIL(rig_server(rig, "needy") && !rig_server(rig, "needy")->adopting);
    grow(&burst, GIB - 100 * MIB);
    RIG_UNTIL(rig_server(rig, "needy")->track.burst.bursting);
    rig_pass(200);
    g_assert_null(find_entry(rig, is_burst));
    g_assert_cmpuint(FAKE(rig->fake, burst.needy->targets_asked), ==, 0);
    g_assert_false(engine_can_ask(rig->engine, rig_server(rig, "needy")));
    rig_end(rig);
}

/* What is guaranteed to one until its restart is, too, while another one bursts. */
static void test_pinned_beside_a_burst(void)
{
    Burst burst;
    Rig *rig = &burst.rig;
    burst_begin(&burst, MODE_MANAGE);
    rig_start(rig, NULL);
    RIG_UNTIL(rig_server(rig, "idle") && rig_server(rig, "idle")->decided &&
              !rig_server(rig, "needy")->adopting);
    g_assert_true(engine_set_settings(rig->engine, rig_server(rig, "idle"),
                                      &(ServerSettings){.ballooning_disabled = TRUE}, NULL, NULL));
    RIG_UNTIL(rig_server(rig, "idle")->facts.minimum_bytes > 2 * GIB);
    uint64_t pinned = rig_server(rig, "idle")->facts.minimum_bytes;
    grow(&burst, GIB);
    RIG_UNTIL(rig_server(rig, "needy")->track.burst.bursting);
    while (rig_server(rig, "needy")->track.burst.bursting) {
        g_assert_cmpuint(rig_server(rig, "idle")->facts.minimum_bytes, ==, pinned);
        g_main_context_iteration(NULL, TRUE);
    }
    rig_end(rig);
}

/* With little slack left, who has risen a moment ago is asked whether it has done with that. */
static void test_asked_for_refill(void)
{
    Burst burst;
    burst_begin(&burst, MODE_MANAGE);
    burst_settled(&burst);
    Rig *rig = &burst.rig;
    Tracked *tracked = rig_server(rig, "needy");
    EngineHost *host = &rig->engine->host;
    host->totals.someone_waits = FALSE;
    host->slack_wanted_bytes = GIB;
    for (int scarce = 0; scarce < 2; scarce++) {
        int64_t now_us = g_get_monotonic_time();
        host->totals.ledger.free_bytes = scarce ? GIB / 4 : GIB;
        for (guint i = 0; i < rig->engine->counted->len; i++) {
            Tracked *one = rig->engine->counted->pdata[i];
            one->burst_until_us = one->stirs_until_us = one->asked_fresh_us = 0;
            one->row.short_bytes = 0;
            one->asking_fresh = FALSE;
            one->facts.sample_us = now_us;
        }
        tracked->track.move.last_up_us = now_us;
        tracked->facts.idle = tracked->facts.busy = tracked->demand.faulting = false;
        tracked->facts.unused_bytes = tracked->target_bytes / 2;
        tracked->demand.need_bytes = tracked->row.allocation_bytes = tracked->target_bytes / 2;
        engine_ask_fresh(rig->engine);
        g_assert_cmpint(tracked->asking_fresh, ==, scarce);
        g_assert_false(rig_server(rig, "idle")->asking_fresh);
    }
    rig_end(rig);
}

static void prepare_donor(Tracked *donor, gboolean spent, gboolean moves, int64_t age_us,
                          gboolean nothing_left)
{
    int64_t now_us = g_get_monotonic_time();
    donor->asking_fresh = FALSE;
    donor->asked_fresh_us = donor->burst_until_us = donor->stirs_until_us = 0;
    donor->facts.idle = true;
    donor->row.short_bytes = 0;
    donor->row.target_bytes = donor->target_bytes;
    donor->row.allocation_bytes = donor->demand.floor_bytes = donor->target_bytes / 2;
    if (nothing_left)
        donor->row.allocation_bytes = donor->target_bytes;
    donor->facts.sample_us = now_us - age_us;
    donor->track.move.reclaim_sample_us = spent ? donor->facts.sample_us : now_us - 3 * G_USEC_PER_SEC;
    donor->facts.balloon_bytes = donor->target_bytes + (moves ? 64 * MIB : 0);
}

/* Each answer takes from the processors that a burst needs: a donor is asked for one only when the next reclaim from it waits
 * for that. */
static void test_donor_is_asked_when_that_helps(void)
{
    static const struct {
        gboolean waits, spent, moves, nothing_left;
        int64_t age_us;
        gboolean asked;
    } cases[] = {
        {.age_us = G_USEC_PER_SEC / 10},
        {.age_us = 2 * G_USEC_PER_SEC, .asked = TRUE},
        {.age_us = G_USEC_PER_SEC / 10, .spent = TRUE, .asked = TRUE},
        {.age_us = G_USEC_PER_SEC / 10, .spent = TRUE, .moves = TRUE, .asked = TRUE},
        {.age_us = G_USEC_PER_SEC / 10, .moves = TRUE},
        {.age_us = G_USEC_PER_SEC / 10, .nothing_left = TRUE},
        {.waits = TRUE, .age_us = G_USEC_PER_SEC / 10},
        {.waits = TRUE, .age_us = G_USEC_PER_SEC / 10, .spent = TRUE, .asked = TRUE},
        {.waits = TRUE, .age_us = G_USEC_PER_SEC / 10, .moves = TRUE, .asked = TRUE},
        {.waits = TRUE, .age_us = G_USEC_PER_SEC / 10, .nothing_left = TRUE, .asked = TRUE},
    };
    Burst burst;
    burst_begin(&burst, MODE_MANAGE);
    burst_settled(&burst);
    Rig *rig = &burst.rig;
    Tracked *donor = rig_server(rig, "idle");
    EngineHost *host = &rig->engine->host;
    host->slack_wanted_bytes = GIB;
    host->totals.ledger.free_bytes = GIB - 1;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        host->totals.someone_waits = cases[i].waits;
        rig_server(rig, "needy")->burst_until_us = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
        prepare_donor(donor, cases[i].spent, cases[i].moves, cases[i].age_us, cases[i].nothing_left);
        engine_ask_fresh(rig->engine);
        if (donor->asking_fresh != cases[i].asked)
            g_error("case %zu: asked %d", i, donor->asking_fresh);
    }
    rig_end(rig);
}

/* One that bursts in full sight is asked no more often than a donor, until it has no more room to show it. */
static void test_who_shows_its_burst_is_asked_less(void)
{
    Burst burst;
    burst_begin(&burst, MODE_MANAGE);
    burst_settled(&burst);
    Rig *rig = &burst.rig;
    Tracked *needy = rig_server(rig, "needy");
    for (int i = 0; i < 4; i++) {
        const gboolean reports = i & 1, has_room = i & 2;
        const uint64_t balloon = needy->facts.balloon_bytes;
        int64_t now_us = g_get_monotonic_time();
        needy->asking_fresh = FALSE;
        needy->burst_until_us = now_us + 60 * G_USEC_PER_SEC;
        needy->asked_fresh_us = now_us - 90000;
        needy->track.burst.bursting = true;
        needy->track.burst.rate_bytes_per_s = 100 * GIB; /* no room lasts for long */
        needy->latest->reports_free_pages = reports;
        needy->demand.headroom_bytes = 64 * MIB;
        needy->facts.resident_bytes = needy->track.burst.looked_bytes =
            has_room ? balloon - 64 * MIB : balloon;
        engine_ask_fresh(rig->engine);
        if (g_get_monotonic_time() - now_us > 90000)
            i--; /* a machine that is busy with other things */
        else
            g_assert_cmpint(needy->asking_fresh, ==, !(reports && has_room));
    }
    rig_end(rig);
}

/* Nothing is free: it has to wait for what the donor gives back. */
static void test_never_beyond_the_pool(void)
{
    Burst burst;
    Rig *rig = &burst.rig;
    burst_begin(&burst, MODE_MANAGE);
    rig->config->slack = (SizeSetting){.bytes = 0};
    fake_lock(rig->fake);
    burst.idle->inflate_bytes_per_s = GIB;
    burst.needy->deflates_on_oom = FALSE; /* what it would take by itself would be beyond the pool */
    fake_unlock(rig->fake);
    burst_settled(&burst);
    grow(&burst, 3 * GIB);
    RIG_UNTIL(FAKE(rig->fake, burst.needy->truth_bytes) >= 3 * GIB);
    assert_within_pool(rig);
    rig_end(rig);
}

/* What its statistics say while it grows is what tells: the answers come in time for that. */
static void test_cache_is_told_from_use(void)
{
    Burst burst;
    Rig *rig = &burst.rig;
    burst_begin(&burst, MODE_MANAGE);
    burst_settled(&burst);
    FAKE(rig->fake, burst.needy->cache_bytes_per_s = GIB / 2);
    RIG_UNTIL(rig_server(rig, "needy")->track.burst.cache_until_us > 0);
    assert_within_pool(rig);
    rig_end(rig);
}

/* Its process goes, another comes: no file is read any more, and then the other one's. */
static void test_process_changes(void)
{
    Burst burst;
    Rig *rig = &burst.rig;
    burst_begin(&burst, MODE_MANAGE);
    burst_settled(&burst);
    fake_stop(rig->fake, burst.needy);
    RIG_UNTIL(g_str_equal(tracked_state(rig_server(rig, "needy")), "off"));
    fake_hide_residency(rig->fake, rig->proc);
    fake_lock(rig->fake);
    burst.needy->pid = 2000;
    burst.needy->used_bytes = GIB / 4;
    fake_unlock(rig->fake);
    fake_show_residency(rig->fake, rig->proc);
    fake_start(rig->fake, burst.needy);
    RIG_UNTIL(g_str_equal(tracked_state(rig_server(rig, "needy")), "running"));
    RIG_UNTIL(rig_server(rig, "needy")->statm_pid == 2000);
    g_assert_cmpint(rig_server(rig, "needy")->statm_fd, >=, 0);
    rig_end(rig);
}

/* All it has is resident, so no burst would show: it is asked while its processors run, and left alone while they do not. */
static void test_blind_is_asked_while_awake(void)
{
    Burst burst;
    Rig *rig = &burst.rig;
    burst_begin(&burst, MODE_MANAGE);
    fake_lock(rig->fake);
    set_size(burst.idle, 3 * GIB);
    burst.idle->used_bytes = 11 * GIB / 4;
    burst.needy->used_bytes = 7 * GIB / 8;
    burst.needy->cached_bytes = 4 * GIB;
    fake_unlock(rig->fake);
    burst_settled(&burst);
    RIG_UNTIL(rig_server(rig, "needy")->facts.idle &&
              g_get_monotonic_time() > rig_server(rig, "needy")->burst_until_us);
    unsigned before = FAKE(rig->fake, burst.needy->fresh_asked);
    rig_pass(700);
    g_assert_cmpuint(FAKE(rig->fake, burst.needy->fresh_asked), ==, before);
    /* Its own period would be soon enough, if it came. */
    fake_lock(rig->fake);
    burst.needy->silent = burst.needy->awake = TRUE;
    fake_unlock(rig->fake);
    RIG_UNTIL(FAKE(rig->fake, burst.needy->fresh_asked) >= before + 2);
    g_assert_false(rig_server(rig, "needy")->facts.idle);
    FAKE(rig->fake, burst.needy->awake = FALSE);
    RIG_UNTIL(rig_server(rig, "needy")->facts.idle);
    assert_within_pool(rig);
    rig_end(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/engine-burst/residency-alone", test_granted_on_residency_alone);
    g_test_add_func("/engine-burst/donor-asked-without-answers", test_donor_is_asked_without_answers);
    g_test_add_func("/engine-burst/donor-hangs", test_donor_hangs);
    g_test_add_func("/engine-burst/whole-rise", test_whole_rise_is_told);
    g_test_add_func("/engine-burst/observe", test_observe_mode_grants_nothing);
    g_test_add_func("/engine-burst/refill", test_asked_for_refill);
    g_test_add_func("/engine-burst/donor-is-asked-when-that-helps", test_donor_is_asked_when_that_helps);
    g_test_add_func("/engine-burst/shows", test_who_shows_its_burst_is_asked_less);
    g_test_add_func("/engine-burst/pool", test_never_beyond_the_pool);
    g_test_add_func("/engine-burst/cache", test_cache_is_told_from_use);
    g_test_add_func("/engine-burst/blind", test_blind_is_asked_while_awake);
    g_test_add_func("/engine-burst/process", test_process_changes);
    g_test_add_func("/engine-burst/pinned", test_pinned_beside_a_burst);
    g_test_add_func("/engine-burst/still", test_tells_who_is_still);
    return g_test_run();
}
