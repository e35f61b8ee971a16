/*
 * A glance: between two whole observations only the servers whose balloons move, or whose statistics are expected, are
 * asked, each by itself. It costs libvirtd and the guests a part of what a whole one does while they have better to do,
 * and one whose QEMU hangs keeps nobody else waiting.
 */
#include "backend/libvirt_private.h"

/* No server's facts grow older than this and an observation. */
#define WHOLE_EVERY_US (US_PER_S / 2)
/* Statistics come within milliseconds of being asked for, from a busy emulated guest within a few hundred. */
#define EXPECTED_US (US_PER_S / 2)
/* From one look at a balloon to the next: what comes back is needed soon; that a guest takes up what it was granted is counted
 * already; and one that has arrived may be moved by its guest, of which QEMU tells once a second at most. */
#define DOWN_US    INT64_C(50000)
#define UP_US      INT64_C(80000)
#define ARRIVED_US INT64_C(250000)
/* Who has not answered by then is left out; its call goes on. */
#define IMPATIENT_MS 100
/* Two lanes: the third stays free for actions. */
#define WIDTH 2
/* With so many calls that hang in QEMUs only whole observations are made, which end in a search for those. */
#define OVERDUE_MOST 6

gboolean glance_suffices(const LibvirtBackend *backend, int64_t now_us)
{
    return backend->whole_us != 0 && now_us - backend->whole_us < WHOLE_EVERY_US && !backend->list_stuck &&
           backend->overdue <= OVERDUE_MOST && !observe_has_news(backend, backend->whole_us);
}

/* Whether its fresh statistics may be there. An idle guest's are often the same as before, and so nothing shows that they have
 * come: each further look waits for as long again as all have until then. */
static gboolean is_expected(const Server *server, int64_t now_us)
{
    if (server->asked_us == 0 || now_us - server->asked_us >= EXPECTED_US)
        return FALSE;
    return now_us - server->read_us >= server->read_us - server->asked_us;
}

static gboolean is_due(const Server *server, int64_t now_us)
{
    /* How far up one had come whose raise was cut short, only looks tell, and until then that counts. */
    if (server->turn_looks > 0)
        return TRUE;
    const gboolean has_told = server->sample.live && server->read_us > server->moved_us;
    int64_t pause_us = server->sample.balloon_bytes < server->target_bytes ? UP_US : DOWN_US;
    if (has_told && server->sample.balloon_bytes == server->target_bytes)
        pause_us = ARRIVED_US;
    return now_us - server->read_us >= pause_us;
}

gboolean glance_wants(const Server *server, int64_t now_us)
{
    return server->sample.running && server->admission == ADMITTED && server->definition.driver &&
           (!server->sample.has_balloon || is_expected(server, now_us) ||
            (server_is_moving(server, now_us) && is_due(server, now_us)));
}

static gboolean on_impatient(gpointer data)
{
    LibvirtBackend *backend = data;
    backend->observation->impatience = 0;
    observe_end(backend);
    return G_SOURCE_REMOVE;
}

void glance_on(LibvirtBackend *backend)
{
    Observation *observation = backend->observation;
    while (observation->outstanding <= WIDTH && !g_queue_is_empty(&observation->hunt)) {
        Server *server = g_queue_pop_head(&observation->hunt);
        if (server_may_call(server))
            observe_live(backend, server);
        server_unref(server);
    }
}

void glance(LibvirtBackend *backend, int64_t now_us)
{
    Observation *observation = backend->observation;
    GHashTableIter each;
    gpointer value;
    observation->is_glance = TRUE;
    g_hash_table_iter_init(&each, backend->servers);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        Server *server = value;
        if (glance_wants(server, now_us) && server_may_call(server))
            g_queue_push_tail(&observation->hunt, server_ref(server));
    }
    /* As an answer that has come does, it counts until the next ones are on their way. */
    observation->outstanding++;
    glance_on(backend);
    observation->outstanding--;
    observation->impatience = observation->outstanding > 0
                                  ? g_timeout_add(IMPATIENT_MS, on_impatient, backend)
                                  : g_idle_add_full(G_PRIORITY_DEFAULT, on_impatient, backend, NULL);
}
