/* libvirt's calls as a test wants them: this program's definitions come before libvirt's and hand on to them. */
#include "libvirt_gate.h"

#include <dlfcn.h>
#include <pthread.h>

#include "backend/libvirt_private.h"

/* Not GLib's locks: ThreadSanitizer knows these. */
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_open = PTHREAD_COND_INITIALIZER;
struct gate gate;
static virConnectPtr dead;

static void *next_of(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    g_assert_nonnull(symbol);
    return symbol;
}

static gboolean is_hung(const char *name)
{
    return gate.daemon_hung || (gate.hung[0] && g_pattern_match_simple(gate.hung, name));
}

/* One waits as if in QEMU; with @nowait the next ones are told that it is busy, as libvirt does. */
static void pass(const char *name, gboolean nowait)
{
    pthread_mutex_lock(&gate_lock);
    if (is_hung(name) && (gate.waiting == 0 || !nowait || gate.daemon_hung)) {
        gate.waiting++;
        while (is_hung(name))
            pthread_cond_wait(&gate_open, &gate_lock);
        gate.waiting--;
    }
    pthread_mutex_unlock(&gate_lock);
}

void gate_set(const char *hung, gboolean daemon_hung, gboolean refuse_open)
{
    pthread_mutex_lock(&gate_lock);
    g_strlcpy(gate.hung, hung, sizeof gate.hung);
    gate.daemon_hung = daemon_hung;
    gate.refuse_open = refuse_open;
    pthread_cond_broadcast(&gate_open);
    pthread_mutex_unlock(&gate_lock);
}

unsigned gate_count(const unsigned *counter)
{
    pthread_mutex_lock(&gate_lock);
    unsigned value = *counter;
    pthread_mutex_unlock(&gate_lock);
    return value;
}

void gate_put(unsigned *counter, unsigned value)
{
    pthread_mutex_lock(&gate_lock);
    *counter = value;
    pthread_mutex_unlock(&gate_lock);
}

static void count_up(unsigned *counter)
{
    pthread_mutex_lock(&gate_lock);
    (*counter)++;
    pthread_mutex_unlock(&gate_lock);
}

int virDomainListGetStats(virDomainPtr *doms, unsigned int stats, virDomainStatsRecordPtr **ret,
                          unsigned int flags)
{
    int (*next)(virDomainPtr *, unsigned int, virDomainStatsRecordPtr **, unsigned int) =
        next_of("virDomainListGetStats");
    if (doms[0] && doms[1])
        count_up(&gate.bulk_calls);
    for (virDomainPtr *one = doms; *one; one++)
        pass(virDomainGetName(*one), (flags & VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT) != 0);
    return next(doms, stats, ret, flags);
}

int virDomainMemoryStats(virDomainPtr domain, virDomainMemoryStatPtr stats, unsigned int n,
                         unsigned int flags)
{
    int (*next)(virDomainPtr, virDomainMemoryStatPtr, unsigned int, unsigned int) =
        next_of("virDomainMemoryStats");
    pass(virDomainGetName(domain), FALSE);
    pthread_mutex_lock(&gate_lock);
    gate.live_paired += gate.live_now++ > 0;
    unsigned ms = gate.live_ms;
    pthread_mutex_unlock(&gate_lock);
    g_usleep((gulong)ms * 1000);
    pthread_mutex_lock(&gate_lock);
    gate.live_now--;
    pthread_mutex_unlock(&gate_lock);
    return next(domain, stats, n, flags);
}

int virDomainSetMemoryFlags(virDomainPtr domain, unsigned long kib, unsigned int flags)
{
    int (*next)(virDomainPtr, unsigned long, unsigned int) = next_of("virDomainSetMemoryFlags");
    count_up(&gate.target_calls);
    pass(virDomainGetName(domain), FALSE);
    return next(domain, kib, flags);
}

/* The test driver has no polling and no jobs. */
int virDomainSetMemoryStatsPeriod(virDomainPtr domain, int period, unsigned int flags)
{
    count_up(period ? &gate.period_set : &gate.period_zero);
    return 0;
}

int virDomainGetControlInfo(virDomainPtr domain, virDomainControlInfoPtr info, unsigned int flags)
{
    pthread_mutex_lock(&gate_lock);
    gboolean occupied = is_hung(virDomainGetName(domain)) && gate.waiting > 0;
    pthread_mutex_unlock(&gate_lock);
    *info = (virDomainControlInfo){.state = occupied ? VIR_DOMAIN_CONTROL_OCCUPIED : VIR_DOMAIN_CONTROL_OK,
                                   .stateTime = occupied ? 1000 : 0};
    return 0;
}

int virConnectGetLibVersion(virConnectPtr conn, unsigned long *version)
{
    int (*next)(virConnectPtr, unsigned long *) = next_of("virConnectGetLibVersion");
    pass("", FALSE);
    return next(conn, version);
}

virConnectPtr virConnectOpen(const char *uri)
{
    virConnectPtr (*next)(const char *) = next_of("virConnectOpen");
    pthread_mutex_lock(&gate_lock);
    gboolean refuse = gate.refuse_open;
    pthread_mutex_unlock(&gate_lock);
    virConnectPtr conn = next(refuse ? "qemu+unix:///system?socket=/nonexistent/socket" : uri);
    pthread_mutex_lock(&gate_lock);
    if (conn && gate.stillborn > 0) {
        gate.stillborn--;
        dead = conn;
    } else if (conn == dead) {
        dead = NULL; /* the same address once more */
    }
    pthread_mutex_unlock(&gate_lock);
    return conn;
}

int virConnectIsAlive(virConnectPtr conn)
{
    int (*next)(virConnectPtr) = next_of("virConnectIsAlive");
    pthread_mutex_lock(&gate_lock);
    gboolean is_dead = conn == dead;
    pthread_mutex_unlock(&gate_lock);
    return is_dead ? 0 : next(conn);
}

int virConnectListAllDomains(virConnectPtr conn, virDomainPtr **domains, unsigned int flags)
{
    int (*next)(virConnectPtr, virDomainPtr **, unsigned int) = next_of("virConnectListAllDomains");
    count_up(&gate.lists);
    return next(conn, domains, flags);
}

virDomainPtr virDomainLookupByUUIDString(virConnectPtr conn, const char *id)
{
    virDomainPtr (*next)(virConnectPtr, const char *) = next_of("virDomainLookupByUUIDString");
    count_up(&gate.lookups);
    return next(conn, id);
}
