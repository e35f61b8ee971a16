/* Clean pages of files go and come back, changed ones stay, and nothing is touched beside a second thread. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <glib.h>
#include <glib/gstdio.h>
#include "base/trim.h"

#define SIZE  (4UL * 1024 * 1024)
#define PAGE  4096UL
#define SMAPS "/proc/self/smaps"

typedef struct {
    char *path;
    char *clean;   /* read-only, as the file is */
    char *changed; /* read-only by now, relocated before */
} Mapped;

static char *map(const char *path, int protection)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    char *start = mmap(NULL, SIZE, protection, MAP_PRIVATE, fd, 0);
    g_assert_true(start != MAP_FAILED);
    close(fd);
    return start;
}

static void mapped_begin(Mapped *mapped)
{
    g_autofree char *bytes = g_malloc(SIZE);
    memset(bytes, 'f', SIZE);
    int fd = g_file_open_tmp("trim-XXXXXX", &mapped->path, NULL);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_true(g_file_set_contents(mapped->path, bytes, SIZE, NULL));
    mapped->clean = map(mapped->path, PROT_READ);
    mapped->changed = map(mapped->path, PROT_READ | PROT_WRITE);
    mapped->changed[PAGE] = 'r';
    g_assert_cmpint(mprotect(mapped->changed, SIZE, PROT_READ), ==, 0);
}

static void mapped_end(Mapped *mapped)
{
    munmap(mapped->clean, SIZE);
    munmap(mapped->changed, SIZE);
    g_unlink(mapped->path);
    g_free(mapped->path);
}

static void touch(const char *start)
{
    for (size_t at = 0; at < SIZE; at += PAGE)
        g_assert_cmpint(((const volatile char *)start)[at], ==, 'f');
}

static uint64_t resident_pages(void)
{
    g_autofree char *text = NULL;
    char *end;
    g_assert_true(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
    g_ascii_strtoull(text, &end, 10);
    return g_ascii_strtoull(end, NULL, 10);
}

static void test_clean_goes_changed_stays(void)
{
    Mapped mapped;
    mapped_begin(&mapped);
    touch(mapped.clean);
    uint64_t before = resident_pages();
    g_assert_cmpuint(trim_memory(SMAPS), >=, SIZE);
    g_assert_cmpuint(resident_pages() + SIZE / PAGE / 2, <, before);
    g_assert_cmpint(mapped.changed[PAGE], ==, 'r');
    touch(mapped.clean);
    mapped_end(&mapped);
}

static gpointer wait_for(gpointer mutex)
{
    g_mutex_lock(mutex);
    g_mutex_unlock(mutex);
    return NULL;
}

static void test_not_beside_a_thread(void)
{
    GMutex mutex;
    g_mutex_init(&mutex);
    g_mutex_lock(&mutex);
    GThread *thread = g_thread_new("other", wait_for, &mutex);
    g_assert_cmpuint(trim_memory(SMAPS), ==, 0);
    g_mutex_unlock(&mutex);
    g_thread_join(thread);
    g_mutex_clear(&mutex);
}

/* One mapping as smaps would tell of it. */
static uint64_t trim_as(const Mapped *mapped, const char *permissions, unsigned inode, const char *field)
{
    g_autofree char *path = NULL;
    char *start = mapped->clean;
    g_autofree char *text =
        g_strdup_printf("%lx-%lx %s 00000000 fe:00 %u /x\nRss: %lu kB\n%s", (unsigned long)start,
                        (unsigned long)(start + SIZE), permissions, inode, SIZE / 1024, field);
    int fd = g_file_open_tmp("smaps-XXXXXX", &path, NULL);
    close(fd);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    uint64_t dropped = trim_memory(path);
    g_unlink(path);
    return dropped;
}

static void test_what_stays(void)
{
    Mapped mapped;
    mapped_begin(&mapped);
    touch(mapped.clean);
    g_assert_cmpuint(trim_as(&mapped, "rw-p", 7, ""), ==, 0);
    g_assert_cmpuint(trim_as(&mapped, "r--s", 7, ""), ==, 0);
    g_assert_cmpuint(trim_as(&mapped, "r--p", 0, ""), ==, 0);
    g_assert_cmpuint(trim_as(&mapped, "r--p", 7, "Anonymous: 4 kB\n"), ==, 0);
    g_assert_cmpuint(trim_as(&mapped, "r--p", 7, "Swap: 4 kB\n"), ==, 0);
    g_assert_cmpuint(trim_as(&mapped, "r--p", 7, "Anonymous: 0 kB\nSwap: 0 kB\n"), ==, SIZE);
    g_assert_cmpuint(trim_memory("/nowhere/smaps"), ==, 0);
    mapped_end(&mapped);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/trim/clean-goes-changed-stays", test_clean_goes_changed_stays);
    g_test_add_func("/trim/what-stays", test_what_stays);
    g_test_add_func("/trim/not-beside-a-thread", test_not_beside_a_thread);
    return g_test_run();
}
