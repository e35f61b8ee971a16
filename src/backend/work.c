/* Blocking jobs: lanes, deadlines, late returns. */
#include "backend/work.h"
#include "base/error.h"
#include "base/hand_over.h"

typedef struct {
    WorkSpec spec;
    char *what;
    WorkPool *pool; /* NULL once the pool is gone */
    GError *error;
    gboolean overdue;
    guint timer;
    int handed_over; /* orders the worker's writes before the engine's reads, for all to see */
} Job;

struct WorkPool {
    GThreadPool *threads;
    GQueue queue;    /* of Job, owned: waiting for a lane */
    GPtrArray *jobs; /* of Job: with a worker, not returned; freed when they return */
    unsigned lanes, busy;
};

static void release_user(Job *job)
{
    gpointer user_data = g_steal_pointer(&job->spec.user_data);
    if (user_data && job->spec.free_user_data)
        job->spec.free_user_data(user_data);
}

static void job_free(Job *job)
{
    g_clear_handle_id(&job->timer, g_source_remove);
    if (job->spec.free_data)
        job->spec.free_data(job->spec.data);
    release_user(job);
    g_clear_error(&job->error);
    g_free(job->what);
    g_free(job);
}

static void pump(WorkPool *pool);

static void leave_lane(Job *job)
{
    if (!job->spec.is_long)
        job->pool->busy--;
}

static gboolean on_returned(gpointer data)
{
    Job *job = data;
    WorkPool *pool = job->pool;
    g_atomic_int_get(&job->handed_over);
    if (pool) {
        g_ptr_array_remove_fast(pool->jobs, job);
        g_clear_handle_id(&job->timer, g_source_remove);
        if (!job->overdue) {
            leave_lane(job);
            if (job->spec.done)
                job->spec.done(job->spec.data, job->error, job->spec.user_data);
        }
        if (job->spec.returned)
            job->spec.returned(job->spec.user_data);
        pump(pool);
    }
    job_free(job);
    return G_SOURCE_REMOVE;
}

static gboolean on_overdue(gpointer data)
{
    Job *job = data;
    g_autoptr(GError) error =
        g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT, "%s%sno answer within %.1f s",
                    job->what ? job->what : "", job->what ? ": " : "", (double)job->spec.deadline_us / 1e6);
    job->timer = 0;
    job->overdue = TRUE;
    leave_lane(job);
    if (job->spec.done)
        job->spec.done(NULL, error, job->spec.user_data);
    pump(job->pool);
    return G_SOURCE_REMOVE;
}

/* Worker threads. */
static void run(gpointer data, gpointer user_data)
{
    Job *job = data;
    g_atomic_int_get(&job->handed_over);
    job->spec.run(job->spec.data, &job->error);
    g_atomic_int_inc(&job->handed_over);
    hand_over(NULL, G_PRIORITY_DEFAULT, on_returned, job, NULL);
}

static void start(WorkPool *pool, Job *job)
{
    if (!job->spec.is_long)
        pool->busy++;
    job->timer = g_timeout_add((guint)(job->spec.deadline_us / 1000), on_overdue, job);
    g_ptr_array_add(pool->jobs, job);
    g_atomic_int_inc(&job->handed_over);
    g_thread_pool_push(pool->threads, job, NULL);
}

static void pump(WorkPool *pool)
{
    while (pool->busy < pool->lanes && !g_queue_is_empty(&pool->queue))
        start(pool, g_queue_pop_head(&pool->queue));
}

WorkPool *work_pool_new(unsigned lanes)
{
    WorkPool *pool = g_new0(WorkPool, 1);
    /* No bound of its own: lanes bound what runs, and what hangs must not keep others from running. */
    pool->threads = g_thread_pool_new(run, NULL, -1, FALSE, NULL);
    pool->jobs = g_ptr_array_new();
    pool->lanes = lanes;
    g_queue_init(&pool->queue);
    return pool;
}

void work_pool_free(WorkPool *pool)
{
    Job *queued;
    if (!pool)
        return;
    while ((queued = g_queue_pop_head(&pool->queue)))
        job_free(queued);
    for (guint i = 0; i < pool->jobs->len; i++) {
        Job *job = pool->jobs->pdata[i];
        g_clear_handle_id(&job->timer, g_source_remove);
        job->pool = NULL;
        release_user(job);
    }
    g_ptr_array_unref(pool->jobs);
    g_thread_pool_free(pool->threads, FALSE, FALSE);
    g_free(pool);
}

void work_start(WorkPool *pool, const WorkSpec *spec)
{
    Job *job = g_new0(Job, 1);
    job->spec = *spec;
    job->spec.what = NULL;
    job->what = g_strdup(spec->what);
    job->pool = pool;
    if (spec->is_long) {
        start(pool, job);
        return;
    }
    g_queue_push_tail(&pool->queue, job);
    pump(pool);
}
