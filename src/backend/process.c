#include "backend/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/hostinfo.h"
#include "base/size.h"
#include "base/u64.h"

/* Whole small files of /proc in one read; the longest is stat with about 350 bytes. */
#define SMALL_FILE_BYTES 1024

static gboolean read_small(const char *proc, int pid, const char *name, char buffer[SMALL_FILE_BYTES])
{
    char path[256];
    ssize_t length;
    int fd;
    if (g_snprintf(path, sizeof path, "%s/%d/%s", proc, pid, name) >= (int)sizeof path)
        return FALSE;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return FALSE;
    length = read(fd, buffer, SMALL_FILE_BYTES - 1);
    close(fd);
    if (length <= 0)
        return FALSE;
    buffer[length] = '\0';
    return TRUE;
}

gboolean process_resident(const char *proc, int pid, uint64_t *ret_bytes)
{
    char text[SMALL_FILE_BYTES];
    return pid > 0 && read_small(proc, pid, "statm", text) &&
           hostinfo_parse_statm(text, (uint64_t)sysconf(_SC_PAGESIZE), ret_bytes);
}

static int open_of(const char *proc, int pid, const char *name)
{
    char path[256];
    if (pid <= 0 || g_snprintf(path, sizeof path, "%s/%d/%s", proc, pid, name) >= (int)sizeof path)
        return -1;
    return open(path, O_RDONLY | O_CLOEXEC);
}

static gboolean read_again(int fd, char text[SMALL_FILE_BYTES])
{
    ssize_t length = fd < 0 ? -1 : pread(fd, text, SMALL_FILE_BYTES - 1, 0);
    text[MAX(length, 0)] = '\0';
    return length > 0;
}

int process_open_statm(const char *proc, int pid)
{
    return open_of(proc, pid, "statm");
}

gboolean process_read_statm(int fd, uint64_t *ret_bytes)
{
    char text[SMALL_FILE_BYTES];
    return read_again(fd, text) && hostinfo_parse_statm(text, (uint64_t)sysconf(_SC_PAGESIZE), ret_bytes);
}

int process_open_stat(const char *proc, int pid)
{
    return open_of(proc, pid, "stat");
}

gboolean process_read_processor(int fd, uint64_t *ret_us)
{
    char text[SMALL_FILE_BYTES];
    return read_again(fd, text) && process_parse_processor(text, (uint64_t)sysconf(_SC_CLK_TCK), ret_us);
}

gboolean process_find_clock(const char *proc, int pid, clockid_t *ret_clock)
{
    uint64_t used_us;
    return pid > 0 && g_str_equal(proc, "/proc") && clock_getcpuclockid(pid, ret_clock) == 0 &&
           process_read_clock(*ret_clock, &used_us);
}

gboolean process_read_clock(clockid_t clock, uint64_t *ret_us)
{
    struct timespec used;
    if (clock_gettime(clock, &used) != 0)
        return FALSE;
    *ret_us = (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
    return TRUE;
}

/* "pid (comm) state ppid ...": comm may hold anything, so fields are counted from the last parenthesis. NULL when it has no
 * such field, or the process is dead. */
static const char *stat_field(const char *text, int wanted)
{
    const char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || !at[2] || at[2] == 'Z' || at[2] == 'X')
        return NULL;
    for (int field = 2; field < wanted; field++) {
        at = strchr(at + 1, ' ');
        if (!at)
            return NULL;
    }
    return g_ascii_isdigit(at[1]) ? at + 1 : NULL;
}

gboolean process_parse_processor(const char *text, uint64_t ticks_per_s, uint64_t *ret_us)
{
    const char *user = stat_field(text, 14);
    char *end;
    if (!user)
        return FALSE;
    uint64_t user_ticks = g_ascii_strtoull(user, &end, 10);
    if (*end != ' ' || !g_ascii_isdigit(end[1]))
        return FALSE;
    uint64_t ticks = u64_add_sat(user_ticks, g_ascii_strtoull(end + 1, &end, 10));
    if (*end != ' ' || ticks_per_s == 0 || ticks > UINT64_MAX / 1000000)
        return FALSE;
    *ret_us = ticks * 1000000 / ticks_per_s;
    return TRUE;
}

gboolean process_parse_stat(const char *text, uint64_t *ret_start_ticks)
{
    const char *start = stat_field(text, 22);
    char *end;
    if (!start)
        return FALSE;
    *ret_start_ticks = g_ascii_strtoull(start, &end, 10);
    return *end == ' ' || *end == '\n' || *end == '\0';
}

gboolean process_start_time(const char *proc, int pid, uint64_t *ret_ticks)
{
    char text[SMALL_FILE_BYTES];
    return pid > 0 && read_small(proc, pid, "stat", text) && process_parse_stat(text, ret_ticks);
}

/* smaps: runs of adjacent mappings of the same backing, with what is resident in each. */

typedef struct {
    uint64_t start, end, resident_bytes;
    char backing[128]; /* device, inode and path: the same backing is the same text, cut where it is longer */
    gboolean may_be_ram;
} Run;

/* "7f00-7f10 rw-p 00000000 00:00 0   [heap]". FALSE when the line is not such a header. */
static gboolean parse_header(const char *line, gsize length, Run *ret)
{
    char text[512], permissions[5], device[16];
    uint64_t start, end, offset, inode;
    int used = 0;
    gsize n = MIN(length, sizeof text - 1);
    memcpy(text, line, n);
    text[n] = '\0';
    if (sscanf(text, "%16" SCNx64 "-%16" SCNx64 " %4s %16" SCNx64 " %15s %20" SCNu64 "%n", &start, &end,
               permissions, &offset, device, &inode, &used) != 6 ||
        end <= start || strlen(permissions) != 4)
        return FALSE;
    while (text[used] == ' ')
        used++;
    ret->start = start;
    ret->end = end;
    ret->resident_bytes = 0;
    /* Guest RAM is never executable: that is TCG's code cache, which can be just as large. */
    ret->may_be_ram = permissions[0] == 'r' && permissions[1] == 'w' && permissions[2] != 'x';
    g_snprintf(ret->backing, sizeof ret->backing, "%.4s %.15s %" PRIu64 " %.80s", permissions, device, inode,
               text + used);
    return TRUE;
}

/* "Rss:                 1234 kB" */
static gboolean parse_rss(const char *line, gsize length, uint64_t *ret_bytes)
{
    char text[64];
    uint64_t kib;
    gsize n = MIN(length, sizeof text - 1);
    if (n < 4 || memcmp(line, "Rss:", 4) != 0)
        return FALSE;
    memcpy(text, line, n);
    text[n] = '\0';
    if (sscanf(text + 4, " %16" SCNu64 " kB", &kib) != 1 || kib > SIZE_MAX_BYTES / KIB)
        return FALSE;
    *ret_bytes = kib * KIB;
    return TRUE;
}

static void add_mapping(GArray *runs, const Run *mapping)
{
    Run *last = runs->len ? &g_array_index(runs, Run, runs->len - 1) : NULL;
    if (last && last->end == mapping->start && strcmp(last->backing, mapping->backing) == 0)
        last->end = mapping->end;
    else
        g_array_append_val(runs, *mapping);
}

static GArray *parse_runs(const char *text, uint64_t *ret_total_bytes)
{
    GArray *runs = g_array_new(FALSE, FALSE, sizeof(Run));
    uint64_t total = 0, rss;
    Run mapping;
    for (const char *line = text; *line;) {
        const char *end = strchrnul(line, '\n');
        gsize length = (gsize)(end - line);
        if (runs->len && parse_rss(line, length, &rss)) {
            Run *run = &g_array_index(runs, Run, runs->len - 1);
            run->resident_bytes = u64_add_sat(run->resident_bytes, rss);
            total = u64_add_sat(total, rss);
        } else if (g_ascii_isxdigit(*line) && parse_header(line, length, &mapping)) {
            add_mapping(runs, &mapping);
        }
        line = *end ? end + 1 : end;
    }
    *ret_total_bytes = total;
    return runs;
}

/* Of the same size the least resident comes first. */
static int by_size_largest_first(const void *a, const void *b)
{
    const Run *x = a, *y = b;
    uint64_t size_x = x->may_be_ram ? x->end - x->start : 0, size_y = y->may_be_ram ? y->end - y->start : 0;
    if (size_x != size_y)
        return size_x < size_y ? 1 : -1;
    return (x->resident_bytes > y->resident_bytes) - (x->resident_bytes < y->resident_bytes);
}

/* Resident bytes of guest RAM in @runs (sorted here). FALSE when they cannot hold @guest_bytes. */
static gboolean guest_resident(GArray *runs, uint64_t guest_bytes, uint64_t *ret_bytes)
{
    const Run *best = NULL;
    uint64_t sum = 0, resident = 0, excess;
    g_array_sort(runs, by_size_largest_first);
    for (guint i = 0; i < runs->len; i++) {
        const Run *run = &g_array_index(runs, Run, i);
        if (!run->may_be_ram || run->end - run->start < guest_bytes)
            break;
        best = run; /* the smallest that is large enough: nearly always exactly as large */
    }
    if (best) {
        sum = best->end - best->start;
        resident = best->resident_bytes;
    } else {
        /* NUMA nodes and hot-plugged DIMMs have a mapping each: the largest ones until all RAM is accounted
         * for. */
        for (guint i = 0; i < runs->len && sum < guest_bytes; i++) {
            const Run *run = &g_array_index(runs, Run, i);
            if (!run->may_be_ram)
                break;
            sum = u64_add_sat(sum, run->end - run->start);
            resident = u64_add_sat(resident, run->resident_bytes);
        }
    }
    if (sum < guest_bytes)
        return FALSE;
    /* The kernel merges neighbours: what is beyond the guest's size counts as overhead, so that it errs
     * upwards. */
    excess = sum - guest_bytes;
    *ret_bytes = u64_sub_sat(resident, excess);
    return TRUE;
}

gboolean hostinfo_parse_smaps(const char *text, uint64_t guest_bytes, uint64_t *ret_overhead_bytes)
{
    uint64_t total, guest;
    g_autoptr(GArray) runs = parse_runs(text, &total);
    if (guest_bytes == 0 || !guest_resident(runs, guest_bytes, &guest))
        return FALSE;
    *ret_overhead_bytes = u64_sub_sat(total, guest);
    return TRUE;
}

gboolean process_overhead(const char *proc, int pid, uint64_t guest_bytes, uint64_t *ret_bytes)
{
    g_autofree char *path = g_strdup_printf("%s/%d/smaps", proc, pid);
    g_autofree char *text = NULL;
    return pid > 0 && g_file_get_contents(path, &text, NULL, NULL) &&
           hostinfo_parse_smaps(text, guest_bytes, ret_bytes);
}

/* Finding the process. */

char *process_parse_cmdline(const char *text, gsize length)
{
    const char *end = text + length;
    gboolean next = FALSE;
    for (const char *argument = text; argument < end;) {
        gsize n = strnlen(argument, (gsize)(end - argument));
        if (next)
            return n && n <= 64 && g_utf8_validate(argument, (gssize)n, NULL)
                       ? g_ascii_strdown(argument, (gssize)n)
                       : NULL;
        next = n == 5 && memcmp(argument, "-uuid", 5) == 0;
        argument += n + 1;
    }
    return NULL;
}

static gboolean looks_like_qemu(const char *name)
{
    return g_str_has_prefix(name, "qemu") || g_str_has_prefix(name, "kvm");
}

/* By comm, or by the program where `-name process=` has changed comm. */
static gboolean is_qemu(const char *proc, int pid)
{
    char comm[SMALL_FILE_BYTES];
    g_autofree char *path = NULL, *exe = NULL, *base = NULL;
    if (!read_small(proc, pid, "comm", comm))
        return FALSE;
    if (looks_like_qemu(comm))
        return TRUE;
    path = g_strdup_printf("%s/%d/exe", proc, pid);
    exe = g_file_read_link(path, NULL);
    if (!exe)
        return FALSE;
    base = g_path_get_basename(exe);
    return looks_like_qemu(base);
}

/* Users whose processes are believed: anybody else could put any UUID on a command line. */
static GArray *trusted_users(void)
{
    static const char *const names[] = {"libvirt-qemu", "qemu"};
    GArray *users = g_array_new(FALSE, FALSE, sizeof(uid_t));
    uid_t own = geteuid(), root = 0;
    g_array_append_val(users, own);
    g_array_append_val(users, root);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        struct passwd entry, *found = NULL;
        char buffer[4096];
        if (getpwnam_r(names[i], &entry, buffer, sizeof buffer, &found) == 0 && found)
            g_array_append_val(users, found->pw_uid);
    }
    return users;
}

static gboolean is_trusted(const char *proc, int pid, const GArray *users)
{
    g_autofree char *path = g_strdup_printf("%s/%d", proc, pid);
    struct stat info;
    if (stat(path, &info) != 0)
        return FALSE;
    for (guint i = 0; i < users->len; i++)
        if (g_array_index(users, uid_t, i) == info.st_uid)
            return TRUE;
    return FALSE;
}

static void add_process(GHashTable *found, const char *proc, int pid, const GArray *users)
{
    g_autofree char *path = NULL, *text = NULL;
    char *uuid;
    gsize length;
    if (!is_qemu(proc, pid) || !is_trusted(proc, pid, users))
        return;
    path = g_strdup_printf("%s/%d/cmdline", proc, pid);
    if (!g_file_get_contents(path, &text, &length, NULL))
        return;
    uuid = process_parse_cmdline(text, length);
    if (uuid)
        g_hash_table_replace(found, uuid, GINT_TO_POINTER(pid));
}

GHashTable *process_list_qemu(const char *proc, GHashTable *known, atomic_int *ret_at)
{
    GHashTable *found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GArray) users = trusted_users();
    g_autoptr(GDir) folder = g_dir_open(proc, 0, NULL);
    const char *name;
    if (!folder)
        return found;
    while ((name = g_dir_read_name(folder))) {
        guint64 pid;
        if (!g_ascii_string_to_unsigned(name, 10, 1, G_MAXINT, &pid, NULL) ||
            (known && g_hash_table_contains(known, GINT_TO_POINTER((int)pid))))
            continue;
        if (ret_at)
            atomic_store(ret_at, (int)pid);
        add_process(found, proc, (int)pid, users);
    }
    return found;
}

int process_find_qemu(const char *proc, const char *uuid)
{
    g_autoptr(GHashTable) found = process_list_qemu(proc, NULL, NULL);
    g_autofree char *key = g_ascii_strdown(uuid, -1);
    return GPOINTER_TO_INT(g_hash_table_lookup(found, key));
}
