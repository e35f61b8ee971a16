#include "base/hand_over.h"

typedef struct {
    GSourceFunc func;
    gpointer data;
    GDestroyNotify destroy;
    gint ready; /* written when all else is, the source included: an order that ThreadSanitizer sees, too */
} Call;

static gboolean run(gpointer data)
{
    Call *call = data;
    g_atomic_int_get(&call->ready);
    return call->func(call->data);
}

static void finish(gpointer data)
{
    Call *call = data;
    g_atomic_int_get(&call->ready);
    if (call->destroy)
        call->destroy(call->data);
    g_free(call);
}

void hand_over(GMainContext *context, gint priority, GSourceFunc func, gpointer data, GDestroyNotify destroy)
{
    Call *call = g_new0(Call, 1);
    *call = (Call){.func = func, .data = data, .destroy = destroy};
    GSource *source = g_idle_source_new();
    g_source_set_priority(source, priority);
    g_source_set_callback(source, run, call, finish);
    g_atomic_int_set(&call->ready, 1);
    g_source_attach(source, context);
    g_source_unref(source);
}
