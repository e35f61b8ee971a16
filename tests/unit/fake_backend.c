/* Guests that live on their own thread. */
#include "fake_backend.h"
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "base/error.h"

#define SECOND_US INT64_C(1000000)
/* The guests' world moves on in steps of this. */
#define STEP_US INT64_C(1000)
/* Whoever does not answer is given up after this. */
#define DEADLINE_US INT64_C(150000)
/* What a guest that runs out of memory leaves itself. */
#define OOM_LEFT_BYTES (8 * MIB)

typedef enum { JOB_OBSERVE, JOB_TARGET, JOB_FRESH } JobKind;

typedef struct {
    JobKind kind;
    char *id;
    uint64_t bytes;
    gpointer done, user_data;
    int64_t due_us;
    GPtrArray *servers;
    GError *error;
    gboolean carried_out;
} Job;

struct FakeBackend {
    Backend base;
    GMutex mutex;
    GCond cond;
    GThread *worker;
    GSource *source; /* wakes the main context when there are answers */
    /* All below under the mutex. */
    GPtrArray *guests; /* FakeGuest */
    GQueue asked;      /* Job, the worker's */
    GQueue answered;   /* Job, the main context's */
    gboolean stop, disconnected, hold, at_once;
    uint64_t boots, peak_bytes;
    unsigned observations;
    int64_t stepped_us;
};

int64_t fake_wall_s(void)
{
    return INT64_C(1700000000) + g_get_monotonic_time() / (SECOND_US / FAKE_SPEED);
}

void fake_lock(FakeBackend *fake)
{
    g_mutex_lock(&fake->mutex);
}

void fake_unlock(FakeBackend *fake)
{
    g_mutex_unlock(&fake->mutex);
}

/* ---- the guests' world; all of it under the mutex */

static uint64_t towards(uint64_t from, uint64_t to, uint64_t step)
{
    if (from > to)
        return from - u64_min(step, from - to);
    return from + u64_min(step, to - from);
}

static uint64_t in_use(const FakeGuest *guest)
{
    return u64_min(guest->used_bytes, guest->truth_bytes);
}

static void take_sample(FakeGuest *guest, int64_t now_us)
{
    guest->next_available_bytes = guest->truth_bytes - in_use(guest);
    guest->next_update_s = (uint64_t)fake_wall_s();
    guest->seen_us = now_us + guest->lag_ms * 1000;
    guest->sample_due_us = now_us + guest->period_ms * 1000;
}

static void move_balloon(FakeGuest *guest, int64_t elapsed_us)
{
    uint64_t speed =
        guest->truth_bytes > guest->target_bytes ? guest->inflate_bytes_per_s : guest->deflate_bytes_per_s;
    uint64_t step = (uint64_t)((double)speed * (double)elapsed_us / (double)SECOND_US);
    uint64_t goal = guest->target_bytes;
    if (guest->truth_bytes > goal)
        goal = u64_max(goal, u64_min(guest->truth_bytes, guest->used_bytes + OOM_LEFT_BYTES));
    guest->truth_bytes = towards(guest->truth_bytes, goal, step);
    if (guest->deflates_on_oom && guest->used_bytes + OOM_LEFT_BYTES / 2 > guest->truth_bytes &&
        guest->truth_bytes < guest->maximum_bytes) {
        guest->truth_bytes = u64_min(guest->used_bytes + 2 * OOM_LEFT_BYTES, guest->maximum_bytes);
        guest->ooms++;
    }
    if (!guest->actual_stale)
        guest->shown_bytes = guest->truth_bytes;
}

static uint64_t resident(const FakeGuest *guest)
{
    return u64_min(in_use(guest) + guest->cached_bytes, guest->truth_bytes) + FAKE_OVERHEAD;
}

/* Always as long as before: whoever reads meanwhile finds a whole line. */
static void write_statm(const FakeGuest *guest)
{
    char text[64];
    int length = g_snprintf(text, sizeof text, "%016d %016" PRIu64 " 0 0 0 0 0\n", 0, resident(guest) / 4096);
    if (guest->statm >= 0 && pwrite(guest->statm, text, (size_t)length, 0) != length)
        g_error("the fake cannot write its statm");
}

static void write_stat(const FakeGuest *guest)
{
    char text[128];
    int64_t ticks = guest->processor_us * sysconf(_SC_CLK_TCK) / SECOND_US;
    int length = g_snprintf(text, sizeof text, "%d (qemu) S 0 0 0 0 0 0 0 0 0 0 %016" PRId64 " 0 0 0\n",
                            guest->pid, ticks);
    if (guest->stat >= 0 && pwrite(guest->stat, text, (size_t)length, 0) != length)
        g_error("the fake cannot write its stat");
}

static void live(FakeGuest *guest, int64_t now_us, int64_t elapsed_us)
{
    if (guest->awake)
        guest->processor_us += elapsed_us;
    write_statm(guest);
    write_stat(guest);
    if (!guest->running || guest->paused || now_us < guest->booted_us)
        return;
    uint64_t grows = (uint64_t)((double)guest->use_bytes_per_s * (double)elapsed_us / (double)SECOND_US);
    guest->used_bytes = towards(guest->used_bytes, grows > 0 ? guest->goal_bytes : guest->used_bytes, grows);
    guest->cached_bytes +=
        (uint64_t)((double)guest->cache_bytes_per_s * (double)elapsed_us / (double)SECOND_US);
    move_balloon(guest, elapsed_us);
    if (guest->seen_us != 0 && now_us >= guest->seen_us) {
        guest->seen_us = 0;
        guest->update_s = guest->next_update_s;
        guest->available_bytes = guest->next_available_bytes;
    }
    if (!guest->silent && now_us >= guest->sample_due_us)
        take_sample(guest, now_us);
}

static uint64_t committed(const FakeBackend *fake)
{
    uint64_t sum = 0;
    for (guint i = 0; i < fake->guests->len; i++) {
        const FakeGuest *guest = fake->guests->pdata[i];
        if (guest->running)
            sum += u64_max(guest->truth_bytes, guest->target_bytes) + FAKE_OVERHEAD;
    }
    return sum;
}

static void step(FakeBackend *fake, int64_t now_us)
{
    int64_t elapsed_us = now_us - fake->stepped_us;
    fake->stepped_us = now_us;
    for (guint i = 0; i < fake->guests->len; i++)
        live(fake->guests->pdata[i], now_us, elapsed_us);
    fake->peak_bytes = u64_max(fake->peak_bytes, committed(fake));
}

static FakeGuest *by_id(FakeBackend *fake, const char *id)
{
    for (guint i = 0; i < fake->guests->len; i++) {
        FakeGuest *guest = fake->guests->pdata[i];
        if (!guest->gone && g_str_equal(guest->id, id))
            return guest;
    }
    return NULL;
}

static void set_target(FakeGuest *guest, uint64_t bytes)
{
    if (bytes != guest->target_bytes && g_get_monotonic_time() >= guest->booted_us)
        guest->actual_stale = FALSE;
    guest->target_bytes = u64_min(bytes, guest->maximum_bytes);
    guest->targets_set++;
    guest->lowest_target_bytes = u64_min(guest->lowest_target_bytes, bytes);
}

/* ---- jobs */

static void job_free(gpointer data)
{
    Job *job = data;
    g_free(job->id);
    g_clear_error(&job->error);
    if (job->servers)
        g_ptr_array_unref(job->servers);
    g_free(job);
}

static BackendServer *facts_of(const FakeGuest *guest)
{
    BackendServer *server = g_new0(BackendServer, 1);
    server->id = g_strdup(guest->id);
    server->name = g_strdup(guest->name);
    server->power = !guest->running ? POWER_OFF : (guest->paused ? POWER_PAUSED : POWER_RUNNING);
    server->responsive = !guest->hangs;
    server->balloon_read_us = guest->hangs ? 0 : g_get_monotonic_time();
    server->maximum_bytes = guest->maximum_bytes;
    server->balloon_bytes = guest->running ? guest->shown_bytes : UNKNOWN;
    server->boot_count = guest->boot_count;
    server->guest_update_s = guest->update_s;
    gboolean told = guest->running && guest->update_s != 0;
    server->available_bytes = told ? guest->available_bytes : UNKNOWN;
    server->free_bytes = told ? u64_sub_sat(guest->available_bytes, guest->cached_bytes) : UNKNOWN;
    server->total_bytes = told ? guest->shown_bytes : UNKNOWN;
    server->cache_bytes = server->swap_in_bytes = server->swap_out_bytes = server->major_faults = UNKNOWN;
    gboolean found = guest->running && !guest->unfound;
    server->pid = found ? guest->pid : 0;
    server->resident_bytes = found ? resident(guest) : UNKNOWN;
    server->overhead_bytes = guest->running ? FAKE_OVERHEAD : UNKNOWN;
    server->deflates_on_oom = guest->deflates_on_oom;
    server->fixed = guest->fixed;
    server->has_balloon = TRUE;
    server->next_start = NEXT_START_ON;
    server->persistent = TRUE;
    server->kind = guest->container ? SERVER_KIND_LXC : SERVER_KIND_KVM;
    server->autostart = guest->autostart;
    server->driver = g_strdup("virtio-balloon");
    return server;
}

static int compare_servers(gconstpointer a, gconstpointer b)
{
    return strcmp((*(BackendServer *const *)a)->name, (*(BackendServer *const *)b)->name);
}

static void fail(Job *job, AerostatError code, const char *why)
{
    job->error = g_error_new(AEROSTAT_ERROR, (int)code, "server %s: %s", job->id ? job->id : "-", why);
}

static void observe(FakeBackend *fake, Job *job)
{
    fake->observations++;
    if (fake->disconnected) {
        fail(job, AEROSTAT_ERROR_UNAVAILABLE, "the fake is not connected");
        return;
    }
    job->servers = g_ptr_array_new_with_free_func((GDestroyNotify)backend_server_free);
    for (guint i = 0; i < fake->guests->len; i++) {
        const FakeGuest *guest = fake->guests->pdata[i];
        if (!guest->gone)
            g_ptr_array_add(job->servers, facts_of(guest));
    }
    g_ptr_array_sort(job->servers, compare_servers);
}

static void carry_out(FakeBackend *fake, Job *job, FakeGuest *guest)
{
    if (fake->disconnected)
        fail(job, AEROSTAT_ERROR_UNAVAILABLE, "the fake is not connected");
    else if (!guest || !guest->running)
        fail(job, AEROSTAT_ERROR_NOT_FOUND, "no such server runs");
    else if (job->kind == JOB_FRESH && !guest->silent)
        take_sample(guest, fake->stepped_us);
    else if (job->kind == JOB_TARGET && guest->manner == FAKE_REFUSES)
        fail(job, AEROSTAT_ERROR_FAILED, "set balloon: not today");
    else if (job->kind == JOB_TARGET)
        set_target(guest, job->bytes);
}

/* Whether @job has its answer now. What is asked happens at once; the answer may be long in coming. */
static gboolean serve(FakeBackend *fake, Job *job, int64_t now_us)
{
    if (job->kind == JOB_OBSERVE) {
        if (!fake->hold)
            observe(fake, job);
        return !fake->hold;
    }
    FakeGuest *guest = by_id(fake, job->id);
    gboolean mute = guest && !fake->disconnected &&
                    (guest->hangs || (job->kind == JOB_TARGET && guest->manner >= FAKE_LOSES));
    gboolean happens = !mute || (!guest->hangs && guest->manner == FAKE_CARRIES_OUT_SILENTLY);
    if (happens && !job->carried_out) {
        carry_out(fake, job, guest);
        job->carried_out = TRUE;
    }
    if (now_us < job->due_us + (mute ? DEADLINE_US : 0))
        return FALSE;
    if (mute && !job->error)
        fail(job, AEROSTAT_ERROR_TIMEOUT, "its QEMU does not answer");
    return TRUE;
}

static void serve_all(FakeBackend *fake, int64_t now_us)
{
    gboolean any = FALSE;
    for (guint n = fake->asked.length; n > 0; n--) {
        Job *job = g_queue_pop_head(&fake->asked);
        gboolean done = serve(fake, job, now_us);
        g_queue_push_tail(done ? &fake->answered : &fake->asked, job);
        any = any || done;
    }
    if (any)
        g_source_set_ready_time(fake->source, 0);
}

static gpointer work(gpointer data)
{
    FakeBackend *fake = data;
    fake_lock(fake);
    while (!fake->stop) {
        int64_t now_us = g_get_monotonic_time();
        step(fake, now_us);
        serve_all(fake, now_us);
        g_cond_wait_until(&fake->cond, &fake->mutex, now_us + STEP_US);
    }
    fake_unlock(fake);
    return NULL;
}

/* ---- the main context's side */

static void answer(FakeBackend *fake, Job *job)
{
    if (job->kind == JOB_OBSERVE)
        ((BackendObserved)job->done)(&fake->base, g_steal_pointer(&job->servers), job->error, job->user_data);
    else
        ((BackendDone)job->done)(&fake->base, job->id, job->error, job->user_data);
    job_free(job);
}

static gboolean on_answers(GSource *source, GSourceFunc callback, gpointer user_data)
{
    FakeBackend *fake = *(FakeBackend **)(source + 1);
    g_source_set_ready_time(source, -1);
    for (;;) {
        Job *job = FAKE(fake, (Job *)g_queue_pop_head(&fake->answered));
        if (!job)
            return G_SOURCE_CONTINUE;
        answer(fake, job);
    }
}

static void ask(FakeBackend *fake, JobKind kind, const char *id, uint64_t bytes, gpointer done,
                gpointer user_data)
{
    Job *job = g_new0(Job, 1);
    *job = (Job){.kind = kind, .id = g_strdup(id), .bytes = bytes, .done = done, .user_data = user_data};
    fake_lock(fake);
    int64_t now_us = g_get_monotonic_time();
    FakeGuest *guest = id ? by_id(fake, id) : NULL;
    job->due_us = now_us + (guest ? guest->answer_ms * 1000 : 0);
    if (guest && kind == JOB_TARGET)
        guest->targets_asked++;
    if (guest && kind == JOB_FRESH)
        guest->fresh_asked++;
    gboolean now = fake->at_once && serve(fake, job, now_us);
    if (!now)
        g_queue_push_tail(&fake->asked, job);
    g_cond_signal(&fake->cond);
    fake_unlock(fake);
    if (now)
        answer(fake, job);
}

static void on_observe(Backend *base, BackendObserved done, gpointer user_data)
{
    ask((FakeBackend *)base, JOB_OBSERVE, NULL, 0, (gpointer)done, user_data);
}

static void on_set_target(Backend *base, const char *id, uint64_t bytes, BackendDone done, gpointer user_data)
{
    g_assert_cmpuint(bytes, >, 0);
    ask((FakeBackend *)base, JOB_TARGET, id, bytes, (gpointer)done, user_data);
}

static void on_ask_fresh(Backend *base, const char *id, BackendDone done, gpointer user_data)
{
    ask((FakeBackend *)base, JOB_FRESH, id, 0, (gpointer)done, user_data);
}

static void on_still(Backend *base, const char *id, gboolean still)
{
    FakeBackend *fake = (FakeBackend *)base;
    fake_lock(fake);
    FakeGuest *guest = by_id(fake, id);
    if (guest)
        guest->still = still;
    fake_unlock(fake);
}

static void guest_free(gpointer data)
{
    FakeGuest *guest = data;
    g_free(guest->id);
    g_free(guest->name);
    g_free(guest);
}

static void on_free(Backend *base)
{
    FakeBackend *fake = (FakeBackend *)base;
    FAKE(fake, fake->stop = TRUE);
    g_cond_signal(&fake->cond);
    g_thread_join(fake->worker);
    for (Job *job; (job = g_queue_pop_head(&fake->answered)) || (job = g_queue_pop_head(&fake->asked));) {
        g_clear_error(&job->error);
        if (job->servers)
            g_ptr_array_unref(g_steal_pointer(&job->servers));
        fail(job, AEROSTAT_ERROR_UNAVAILABLE, "the fake is being freed");
        answer(fake, job);
    }
    g_source_destroy(fake->source);
    g_source_unref(fake->source);
    g_ptr_array_unref(fake->guests);
    g_mutex_clear(&fake->mutex);
    g_cond_clear(&fake->cond);
    g_free(fake);
}

static const BackendOps ops = {
    .name = "fake",
    .observe = on_observe,
    .set_target = on_set_target,
    .ask_fresh = on_ask_fresh,
    .still = on_still,
    .free = on_free,
};
static GSourceFuncs source_funcs = {.dispatch = on_answers};

FakeBackend *fake_backend_new(void)
{
    FakeBackend *fake = g_new0(FakeBackend, 1);
    fake->base.ops = &ops;
    g_mutex_init(&fake->mutex);
    g_cond_init(&fake->cond);
    g_queue_init(&fake->asked);
    g_queue_init(&fake->answered);
    fake->guests = g_ptr_array_new_with_free_func(guest_free);
    fake->stepped_us = g_get_monotonic_time();
    fake->source = g_source_new(&source_funcs, sizeof(GSource) + sizeof(FakeBackend *));
    *(FakeBackend **)(fake->source + 1) = fake;
    g_source_attach(fake->source, NULL);
    fake->worker = g_thread_new("fake", work, fake);
    return fake;
}

Backend *fake_base(FakeBackend *fake)
{
    return &fake->base;
}

FakeGuest *fake_guest_add(FakeBackend *fake, const char *name, uint64_t maximum_bytes)
{
    FakeGuest *guest = g_new0(FakeGuest, 1);
    *guest = (FakeGuest){
        .id = g_strdup_printf("%s-id", name),
        .name = g_strdup(name),
        .maximum_bytes = maximum_bytes,
        .inflate_bytes_per_s = 8 * GIB,
        .deflate_bytes_per_s = 32 * GIB,
        .period_ms = 1000 / FAKE_SPEED,
        .boot_ms = 50,
        .used_bytes = maximum_bytes / 10,
        .running = TRUE,
        .target_bytes = maximum_bytes,
        .truth_bytes = maximum_bytes,
        .shown_bytes = maximum_bytes,
        .lowest_target_bytes = UINT64_MAX,
    };
    fake_lock(fake);
    guest->statm = guest->stat = -1;
    guest->pid = 1000 + (int)fake->guests->len;
    guest->boot_count = ++fake->boots;
    take_sample(guest, g_get_monotonic_time());
    guest->update_s = guest->next_update_s;
    guest->available_bytes = guest->next_available_bytes;
    g_ptr_array_add(fake->guests, guest);
    fake_unlock(fake);
    return guest;
}

void fake_show_residency(FakeBackend *fake, const char *proc)
{
    fake_lock(fake);
    for (guint i = 0; i < fake->guests->len; i++) {
        FakeGuest *guest = fake->guests->pdata[i];
        g_autofree char *folder = g_strdup_printf("%s/%d", proc, guest->pid);
        g_autofree char *path = g_strconcat(folder, "/statm", NULL);
        g_autofree char *stat_path = g_strconcat(folder, "/stat", NULL);
        g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
        guest->statm = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        guest->stat = open(stat_path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        g_assert_cmpint(guest->statm, >=, 0);
        g_assert_cmpint(guest->stat, >=, 0);
        write_statm(guest);
        write_stat(guest);
    }
    fake_unlock(fake);
}

void fake_hide_residency(FakeBackend *fake, const char *proc)
{
    fake_lock(fake);
    for (guint i = 0; i < fake->guests->len; i++) {
        FakeGuest *guest = fake->guests->pdata[i];
        g_autofree char *folder = g_strdup_printf("%s/%d", proc, guest->pid);
        g_autofree char *path = g_strconcat(folder, "/statm", NULL);
        g_autofree char *stat_path = g_strconcat(folder, "/stat", NULL);
        if (guest->statm < 0)
            continue;
        close(guest->statm);
        close(guest->stat);
        guest->statm = guest->stat = -1;
        g_unlink(path);
        g_unlink(stat_path);
        g_rmdir(folder);
    }
    fake_unlock(fake);
}

FakeGuest *fake_guest_find(FakeBackend *fake, const char *name)
{
    g_autofree char *id = g_strdup_printf("%s-id", name);
    return fake_guest_by_id(fake, id);
}

FakeGuest *fake_guest_by_id(FakeBackend *fake, const char *id)
{
    FakeGuest *found = NULL;
    fake_lock(fake);
    for (guint i = 0; i < fake->guests->len; i++) {
        FakeGuest *guest = fake->guests->pdata[i];
        found = g_str_equal(guest->id, id) ? guest : found;
    }
    fake_unlock(fake);
    return found;
}

static void emit(FakeBackend *fake, BackendEvent event, const char *id, const char *detail)
{
    if (fake->base.on_event)
        fake->base.on_event(&fake->base, event, id, detail, fake->base.on_event_data);
}

static void boot(FakeBackend *fake, FakeGuest *guest, BackendEvent event)
{
    fake_lock(fake);
    int64_t now_us = g_get_monotonic_time();
    guest->running = TRUE;
    guest->boot_count = ++fake->boots;
    guest->booted_us = now_us + guest->boot_ms * 1000;
    guest->truth_bytes = guest->maximum_bytes;
    guest->seen_us = 0;
    guest->sample_due_us = guest->booted_us;
    if (event == BACKEND_EVENT_STARTED) {
        guest->target_bytes = guest->shown_bytes = guest->maximum_bytes;
        guest->actual_stale = FALSE;
        guest->update_s = 0;
    } else {
        guest->actual_stale = TRUE;
    }
    fake_unlock(fake);
    emit(fake, event, guest->id, NULL);
}

void fake_start(FakeBackend *fake, FakeGuest *guest)
{
    boot(fake, guest, BACKEND_EVENT_STARTED);
}

void fake_reset(FakeBackend *fake, FakeGuest *guest)
{
    boot(fake, guest, BACKEND_EVENT_RESET);
}

void fake_stop(FakeBackend *fake, FakeGuest *guest)
{
    FAKE(fake, guest->running = FALSE);
    emit(fake, BACKEND_EVENT_STOPPED, guest->id, "stopped");
}

void fake_disconnect(FakeBackend *fake)
{
    FAKE(fake, fake->disconnected = TRUE);
    emit(fake, BACKEND_EVENT_DISCONNECTED, NULL, "the line was cut");
}

void fake_connect(FakeBackend *fake)
{
    FAKE(fake, fake->disconnected = FALSE);
    emit(fake, BACKEND_EVENT_CONNECTED, NULL, NULL);
}

void fake_setmem(FakeBackend *fake, FakeGuest *guest, uint64_t bytes)
{
    FAKE(fake, guest->target_bytes = bytes);
}

void fake_answer_at_once(FakeBackend *fake, gboolean at_once)
{
    FAKE(fake, fake->at_once = at_once);
}

void fake_hold_observations(FakeBackend *fake, gboolean hold)
{
    FAKE(fake, fake->hold = hold);
}

uint64_t fake_committed(FakeBackend *fake)
{
    return FAKE(fake, committed(fake));
}

uint64_t fake_peak(FakeBackend *fake)
{
    return FAKE(fake, fake->peak_bytes);
}

void fake_forget_peak(FakeBackend *fake)
{
    FAKE(fake, fake->peak_bytes = 0);
}

unsigned fake_observations(FakeBackend *fake)
{
    return FAKE(fake, fake->observations);
}
