/* Reads which mappings are clean copies of files, then drops them all. */
#include "base/trim.h"
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <glib.h>

typedef struct {
    uintptr_t start, end;
    uint64_t resident_kib;
    gboolean from_file, changed;
} Mapping;

/* "7f00-7f10 r-xp 00000000 fe:00 1234   /usr/lib/x.so" */
static gboolean parse_header(const char *line, Mapping *ret)
{
    char permissions[5];
    uint64_t inode;
    Mapping found = {0};
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*x %*s %" SCNu64, &found.start, &found.end, permissions,
               &inode) != 4 ||
        found.end <= found.start)
        return FALSE;
    /* What may be written may be written at this very moment. */
    found.from_file = inode != 0 && permissions[0] == 'r' && permissions[1] == '-' && permissions[3] == 'p';
    *ret = found;
    return TRUE;
}

static void parse_field(const char *line, Mapping *mapping)
{
    uint64_t kib;
    if (sscanf(line, "Rss: %" SCNu64 " kB", &kib) == 1)
        mapping->resident_kib = kib;
    /* Relocated once, read-only since: dropping it would bring back the file's own bytes. */
    else if (sscanf(line, "Anonymous: %" SCNu64 " kB", &kib) == 1 ||
             sscanf(line, "Swap: %" SCNu64 " kB", &kib) == 1)
        mapping->changed = mapping->changed || kib > 0;
}

static uint64_t drop(const Mapping *mapping)
{
    if (!mapping->from_file || mapping->changed || mapping->resident_kib == 0)
        return 0;
    void *start = (void *)mapping->start; /* NOLINT(performance-no-int-to-ptr): that is what smaps tells */
    gboolean dropped = madvise(start, mapping->end - mapping->start, MADV_DONTNEED) == 0;
    return dropped ? mapping->resident_kib * 1024 : 0;
}

/* A folder's links are itself, its entry above, and its folders: one for each thread here. */
static gboolean is_alone(void)
{
    struct stat tasks;
    return stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == 3;
}

uint64_t trim_memory(const char *smaps)
{
    g_autofree char *text = NULL;
    uint64_t dropped = 0;
    Mapping mapping = {0};
    if (!is_alone())
        return 0;
    malloc_trim(0);
    if (!g_file_get_contents(smaps, &text, NULL, NULL))
        return 0;
    for (char *line = text, *next; *line; line = next) {
        char *end = strchrnul(line, '\n');
        next = *end ? end + 1 : end;
        *end = '\0';
        Mapping found;
        if (!g_ascii_isxdigit(*line) || g_ascii_isupper(*line) || !parse_header(line, &found)) {
            parse_field(line, &mapping);
            continue;
        }
        dropped += drop(&mapping);
        mapping = found;
    }
    return dropped + drop(&mapping);
}
