/* Hand over: from a worker's thread back to that of a main loop. */
#pragma once
#include <glib.h>

/*
 * hand_over: @func is called with @data by the loop that runs @context (NULL: the default one), and never on the calling
 * thread, as g_main_context_invoke_full() would do while no loop runs; again as long as it returns G_SOURCE_CONTINUE.
 * @destroy: (nullable): then, or when the context goes, what becomes of @data, on the same thread.
 */
void hand_over(GMainContext *context, gint priority, GSourceFunc func, gpointer data, GDestroyNotify destroy);
