/* What is known of one container, and the one errand on it. */
#include "backend/lxc_private.h"

/* liblxc's own word on a running container, for what files do not tell: that it was frozen. */
#define ASK_RUNNING_US (5 * US_PER_S)
/* A config may include others, whose changes do not show. */
#define ASK_STOPPED_US (60 * US_PER_S)
#define CLEAN_CHAR     0xFFFD

static char *shown(const char *name)
{
    g_autofree char *valid = g_utf8_make_valid(name, -1);
    GString *clean = g_string_new(NULL);
    for (const char *c = valid; *c; c = g_utf8_next_char(c)) {
        gunichar letter = g_utf8_get_char(c);
        g_string_append_unichar(clean, g_unichar_iscntrl(letter) ? CLEAN_CHAR : letter);
    }
    return g_string_free(clean, FALSE);
}

Container *container_new(LxcBackend *backend, const char *name, const char *id)
{
    Container *container = g_new0(Container, 1);
    container->references = 1;
    container->backend = backend;
    container->name = g_strdup(name);
    container->shown_name = shown(name);
    container->id = g_strdup(id);
    container->limit_bytes = UNKNOWN;
    g_queue_init(&container->waiting);
    return container;
}

Container *container_ref(Container *container)
{
    container->references++;
    return container;
}

void container_unref(Container *container)
{
    if (--container->references > 0)
        return;
    g_free(container->id);
    g_free(container->name);
    g_free(container->shown_name);
    g_free(container->folder);
    g_free(container);
}

static void emit(Container *container, BackendEvent event)
{
    Backend *base = &container->backend->base;
    if (base->on_event)
        base->on_event(base, event, container->id, NULL, base->on_event_data);
}

static void set_run(Container *container, PowerState power, Init init)
{
    gboolean another =
        init.pid != 0 && (init.pid != container->init.pid || init.start_ticks != container->init.start_ticks);
    gboolean stopped = power == POWER_OFF && container->power != POWER_OFF;
    container->power = power;
    if (another || power == POWER_OFF)
        container->measured = FALSE;
    container->init = init;
    if (another) {
        container->boot_count = ++container->backend->boots;
        emit(container, BACKEND_EVENT_STARTED);
    } else if (stopped) {
        emit(container, BACKEND_EVENT_STOPPED);
    }
}

void container_sighted(Container *container, const Sighting *sighting, int64_t wall_s)
{
    container->listed = TRUE;
    container->active = sighting->active;
    container->config_us = sighting->config_us;
    if (container->power != POWER_OFF && !sighting->alive)
        set_run(container, POWER_OFF, (Init){0});
    if (!sighting->read)
        return;
    container->memory = sighting->memory;
    container->measured = TRUE;
    container->measured_wall_s = wall_s;
}

void container_answered(Container *container, const Inquiry *inquiry)
{
    container->asked = TRUE;
    if (inquiry->unreadable && !container->told_unreadable)
        g_warning(
            "container %s: liblxc cannot read its config, so it counts as stopped; lxc-info -P %s -n '%s' "
            "tells why",
            container->shown_name, inquiry->path, container->shown_name);
    container->told_unreadable = inquiry->unreadable;
    container->limit_bytes = inquiry->limit_bytes;
    container->autostart = inquiry->autostart;
    g_free(container->folder);
    container->folder = g_strdup(inquiry->folder);
    set_run(container, inquiry->power, inquiry->init);
    if (inquiry->measured) {
        container->memory = inquiry->memory;
        container->measured = TRUE;
        container->measured_wall_s = g_get_real_time() / US_PER_S;
    }
}

gboolean container_wants_inquiry(const Container *container, const Sighting *sighting, int64_t now_us)
{
    if (container->busy)
        return FALSE;
    gboolean runs = container->power != POWER_OFF;
    int64_t age_us = now_us - container->asked_us;
    return !container->asked || container->asked_config_us != sighting->config_us ||
           runs != sighting->active || (runs && !sighting->read) ||
           age_us >= (runs ? ASK_RUNNING_US : ASK_STOPPED_US);
}

/* The group's own figure counts when it is there: a limit can be changed while it runs. */
static uint64_t limit_of(const Container *container)
{
    return container->measured ? container->memory.limit_bytes : container->limit_bytes;
}

static void set_memory(const Container *container, BackendServer *facts)
{
    const CgroupMemory *memory = &container->memory;
    uint64_t held = u64_sub_sat(memory->usage_bytes, memory->inactive_file_bytes);
    facts->resident_bytes = held;
    facts->total_bytes = facts->maximum_bytes;
    facts->available_bytes = facts->free_bytes = u64_sub_sat(facts->maximum_bytes, held);
    facts->cache_bytes = memory->cache_bytes;
    facts->guest_update_s = (uint64_t)container->measured_wall_s;
}

BackendServer *container_facts(const Container *container, uint64_t host_bytes)
{
    if (!container->asked)
        return NULL;
    BackendServer *facts = g_new0(BackendServer, 1);
    uint64_t limit = limit_of(container);
    facts->id = g_strdup(container->id);
    facts->name = g_strdup(container->shown_name);
    facts->kind = SERVER_KIND_LXC;
    facts->power = container->power;
    facts->responsive = !container->stuck;
    facts->unlimited = limit >= host_bytes;
    facts->maximum_bytes = facts->balloon_bytes = MIN(limit, host_bytes);
    facts->boot_count = container->boot_count;
    facts->guest_update_s = facts->available_bytes = facts->free_bytes = facts->total_bytes = UNKNOWN;
    facts->cache_bytes = facts->swap_in_bytes = facts->swap_out_bytes = facts->major_faults = UNKNOWN;
    facts->resident_bytes = UNKNOWN;
    facts->pid = container->init.pid;
    facts->fixed = FIXED_CONTAINER;
    facts->driver = g_strdup("none");
    facts->persistent = TRUE;
    facts->autostart = container->autostart;
    facts->next_start = NEXT_START_OFF;
    if (container->power != POWER_OFF && container->measured)
        set_memory(container, facts);
    return facts;
}

/* ---- errands */

void errand_free(Errand *errand)
{
    if (errand->free_data)
        errand->free_data(errand->data);
    container_unref(errand->container);
    g_free(errand);
}

static void answer(Errand *errand, const GError *error)
{
    BackendDone done = g_steal_pointer(&errand->done);
    LxcBackend *backend = errand->container->backend;
    g_ptr_array_remove_fast(backend->owed, errand);
    if (done)
        done(&backend->base, errand->container->id, error, errand->user_data);
}

/* Nobody knows when the one before them returns. */
static void fail_waiting(Container *container)
{
    Errand *errand;
    g_autoptr(GError) error = g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                                          "container %s: it does not answer", container->shown_name);
    while ((errand = g_queue_pop_head(&container->waiting))) {
        answer(errand, error);
        errand_free(errand);
    }
}

static void errand_run(gpointer data, GError **error)
{
    Errand *errand = data;
    errand->run(errand->data, error);
}

/* The worker's data and the engine's are the same errand. */
static void errand_done(gpointer returned, const GError *error, gpointer user_data)
{
    const Errand *back = returned;
    Errand *errand = user_data;
    Container *container = errand->container;
    container->stuck = back == NULL;
    if (errand->answered)
        errand->answered(container, back ? back->data : NULL, error);
    answer(errand, error);
    if (container->stuck)
        fail_waiting(container);
}

static void dispatch(Errand *errand);

static void errand_returned(gpointer user_data)
{
    Errand *errand = user_data;
    Container *container = errand->container;
    container->busy = container->stuck = FALSE;
    Errand *next = g_queue_pop_head(&container->waiting);
    if (next)
        dispatch(next);
}

/* The worker's @data and the engine's user_data are the same errand: its members are apart. */
static void dispatch(Errand *errand)
{
    Container *container = errand->container;
    g_autofree char *what = g_strdup_printf("container %s", container->shown_name);
    WorkSpec spec = {
        .run = errand_run,
        .done = errand_done,
        .returned = errand_returned,
        .data = errand,
        .free_data = (GDestroyNotify)errand_free,
        .user_data = errand,
        .deadline_us = errand->deadline_us,
        .is_long = errand->is_long,
        .what = what,
    };
    container->busy = TRUE;
    work_start(container->backend->pool, &spec);
}

void container_send(Container *container, Errand *errand)
{
    errand->container = container_ref(container);
    g_ptr_array_add(container->backend->owed, errand);
    if (container->busy)
        g_queue_push_tail(&container->waiting, errand);
    else
        dispatch(errand);
}
