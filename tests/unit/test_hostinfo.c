/* What /proc says: the good text, the nearly good text and the garbage. */
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "backend/hostinfo.h"
#include "backend/hostsettings.h"
#include "backend/process.h"
#include "policy/facts.h"
#include "base/error.h"
#include "base/size.h"

#define UNKNOWN UINT64_MAX

static void test_meminfo(void)
{
    static const struct {
        const char *text;
        uint64_t memory, available; /* 0, 0: refused */
    } table[] = {
        {"MemTotal:       16384 kB\nMemFree: 1 kB\nMemAvailable:   8192 kB\n", 16 * MIB, 8 * MIB},
        {"MemAvailable: 4 kB\nMemTotal: 8 kB", 8 * KIB, 4 * KIB},
        {"MemTotal: 8 kB\nMemAvailable: 16 kB\n", 8 * KIB, 8 * KIB},
        {"MemTotal: 8 kB\n", 0, 0},
        {"MemAvailable: 8 kB\n", 0, 0},
        {"MemTotal: 0 kB\nMemAvailable: 0 kB\n", 0, 0},
        {"MemTotal: 8 MB\nMemAvailable: 4 kB\n", 0, 0},
        {"MemTotal: -8 kB\nMemAvailable: 4 kB\n", 0, 0},
        {"MemTotal: 18446744073709551616 kB\nMemAvailable: 4 kB\n", 0, 0},
        {"MemTotal: 18014398509481984 kB\nMemAvailable: 4 kB\n", 0, 0},
        {"XMemTotal: 8 kB\nMemAvailable: 4 kB\n", 0, 0},
        {"MemTotal:", 0, 0},
        {"", 0, 0},
        {"\n\n\n", 0, 0},
    };
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        HostMemory host = {.memory_bytes = 1, .available_bytes = 2, .pressure_some_avg10 = 3};
        gboolean good = hostinfo_parse_meminfo(table[i].text, &host);
        g_assert_cmpint(good, ==, table[i].memory != 0);
        g_assert_cmpuint(host.memory_bytes, ==, good ? table[i].memory : 1);
        g_assert_cmpuint(host.available_bytes, ==, good ? table[i].available : 2);
        g_assert_cmpfloat(host.pressure_some_avg10, ==, 3);
    }
}

static void test_pressure(void)
{
    static const struct {
        const char *text;
        double some; /* negative: refused */
    } table[] = {
        {"some avg10=1.25 avg60=0.50 avg300=0.00 total=12345\nfull avg10=0.00 avg60=0.00\n", 1.25},
        {"full avg10=9.00\nsome avg10=100.00\n", 100},
        {"some avg10=0", 0},
        {"some avg10=100.01 avg60=1\n", -1},
        {"some avg10=1e300\n", -1},
        {"some avg10=nan\n", -1},
        {"some avg10=inf\n", -1},
        {"some avg10=-1\n", -1},
        {"some avg10=1,25 avg60\n", -1},
        {"some avg60=1.0\n", -1},
        {"full avg10=1.0\n", -1},
        {"some avg10=", -1},
        {"some ", -1},
        {"", -1},
    };
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        double some = -7;
        gboolean good = hostinfo_parse_pressure(table[i].text, &some);
        g_assert_cmpint(good, ==, table[i].some >= 0);
        g_assert_cmpfloat(some, ==, good ? table[i].some : -7);
    }
}

static void test_arcstats(void)
{
    static const char head[] = "9 1 0x01 147 39984 5102 10\nname                            type data\n";
    static const struct {
        const char *text;
        uint64_t reclaimable; /* UNKNOWN: refused */
    } table[] = {
        {"c_min                           4    1000\nc_max 4 9000\nsize                            4    "
         "5000\n",
         4000},
        {"size 4 500\nc_min 4 1000\n", 0},
        {"size_x 4 5\nc_min 4 1\n", UNKNOWN},
        {"size 4\nc_min 4 1\n", UNKNOWN},
        {"size 4 5\n", UNKNOWN},
        {"size 4 18446744073709551615\nc_min 4 1\n", UNKNOWN},
        {"", UNKNOWN},
    };
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        uint64_t bytes = UNKNOWN;
        g_autofree char *text = g_strconcat(head, table[i].text, NULL);
        g_assert_cmpint(hostinfo_parse_arcstats(text, &bytes), ==, table[i].reclaimable != UNKNOWN);
        g_assert_cmpuint(bytes, ==, table[i].reclaimable);
    }
}

static void test_statm(void)
{
    static const struct {
        const char *text;
        uint64_t resident; /* UNKNOWN: refused */
    } table[] = {
        {"1000 25 5 1 0 70 0\n", 25 * 4096},
        {"1 0", 0},
        {"1", UNKNOWN},
        {"1 x", UNKNOWN},
        {"1 2x", UNKNOWN},
        {" 1 2", UNKNOWN},
        {"", UNKNOWN},
        {"1 18446744073709551615", UNKNOWN},
        {"1 -2", UNKNOWN},
        {"1\n2", UNKNOWN},
    };
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        uint64_t bytes = UNKNOWN;
        g_assert_cmpint(hostinfo_parse_statm(table[i].text, 4096, &bytes), ==, table[i].resident != UNKNOWN);
        g_assert_cmpuint(bytes, ==, table[i].resident);
    }
}

/* 512 MiB of guest RAM at 7f0000000000 in its usual surroundings: 30 MiB of heap, a code cache just as large as the
 * guest's memory, a library, a guard page. */
#define HEAP                                                                                                 \
    "55500000000-55502000000 rw-p 00000000 00:00 0    [heap]\nSize: 32768 kB\nRss: 30720 kB\nPss: 1 kB\n"
#define CODE "7e0000000000-7e0020000000 rwxp 00000000 00:00 0 \nSize: 524288 kB\nRss: 20480 kB\n"
#define LIB                                                                                                  \
    "7f1000000000-7f1000100000 r-xp 00000000 08:01 77   /usr/lib/libc.so.6\nRss: 1024 kB\nVmFlags: rd ex "   \
    "mr\n"
#define GUARD "7f0020000000-7f0020001000 ---p 00000000 00:00 0 \nRss: 0 kB\n"
#define MEM   " 00000000 00:00 0 \n"

static void test_smaps(void)
{
    static const struct {
        const char *what, *text;
        uint64_t overhead_kib; /* UNKNOWN: refused */
    } table[] = {
        {"one mapping", HEAP CODE "7f0000000000-7f0020000000 rw-p" MEM "Rss: 102400 kB\n" GUARD LIB,
         30720 + 20480 + 1024},
        {"split by madvise",
         HEAP CODE "7f0000000000-7f0010000000 rw-p" MEM "Rss: 51200 kB\n"
                   "7f0010000000-7f0020000000 rw-p" MEM "Rss: 51200 kB\n" GUARD LIB,
         30720 + 20480 + 1024},
        {"a neighbour of another backing",
         HEAP CODE "7f0000000000-7f0020000000 rw-p" MEM "Rss: 102400 kB\n"
                   "7f0020000000-7f0040000000 rw-p 00000000 08:01 9 /x\nRss: 64 kB\n",
         30720 + 20480 + 64},
        {"shared memory",
         HEAP "7f0000000000-7f0020000000 rw-s 00000000 00:01 5 /memfd:ram (deleted)\nRss: 8 kB\n", 30720},
        {"two NUMA nodes",
         HEAP "7f0000000000-7f0010000000 rw-p" MEM "Rss: 100 kB\n" GUARD "7f0050000000-7f0060000000 rw-p" MEM
              "Rss: 100 kB\n",
         30720},
        /* Merged with 4 KiB of something else, which may be resident: overhead may only err upwards. */
        {"merged with a neighbour", "7f0000000000-7f0020001000 rw-p" MEM "Rss: 1000 kB\n", 4},
        {"too small", HEAP CODE GUARD LIB, UNKNOWN},
        {"read-only", "7f0000000000-7f0020000000 r--p" MEM "Rss: 8 kB\n", UNKNOWN},
        {"backwards", "7f0020000000-7f0000000000 rw-p" MEM "Rss: 8 kB\n", UNKNOWN},
        {"sizes without mappings", "Rss: 8 kB\nSize: 524288 kB\n", UNKNOWN},
        {"nothing", "", UNKNOWN},
        {"garbage", "7f00-\n7f-8 \n-\nRss\nRss:\nRss: x\n\xff\xfe\n", UNKNOWN},
        {"the whole address space", "0-ffffffffffffffff rw-p" MEM "Rss: 18014398509481984 kB\nRss: 16 kB\n",
         16},
    };
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        uint64_t bytes = UNKNOWN;
        gboolean good = hostinfo_parse_smaps(table[i].text, 512 * MIB, &bytes);
        g_test_message("%s", table[i].what);
        g_assert_cmpint(good, ==, table[i].overhead_kib != UNKNOWN);
        if (good)
            g_assert_cmpuint(bytes, ==, table[i].overhead_kib * KIB);
    }
    uint64_t bytes;
    g_assert_false(hostinfo_parse_smaps(HEAP, 0, &bytes));
}

static void test_cmdline(void)
{
#define LINE(text) text, sizeof(text) - 1
    static const struct {
        const char *text;
        gsize length;
        const char *uuid;
    } table[] = {
        {LINE("qemu\0-uuid\0AB-cd\0-m\0"
              "1\0"),
         "ab-cd"},
        {LINE("qemu\0-uuid\0ab"), "ab"},
        {LINE("qemu\0-uuid\0"), NULL},
        {LINE("qemu\0-uuid"), NULL},
        {LINE("qemu\0-uuid\0\0"), NULL},
        {LINE("qemu\0-uuidx\0ab\0"), NULL},
        {LINE("qemu\0-uuid\0\xff\0"), NULL},
        {LINE(""), NULL},
        {LINE("\0\0\0\0"), NULL},
    };
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *uuid = process_parse_cmdline(table[i].text, table[i].length);
        g_assert_cmpstr(uuid, ==, table[i].uuid);
    }
}

static void test_stat(void)
{
    static const char rest[] = " 1 1 1 0 -1 4 5 6 7 8 9 10 11 12 20 0 3 0 4242 99 100\n";
    uint64_t start = 0;
    g_autofree char *odd = g_strconcat("7 (a) b) (c) S", rest, NULL);
    g_autofree char *zombie = g_strconcat("7 (qemu) Z", rest, NULL);
    g_assert_true(process_parse_stat(odd, &start));
    g_assert_cmpuint(start, ==, 4242);
    g_assert_false(process_parse_stat(zombie, &start));
    uint64_t used_us = 0;
    g_assert_true(process_parse_processor(odd, 100, &used_us));
    g_assert_cmpuint(used_us, ==, (9 + 10) * 10000);
    g_assert_false(process_parse_processor(zombie, 100, &used_us));
    g_assert_false(process_parse_processor(odd, 0, &used_us));
    g_assert_false(process_parse_processor("7 (q) S 1 1 1 0 -1 4 5 6 7 8 9", 100, &used_us));
    g_assert_false(process_parse_processor("7 (q) S 1 1 1 0 -1 4 5 6 7 8 -9 10 11", 100, &used_us));
    g_assert_false(
        process_parse_processor("7 (q) S 1 1 1 0 -1 4 5 6 7 8 9 18446744073709551615 11", 100, &used_us));
    g_assert_false(process_parse_stat("7 (qemu) S 1 2 3\n", &start));
    g_assert_false(process_parse_stat("7 (qemu)", &start));
    g_assert_false(process_parse_stat("", &start));
}

/* A /proc of our own. */

static void put(const char *folder, const char *path, const char *text, gssize length)
{
    g_autofree char *file = g_build_filename(folder, path, NULL);
    g_autofree char *parent = g_path_get_dirname(file);
    g_assert_cmpint(g_mkdir_with_parents(parent, 0700), ==, 0);
    g_assert_true(g_file_set_contents(file, text, length, NULL));
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    const char *name;
    while (folder && (name = g_dir_read_name(folder))) {
        g_autofree char *inside = g_build_filename(path, name, NULL);
        remove_tree(inside);
    }
    g_remove(path);
}

static void test_settings(void)
{
    static const struct {
        const char *meminfo;
        uint64_t swap, huge_free;
    } table[] = {
        {"SwapTotal:       2048 kB\nSwapFree: 0 kB\n", 2 * MIB, UNKNOWN},
        {"SwapTotal: 0 kB\nHugePages_Total: 8\nHugePages_Free: 3\nHugepagesize: 2048 kB\n", 0, 6 * MIB},
        {"HugePages_Total: 8\nHugePages_Free: 9\nHugepagesize: 2048 kB\n", UNKNOWN, 16 * MIB},
        {"HugePages_Total: 8\nHugepagesize: 2048 kB\n", UNKNOWN, UNKNOWN},
        {"HugePages_Total: 18446744073709551615\nHugePages_Free: 1\nHugepagesize: 2048 kB\n", UNKNOWN,
         UNKNOWN},
        {"SwapTotal: 99999999999999999999 kB\n", UNKNOWN, UNKNOWN},
        {"SwapTotal: -1 kB\nxSwapTotal: 5 kB\n", UNKNOWN, UNKNOWN},
        {"SwapTotal:", UNKNOWN, UNKNOWN},
        {"", UNKNOWN, UNKNOWN},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(table); i++) {
        HostSettings settings = {
            .swap_total_bytes = UNKNOWN, .huge_total_bytes = UNKNOWN, .huge_free_bytes = UNKNOWN};
        hostsettings_parse_meminfo(table[i].meminfo, &settings);
        g_assert_cmpuint(settings.swap_total_bytes, ==, table[i].swap);
        g_assert_cmpuint(settings.huge_free_bytes, ==, table[i].huge_free);
    }
    HostSettings settings = {.arc_bytes = 7};
    hostsettings_parse_arcstats("c_min                           4    1000\nsize 4 x\n", &settings);
    g_assert_cmpuint(settings.arc_bytes, ==, 7);
    hostsettings_parse_arcstats("c_min                           4    1000\nsize    4  5000\n", &settings);
    g_assert_cmpuint(settings.arc_bytes, ==, 5000);
    g_assert_cmpuint(settings.arc_minimum_bytes, ==, 1000);
    g_assert_cmpint(hostsettings_parse_number("2\n"), ==, 2);
    g_assert_cmpint(hostsettings_parse_number("0"), ==, 0);
    g_assert_cmpint(hostsettings_parse_number("22\n"), ==, -1);
    g_assert_cmpint(hostsettings_parse_number("-1\n"), ==, -1);
    g_assert_cmpint(hostsettings_parse_number(""), ==, -1);
    static const struct {
        const char *text, *path;
        gboolean unified;
    } groups[] = {
        {"12:memory:/m\n4:cpu,cpuacct:/machine/a:b\n0::/u\n", "/machine/a:b", FALSE},
        {"1:cpu:/\n", "/", FALSE},
        {"3:cpuset:/c\n2:cpuacct:/a\n0::/system.slice/x.service\n", "/system.slice/x.service", TRUE},
        {"1:name=systemd:/init\n", NULL, FALSE},
        {"0::\n1:cpu\n:::\ncpu:/x", NULL, FALSE},
        {"", NULL, FALSE},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(groups); i++) {
        gboolean unified;
        g_autofree char *path = hostsettings_parse_cgroup(groups[i].text, &unified);
        g_assert_cmpstr(path, ==, groups[i].path);
        g_assert_cmpint(unified, ==, groups[i].unified);
    }
    /* The machine this runs on; whatever it is, these are there. */
    hostsettings_read("/proc", "/sys", &settings);
    g_assert_cmpuint(settings.swap_total_bytes, !=, UNKNOWN);
    g_assert_cmpint(settings.overcommit_memory, >=, 0);
    hostsettings_read("/nonexistent", "/nonexistent", &settings);
    g_assert_cmpuint(settings.swap_total_bytes, ==, UNKNOWN);
    g_assert_cmpint(settings.ksm_run, ==, -1);
    g_assert_false(settings.pressure);
}

static void test_by_session(void)
{
    g_autofree char *root = g_dir_make_tmp("hostinfo-XXXXXX", NULL);
    put(root, "1/cgroup", "1:cpu:/\n0::/\n", -1);
    put(root, "2/cgroup", "1:cpu:/machine/a\n0::/\n", -1);
    put(root, "3/cgroup", "0::/a.scope\n", -1);
    put(root, "4/cgroup", "0::/b.scope\n", -1);
    put(root, "fs/cgroup/b.scope/cpu.weight", "100\n", -1);
    static const gboolean expected[] = {FALSE, TRUE, FALSE, TRUE, FALSE, FALSE};
    for (int pid = 0; pid < (int)G_N_ELEMENTS(expected); pid++)
        g_assert_cmpint(hostsettings_by_session(root, root, pid), ==, expected[pid]);
    remove_tree(root);
}

static void test_read(void)
{
    g_autofree char *proc = g_dir_make_tmp("hostinfo-XXXXXX", NULL);
    g_autoptr(GError) error = NULL;
    HostMemory host = {0};

    g_assert_false(hostinfo_read(proc, &host, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "meminfo"));
    g_clear_error(&error);

    put(proc, "meminfo", "MemTotal: 1000 kB\nMemAvailable: 100 kB\n", -1);
    g_assert_true(hostinfo_read(proc, &host, &error));
    g_assert_cmpuint(host.available_bytes, ==, 100 * KIB);
    g_assert_cmpfloat(host.pressure_some_avg10, <, 0);

    put(proc, "pressure/memory", "some avg10=2.50 avg60=0 avg300=0 total=0\n", -1);
    put(proc, "spl/kstat/zfs/arcstats", "size 4 307200\nc_min 4 102400\n", -1);
    g_assert_true(hostinfo_read(proc, &host, &error));
    g_assert_cmpfloat(host.pressure_some_avg10, ==, 2.5);
    g_assert_cmpuint(host.arc_reclaimable_bytes, ==, 200 * KIB);
    g_assert_cmpuint(host.available_bytes, ==, 300 * KIB);

    put(proc, "meminfo", "garbage", -1);
    g_assert_false(hostinfo_read(proc, &host, &error));
    remove_tree(proc);
}

static void test_find(void)
{
    static const char line[] = "qemu-system-x86_64\0-uuid\0"
                               "6695eb01-f6a4-8304-79aa-97f2502e193f\0";
    static const char uuid[] = "6695EB01-f6a4-8304-79aa-97f2502e193f";
    g_autofree char *proc = g_dir_make_tmp("hostinfo-XXXXXX", NULL);
    uint64_t bytes;

    put(proc, "12/comm", "bash\n", -1);
    put(proc, "12/cmdline", line, sizeof line);
    put(proc, "self/comm", "qemu-system-x86\n", -1);
    put(proc, "self/cmdline", line, sizeof line);
    g_assert_cmpint(process_find_qemu(proc, uuid), ==, 0);
    put(proc, "345/comm", "qemu-system-x86\n", -1);
    put(proc, "345/cmdline", line, sizeof line);
    put(proc, "345/statm", "100 7 0 0 0 0 0\n", -1);
    g_assert_cmpint(process_find_qemu(proc, uuid), ==, 345);
    g_assert_cmpint(process_find_qemu(proc, "other"), ==, 0);
    g_assert_true(process_resident(proc, 345, &bytes));
    g_assert_cmpuint(bytes, ==, 7 * (uint64_t)sysconf(_SC_PAGESIZE));
    g_assert_false(process_resident(proc, 346, &bytes));
    g_assert_false(process_resident(proc, 0, &bytes));
    g_assert_false(process_overhead(proc, 345, MIB, &bytes));
    put(proc, "345/smaps", "7f0000000000-7f0000100000 rw-p" MEM "Rss: 8 kB\n" HEAP, -1);
    g_assert_true(process_overhead(proc, 345, MIB, &bytes));
    g_assert_cmpuint(bytes, ==, 30720 * KIB);
    remove_tree(proc);
}

static void test_own_process(void)
{
    uint64_t bytes, start, again;
    g_assert_true(process_resident("/proc", getpid(), &bytes));
    g_assert_cmpuint(bytes, >, 100 * KIB);
    g_assert_true(process_start_time("/proc", getpid(), &start));
    g_assert_true(process_start_time("/proc", getpid(), &again));
    g_assert_cmpuint(start, ==, again);
}

static void test_clock(void)
{
    clockid_t clock;
    uint64_t before_us, after_us;
    g_assert_true(process_find_clock("/proc", getpid(), &clock));
    g_assert_true(process_read_clock(clock, &before_us));
    do
        g_assert_true(process_read_clock(clock, &after_us));
    while (after_us < before_us + 1000);
    g_assert_false(process_find_clock("/elsewhere", getpid(), &clock));
    g_assert_false(process_find_clock("/proc", 0, &clock));
    /* Above what pids go to. */
    g_assert_false(process_find_clock("/proc", 1 << 23, &clock));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hostinfo/meminfo", test_meminfo);
    g_test_add_func("/hostinfo/pressure", test_pressure);
    g_test_add_func("/hostinfo/arcstats", test_arcstats);
    g_test_add_func("/hostinfo/statm", test_statm);
    g_test_add_func("/hostinfo/smaps", test_smaps);
    g_test_add_func("/hostinfo/settings", test_settings);
    g_test_add_func("/hostinfo/by-session", test_by_session);
    g_test_add_func("/hostinfo/read", test_read);
    g_test_add_func("/process/cmdline", test_cmdline);
    g_test_add_func("/process/stat", test_stat);
    g_test_add_func("/process/clock", test_clock);
    g_test_add_func("/process/find", test_find);
    g_test_add_func("/process/own", test_own_process);
    return g_test_run();
}
