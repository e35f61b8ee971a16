/* The QEMU process behind a server: found once, verified each time, its overhead measured now and then on a worker. */
#include "backend/libvirt_private.h"

#include "backend/hostinfo.h"
#include "backend/process.h"

/* smaps walks the page tables of the whole guest. Not more often than this per server, and never for more than 1 % of
 * the time. */
#define MEASURE_EVERY_US (10 * US_PER_S)
#define MEASURE_COST     100
/* Overhead comes with growth: with less than this nothing is measured again for five minutes. */
#define GROWTH_BYTES      (16 * MIB)
#define MEASURE_ANYWAY_US (300 * US_PER_S)
/* A process that is not found is looked for again after 1 s, 2 s, ... */
#define FIND_PAUSE_MOST_S 30

/* A walk reads of each process what may block behind one that hangs in the kernel; the next one leaves that one out. */
#define FIND_PATIENCE_US (20 * US_PER_S)
#define FINDS_MOST       4

typedef struct {
    char *proc;
    GHashTable *known; /* pids not to look at: their servers are known, or a walk hangs in them */
    atomic_int at;     /* the pid that is looked at */
    int stuck;         /* where the walk was when it had taken too long; engine thread */
    GHashTable *found; /* out: id -> pid; NULL: the walk has not come back */
} Finding;

typedef struct {
    Server *server; /* owned reference, engine thread */
    char *proc;
    int pid;
    uint64_t pid_start, guest_bytes;
    gboolean measured; /* out */
    uint64_t overhead_bytes;
    int64_t took_us;
} Measuring;

void process_expect_new(LibvirtBackend *backend, Server *server)
{
    server->pid = 0;
    server->pid_adopt = TRUE;
    server->overhead_bytes = UNKNOWN;
    backend->find_next_us = 0;
    backend->find_pause_s = 1;
}

/* A pid is used again some day; together with the start time it is not. */
void process_verify(Server *server, const char *proc)
{
    uint64_t start;
    server->resident_bytes = UNKNOWN;
    if (!server->pid)
        return;
    if (!process_start_time(proc, server->pid, &start) || start != server->pid_start) {
        server->pid = 0;
        server->overhead_bytes = UNKNOWN;
        return;
    }
    process_resident(proc, server->pid, &server->resident_bytes);
}

static void finding_free(gpointer data)
{
    Finding *finding = data;
    g_clear_pointer(&finding->found, g_hash_table_unref);
    g_hash_table_unref(finding->known);
    g_free(finding->proc);
    g_free(finding);
}

static void run_find(Call *call)
{
    Finding *finding = call->data;
    finding->found = process_list_qemu(finding->proc, finding->known, &finding->at);
}

/* Another process than before, and no start was seen in between: one has been missed. */
static void adopt(LibvirtBackend *backend, Server *server, int pid)
{
    uint64_t start;
    if (!process_start_time(backend->proc, pid, &start))
        return;
    if (!server->pid_adopt && server->pid_start != start)
        server_booted(backend, server);
    server->pid = pid;
    server->pid_start = start;
    server->pid_adopt = FALSE;
    server->measure_next_us = 0;
}

static void found(Call *call, const GError *error)
{
    LibvirtBackend *backend = call->backend;
    Finding *finding = call->data;
    GHashTableIter each;
    gpointer value;
    backend->finding = FALSE;
    if (error) { /* only a walk that takes too long ends in one */
        finding->stuck = atomic_load(&finding->at);
        g_hash_table_add(backend->stuck_pids, GINT_TO_POINTER(finding->stuck));
        backend->finds_stuck++;
        return;
    }
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        Server *server = value;
        int pid = GPOINTER_TO_INT(g_hash_table_lookup(finding->found, server->id));
        if (pid && !server->pid && server->sample.running)
            adopt(backend, server, pid);
    }
}

/* What it found may be as old as the wait was long: the next walk will tell. */
static void found_late(Call *call, const GError *error)
{
    const Finding *finding = call->data;
    g_hash_table_remove(call->backend->stuck_pids, GINT_TO_POINTER(finding->stuck));
    call->backend->finds_stuck--;
}

static GHashTable *known_pids(const LibvirtBackend *backend)
{
    GHashTable *known = g_hash_table_new(NULL, NULL);
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        const Server *server = value;
        if (server->pid)
            g_hash_table_add(known, GINT_TO_POINTER(server->pid));
    }
    g_hash_table_iter_init(&each, backend->stuck_pids);
    while (g_hash_table_iter_next(&each, &value, NULL))
        g_hash_table_add(known, value);
    return known;
}

static void find(LibvirtBackend *backend, int64_t now_us)
{
    Finding *finding = g_new0(Finding, 1);
    Call *call = call_new(run_find, found, finding, finding_free);
    finding->proc = g_strdup(backend->proc);
    finding->known = known_pids(backend);
    call->outside = TRUE;
    call->late = found_late;
    call->patience_us = FIND_PATIENCE_US;
    backend->finding = TRUE;
    backend->find_next_us = now_us + backend->find_pause_s * US_PER_S;
    backend->find_pause_s = MIN(backend->find_pause_s * 2, FIND_PAUSE_MOST_S);
    call_start(backend, call);
}

static void measuring_free(gpointer data)
{
    Measuring *measuring = data;
    server_unref(measuring->server);
    g_free(measuring->proc);
    g_free(measuring);
}

static void run_measure(Call *call)
{
    Measuring *m = call->data;
    int64_t started_us = g_get_monotonic_time();
    uint64_t start;
    m->measured = process_overhead(m->proc, m->pid, m->guest_bytes, &m->overhead_bytes) &&
                  process_start_time(m->proc, m->pid, &start) && start == m->pid_start;
    m->took_us = g_get_monotonic_time() - started_us;
}

static void measured(Call *call, const GError *error)
{
    const Measuring *m = call->data;
    Server *server = m->server;
    server->measuring = FALSE;
    server->measure_next_us = g_get_monotonic_time() + MAX(MEASURE_EVERY_US, m->took_us * MEASURE_COST);
    if (!m->measured || server->pid != m->pid || server->pid_start != m->pid_start)
        return;
    server->overhead_bytes = m->overhead_bytes;
    server->measured_resident_bytes = server->resident_bytes;
}

static gboolean wants_measure(const Server *server, int64_t now_us)
{
    if (!server->pid || server->measuring || server->resident_bytes == UNKNOWN ||
        now_us < server->measure_next_us)
        return FALSE;
    return server->overhead_bytes == UNKNOWN || server->measured_resident_bytes == UNKNOWN ||
           server->resident_bytes > server->measured_resident_bytes + GROWTH_BYTES ||
           now_us >= server->measure_next_us + MEASURE_ANYWAY_US - MEASURE_EVERY_US;
}

static void measure(LibvirtBackend *backend, Server *server)
{
    Measuring *m = g_new0(Measuring, 1);
    Call *call = call_new(run_measure, measured, m, measuring_free);
    m->server = server_ref(server);
    m->proc = g_strdup(backend->proc);
    m->pid = server->pid;
    m->pid_start = server->pid_start;
    m->guest_bytes = u64_min(server->sample.maximum_bytes, server->definition.maximum_bytes);
    server->measuring = TRUE;
    call->outside = TRUE;
    call_start(backend, call);
}

void process_look_after(LibvirtBackend *backend)
{
    int64_t now_us = g_get_monotonic_time();
    gboolean missing = FALSE;
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        Server *server = value;
        if (!server->listed || !server->sample.running)
            continue;
        missing = missing || !server->pid;
        if (wants_measure(server, now_us))
            measure(backend, server);
    }
    if (!missing)
        backend->find_pause_s = 1;
    else if (!backend->finding && backend->finds_stuck < FINDS_MOST && now_us >= backend->find_next_us)
        find(backend, now_us);
}
