/*
 * Tells ThreadSanitizer of the order that GLib keeps. GLib locks with futexes of its own and is not instrumented, so
 * without this every access under a GMutex is reported as a race (google/sanitizers issue 490). Loaded before GLib by
 * LD_PRELOAD: each function calls GLib's and adds the edge. The keys are as narrow as the real order is (the mutex, the
 * item, the source): a wider key would hide races.
 *
 * GLib's calls within itself do not come through here, so each edge is at the function our code calls.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

/* Plain functions, not the macros and inline versions that headers put over them. */
#define G_DISABLE_CHECKS
#include <glib.h>
#undef g_once_init_enter
#undef g_once_init_leave
#undef g_thread_pool_push

/* Absent in programs that are not instrumented: then nothing is added. */
extern void __tsan_acquire(void *key) __attribute__((weak));
extern void __tsan_release(void *key) __attribute__((weak));

static void after(void *key)
{
    if (key && __tsan_acquire)
        __tsan_acquire(key);
}

static void before(void *key)
{
    if (key && __tsan_release)
        __tsan_release(key);
}

/*
 * What GLib does to its own tables within one call (a hash table that grows under the lock of a main context) is seen
 * through malloc and memcpy, its lock is not: that call's own accesses are left out. Only around functions that call
 * nobody back.
 */
extern void AnnotateIgnoreReadsBegin(const char *file, int line) __attribute__((weak));
extern void AnnotateIgnoreReadsEnd(const char *file, int line) __attribute__((weak));
extern void AnnotateIgnoreWritesBegin(const char *file, int line) __attribute__((weak));
extern void AnnotateIgnoreWritesEnd(const char *file, int line) __attribute__((weak));

static void glibs_own_begin(void)
{
    if (AnnotateIgnoreReadsBegin && AnnotateIgnoreWritesBegin) {
        AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
        AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    }
}

static void glibs_own_end(void)
{
    if (AnnotateIgnoreReadsEnd && AnnotateIgnoreWritesEnd) {
        AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    }
}

static void *real(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) {
        fprintf(stderr, "tsan/glib: GLib has no %s\n", name);
        abort();
    }
    return function;
}

/* Each needs its own cached pointer; atomic because two threads may look at once and write the same. */
#define REAL(name)                                                                                           \
    ({                                                                                                       \
        static __typeof__(&name) found;                                                                      \
        __typeof__(&name) now = __atomic_load_n(&found, __ATOMIC_RELAXED);                                   \
        if (!now) {                                                                                          \
            now = (__typeof__(&name))real(#name);                                                            \
            __atomic_store_n(&found, now, __ATOMIC_RELAXED);                                                 \
        }                                                                                                    \
        now;                                                                                                 \
    })

/* --- locks --- */

#define LOCK(name, type)                                                                                     \
    void name(type *lock)                                                                                    \
    {                                                                                                        \
        REAL(name)(lock);                                                                                    \
        after(lock);                                                                                         \
    }
#define TRYLOCK(name, type)                                                                                  \
    gboolean name(type *lock)                                                                                \
    {                                                                                                        \
        gboolean taken = REAL(name)(lock);                                                                   \
        if (taken)                                                                                           \
            after(lock);                                                                                     \
        return taken;                                                                                        \
    }
#define UNLOCK(name, type)                                                                                   \
    void name(type *lock)                                                                                    \
    {                                                                                                        \
        before(lock);                                                                                        \
        REAL(name)(lock);                                                                                    \
    }

LOCK(g_mutex_lock, GMutex)
TRYLOCK(g_mutex_trylock, GMutex)
UNLOCK(g_mutex_unlock, GMutex)
LOCK(g_rec_mutex_lock, GRecMutex)
TRYLOCK(g_rec_mutex_trylock, GRecMutex)
UNLOCK(g_rec_mutex_unlock, GRecMutex)
LOCK(g_rw_lock_writer_lock, GRWLock)
TRYLOCK(g_rw_lock_writer_trylock, GRWLock)
UNLOCK(g_rw_lock_writer_unlock, GRWLock)
LOCK(g_rw_lock_reader_lock, GRWLock)
TRYLOCK(g_rw_lock_reader_trylock, GRWLock)
UNLOCK(g_rw_lock_reader_unlock, GRWLock)

void g_cond_wait(GCond *cond, GMutex *mutex)
{
    before(mutex);
    REAL(g_cond_wait)(cond, mutex);
    after(mutex);
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_us)
{
    before(mutex);
    gboolean signalled = REAL(g_cond_wait_until)(cond, mutex, end_us);
    after(mutex);
    return signalled;
}

gboolean(g_once_init_enter)(volatile void *location)
{
    gboolean first = REAL(g_once_init_enter)(location);
    if (!first)
        after((void *)location);
    return first;
}

void(g_once_init_leave)(volatile void *location, gsize result)
{
    before((void *)location);
    REAL(g_once_init_leave)(location, result);
}

gpointer g_once_impl(GOnce *once, GThreadFunc function, gpointer argument)
{
    gpointer result = REAL(g_once_impl)(once, function, argument);
    after(once);
    return result;
}

/* --- queues and pools: the edge is the item --- */

#define PUSH(name)                                                                                           \
    void name(GAsyncQueue *queue, gpointer item)                                                             \
    {                                                                                                        \
        before(item);                                                                                        \
        glibs_own_begin();                                                                                   \
        REAL(name)(queue, item);                                                                             \
        glibs_own_end();                                                                                     \
    }
#define POP(name)                                                                                            \
    gpointer name(GAsyncQueue *queue)                                                                        \
    {                                                                                                        \
        gpointer item = REAL(name)(queue);                                                                   \
        after(item);                                                                                         \
        return item;                                                                                         \
    }
#define POP_UNTIL(name)                                                                                      \
    gpointer name(GAsyncQueue *queue, guint64 wait_us)                                                       \
    {                                                                                                        \
        gpointer item = REAL(name)(queue, wait_us);                                                          \
        after(item);                                                                                         \
        return item;                                                                                         \
    }

PUSH(g_async_queue_push)
PUSH(g_async_queue_push_unlocked)
PUSH(g_async_queue_push_front)
POP(g_async_queue_pop)
POP(g_async_queue_pop_unlocked)
POP(g_async_queue_try_pop)
POP(g_async_queue_try_pop_unlocked)
POP_UNTIL(g_async_queue_timeout_pop)
POP_UNTIL(g_async_queue_timeout_pop_unlocked)

typedef struct {
    GFunc function;
    gpointer data;
} Worker;

static void work(gpointer item, gpointer data)
{
    Worker *worker = data;
    after(worker);
    after(item);
    worker->function(item, worker->data);
    before(worker);
}

GThreadPool *g_thread_pool_new(GFunc function, gpointer data, gint threads, gboolean exclusive,
                               GError **error)
{
    Worker *worker =
        calloc(1, sizeof *worker); /* lives as long as the process: a pool does not say when it is gone */
    *worker = (Worker){function, data};
    before(worker);
    return REAL(g_thread_pool_new)(work, worker, threads, exclusive, error);
}

gboolean(g_thread_pool_push)(GThreadPool *pool, gpointer item, GError **error)
{
    before(item);
    return REAL(g_thread_pool_push)(pool, item, error);
}

void g_thread_pool_free(GThreadPool *pool, gboolean immediate, gboolean wait)
{
    gpointer worker = pool->user_data;
    REAL(g_thread_pool_free)(pool, immediate, wait);
    if (wait)
        after(worker);
}

/* --- the main loop: the edge is the callback's record --- */

typedef struct {
    GSourceFunc function;
    gpointer data;
    GDestroyNotify destroy;
} Call;

static Call *call_new(GSourceFunc function, gpointer data, GDestroyNotify destroy)
{
    Call *call = malloc(sizeof *call);
    *call = (Call){function, data, destroy};
    before(call);
    return call;
}

static gboolean call_run(gpointer data)
{
    Call *call = data;
    after(call);
    return call->function(call->data);
}

static void call_free(gpointer data)
{
    Call *call = data;
    after(call);
    if (call->destroy)
        call->destroy(call->data);
    free(call);
}

guint g_idle_add_full(gint priority, GSourceFunc function, gpointer data, GDestroyNotify destroy)
{
    Call *call = call_new(function, data, destroy);
    glibs_own_begin();
    guint id = REAL(g_idle_add_full)(priority, call_run, call, call_free);
    glibs_own_end();
    return id;
}

guint g_idle_add(GSourceFunc function, gpointer data)
{
    return g_idle_add_full(G_PRIORITY_DEFAULT_IDLE, function, data, NULL);
}

guint g_timeout_add_full(gint priority, guint interval, GSourceFunc function, gpointer data,
                         GDestroyNotify destroy)
{
    Call *call = call_new(function, data, destroy);
    glibs_own_begin();
    guint id = REAL(g_timeout_add_full)(priority, interval, call_run, call, call_free);
    glibs_own_end();
    return id;
}

guint g_timeout_add(guint interval, GSourceFunc function, gpointer data)
{
    return g_timeout_add_full(G_PRIORITY_DEFAULT, interval, function, data, NULL);
}

static gboolean is_simple(const GSource *source)
{
    return source->source_funcs == &g_timeout_funcs || source->source_funcs == &g_idle_funcs;
}

void g_source_set_callback(GSource *source, GSourceFunc function, gpointer data, GDestroyNotify destroy)
{
    if (is_simple(source) && function)
        REAL(g_source_set_callback)(source, call_run, call_new(function, data, destroy), call_free);
    else
        REAL(g_source_set_callback)(source, function, data, destroy);
}

/*
 * Another source's callback may have any signature, so it cannot be wrapped; its dispatch is, by replacing its
 * functions. The order starts at g_source_attach() and ends in each dispatch.
 */
typedef struct {
    GSourceFuncs ours; /* first: GLib sees this */
    const GSourceFuncs *theirs;
} Dispatch;

static gboolean dispatch(GSource *source, GSourceFunc function, gpointer data)
{
    const Dispatch *wrapped = (const Dispatch *)source->source_funcs;
    after(source);
    return wrapped->theirs->dispatch(source, function, data);
}

static Dispatch *dispatch_of(const GSourceFuncs *theirs)
{
    static GMutex lock;
    static GHashTable *known;
    REAL(g_mutex_lock)(&lock);
    if (!known)
        known = g_hash_table_new(NULL, NULL);
    Dispatch *wrapped = g_hash_table_lookup(known, theirs);
    if (!wrapped) {
        wrapped = calloc(1, sizeof *wrapped);
        wrapped->ours = *theirs;
        wrapped->ours.dispatch = dispatch;
        wrapped->theirs = theirs;
        g_hash_table_insert(known, (gpointer)theirs, wrapped);
    }
    REAL(g_mutex_unlock)(&lock);
    return wrapped;
}

guint g_source_attach(GSource *source, GMainContext *context)
{
    /* GLib tells these kinds by the address of their functions. */
    gboolean is_glibs = is_simple(source) || source->source_funcs == &g_unix_signal_funcs ||
                        source->source_funcs == &g_child_watch_funcs ||
                        source->source_funcs == &g_io_watch_funcs;
    if (!is_glibs && source->source_funcs->dispatch != dispatch)
        source->source_funcs = &dispatch_of(source->source_funcs)->ours;
    before(source);
    glibs_own_begin();
    guint id = REAL(g_source_attach)(source, context);
    glibs_own_end();
    return id;
}
