/* Containers: what control groups say, jobs that hang, and liblxc over folders of real definitions. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "backend/lxc.h"
#include "backend/lxc_cgroup.h"
#include "backend/lxc_private.h"
#include "backend/work.h"

/* ---- control groups */

static void test_mounts(void)
{
    CgroupMounts mounts;
    g_assert_true(cgroup_parse_mounts(
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n", &mounts));
    g_assert_cmpstr(mounts.v2, ==, "/sys/fs/cgroup");
    g_assert_null(mounts.v1_memory);
    cgroup_mounts_clear(&mounts);
    g_assert_true(cgroup_parse_mounts("31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                                      "32 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
                                      "33 23 0:29 / /a\\040b rw - cgroup cgroup rw,memory\n",
                                      &mounts));
    g_assert_cmpstr(mounts.v1_memory, ==, "/sys/fs/cgroup/memory");
    g_assert_cmpstr(mounts.v2, ==, "/sys/fs/cgroup/unified");
    cgroup_mounts_clear(&mounts);
    static const char *const bad[] = {"",
                                      "\n",
                                      "- ",
                                      " - ",
                                      " - cgroup2",
                                      "1 2 3 - cgroup2 x y",
                                      "31 23 0:27 / /x rw - cgroup cgroup rw,memory_x",
                                      "30 23 0:26 / /y rw - ext4 a b"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(cgroup_parse_mounts(bad[i], &mounts));
        cgroup_mounts_clear(&mounts);
    }
}

static void test_membership(void)
{
    static const char text[] = "9:name=systemd:/s\n4:memory:/lxc.payload.c1\n1:cpu,cpuacct:/c\n0::/u:v/w\n";
    g_autofree char *v1 = cgroup_parse_membership(text, TRUE), *v2 = cgroup_parse_membership(text, FALSE);
    g_assert_cmpstr(v1, ==, "/lxc.payload.c1");
    g_assert_cmpstr(v2, ==, "/u:v/w");
    g_assert_null(cgroup_parse_membership("4:memory\n:\n::\n", TRUE));
    g_assert_null(cgroup_parse_membership("0::relative\n", FALSE));
    g_assert_null(cgroup_parse_membership("", FALSE));
}

static void test_payload(void)
{
    static const struct {
        const char *path, *name, *dir, *is;
    } table[] = {
        {"/lxc.payload.web", "web", NULL, "/lxc.payload.web"},
        {"/lxc.payload.web/init.scope", "web", NULL, "/lxc.payload.web"},
        {"/lxc.payload.web-2/system.slice/x", "web", NULL, "/lxc.payload.web-2"},
        {"/a/lxc.payload.web/b", "web", NULL, "/a/lxc.payload.web"},
        /* A neighbour whose name begins alike. */
        {"/lxc.payload.web-old", "web", NULL, "/lxc.payload.web-old"},
        {"/lxc/web/x", "web", NULL, "/lxc/web"},
        {"/guests/web/ns/x", "web", "guests/web", "/guests/web"},
        {"/guests/web/ns/x", "web", "/guests/web/", "/guests/web"},
        {"/mine/init.scope", "web", NULL, "/mine"},
        {"/mine", "web", "", "/mine"},
        {"/", "web", NULL, ""},
        {"", "", "", ""},
    };
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *path = cgroup_payload_path(table[i].path, table[i].name, table[i].dir);
        g_assert_cmpstr(path, ==, table[i].is);
    }
}

static void test_limits(void)
{
    static const struct {
        const char *text;
        gboolean good;
        uint64_t bytes;
    } table[] = {
        {"268435456\n", TRUE, 256 * MIB},
        {"max\n", TRUE, UNKNOWN},
        {"-1", TRUE, UNKNOWN},
        {"9223372036854771712", TRUE, UNKNOWN},
        {"512M", TRUE, 512 * MIB},
        {" 2g ", TRUE, 2 * GIB},
        {"0x1000", TRUE, 4096},
        {"99999999T", TRUE, UNKNOWN},
        {"", FALSE, 0},
        {"M", FALSE, 0},
        {"12MB", FALSE, 0},
        {"-2", FALSE, 0},
        {"1.5G", FALSE, 0},
        {"ten", FALSE, 0},
    };
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        uint64_t bytes = 7;
        g_assert_cmpint(cgroup_parse_limit(table[i].text, &bytes), ==, table[i].good);
        g_assert_cmpuint(bytes, ==, table[i].good ? table[i].bytes : 7);
    }
}

static void test_stat(void)
{
    CgroupMemory memory = {0};
    /* v1: the group's own, then with all below it. */
    g_assert_true(
        cgroup_parse_stat("cache 1\ninactive_file 2\ntotal_cache 30\ntotal_inactive_file 20\n", &memory));
    g_assert_cmpuint(memory.inactive_file_bytes, ==, 20);
    g_assert_cmpuint(memory.cache_bytes, ==, 30);
    g_assert_true(cgroup_parse_stat("anon 5\nfile 40\ninactive_file 8\nactive_file 9\n", &memory));
    g_assert_cmpuint(memory.inactive_file_bytes, ==, 8);
    g_assert_cmpuint(memory.cache_bytes, ==, 40);
    g_assert_false(cgroup_parse_stat("", &memory));
    g_assert_false(cgroup_parse_stat("inactive_file -1\n inactive_file 1\ninactive_file\n", &memory));
}

/* A group as files: both versions are read by the same function. */
static void test_read(void)
{
    g_autofree char *folder = g_dir_make_tmp("lxc-XXXXXX", NULL);
    static const struct {
        const char *name, *text;
    } v1[] = {{"memory.usage_in_bytes", "1000\n"},
              {"memory.limit_in_bytes", "4096\n"},
              {"memory.stat", "total_inactive_file 100\n"}},
      v2[] = {{"memory.current", "2000\n"}, {"memory.max", "max\n"}, {"memory.stat", "inactive_file 300\n"}};
    CgroupMemory memory;
    g_assert_false(cgroup_read(folder, &memory));
    for (guint version = 1; version <= 2; version++) {
        for (guint i = 0; i < 3; i++) {
            g_autofree char *path = g_build_filename(folder, version == 1 ? v1[i].name : v2[i].name, NULL);
            g_assert_true(g_file_set_contents(path, version == 1 ? v1[i].text : v2[i].text, -1, NULL));
        }
        g_assert_true(cgroup_read(folder, &memory));
        g_assert_cmpuint(memory.usage_bytes, ==, version * 1000);
        g_assert_cmpuint(memory.limit_bytes, ==, version == 1 ? 4096 : UNKNOWN);
        g_assert_cmpuint(memory.inactive_file_bytes, ==, version == 1 ? 100 : 300);
    }
    g_autofree char *command = g_strdup_printf("rm -r '%s'", folder);
    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
}

/* ---- jobs */

typedef struct {
    GMutex lock;
    int done, timed_out, returned, freed;
} Seen;

static Seen seen;

static void run_held(gpointer data, GError **error)
{
    g_mutex_lock(&seen.lock);
    g_mutex_unlock(&seen.lock);
}

static void run_failing(gpointer data, GError **error)
{
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "no");
}

static void on_done(gpointer data, const GError *error, gpointer user_data)
{
    seen.done++;
    if (g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT)) {
        g_assert_null(data);
        g_assert_cmpstr(error->message, ==, "it: no answer within 0.1 s");
        seen.timed_out++;
    }
}

static void on_work_returned(gpointer user_data)
{
    seen.returned++;
}

static void count_free(gpointer data)
{
    seen.freed++;
    g_free(data);
}

static void turn_until(const int *counter, int n)
{
    while (*counter < n)
        g_main_context_iteration(NULL, TRUE);
}

static WorkSpec spec_of(void (*run)(gpointer, GError **))
{
    return (WorkSpec){.run = run,
                      .done = on_done,
                      .returned = on_work_returned,
                      .data = g_malloc0(1),
                      .free_data = count_free,
                      .deadline_us = 100000,
                      .what = "it"};
}

/* One that hangs is answered by its deadline, gives its lane to the next, and is freed once it has returned. */
static void test_work_deadline(void)
{
    g_autoptr(WorkPool) pool = work_pool_new(1);
    WorkSpec hangs = spec_of(run_held), fails = spec_of(run_failing);
    memset(&seen.done, 0, sizeof seen - G_STRUCT_OFFSET(Seen, done));
    g_mutex_lock(&seen.lock);
    work_start(pool, &hangs);
    work_start(pool, &fails);
    turn_until(&seen.done, 1);
    g_assert_cmpint(seen.timed_out, ==, 1);
    g_assert_cmpint(seen.returned, ==, 0);
    turn_until(&seen.done, 2);
    g_assert_cmpint(seen.timed_out, ==, 1);
    g_assert_cmpint(seen.freed, ==, 1);
    g_mutex_unlock(&seen.lock);
    turn_until(&seen.freed, 2);
    g_assert_cmpint(seen.done, ==, 2);
    g_assert_cmpint(seen.returned, ==, 2);
}

/* A pool that goes calls nobody any more, and what hangs frees itself. */
static void test_work_pool_goes(void)
{
    WorkPool *pool = work_pool_new(1);
    WorkSpec runs = spec_of(run_held), waits = spec_of(run_held);
    memset(&seen.done, 0, sizeof seen - G_STRUCT_OFFSET(Seen, done));
    g_mutex_lock(&seen.lock);
    work_start(pool, &runs);
    work_start(pool, &waits);
    work_pool_free(pool);
    g_assert_cmpint(seen.freed, ==, 1);
    g_mutex_unlock(&seen.lock);
    turn_until(&seen.freed, 2);
    g_assert_cmpint(seen.done, ==, 0);
    g_assert_cmpint(seen.returned, ==, 0);
}

/* ---- the backend over definitions that nobody starts */

typedef struct {
    char *path;
    Backend *backend;
    GPtrArray *servers;
    GError *error;
    gboolean answered;
    int connected, disconnected;
} Rig;

static void on_event(Backend *backend, BackendEvent event, const char *id, const char *detail,
                     gpointer user_data)
{
    Rig *rig = user_data;
    rig->connected += event == BACKEND_EVENT_CONNECTED;
    rig->disconnected += event == BACKEND_EVENT_DISCONNECTED;
}

static void rig_open(Rig *rig, const char *const *globs)
{
    LxcBackendOptions options = {.path = rig->path, .servers = globs};
    rig->backend = lxc_backend_new(&options);
    rig->backend->on_event = on_event;
    rig->backend->on_event_data = rig;
}

static void rig_close(Rig *rig)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", rig->path);
    g_clear_pointer(&rig->backend, backend_free);
    g_clear_pointer(&rig->servers, g_ptr_array_unref);
    g_clear_error(&rig->error);
    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
    g_free(rig->path);
}

static void define(const Rig *rig, const char *name, const char *more)
{
    g_autofree char *root = g_build_filename(rig->path, name, "rootfs", NULL);
    g_autofree char *config = g_build_filename(rig->path, name, "config", NULL);
    g_autofree char *text = g_strdup_printf("lxc.rootfs.path = dir:%s\nlxc.uts.name = c\n%s", root, more);
    g_assert_cmpint(g_mkdir_with_parents(root, 0755), ==, 0);
    g_assert_true(g_file_set_contents(config, text, -1, NULL));
}

static void on_observed(Backend *backend, GPtrArray *servers, const GError *error, gpointer user_data)
{
    Rig *rig = user_data;
    g_clear_pointer(&rig->servers, g_ptr_array_unref);
    g_clear_error(&rig->error);
    rig->servers = servers;
    rig->error = error ? g_error_copy(error) : NULL;
    rig->answered = TRUE;
}

static void look(Rig *rig)
{
    rig->answered = FALSE;
    rig->backend->ops->observe(rig->backend, on_observed, rig);
    while (!rig->answered)
        g_main_context_iteration(NULL, TRUE);
}

static void on_acted(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Rig *rig = user_data;
    g_clear_error(&rig->error);
    rig->error = error ? g_error_copy(error) : NULL;
    rig->answered = TRUE;
}

#define ACT(rig, verb, ...)                                                                                  \
    do {                                                                                                     \
        (rig)->answered = FALSE;                                                                             \
        (rig)->backend->ops->verb((rig)->backend, __VA_ARGS__, on_acted, (rig));                             \
        g_assert_false((rig)->answered);                                                                     \
        while (!(rig)->answered)                                                                             \
            g_main_context_iteration(NULL, TRUE);                                                            \
    } while (0)

static const BackendServer *first(const Rig *rig)
{
    g_assert_cmpuint(rig->servers->len, >, 0);
    return rig->servers->pdata[0];
}

static void test_listed(void)
{
    Rig rig = {.path = g_dir_make_tmp("lxc-XXXXXX", NULL)};
    static const char *const globs[] = {"web-*", NULL};
    static const char both[] =
        "lxc.cgroup.memory.limit_in_bytes = 1G\nlxc.cgroup.memory.limit_in_bytes = 256M\n"
        "lxc.cgroup2.memory.max = 268435456\n";
    define(&rig, "web-1", both);
    define(&rig, "web-2", "");
    define(&rig, "db-1", "");
    rig_open(&rig, globs);
    look(&rig);
    g_assert_no_error(rig.error);
    g_assert_cmpint(rig.connected, ==, 1);
    g_assert_cmpuint(rig.servers->len, ==, 2);
    const BackendServer *web = first(&rig), *free_one = rig.servers->pdata[1];
    g_assert_cmpstr(web->name, ==, "web-1");
    g_assert_cmpint(web->kind, ==, SERVER_KIND_LXC);
    g_assert_cmpint(web->power, ==, POWER_OFF);
    g_assert_cmpint(web->fixed, ==, FIXED_CONTAINER);
    g_assert_cmpuint(web->maximum_bytes, ==, 256 * MIB);
    g_assert_false(web->unlimited);
    g_assert_true(free_one->unlimited);
    g_assert_cmpuint(free_one->maximum_bytes, >, 256 * MIB);
    g_assert_cmpuint(web->available_bytes, ==, UNKNOWN);
    g_autofree char *id = container_id(rig.path, "web-1");
    g_assert_cmpstr(web->id, ==, id);
    g_assert_true(g_uuid_string_is_valid(id));
    g_assert_cmpstr(web->id, !=, free_one->id);
    rig_close(&rig);
}

/* Another container under a name that was there before: whoever owned the first does not own it. */
static void test_made_anew(void)
{
    Rig rig = {.path = g_dir_make_tmp("lxc-XXXXXX", NULL)};
    struct statx info;
    if (statx(AT_FDCWD, rig.path, 0, STATX_BTIME, &info) != 0 || !(info.stx_mask & STATX_BTIME)) {
        g_test_skip("this file system does not keep when a folder was made");
        g_rmdir(rig.path);
        g_free(rig.path);
        return;
    }
    define(&rig, "web-1", "");
    rig_open(&rig, NULL);
    look(&rig);
    g_autofree char *before = g_strdup(first(&rig)->id);
    look(&rig);
    g_assert_cmpstr(first(&rig)->id, ==, before);
    g_autofree char *command = g_strdup_printf("rm -rf '%s/web-1'", rig.path);
    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
    define(&rig, "web-1", "");
    look(&rig);
    g_assert_cmpuint(rig.servers->len, ==, 1);
    g_assert_cmpstr(first(&rig)->id, !=, before);
    rig_close(&rig);
}

/* Names and configs that nobody should have, and everybody has once. */
static void test_hostile(void)
{
    Rig rig = {.path = g_dir_make_tmp("lxc-XXXXXX", NULL)};
    g_autofree char *endless = g_strnfill(200, 'x');
    const char *names[] = {"a b", "quote'\"", "\xff\xfe", "new\nline", "--help", "$(id)", endless};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        define(&rig, names[i], "");
    define(&rig, "broken", "lxc.no.such.key = 1\n");
    g_test_expect_message("aerostat", G_LOG_LEVEL_WARNING, "*liblxc cannot read its config*");
    rig_open(&rig, NULL);
    look(&rig);
    g_test_assert_expected_messages();
    g_assert_no_error(rig.error);
    g_assert_cmpuint(rig.servers->len, ==, G_N_ELEMENTS(names) + 1);
    for (guint i = 0; i < rig.servers->len; i++) {
        const BackendServer *server = rig.servers->pdata[i];
        g_assert_true(g_utf8_validate(server->name, -1, NULL));
        g_assert_null(strchr(server->name, '\n'));
        g_assert_cmpint(server->power, ==, POWER_OFF);
    }
    look(&rig);
    g_assert_cmpuint(rig.servers->len, ==, G_N_ELEMENTS(names) + 1);
    rig_close(&rig);
}

static void test_no_folder(void)
{
    Rig rig = {.path = g_strdup("/nonexistent/lxc")};
    rig_open(&rig, NULL);
    look(&rig);
    g_assert_error(rig.error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE);
    g_assert_nonnull(strstr(rig.error->message, "/nonexistent/lxc"));
    look(&rig);
    g_assert_null(rig.servers);
    g_clear_error(&rig.error);
    rig_close(&rig);
}

static void test_refusals(void)
{
    Rig rig = {.path = g_dir_make_tmp("lxc-XXXXXX", NULL)};
    define(&rig, "web", "");
    rig_open(&rig, NULL);
    look(&rig);
    g_autofree char *id = g_strdup(first(&rig)->id);
    ACT(&rig, set_target, id, 1 * MIB);
    g_assert_error(rig.error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT);
    g_assert_cmpstr(rig.error->message, ==, "container web: containers have no balloon");
    ACT(&rig, ask_fresh, id);
    g_assert_error(rig.error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT);
    ACT(&rig, stop, "no-such-id");
    g_assert_error(rig.error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND);
    ACT(&rig, stop, id); /* it is stopped: done already */
    g_assert_no_error(rig.error);
    g_assert_null(rig.backend->ops->create);
    g_assert_null(rig.backend->ops->configure);
    rig_close(&rig);
}

static gboolean there(const Rig *rig, const char *name)
{
    g_autofree char *path = g_build_filename(rig->path, name, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* Aside and back, each step twice, as after a crash. */
static void test_aside(void)
{
    Rig rig = {.path = g_dir_make_tmp("lxc-XXXXXX", NULL)};
    define(&rig, "web", "");
    define(&rig, "db", "");
    rig_open(&rig, NULL);
    look(&rig);
    g_autofree char *id = container_id(rig.path, "web");
    for (guint i = 0; i < 2; i++) {
        ACT(&rig, set_aside, id, "operation-1");
        g_assert_no_error(rig.error);
        look(&rig);
        g_assert_cmpuint(rig.servers->len, ==, 1);
        g_assert_cmpstr(first(&rig)->name, ==, "db");
    }
    g_assert_false(there(&rig, "web/config"));
    g_assert_true(there(&rig, "web/rootfs"));
    ACT(&rig, start, id);
    g_assert_error(rig.error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT);
    ACT(&rig, set_aside, id, "operation-2");
    g_assert_error(rig.error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT);
    ACT(&rig, take_back, id, "operation-2");
    g_assert_error(rig.error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT);
    ACT(&rig, purge, id, "operation-2");
    g_assert_error(rig.error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT);
    for (guint i = 0; i < 2; i++) {
        ACT(&rig, take_back, id, "operation-1");
        g_assert_no_error(rig.error);
    }
    ACT(&rig, stop, id); /* before the next look lists it again */
    g_assert_no_error(rig.error);
    look(&rig);
    g_assert_cmpuint(rig.servers->len, ==, 2);
    g_assert_true(there(&rig, "web/config"));
    rig_close(&rig);
}

static void test_aside_half(void)
{
    Rig rig = {.path = g_dir_make_tmp("lxc-XXXXXX", NULL)};
    define(&rig, "web", "");
    g_autofree char *id = container_id(rig.path, "web");
    g_autofree char *mark = g_build_filename(rig.path, "web", ASIDE_MARK, NULL);
    g_assert_true(g_file_set_contents(mark, "operation-1\n", -1, NULL));
    rig_open(&rig, NULL);
    look(&rig);
    g_assert_cmpuint(rig.servers->len, ==, 0); /* half aside is never shown */
    ACT(&rig, set_aside, id, "operation-1");
    g_assert_no_error(rig.error);
    g_assert_false(there(&rig, "web/config"));
    ACT(&rig, set_aside, "3d0c529a-0d7e-5f6b-9c1e-6a357f21b844", "operation-1");
    g_assert_error(rig.error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND);
    rig_close(&rig);
}

static void test_purge(void)
{
    Rig rig = {.path = g_dir_make_tmp("lxc-XXXXXX", NULL)};
    if (geteuid() != 0) {
        g_test_skip("liblxc removes a root file system as root only");
        rig_close(&rig);
        return;
    }
    define(&rig, "web", "");
    g_autofree char *id = container_id(rig.path, "web");
    g_autofree char *deep = g_build_filename(rig.path, "web", "rootfs", "a", "b", NULL);
    g_assert_cmpint(g_mkdir_with_parents(deep, 0700), ==, 0);
    rig_open(&rig, NULL);
    look(&rig);
    ACT(&rig, purge, id, "operation-1");
    g_assert_error(rig.error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT); /* it is not set aside */
    g_assert_true(there(&rig, "web/rootfs/a/b"));
    ACT(&rig, set_aside, id, "operation-1");
    for (guint i = 0; i < 2; i++) {
        ACT(&rig, purge, id, "operation-1");
        g_assert_no_error(rig.error);
        g_assert_false(there(&rig, "web"));
    }
    rig_close(&rig);
}

/* Everything that is owed is answered when the backend goes. */
static void test_freed_in_between(void)
{
    Rig rig = {.path = g_dir_make_tmp("lxc-XXXXXX", NULL)};
    define(&rig, "web", "");
    rig_open(&rig, NULL);
    look(&rig);
    g_autofree char *id = g_strdup(first(&rig)->id);
    rig.answered = FALSE;
    rig.backend->ops->stop(rig.backend, id, on_acted, &rig);
    g_clear_pointer(&rig.backend, backend_free);
    g_assert_true(rig.answered);
    g_assert_error(rig.error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE);
    g_clear_error(&rig.error);
    rig_open(&rig, NULL);
    rig.answered = FALSE;
    rig.backend->ops->observe(rig.backend, on_observed, &rig);
    g_clear_pointer(&rig.backend, backend_free);
    g_assert_true(rig.answered);
    g_assert_error(rig.error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE);
    /* What still runs frees itself. */
    for (guint i = 0; i < 20; i++) {
        g_usleep(10000);
        while (g_main_context_iteration(NULL, FALSE))
            ;
    }
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lxc/mounts", test_mounts);
    g_test_add_func("/lxc/membership", test_membership);
    g_test_add_func("/lxc/payload", test_payload);
    g_test_add_func("/lxc/limits", test_limits);
    g_test_add_func("/lxc/stat", test_stat);
    g_test_add_func("/lxc/read", test_read);
    g_test_add_func("/lxc/work/deadline", test_work_deadline);
    g_test_add_func("/lxc/work/pool-goes", test_work_pool_goes);
    g_test_add_func("/lxc/listed", test_listed);
    g_test_add_func("/lxc/made-anew", test_made_anew);
    g_test_add_func("/lxc/hostile", test_hostile);
    g_test_add_func("/lxc/no-folder", test_no_folder);
    g_test_add_func("/lxc/refusals", test_refusals);
    g_test_add_func("/lxc/aside", test_aside);
    g_test_add_func("/lxc/aside-half", test_aside_half);
    g_test_add_func("/lxc/purge", test_purge);
    g_test_add_func("/lxc/freed", test_freed_in_between);
    return g_test_run();
}
