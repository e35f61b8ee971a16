#include <string.h>
#include "base/error.h"
#include "base/hand_over.h"
#include "control/limiter.h"
#include "control/login.h"

/* At most so many attempts of one source, and of all sources, under way: what a thread does in a few seconds. */
#define SOURCE_PENDING_MAX 4
#define PENDING_MAX        32
#define FAILURE_DELAY_US   (INT64_C(1000000))

struct Login {
    Store *store;
    Limiter *limiter;
    GThreadPool *pool;
    GMainContext *context;
    GHashTable *tasks; /* of Task: all that have not been answered */
};

typedef struct {
    Login *login;   /* NULL: it was answered when the login was freed */
    char *password; /* wiped when it is done */
    char *hash;     /* to compare with; NULL: no such account. Or what was made */
    gboolean is_hashing, matches;
    GError *error;
    char *account, *source;
    int64_t began_us;
    GMainContext *context;
    LoginChecked checked;
    LoginHashed hashed;
    gpointer user_data;
    GSource *delay;
} Task;

static void task_free(gpointer data)
{
    Task *task = data;
    secret_free(task->password);
    secret_free(task->hash);
    g_clear_error(&task->error);
    g_clear_pointer(&task->delay, g_source_unref);
    g_main_context_unref(task->context);
    g_free(task->account);
    g_free(task->source);
    g_free(task);
}

static void answer(Task *task, const GError *error)
{
    if (task->is_hashing)
        task->hashed(error ? NULL : task->hash, error, task->user_data);
    else
        task->checked(error, task->user_data);
}

/* It belongs to nobody any more after this. */
static void finish(Task *task, const GError *error)
{
    g_hash_table_steal(task->login->tasks, task);
    answer(task, error);
    task_free(task);
}

/* It may have been changed while it was being compared: what the old one was good for ended with that. */
static gboolean is_still(const Task *task)
{
    g_autoptr(GError) error = NULL;
    char *hash = store_account_password(task->login->store, task->account, &error);
    gboolean same = !error && g_strcmp0(hash, task->hash) == 0;
    secret_free(hash);
    return same;
}

static void settle_check(Task *task)
{
    Login *login = task->login;
    int64_t now_us = g_get_monotonic_time();
    task->matches = task->matches && is_still(task);
    if (task->matches) {
        limiter_succeeded(login->limiter, task->account, task->source, now_us);
        finish(task, NULL);
        return;
    }
    g_autoptr(GError) error =
        g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_UNAUTHENTICATED, "the user name or the password is wrong");
    if (limiter_failed(login->limiter, task->account, task->source, now_us))
        error_set_retry_after(error,
                              (int)limiter_wait_s(login->limiter, task->account, task->source, now_us));
    finish(task, error);
}

static gboolean on_delay(gpointer data)
{
    settle_check(data);
    return G_SOURCE_REMOVE;
}

/* A wrong password waits until its second is over; a right one does not. */
static void delay_failure(Task *task)
{
    int64_t left_us = task->began_us + FAILURE_DELAY_US - g_get_monotonic_time();
    task->delay = g_timeout_source_new((guint)(MAX(left_us, 0) / 1000));
    g_source_set_callback(task->delay, on_delay, task, NULL);
    g_source_attach(task->delay, task->context);
}

/* On the main context again. */
static gboolean on_done(gpointer data)
{
    Task *task = data;
    if (!task->login)
        task_free(task);
    else if (task->is_hashing || task->error)
        finish(task, task->error);
    else if (task->matches)
        settle_check(task);
    else
        delay_failure(task);
    return G_SOURCE_REMOVE;
}

static void work(gpointer item, gpointer user_data)
{
    Task *task = item;
    if (task->is_hashing)
        task->hash = password_hash(task->password, &task->error);
    else
        task->matches = password_matches(task->hash, task->password);
    hand_over(task->context, G_PRIORITY_DEFAULT_IDLE, on_done, task, NULL);
}

Login *login_new(Store *store)
{
    Login *login = g_new0(Login, 1);
    login->store = store;
    login->limiter = limiter_new();
    login->pool = g_thread_pool_new(work, NULL, 1, FALSE, NULL);
    login->context = g_main_context_ref_thread_default();
    login->tasks = g_hash_table_new(NULL, NULL);
    return login;
}

void login_free(Login *login)
{
    if (!login)
        return;
    /* Those that have not begun still come out of the pool, to be freed by on_done(). */
    g_autoptr(GError) error =
        g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE, "the daemon is being stopped; try again");
    g_autoptr(GList) tasks = g_hash_table_get_keys(login->tasks);
    g_hash_table_remove_all(login->tasks);
    for (GList *link = tasks; link; link = link->next) {
        Task *task = link->data;
        answer(task, error);
        if (task->delay) {
            g_source_destroy(task->delay);
            task_free(task);
        } else {
            task->login = NULL;
        }
    }
    g_thread_pool_free(login->pool, FALSE, TRUE);
    g_hash_table_unref(login->tasks);
    limiter_free(login->limiter);
    g_main_context_unref(login->context);
    g_free(login);
}

static void begin(Login *login, Task *task, const char *password, gpointer user_data)
{
    task->login = login;
    task->password = g_strdup(password);
    task->context = g_main_context_ref(login->context);
    task->began_us = g_get_monotonic_time();
    task->user_data = user_data;
    g_hash_table_add(login->tasks, task);
    g_thread_pool_push(login->pool, task, NULL);
}

static guint pending_of(const Login *login, const char *source)
{
    guint n = 0;
    GHashTableIter iter;
    gpointer task;
    g_hash_table_iter_init(&iter, login->tasks);
    while (g_hash_table_iter_next(&iter, &task, NULL))
        n += g_strcmp0(((const Task *)task)->source, source) == 0 ? 1 : 0;
    return n;
}

static gboolean refuse(guint wait_s, GError **error)
{
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_RATE_LIMITED,
                "too many attempts to log in; try again in %u s", wait_s);
    if (error)
        error_set_retry_after(*error, (int)wait_s);
    return FALSE;
}

gboolean login_check(Login *login, const char *account, const char *password, const char *source,
                     LoginChecked done, gpointer user_data, GError **error)
{
    guint wait_s = limiter_wait_s(login->limiter, account, source, g_get_monotonic_time());
    if (wait_s > 0)
        return refuse(wait_s, error);
    if (pending_of(login, source) >= SOURCE_PENDING_MAX || g_hash_table_size(login->tasks) >= PENDING_MAX)
        return refuse(1, error);
    GError *problem = NULL;
    g_autofree char *hash = store_account_password(login->store, account, &problem);
    if (problem) {
        g_propagate_error(error, problem);
        return FALSE;
    }
    Task *task = g_new0(Task, 1);
    task->hash = g_steal_pointer(&hash);
    task->account = g_strdup(account);
    task->source = g_strdup(source);
    task->checked = done;
    begin(login, task, password, user_data);
    return TRUE;
}

void login_hash(Login *login, const char *password, LoginHashed done, gpointer user_data)
{
    Task *task = g_new0(Task, 1);
    task->is_hashing = TRUE;
    task->hashed = done;
    begin(login, task, password, user_data);
}
