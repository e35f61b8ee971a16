/* History on the engine's thread: what is handed to the worker, and the answers that come back. */
#include "base/error.h"
#include "base/hand_over.h"
#include "store/history_private.h"
#include "store/store_private.h"

static void history_server_free(gpointer data)
{
    HistoryServer *server = data;
    g_free(server->id);
    g_free(server->name);
    g_free(server);
}

HistoryStep *history_step_new(int64_t time_s)
{
    HistoryStep *step = g_new0(HistoryStep, 1);
    step->time_s = time_s;
    step->servers = g_ptr_array_new_with_free_func(history_server_free);
    return step;
}

void history_step_free(HistoryStep *step)
{
    if (!step)
        return;
    g_ptr_array_unref(step->servers);
    g_free(step);
}

typedef struct {
    HistoryBuffer *buffer;
    HistoryStep *step;
} Append;

static gboolean append_later(sqlite3 *db, gpointer data, GError **error)
{
    Append *append = data;
    return history_buffer_add(append->buffer, db, g_steal_pointer(&append->step), error);
}

static void append_free(gpointer data)
{
    Append *append = data;
    history_step_free(append->step);
    g_free(append);
}

void history_append(Store *store, HistoryStep *step)
{
    Append *append = g_new(Append, 1);
    *append = (Append){store->history, step};
    worker_do(store->worker, TRUE, append_later, append, append_free);
}

/* One question: with the worker, then on its way back. Counted, since the store may be freed meanwhile. */
struct HistoryAsk {
    gint references;
    Store *store; /* NULL: it has been answered because the store was freed */
    HistoryBuffer *buffer;
    HistoryQuery query;
    char *server_id;
    HistoryAnswer answer;
    gpointer user_data;
    GMainContext *context;
    json_t *result;
    GError *error;
};

static void ask_unref(gpointer data)
{
    HistoryAsk *ask = data;
    if (!g_atomic_int_dec_and_test(&ask->references))
        return;
    json_decref(ask->result);
    g_clear_error(&ask->error);
    g_main_context_unref(ask->context);
    g_free(ask->server_id);
    g_free(ask);
}

static gboolean on_answered(gpointer data)
{
    HistoryAsk *ask = data;
    if (!ask->store)
        return G_SOURCE_REMOVE;
    g_hash_table_steal(ask->store->asks, ask);
    ask->store = NULL;
    ask->answer(g_steal_pointer(&ask->result), ask->error, ask->user_data);
    ask_unref(ask);
    return G_SOURCE_REMOVE;
}

static gboolean read_later(sqlite3 *db, gpointer data, GError **error)
{
    HistoryAsk *ask = data;
    gboolean ok = TRUE;
    if (db) {
        /* What cannot be written yet can still not be read; the rest can. */
        ok = history_buffer_flush(ask->buffer, db, error);
        ask->result = history_read_points(db, &ask->query, &ask->error);
    } else {
        ok = FALSE;
        g_set_error(&ask->error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE, "history cannot be read now: %s",
                    error && *error ? (*error)->message : "the store cannot be opened");
    }
    g_atomic_int_inc(&ask->references);
    hand_over(ask->context, G_PRIORITY_DEFAULT_IDLE, on_answered, ask, ask_unref);
    return ok;
}

void history_read(Store *store, const HistoryQuery *query, HistoryAnswer answer, gpointer user_data)
{
    HistoryAsk *ask = g_new0(HistoryAsk, 1);
    ask->references = 2; /* the store's and the worker's */
    ask->store = store;
    ask->buffer = store->history;
    ask->query = *query;
    ask->server_id = g_strdup(query->server_id);
    ask->query.server_id = ask->server_id;
    ask->answer = answer;
    ask->user_data = user_data;
    ask->context = g_main_context_ref_thread_default();
    g_hash_table_add(store->asks, ask);
    worker_do(store->worker, FALSE, read_later, ask, ask_unref);
}

void history_cancel_asks(Store *store)
{
    g_autoptr(GError) error =
        g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE, "the daemon is being stopped; try again");
    g_autoptr(GList) asks = g_hash_table_get_keys(store->asks);
    g_hash_table_steal_all(store->asks);
    for (GList *link = asks; link; link = link->next) {
        HistoryAsk *ask = link->data;
        ask->store = NULL;
        ask->answer(NULL, error, ask->user_data);
        ask_unref(ask);
    }
}
