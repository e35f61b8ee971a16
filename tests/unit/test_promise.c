/* Raises under way, written down for whoever comes after a killed daemon. */
#include "engine/promise.h"
#include <glib/gstdio.h>
#include <unistd.h>

#define URI "qemu:///system"

typedef struct {
    char *folder, *path;
} Place;

static void place_begin(Place *place, gconstpointer data)
{
    place->folder = g_dir_make_tmp("aerostat-promise-XXXXXX", NULL);
    place->path = g_build_filename(place->folder, "promises", NULL);
}

static void place_end(Place *place, gconstpointer data)
{
    g_unlink(place->path);
    g_rmdir(place->folder);
    g_free(place->path);
    g_free(place->folder);
}

static Promises *opened(const Place *place)
{
    g_autoptr(GError) error = NULL;
    Promises *promises = promises_open(place->path, &error);
    g_assert_no_error(error);
    return promises;
}

static gsize file_length(const Place *place)
{
    GStatBuf found;
    g_assert_cmpint(g_stat(place->path, &found), ==, 0);
    return (gsize)found.st_size;
}

/* The first is never closed: it was killed. */
static void test_outlives(Place *place, gconstpointer data)
{
    g_autoptr(Promises) killed = opened(place);
    g_assert_true(promises_note(killed, URI, "web", 1000, NULL));
    g_assert_true(promises_note(killed, URI, "db", 2000, NULL));
    g_assert_true(promises_note(killed, URI, "web", 3000, NULL));
    g_assert_true(promises_note(killed, URI, "mail", 4000, NULL));
    promises_kept(killed, URI, "db");
    g_autoptr(Promises) next = opened(place);
    g_assert_cmpuint(promises_open_bytes(next, URI, "web"), ==, 3000);
    g_assert_cmpuint(promises_open_bytes(next, URI, "mail"), ==, 4000);
    g_assert_cmpuint(promises_open_bytes(next, URI, "db"), ==, 0);
    g_assert_cmpuint(promises_open_bytes(next, "qmp:/run/1", "web"), ==, 0); /* another hypervisor's */
    promises_kept(next, URI, "web");
    g_autoptr(Promises) third = opened(place);
    g_assert_cmpuint(promises_open_bytes(third, URI, "web"), ==, 0);
    g_assert_cmpuint(promises_open_bytes(third, URI, "mail"), ==, 4000);
}

static void test_does_not_grow(Place *place, gconstpointer data)
{
    g_autoptr(Promises) promises = opened(place);
    for (int i = 0; i < 100; i++) {
        g_autofree char *id = g_strdup_printf("server-%d", i);
        promises_note(promises, URI, id, 1, NULL);
        promises_note(promises, URI, "other", 1, NULL);
        promises_kept(promises, URI, id);
    }
    g_assert_cmpuint(file_length(place), ==, (gsize)256);
    g_autoptr(Promises) next = opened(place);
    promises_note(next, URI, "one more", 1, NULL);
    g_assert_cmpuint(file_length(place), ==, (gsize)256);
}

static void test_garbage(Place *place, gconstpointer data)
{
    g_autoptr(Promises) first = opened(place);
    promises_note(first, URI, "web", 1000, NULL);
    g_autofree char *good = NULL;
    g_assert_true(g_file_get_contents(place->path, &good, NULL, NULL));
    g_autofree char *noise = g_strnfill(128, '\xff');
    g_autofree char *zeros = g_strdup(good);
    for (int i = 64; i < 127; i++)
        zeros[i] = ' ';
    g_autofree char *negative = g_strdup(good);
    negative[100] = '-';
    g_autofree char *all = g_strconcat(noise, zeros, negative, good, "half a line", NULL);
    g_assert_true(g_file_set_contents(place->path, all, -1, NULL));
    g_autoptr(Promises) next = opened(place);
    g_assert_cmpuint(promises_open_bytes(next, URI, "web"), ==, 1000);
    promises_note(next, URI, "db", 2000, NULL);
    g_autoptr(Promises) third = opened(place);
    g_assert_cmpuint(promises_open_bytes(third, URI, "db"), ==, 2000);
}

static void test_no_file(Place *place, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(place->folder, "missing", "promises", NULL);
    g_assert_null(promises_open(path, &error));
    g_assert_nonnull(strstr(error->message, path));
    g_autoptr(Promises) none = promises_open(NULL, NULL);
    g_assert_true(promises_note(none, URI, "web", 1, NULL));
    g_assert_cmpuint(promises_open_bytes(none, URI, "web"), ==, 0);
    g_assert_true(promises_note(NULL, URI, "web", 1, NULL));
    promises_kept(NULL, URI, "web");
    g_assert_cmpuint(promises_open_bytes(NULL, URI, "web"), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/promise/outlives", Place, NULL, place_begin, test_outlives, place_end);
    g_test_add("/promise/does-not-grow", Place, NULL, place_begin, test_does_not_grow, place_end);
    g_test_add("/promise/garbage", Place, NULL, place_begin, test_garbage, place_end);
    g_test_add("/promise/no-file", Place, NULL, place_begin, test_no_file, place_end);
    return g_test_run();
}
