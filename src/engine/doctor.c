/* Rules of thumb, each with what it costs when it does not hold. */
#include "engine/doctor.h"
#include <stdarg.h>
#include "base/size.h"
#include "base/u64.h"
#include "engine/engine_private.h"
#include "policy/reasons.h"

/* Ten times another's weight is ten times its share where memory is short: seldom what somebody means. */
#define WEIGHT_FAR 10
/* Percent of time in which somebody on the host waited for memory, over ten seconds. */
#define PRESSURE_NOTABLE 5.0
#define PRESSURE_HIGH    20.0
/* Below this share of its memory a host is near to killing processes. */
#define AVAILABLE_LOW_SHARE 20
/* A cache that gives back slowly matters when it is a tenth of the host. */
#define ARC_LARGE_SHARE 10
/* An agent speaks once a second; for so long also a guest that thrashes is not quiet. */
#define AGENT_SILENT_US (INT64_C(10) * G_USEC_PER_SEC)
#define AGENT_FIX       "Run aerostat-agent in the guest, with a virtio-serial port org.aerostat.agent.0."

const char *severity_name(Severity severity)
{
    static const char *const names[SEVERITY_N] = {"ok", "note", "warning", "problem"};
    return names[severity];
}

static void finding_free(gpointer data)
{
    Finding *finding = data;
    g_free(finding->name);
    g_free(finding->what);
    g_free(finding->fix);
    g_free(finding);
}

static void add(GPtrArray *findings, const char *name, Severity severity, const char *fix, const char *format,
                ...) G_GNUC_PRINTF(5, 6);

static void add(GPtrArray *findings, const char *name, Severity severity, const char *fix, const char *format,
                ...)
{
    va_list arguments;
    Finding *finding = g_new0(Finding, 1);
    finding->name = g_strdup(name);
    finding->severity = severity;
    va_start(arguments, format);
    finding->what = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    finding->fix = g_strdup(fix);
    g_ptr_array_add(findings, finding);
}

/* Of equal findings the order in which they were made stays. */
static int worst_first(gconstpointer a, gconstpointer b)
{
    const Finding *x = *(Finding *const *)a, *y = *(Finding *const *)b;
    return (int)y->severity - (int)x->severity;
}

static Severity severity_of_fixed(FixedReason reason)
{
    return reason == FIXED_NO_DRIVER ? SEVERITY_PROBLEM : SEVERITY_NOTE;
}

static Severity severity_of_hold(HoldReason reason)
{
    switch (reason) {
    case HOLD_UNRESPONSIVE:
    case HOLD_STALE_STATISTICS:
        return SEVERITY_PROBLEM;
    case HOLD_MANUAL_OVERRIDE:
    case HOLD_RESTING:
        return SEVERITY_WARNING;
    case HOLD_NO:
    case HOLD_STARTING:
    case HOLD_REBOOTING:
    case HOLD_PAUSED:
    case HOLD_MIGRATING:
    case HOLD_N:
        break;
    }
    return SEVERITY_NOTE;
}

static void check_device(GPtrArray *findings, const Tracked *tracked)
{
    const BackendServer *latest = tracked->latest;
    if (!latest->deflates_on_oom)
        add(findings, latest->name, SEVERITY_WARNING,
            "Add autodeflate='on' to its <memballoon> and restart it (QEMU: deflate-on-oom=on).",
            "Its balloon does not deflate when the guest runs out of memory, so a sudden burst may kill a "
            "program.");
    if (!latest->reports_free_pages)
        add(findings, latest->name, SEVERITY_WARNING,
            "Add freePageReporting='on' to its <memballoon> and restart it (QEMU: free-page-reporting=on).",
            "It does not report free pages, so the host sees neither its bursts nor what it frees.");
}

static gboolean may_have_agent(const Tracked *tracked)
{
    return tracked_counts(tracked) && tracked->decided && tracked->facts.fixed == FIXED_NO && tracked->booted;
}

static void check_agent(GPtrArray *findings, const Tracked *tracked)
{
    const char *name = tracked->latest->name;
    int64_t silent_us = g_get_monotonic_time() - tracked->agent_us;
    if (!may_have_agent(tracked))
        return;
    if (tracked->agent_us == 0)
        add(findings, name, SEVERITY_NOTE, AGENT_FIX,
            "No agent speaks from it, so its pressure shows by balloon statistics and residency alone.");
    else if (silent_us > AGENT_SILENT_US)
        add(findings, name, SEVERITY_WARNING, "Is aerostat-agent running in the guest?",
            "Its agent has said nothing for %.0f s.", (double)silent_us / G_USEC_PER_SEC);
}

/* One note for all: the agent is optional, and a hundred lines of it would hide the rest. */
static void check_agents(GPtrArray *findings, Engine *engine)
{
    guint n = 0, without = 0;
    for (guint i = 0; i < engine_servers(engine)->len; i++) {
        const Tracked *tracked = engine_servers(engine)->pdata[i];
        n += may_have_agent(tracked) ? 1 : 0;
        if (may_have_agent(tracked) && tracked->agent_us == 0)
            without++;
        else
            check_agent(findings, tracked);
    }
    if (without > 0)
        add(findings, NULL, SEVERITY_NOTE, AGENT_FIX,
            "No agent speaks from %u of %u servers: their pressure shows by balloon statistics and residency "
            "alone.",
            without, n);
}

static guint32 usual_weight(Engine *engine)
{
    return MAX(engine_defaults(engine)->weight, 1);
}

static void check_settings(GPtrArray *findings, Engine *engine, const Tracked *tracked)
{
    const char *name = tracked->latest->name;
    uint64_t minimum = tracked_minimum(tracked, engine_defaults(engine));
    uint32_t weight = tracked_weight(tracked, engine_defaults(engine)), usual = usual_weight(engine);
    if (minimum >= tracked->latest->maximum_bytes) {
        g_autofree char *fix = g_strdup_printf("aerostat set %s --minimum %s", name,
                                               tracked->settings.has_minimum ? "default" : "25%");
        add(findings, name, SEVERITY_WARNING, fix,
            "Its minimum is its maximum: it never gives anything, whatever it leaves idle.");
    }
    if (weight / WEIGHT_FAR >= usual || usual / WEIGHT_FAR >= weight) {
        g_autofree char *fix = g_strdup_printf("aerostat set %s --weight default", name);
        add(findings, name, SEVERITY_NOTE, fix,
            "Its weight is %u where %u is usual: when memory is short it counts for %s.", weight, usual,
            weight > usual ? "ten ordinary servers or more" : "a tenth of an ordinary server or less");
    }
}

static void check_server(GPtrArray *findings, Engine *engine, const Tracked *tracked)
{
    const char *name = tracked->latest->name;
    if (!tracked_counts(tracked)) {
        add(findings, name, SEVERITY_NOTE, NULL, "It is off; there is more to say when it runs.");
        return;
    }
    FixedReason fixed = tracked->decided ? tracked->facts.fixed : tracked->latest->fixed;
    HoldReason hold = tracked->decided ? tracked->row.hold : HOLD_NO;
    if (fixed != FIXED_NO) {
        add(findings, name, severity_of_fixed(fixed), fixed_remedy(fixed), "%s", fixed_sentence(fixed));
        if (hold == HOLD_UNRESPONSIVE)
            add(findings, name, SEVERITY_PROBLEM, hold_remedy(hold), "%s", hold_sentence(hold));
        return;
    }
    if (hold != HOLD_NO)
        add(findings, name, severity_of_hold(hold), hold_remedy(hold), "%s", hold_sentence(hold));
    check_device(findings, tracked);
    check_settings(findings, engine, tracked);
}

static void finish(GPtrArray *findings, const char *name, const char *fine)
{
    if (findings->len == 0)
        add(findings, name, SEVERITY_OK, NULL, "%s", fine);
    g_ptr_array_sort(findings, worst_first);
}

GPtrArray *doctor_server(Engine *engine, const Tracked *tracked)
{
    GPtrArray *findings = g_ptr_array_new_with_free_func(finding_free);
    check_server(findings, engine, tracked);
    check_agent(findings, tracked);
    finish(findings, tracked->latest->name, "Nothing keeps it from sharing memory.");
    return findings;
}

static void check_pool(GPtrArray *findings, const EngineHost *host)
{
    g_autofree char *pool = size_format(host->pool_bytes);
    const Ledger *ledger = &host->totals.ledger;
    if (host->totals.infeasible) {
        g_autofree char *floors = size_format(host->totals.floors_bytes);
        add(findings, NULL, SEVERITY_PROBLEM,
            "Lower minima (aerostat set NAME --minimum SIZE), stop a server, or enlarge [host] pool.",
            "Minima, fixed servers and overhead add up to %s, and the pool is %s: nothing is touched.",
            floors, pool);
    }
    if (ledger->over_bytes > 0) {
        g_autofree char *over = size_format(ledger->over_bytes);
        add(findings, NULL, SEVERITY_PROBLEM, "Stop a server, or enlarge [host] pool.",
            "Servers hold %s more than the pool of %s: only reclaims happen until it holds again.", over,
            pool);
    }
    if (ledger->reboot_extra_bytes > host->available_bytes) {
        g_autofree char *extra = size_format(ledger->reboot_extra_bytes);
        g_autofree char *available = size_format(host->available_bytes);
        g_autofree char *fix =
            g_strdup_printf("Raise [host] reserve or slack so that %s stay available.", extra);
        add(findings, NULL, SEVERITY_WARNING, fix,
            "A reboot of the largest server may take %s at once, and the host has %s available.", extra,
            available);
    }
    if (host->mode == MODE_OBSERVE)
        add(findings, NULL, SEVERITY_NOTE, "aerostat mode manage",
            "The daemon only observes: it decides and moves no memory.");
}

static void check_memory(GPtrArray *findings, const EngineHost *host, const HostSettings *settings)
{
    if (!settings->pressure)
        add(findings, NULL, SEVERITY_WARNING, "Boot the host with psi=1 (needs CONFIG_PSI).",
            "The kernel tells no memory pressure, so trouble on the host shows late.");
    else if (host->pressure_some_avg10 >= PRESSURE_NOTABLE)
        add(findings, NULL, host->pressure_some_avg10 >= PRESSURE_HIGH ? SEVERITY_PROBLEM : SEVERITY_WARNING,
            "Raise [host] reserve, or see what else on the host uses memory.",
            "Processes of the host waited for memory for %.0f %% of the last ten seconds.",
            host->pressure_some_avg10);
    if (host->available_bytes < host->memory_bytes / AVAILABLE_LOW_SHARE) {
        g_autofree char *available = size_format(host->available_bytes);
        add(findings, NULL, SEVERITY_PROBLEM, "Raise [host] reserve, or make [host] pool smaller.",
            "The host has only %s available: its kernel may begin to kill processes.", available);
    }
}

static void check_kernel(GPtrArray *findings, const EngineHost *host, const HostSettings *settings)
{
    if (settings->swap_total_bytes == 0)
        add(findings, NULL, SEVERITY_NOTE, "Give it a small swap file, as a last resort (mkswap, swapon).",
            "The host has no swap: when something outside Aerostat takes too much, processes are killed at "
            "once.");
    if (settings->overcommit_memory == 2)
        add(findings, NULL, SEVERITY_WARNING, "sysctl vm.overcommit_memory=0",
            "The kernel counts promised memory (vm.overcommit_memory=2), so servers may fail to start "
            "although "
            "there is room.");
    if (settings->huge_free_bytes != UNKNOWN && settings->huge_free_bytes > 0) {
        g_autofree char *unused = size_format(settings->huge_free_bytes);
        add(findings, NULL, SEVERITY_WARNING, "sysctl vm.nr_hugepages=0, or as many as servers use.",
            "%s are set aside as huge pages that nobody uses; they are lost to the pool.", unused);
    }
    if (settings->ksm_run == 1)
        add(findings, NULL, SEVERITY_NOTE, "echo 2 > /sys/kernel/mm/ksm/run, if the CPU time matters more.",
            "KSM merges equal pages: it saves memory that no balance relies on, and may need it back at any "
            "time.");
    uint64_t arc = u64_sub_sat(settings->arc_bytes, settings->arc_minimum_bytes);
    if (arc > host->memory_bytes / ARC_LARGE_SHARE) {
        g_autofree char *size = size_format(arc);
        add(findings, NULL, SEVERITY_WARNING,
            "Set a limit: echo BYTES > /sys/module/zfs/parameters/zfs_arc_max.",
            "ZFS's cache could give back %s, which count as available but come slowly.", size);
    }
}

static char *sys_of(const Engine *engine)
{
    return g_build_filename(engine->proc, "..", "sys", NULL);
}

/* A session's group has little weight on a core where only its QEMU's main thread wants to run for a moment. */
static void check_scheduling(GPtrArray *findings, Engine *engine, const HostSettings *settings)
{
    guint n = 0, n_known = 0;
    g_autofree char *sys = sys_of(engine);
    for (guint i = 0; settings->session_groups == 1 && i < engine_servers(engine)->len; i++) {
        const BackendServer *latest = ((const Tracked *)engine_servers(engine)->pdata[i])->latest;
        n_known += latest->pid > 0 ? 1 : 0;
        n += latest->pid > 0 && hostsettings_by_session(engine->proc, sys, latest->pid) ? 1 : 0;
    }
    if (n > 0)
        add(findings, NULL, SEVERITY_NOTE, "sysctl kernel.sched_autogroup_enabled=0",
            "%u of %u QEMUs share processors by session: with all of them busy, some were seen to answer "
            "0.3 s late.",
            n, n_known);
}

static void check_backends(GPtrArray *findings, Engine *engine)
{
    for (guint i = 0; i < engine_backends(engine)->len; i++) {
        const EngineBackend *known = engine_backends(engine)->pdata[i];
        if (!known->connected)
            add(findings, NULL, SEVERITY_PROBLEM, "Is that hypervisor running? It is tried again and again.",
                "No connection to %s: %s.", known->uri, known->problem);
    }
}

GPtrArray *doctor_host(Engine *engine, const HostSettings *settings)
{
    GPtrArray *findings = g_ptr_array_new_with_free_func(finding_free);
    const EngineHost *host = engine_host(engine);
    check_backends(findings, engine);
    if (host->beats > 0) {
        check_pool(findings, host);
        check_memory(findings, host, settings);
    }
    check_kernel(findings, host, settings);
    check_scheduling(findings, engine, settings);
    for (guint i = 0; i < engine_servers(engine)->len; i++) {
        const Tracked *tracked = engine_servers(engine)->pdata[i];
        if (tracked_counts(tracked))
            check_server(findings, engine, tracked);
    }
    check_agents(findings, engine);
    finish(findings, NULL, "Nothing keeps this host and its servers from sharing memory.");
    return findings;
}

void doctor_settings(Engine *engine, HostSettings *ret)
{
    g_autofree char *sys = sys_of(engine);
    hostsettings_read(engine->proc, sys, ret);
}
