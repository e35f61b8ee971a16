/* What the doctor finds, over guests and hosts that have what it looks for, and says nothing of those that do not. */
#include <string.h>
#include <glib/gstdio.h>
#include "engine/doctor.h"
#include "engine_rig.h"

#define S INT64_C(1000000)

/* A host with nothing to say of. */
static const HostSettings healthy = {.pressure = TRUE,
                                     .swap_total_bytes = GIB,
                                     .swap_free_bytes = GIB,
                                     .huge_total_bytes = 0,
                                     .huge_free_bytes = 0,
                                     .overcommit_memory = 0,
                                     .ksm_run = 0};

static void begin(Rig *rig, gconstpointer data)
{
    rig_begin(rig, 9 * GIB, MODE_MANAGE);
    FakeGuest *guests[] = {fake_guest_add(rig->fake, "a", GIB), fake_guest_add(rig->fake, "b", GIB)};
    fake_lock(rig->fake);
    guests[0]->deflates_on_oom = guests[1]->deflates_on_oom = TRUE;
    fake_unlock(rig->fake);
}

static void end(Rig *rig, gconstpointer data)
{
    rig_end(rig);
}

static void settle(Rig *rig)
{
    rig_start(rig, NULL);
    RIG_UNTIL(rig_server(rig, "a") && rig_server(rig, "a")->decided && !rig_server(rig, "a")->adopting &&
              rig_server(rig, "b")->decided && !rig_server(rig, "b")->adopting &&
              rig_server(rig, "b")->row.hold == HOLD_NO && rig_server(rig, "a")->row.hold == HOLD_NO);
    /* The fake has no such switch. */
    rig_server(rig, "a")->agent_us = rig_server(rig, "b")->agent_us = g_get_monotonic_time();
    rig_server(rig, "a")->latest->reports_free_pages = rig_server(rig, "b")->latest->reports_free_pages =
        TRUE;
}

static const Finding *find(GPtrArray *findings, const char *name, const char *words)
{
    for (guint i = 0; i < findings->len; i++) {
        const Finding *finding = findings->pdata[i];
        if (g_strcmp0(finding->name, name) == 0 && strstr(finding->what, words))
            return finding;
    }
    return NULL;
}

static void assert_found(GPtrArray *findings, const char *name, Severity severity, const char *words,
                         const char *fix)
{
    const Finding *finding = find(findings, name, words);
    if (!finding)
        g_error("nothing found of \"%s\"", words);
    g_assert_cmpstr(severity_name(finding->severity), ==, severity_name(severity));
    if (fix)
        g_assert_nonnull(strstr(finding->fix, fix));
    else
        g_assert_null(finding->fix);
}

static void test_healthy(Rig *rig, gconstpointer data)
{
    settle(rig);
    g_autoptr(GPtrArray) of_host = doctor_host(rig->engine, &healthy);
    g_assert_cmpuint(of_host->len, ==, 1);
    assert_found(of_host, NULL, SEVERITY_OK, "Nothing keeps this host", NULL);
    g_autoptr(GPtrArray) of_server = doctor_server(rig->engine, rig_server(rig, "a"));
    g_assert_cmpuint(of_server->len, ==, 1);
    assert_found(of_server, "a", SEVERITY_OK, "Nothing keeps it", NULL);
}

static void test_servers(Rig *rig, gconstpointer data)
{
    FakeGuest *box = fake_guest_add(rig->fake, "box", GIB), *mute = fake_guest_add(rig->fake, "mute", GIB);
    box->fixed = FIXED_NO_DRIVER;
    settle(rig);
    ServerSettings all = {.has_minimum = TRUE, .minimum_bytes = GIB, .has_weight = TRUE, .weight = 1000};
    g_assert_true(engine_set_settings(rig->engine, rig_server(rig, "a"), &all, NULL, NULL));
    FAKE(rig->fake, mute->hangs = TRUE);
    RIG_UNTIL(rig_server(rig, "mute")->decided && rig_server(rig, "mute")->row.hold == HOLD_UNRESPONSIVE);
    rig_server(rig, "b")->latest->deflates_on_oom = rig_server(rig, "b")->latest->reports_free_pages = FALSE;
    g_autoptr(GPtrArray) found = doctor_host(rig->engine, &healthy);
    assert_found(found, "box", SEVERITY_PROBLEM, "Nothing in the guest answers", "memballoon");
    assert_found(found, "mute", SEVERITY_PROBLEM, "does not answer", "stopped");
    assert_found(found, "a", SEVERITY_WARNING, "Its minimum is its maximum",
                 "aerostat set a --minimum default");
    assert_found(found, "a", SEVERITY_NOTE, "ten ordinary servers", "aerostat set a --weight default");
    assert_found(found, "b", SEVERITY_WARNING, "does not deflate", "autodeflate='on'");
    assert_found(found, "b", SEVERITY_WARNING, "does not report free pages", "freePageReporting='on'");
    for (guint i = 1; i < found->len; i++)
        g_assert_cmpint(((Finding *)found->pdata[i - 1])->severity, >=,
                        ((Finding *)found->pdata[i])->severity);
    g_autoptr(GPtrArray) alone = doctor_server(rig->engine, rig_server(rig, "box"));
    g_assert_cmpuint(alone->len, ==, 1);
}

static void test_agents(Rig *rig, gconstpointer data)
{
    settle(rig);
    rig_server(rig, "a")->agent_us = 0;
    rig_server(rig, "b")->agent_us = g_get_monotonic_time() - 60 * S;
    g_autoptr(GPtrArray) found = doctor_host(rig->engine, &healthy);
    g_assert_cmpuint(found->len, ==, 2);
    assert_found(found, NULL, SEVERITY_NOTE, "from 1 of 2 servers", "aerostat-agent");
    assert_found(found, "b", SEVERITY_WARNING, "said nothing for 60 s", "running in the guest");
    g_autoptr(GPtrArray) alone = doctor_server(rig->engine, rig_server(rig, "a"));
    assert_found(alone, "a", SEVERITY_NOTE, "No agent speaks from it", "aerostat-agent");
}

static void test_host(Rig *rig, gconstpointer data)
{
    settle(rig);
    HostSettings bad = healthy;
    bad.pressure = FALSE;
    bad.swap_total_bytes = 0;
    bad.huge_total_bytes = bad.huge_free_bytes = 2 * GIB;
    bad.overcommit_memory = 2;
    bad.ksm_run = 1;
    bad.arc_bytes = 20 * GIB;
    g_autoptr(GPtrArray) found = doctor_host(rig->engine, &bad);
    g_assert_cmpuint(found->len, ==, 6);
    assert_found(found, NULL, SEVERITY_WARNING, "no memory pressure", "psi=1");
    assert_found(found, NULL, SEVERITY_NOTE, "no swap", "swapon");
    assert_found(found, NULL, SEVERITY_WARNING, "2 GiB are set aside as huge pages", "vm.nr_hugepages");
    assert_found(found, NULL, SEVERITY_WARNING, "vm.overcommit_memory=2", "sysctl");
    assert_found(found, NULL, SEVERITY_NOTE, "KSM", "ksm/run");
    assert_found(found, NULL, SEVERITY_WARNING, "20 GiB", "zfs_arc_max");
    /* What nobody could read is nothing to complain of. */
    HostSettings unknown = {.pressure = TRUE,
                            .swap_total_bytes = UNKNOWN,
                            .huge_total_bytes = UNKNOWN,
                            .huge_free_bytes = UNKNOWN,
                            .overcommit_memory = -1,
                            .ksm_run = -1};
    g_autoptr(GPtrArray) nothing = doctor_host(rig->engine, &unknown);
    assert_found(nothing, NULL, SEVERITY_OK, "Nothing keeps this host", NULL);
}

/* @text: (nullable): there is no such file. */
static void set_group(Rig *rig, const char *name, const char *text)
{
    g_autofree char *path = g_strdup_printf("%s/%d/cgroup", rig->proc, rig_server(rig, name)->latest->pid);
    if (text)
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
    else
        g_assert_cmpint(g_remove(path), ==, 0);
}

static void test_scheduling(Rig *rig, gconstpointer data)
{
    fake_show_residency(rig->fake, rig->proc);
    settle(rig);
    set_group(rig, "a", "1:cpu:/\n");
    set_group(rig, "b", "1:cpu:/machine/b\n");
    HostSettings sessions = healthy;
    sessions.session_groups = 1;
    g_autoptr(GPtrArray) found = doctor_host(rig->engine, &sessions);
    assert_found(found, NULL, SEVERITY_NOTE, "1 of 2 QEMUs share processors by session", "sched_autogroup");
    g_autoptr(GPtrArray) nothing = doctor_host(rig->engine, &healthy);
    g_assert_null(find(nothing, NULL, "by session"));
    set_group(rig, "a", NULL);
    set_group(rig, "b", NULL);
}

static void test_pool(Rig *rig, gconstpointer data)
{
    settle(rig);
    g_assert_true(engine_set_mode(rig->engine, MODE_OBSERVE, NULL, NULL));
    rig->config->pool.bytes = GIB / 4;
    g_autofree char *path = g_build_filename(rig->proc, "meminfo", NULL);
    g_assert_true(g_file_set_contents(path, "MemTotal: 67108864 kB\nMemAvailable: 200000 kB\n", -1, NULL));
    RIG_UNTIL(engine_host(rig->engine)->totals.infeasible && engine_host(rig->engine)->available_bytes < GIB);
    fake_disconnect(rig->fake);
    RIG_UNTIL(!((EngineBackend *)engine_backends(rig->engine)->pdata[0])->connected);
    g_autoptr(GPtrArray) found = doctor_host(rig->engine, &healthy);
    assert_found(found, NULL, SEVERITY_PROBLEM, "No connection to fake:///first",
                 "Is that hypervisor running");
    assert_found(found, NULL, SEVERITY_PROBLEM, "nothing is touched", "--minimum");
    assert_found(found, NULL, SEVERITY_PROBLEM, "more than the pool of 256 MiB", "enlarge");
    assert_found(found, NULL, SEVERITY_PROBLEM, "kernel may begin to kill", "reserve");
    assert_found(found, NULL, SEVERITY_NOTE, "only observes", "aerostat mode manage");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/doctor/healthy", Rig, NULL, begin, test_healthy, end);
    g_test_add("/doctor/servers", Rig, NULL, begin, test_servers, end);
    g_test_add("/doctor/agents", Rig, NULL, begin, test_agents, end);
    g_test_add("/doctor/host", Rig, NULL, begin, test_host, end);
    g_test_add("/doctor/scheduling", Rig, NULL, begin, test_scheduling, end);
    g_test_add("/doctor/pool", Rig, NULL, begin, test_pool, end);
    return g_test_run();
}
