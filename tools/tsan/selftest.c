/*
 * Shows that tools/tsan/glib.c works: every way in which our threads hand things over must pass without a report, and
 * with the argument "race" the one real race must be found.
 */
#include <glib.h>
#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 1000, ITEMS = 10 };

typedef struct {
    int value;
    char text[32];
} Item;

static GMutex mutex;
static GCond cond;
static int counted;
static int finished;
static int seen_by_main;
static GAsyncQueue *answers;
static GMainLoop *loop;

static Item *item_new(int value)
{
    Item *item = g_new0(Item, 1);
    item->value = value;
    return item;
}

static gpointer count(gpointer unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        g_mutex_lock(&mutex);
        counted++;
        g_mutex_unlock(&mutex);
    }
    g_mutex_lock(&mutex);
    finished++;
    g_cond_signal(&cond);
    g_mutex_unlock(&mutex);
    return unused;
}

static void locks(gboolean race)
{
    GThread *one = g_thread_new("one", count, NULL);
    GThread *two = g_thread_new("two", count, NULL);
    if (race)
        counted++;
    g_mutex_lock(&mutex);
    while (finished < 2)
        g_cond_wait(&cond, &mutex);
    g_mutex_unlock(&mutex);
    g_thread_join(one);
    g_thread_join(two);
}

static gboolean take(gpointer data)
{
    g_autofree Item *item = data;
    seen_by_main += item->value;
    return G_SOURCE_REMOVE;
}

static void answer(gpointer data, gpointer unused)
{
    (void)unused;
    Item *item = data;
    g_strlcpy(item->text, "answered", sizeof item->text);
    g_async_queue_push(answers, item);
    GSource *source = g_idle_source_new();
    g_source_set_callback(source, take, item_new(5), NULL);
    g_source_attach(source, NULL);
    g_source_unref(source);
}

static void pool(void)
{
    answers = g_async_queue_new();
    GThreadPool *workers = g_thread_pool_new(answer, NULL, 2, FALSE, NULL);
    for (int i = 0; i < ITEMS; i++)
        g_thread_pool_push(workers, item_new(i), NULL);
    for (int i = 0; i < ITEMS; i++) {
        g_autofree Item *item = g_async_queue_pop(answers);
        g_assert_cmpstr(item->text, ==, "answered");
    }
    g_thread_pool_free(workers, FALSE, TRUE);
}

static gboolean readable(gint fd, GIOCondition condition, gpointer data)
{
    (void)condition;
    Item *item = data;
    char byte;
    g_assert_cmpint(read(fd, &byte, 1), ==, 1);
    seen_by_main += item->value;
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

static gpointer attach_and_add(gpointer data)
{
    const int *fds = data;
    Item *item = item_new(7);
    GSource *source = g_unix_fd_source_new(fds[0], G_IO_IN);
    g_source_set_callback(source, G_SOURCE_FUNC(readable), item, g_free);
    g_source_attach(source, NULL);
    g_source_unref(source);
    g_idle_add(take, item_new(3));
    g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
    return NULL;
}

static void main_loop(void)
{
    int fds[2];
    g_assert_true(g_unix_open_pipe(fds, 0, NULL));
    loop = g_main_loop_new(NULL, FALSE);
    GThread *thread = g_thread_new("attach", attach_and_add, fds);
    g_main_loop_run(loop);
    g_thread_join(thread);
    /* The idle sources of the pool come after the descriptor that ended the loop. */
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    g_assert_cmpint(seen_by_main, ==, ITEMS * 5 + 3 + 7);
}

int main(int argc, char **argv)
{
    locks(argc > 1 && strcmp(argv[1], "race") == 0);
    pool();
    main_loop();
    return 0;
}
