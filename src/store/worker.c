#include "store/worker.h"
#include "store/database.h"

struct Worker {
    char *path;
    GThreadPool *pool;
    sqlite3 *db; /* the worker's thread alone */
    GMutex lock; /* of the problem */
    char *problem;
};

typedef struct {
    WorkerRun run;
    gpointer data;
    GDestroyNotify destroy;
    gboolean writes;
} Work;

void worker_note(Worker *worker, const GError *error)
{
    g_mutex_lock(&worker->lock);
    g_free(worker->problem);
    worker->problem = error ? g_strdup(error->message) : NULL;
    g_mutex_unlock(&worker->lock);
}

char *worker_problem(Worker *worker)
{
    g_mutex_lock(&worker->lock);
    char *problem = g_strdup(worker->problem);
    g_mutex_unlock(&worker->lock);
    return problem;
}

static void do_work(gpointer item, gpointer user_data)
{
    Work *work = item;
    Worker *worker = user_data;
    g_autoptr(GError) error = NULL;
    if (!worker->db)
        worker->db = database_connect(worker->path, &error);
    gboolean done = work->run(worker->db, work->data, error ? NULL : &error) && !error;
    if (error || (done && work->writes))
        worker_note(worker, error);
    if (work->destroy)
        work->destroy(work->data);
    g_free(work);
}

Worker *worker_new(const char *path)
{
    Worker *worker = g_new0(Worker, 1);
    worker->path = g_strdup(path);
    g_mutex_init(&worker->lock);
    /* Not exclusive: its thread is made when there is something to do. */
    worker->pool = g_thread_pool_new(do_work, worker, 1, FALSE, NULL);
    return worker;
}

void worker_free(Worker *worker)
{
    if (!worker)
        return;
    g_thread_pool_free(worker->pool, FALSE, TRUE);
    sqlite3_close_v2(worker->db);
    g_mutex_clear(&worker->lock);
    g_free(worker->problem);
    g_free(worker->path);
    g_free(worker);
}

void worker_do(Worker *worker, gboolean writes, WorkerRun run, gpointer data, GDestroyNotify destroy)
{
    Work *work = g_new(Work, 1);
    *work = (Work){run, data, destroy, writes};
    g_thread_pool_push(worker->pool, work, NULL);
}
