/*
 * The libvirt backend against libvirt's own test driver, which needs no hypervisor. Calls that shall hang are held by
 * libvirt_gate.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "backend/libvirt.h"
#include "backend/libvirt_private.h"
#include "libvirt_gate.h"

#define DEADLINE_US 1000000
#define PATIENCE_US (DEADLINE_US / 4)

/* ThreadSanitizer does not see GLib's locks from inside GLib, where it allocates the nodes of its own queues and source
 * lists, and libvirt's objects, which share that allocator. What these two pass to malloc, memset and the like is left
 * out; everything of ours stays in. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libglib-2.0.so.0\n"
           "called_from_lib:libvirt.so.0\n";
}

/* ---- a backend and what it said */

typedef struct {
    Backend *backend;
    virConnectPtr conn; /* of the test itself: keeps the test driver's state between tests' connections */
    GString *events;    /* "connected " ... */
    GPtrArray *servers; /* (nullable) of the last observation */
    GError *error;      /* (nullable) of the last observation */
    unsigned answers;
    double took_ms;
    GError *done_error;
    unsigned dones;
} Rig;

static void on_event(Backend *backend, BackendEvent event, const char *id, const char *detail,
                     gpointer user_data)
{
    static const char *const names[] = {"connected", "disconnected", "started",
                                        "stopped",   "reset",        "changed"};
    Rig *rig = user_data;
    g_string_append_printf(rig->events, "%s ", names[event]);
    g_assert_cmpint(id == NULL, ==, event == BACKEND_EVENT_CONNECTED || event == BACKEND_EVENT_DISCONNECTED);
}

static void rig_begin_with(Rig *rig, const LibvirtBackendOptions *options)
{
    *rig = (Rig){.backend = libvirt_backend_new(options), .events = g_string_new(NULL)};
    rig->backend->on_event = on_event;
    rig->backend->on_event_data = rig;
    rig->conn = virConnectOpen("test:///default");
    g_assert_nonnull(rig->conn);
}

static void rig_begin(Rig *rig)
{
    LibvirtBackendOptions options = {.uri = "test:///default", .deadline_us = DEADLINE_US};
    rig_begin_with(rig, &options);
}

static void run_for(unsigned ms)
{
    int64_t end_us = g_get_monotonic_time() + (int64_t)ms * 1000;
    while (g_get_monotonic_time() < end_us)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(500);
}

static void rig_end(Rig *rig)
{
    gate_set("", FALSE, FALSE);
    backend_free(rig->backend);
    virConnectClose(rig->conn);
    run_for(50);
    g_string_free(rig->events, TRUE);
    g_clear_pointer(&rig->servers, g_ptr_array_unref);
    g_clear_error(&rig->error);
    g_clear_error(&rig->done_error);
}

/* Iterates until @condition, at most 10 s. */
#define UNTIL(condition)                                                                                     \
    do {                                                                                                     \
        int64_t until_us = g_get_monotonic_time() + 10 * US_PER_S;                                           \
        while (!(condition)) {                                                                               \
            if (!g_main_context_iteration(NULL, FALSE))                                                      \
                g_usleep(500);                                                                               \
            g_assert_cmpint(g_get_monotonic_time(), <, until_us);                                            \
        }                                                                                                    \
    } while (0)

static void observed(Backend *backend, GPtrArray *servers, const GError *error, gpointer user_data)
{
    Rig *rig = user_data;
    g_assert_cmpint(servers == NULL, ==, error != NULL);
    g_clear_pointer(&rig->servers, g_ptr_array_unref);
    g_clear_error(&rig->error);
    rig->servers = servers;
    rig->error = error ? g_error_copy(error) : NULL;
    rig->answers++;
}

static void look(Rig *rig)
{
    unsigned before = rig->answers;
    int64_t start_us = g_get_monotonic_time();
    rig->backend->ops->observe(rig->backend, observed, rig);
    g_assert_cmpuint(rig->answers, ==, before); /* never from within */
    UNTIL(rig->answers > before);
    rig->took_ms = (double)(g_get_monotonic_time() - start_us) / 1e3;
}

/* Not one that only looks at those that move. */
static void look_at_all(Rig *rig)
{
    run_for(510);
    look(rig);
}

static void connect_and_look(Rig *rig)
{
    UNTIL(strstr(rig->events->str, "connected"));
    look(rig);
    g_assert_no_error(rig->error);
}

static BackendServer *server(Rig *rig, const char *name)
{
    for (guint i = 0; rig->servers && i < rig->servers->len; i++) {
        BackendServer *one = g_ptr_array_index(rig->servers, i);
        if (strcmp(one->name, name) == 0)
            return one;
    }
    return NULL;
}

static void done(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Rig *rig = user_data;
    g_clear_error(&rig->done_error);
    rig->done_error = error ? g_error_copy(error) : NULL;
    rig->dones++;
}

static void set_target(Rig *rig, const char *id, uint64_t bytes)
{
    unsigned before = rig->dones;
    rig->backend->ops->set_target(rig->backend, id, bytes, done, rig);
    g_assert_cmpuint(rig->dones, ==, before);
    UNTIL(rig->dones > before);
}

/* Running domains besides "test"; they go with rig's connection. */
static void add_domain(Rig *rig, const char *name)
{
    g_autofree char *xml =
        g_strdup_printf("<domain type='test'><name>%s</name><memory unit='MiB'>512</memory>"
                        "<os><type>hvm</type></os>"
                        "<devices><memballoon model='virtio'/></devices></domain>",
                        name);
    virDomainPtr domain = virDomainCreateXML(rig->conn, xml, 0);
    g_assert_nonnull(domain);
    virDomainFree(domain);
}

/* ---- tests */

static void test_list_and_set(void)
{
    Rig rig;
    rig_begin(&rig);
    connect_and_look(&rig);
    g_assert_cmpuint(rig.servers->len, ==, 1);
    BackendServer *one = server(&rig, "test");
    g_assert_cmpint(one->power, ==, POWER_RUNNING);
    g_assert_true(one->responsive);
    g_assert_cmpuint(one->maximum_bytes, ==, 8 * GIB);
    g_assert_cmpuint(one->balloon_bytes, ==, 2 * GIB);
    g_assert_cmpuint(one->boot_count, >, 0);
    g_assert_cmpint(one->fixed, ==, FIXED_NO);
    g_assert_cmpint(one->pid, ==, 0);
    g_assert_cmpuint(one->resident_bytes, ==, UNKNOWN);

    g_autofree char *id = g_strdup(one->id);
    set_target(&rig, id, 3 * GIB + 1);
    g_assert_no_error(rig.done_error);
    UNTIL((look(&rig), server(&rig, "test")->balloon_bytes == 3 * GIB));

    set_target(&rig, id, 100 * GIB); /* clamped to the maximum */
    g_assert_no_error(rig.done_error);
    UNTIL((look(&rig), server(&rig, "test")->balloon_bytes == 8 * GIB));

    set_target(&rig, id, 0);
    g_assert_error(rig.done_error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
    set_target(&rig, "6695eb01-0000-0000-0000-97f2502e193f", GIB);
    g_assert_error(rig.done_error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND);
    rig_end(&rig);
}

static void test_filter_and_names(void)
{
    static const char *const globs[] = {"web-*", "odd*", NULL};
    LibvirtBackendOptions options = {.uri = "test:///default", .deadline_us = DEADLINE_US, .servers = globs};
    Rig rig;
    rig_begin_with(&rig, &options);
    UNTIL(strstr(rig.events->str, "connected"));
    add_domain(&rig, "web-2");
    add_domain(&rig, "web-1");
    add_domain(&rig, "odd\302\205name");
    connect_and_look(&rig);
    g_assert_cmpuint(rig.servers->len, ==, 3);
    g_assert_nonnull(server(&rig, "odd\357\277\275name"));
    g_assert_cmpstr(((BackendServer *)g_ptr_array_index(rig.servers, 1))->name, ==, "web-1");
    g_assert_cmpstr(((BackendServer *)g_ptr_array_index(rig.servers, 2))->name, ==, "web-2");
    g_assert_null(strstr(rig.events->str, "stopped"));

    virDomainPtr domain = virDomainLookupByName(rig.conn, "web-1");
    uint64_t boots = server(&rig, "web-1")->boot_count;
    g_assert_cmpint(virDomainReboot(domain, 0), ==, 0);
    run_for(50);
    g_assert_cmpint(virDomainDestroy(domain), ==, 0);
    virDomainFree(domain);
    UNTIL(strstr(rig.events->str, "stopped"));
    look(&rig);
    g_assert_null(server(&rig, "web-1"));
    g_string_set_size(rig.events, 0);
    add_domain(&rig, "web-1");
    UNTIL(strstr(rig.events->str, "started"));
    look(&rig);
    g_assert_cmpuint(server(&rig, "web-1")->boot_count, >, boots);
    rig_end(&rig);
}

static void test_shared_observation(void)
{
    Rig rig;
    rig_begin(&rig);
    connect_and_look(&rig);
    unsigned before = rig.answers;
    for (int i = 0; i < 3; i++)
        rig.backend->ops->observe(rig.backend, observed, &rig);
    UNTIL(rig.answers == before + 3);
    g_assert_cmpuint(rig.servers->len, ==, 1);
    rig_end(&rig);
}

static void test_hung_server(void)
{
    Rig rig;
    rig_begin(&rig);
    UNTIL(strstr(rig.events->str, "connected"));
    add_domain(&rig, "hung");
    connect_and_look(&rig);
    g_autofree char *id = g_strdup(server(&rig, "hung")->id);
    g_autofree char *other = g_strdup(server(&rig, "test")->id);

    run_for(510);
    gate_set("hung", FALSE, FALSE);
    look(&rig);
    g_assert_no_error(rig.error);
    g_assert_cmpfloat(rig.took_ms, >=, PATIENCE_US / 1000 - 1);
    g_assert_cmpfloat(rig.took_ms, <, DEADLINE_US / 1000);
    g_assert_false(server(&rig, "hung")->responsive);
    g_assert_cmpuint(server(&rig, "hung")->balloon_bytes, ==, 512 * MIB); /* as last known */
    g_assert_true(server(&rig, "test")->responsive);

    /* Only once. */
    look(&rig);
    g_assert_cmpfloat(rig.took_ms, <, PATIENCE_US / 1000);
    g_assert_false(server(&rig, "hung")->responsive);
    unsigned held = gate_count(&gate.waiting);
    for (int i = 0; i < 5; i++)
        look(&rig);
    g_assert_cmpuint(gate_count(&gate.waiting), ==, held);

    unsigned calls = gate_count(&gate.target_calls);
    set_target(&rig, id, 256 * MIB);
    g_assert_error(rig.done_error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE);
    g_assert_nonnull(strstr(rig.done_error->message, "hung"));
    g_assert_cmpuint(gate_count(&gate.target_calls), ==, calls);
    set_target(&rig, other, 4 * GIB);
    g_assert_no_error(rig.done_error);

    gate_set("", FALSE, FALSE);
    UNTIL((look(&rig), server(&rig, "hung")->responsive));
    set_target(&rig, id, 256 * MIB);
    g_assert_no_error(rig.done_error);
    rig_end(&rig);
}

/* What events tell is not asked for at every look, and handles are kept. */
static void test_lists_on_news(void)
{
    Rig rig;
    rig_begin(&rig);
    add_domain(&rig, "one");
    connect_and_look(&rig);
    look_at_all(&rig); /* the events of its start have been heard by now */
    look_at_all(&rig);
    unsigned lists = gate_count(&gate.lists), lookups = gate_count(&gate.lookups);
    unsigned bulk = gate_count(&gate.bulk_calls);
    for (int i = 0; i < 6; i++)
        look_at_all(&rig);
    g_assert_cmpuint(gate_count(&gate.bulk_calls), ==, bulk + 6);
    /* One for the 5 s that may be over, and one for each other lane that has not met these servers. */
    g_assert_cmpuint(gate_count(&gate.lists), <=, lists + 3);
    g_assert_cmpuint(gate_count(&gate.lookups), <=, lookups + 4); /* two servers, two other lanes */
    g_string_truncate(rig.events, 0);
    add_domain(&rig, "two");
    UNTIL(strstr(rig.events->str, "started"));
    look(&rig);
    g_assert_nonnull(server(&rig, "two"));
    rig_end(&rig);
}

/* Between two whole looks, whoever hangs is left out. */
static void test_glance(void)
{
    Rig rig;
    rig_begin(&rig);
    UNTIL(strstr(rig.events->str, "connected"));
    add_domain(&rig, "hung");
    connect_and_look(&rig);
    look_at_all(&rig); /* the events of its start have been heard by now */
    g_autofree char *other = g_strdup(server(&rig, "test")->id);
    /* On a slow machine a whole look comes in between now and then. */
    unsigned bulk;
    do {
        look_at_all(&rig);
        bulk = gate_count(&gate.bulk_calls);
        set_target(&rig, other, 4 * GIB);
        UNTIL((look(&rig), server(&rig, "test")->balloon_bytes == 4 * GIB));
        gate_set("hung", FALSE, FALSE);
        set_target(&rig, other, 5 * GIB);
        UNTIL((look(&rig), server(&rig, "test")->balloon_bytes == 5 * GIB));
        gate_set("", FALSE, FALSE);
    } while (gate_count(&gate.bulk_calls) != bulk);
    g_assert_no_error(rig.error);
    g_assert_cmpfloat(rig.took_ms, <, PATIENCE_US / 1000);
    g_assert_cmpuint(server(&rig, "test")->balloon_bytes, ==, 5 * GIB);
    gate_set("hung", FALSE, FALSE);
    UNTIL((look(&rig), !server(&rig, "hung")->responsive));
    gate_set("", FALSE, FALSE);
    UNTIL((look(&rig), server(&rig, "hung")->responsive));
    look_at_all(&rig);
    g_assert_cmpuint(gate_count(&gate.bulk_calls), >, bulk); /* whole looks come all the same */
    rig_end(&rig);
}

/* Two are asked at a time, to the last. */
static void test_glance_width(void)
{
    Rig rig;
    rig_begin(&rig);
    UNTIL(strstr(rig.events->str, "connected"));
    for (int i = 0; i < 5; i++) {
        g_autofree char *name = g_strdup_printf("one-%d", i);
        add_domain(&rig, name);
    }
    connect_and_look(&rig);
    look_at_all(&rig);
    unsigned bulk, paired;
    uint64_t target = 128 * MIB;
    do {
        look_at_all(&rig);
        target += MIB;
        for (int i = 0; i < 5; i++) {
            g_autofree char *name = g_strdup_printf("one-%d", i);
            g_autofree char *id = g_strdup(server(&rig, name)->id);
            set_target(&rig, id, target);
        }
        run_for(80); /* who has just been looked at is due again */
        bulk = gate_count(&gate.bulk_calls);
        paired = gate_count(&gate.live_paired);
        gate_put(&gate.live_ms, 15);
        look(&rig);
        gate_put(&gate.live_ms, 0);
    } while (gate_count(&gate.bulk_calls) != bulk);
    g_assert_cmpuint(gate_count(&gate.live_paired) - paired, >=, 3);
    rig_end(&rig);
}

static gboolean only_test_answers(const Rig *rig)
{
    for (guint i = 0; i < rig->servers->len; i++) {
        const BackendServer *one = g_ptr_array_index(rig->servers, i);
        if (one->responsive != (strcmp(one->name, "test") == 0))
            return FALSE;
    }
    return TRUE;
}

static void test_many_hung(void)
{
    Rig rig;
    rig_begin(&rig);
    UNTIL(strstr(rig.events->str, "connected"));
    for (int i = 0; i < 14; i++) {
        g_autofree char *name = g_strdup_printf("hung-%02d", i);
        add_domain(&rig, name);
    }
    connect_and_look(&rig);
    g_assert_cmpuint(rig.servers->len, ==, 15);
    gate_set("hung-*", FALSE, FALSE);
    UNTIL((look(&rig), only_test_answers(&rig)));
    g_assert_cmpuint(gate_count(&gate.waiting), <=, 12); /* libvirtd's workers are not ours alone */
    look(&rig);
    g_assert_cmpfloat(rig.took_ms, <, PATIENCE_US / 1000);
    gate_set("", FALSE, FALSE);
    UNTIL((look(&rig), server(&rig, "hung-00")->responsive && server(&rig, "hung-13")->responsive));
    rig_end(&rig);
}

/* What hangs from the start has never been heard of, and may hold everything. */
static void test_hung_from_the_start(void)
{
    static const char *const globs[] = {"hung-*", NULL};
    LibvirtBackendOptions options = {.uri = "test:///default", .deadline_us = DEADLINE_US, .servers = globs};
    Rig rig;
    gate_set("hung-*", FALSE, FALSE);
    rig_begin_with(&rig, &options);
    add_domain(&rig, "hung-1");
    add_domain(&rig, "hung-2");
    add_domain(&rig, "hung-3");
    UNTIL(strstr(rig.events->str, "connected"));
    for (int i = 0; i < 3; i++) {
        look(&rig);
        g_assert_no_error(rig.error);
        g_assert_cmpuint(rig.servers->len, ==, 3);
        for (guint n = 0; n < rig.servers->len; n++) {
            const BackendServer *one = g_ptr_array_index(rig.servers, n);
            g_assert_cmpint(one->power, ==, POWER_RUNNING);
            g_assert_cmpuint(one->balloon_bytes, ==, one->maximum_bytes);
            g_assert_cmpuint(one->maximum_bytes, ==, 512 * MIB);
        }
    }
    g_assert_false(server(&rig, "hung-1")->responsive);
    g_assert_false(server(&rig, "hung-3")->responsive);
    rig_end(&rig);
}

static void test_target_deadline(void)
{
    Rig rig;
    rig_begin(&rig);
    connect_and_look(&rig);
    g_autofree char *id = g_strdup(server(&rig, "test")->id);
    gate_set("test", FALSE, FALSE);
    int64_t start_us = g_get_monotonic_time();
    set_target(&rig, id, GIB);
    g_assert_error(rig.done_error, AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT);
    int64_t took_us = g_get_monotonic_time() - start_us;
    g_assert_cmpint(took_us, >=, DEADLINE_US - 1000);
    g_assert_cmpint(took_us, <, 2 * DEADLINE_US);
    look(&rig);
    g_assert_false(server(&rig, "test")->responsive);
    unsigned dones = rig.dones;
    gate_set("", FALSE, FALSE);
    UNTIL((look(&rig), server(&rig, "test")->responsive));
    g_assert_cmpuint(rig.dones, ==, dones); /* the late answer was dropped */
    rig_end(&rig);
}

static void test_superseded(void)
{
    Rig rig;
    rig_begin(&rig);
    connect_and_look(&rig);
    g_autofree char *id = g_strdup(server(&rig, "test")->id);
    unsigned calls = gate_count(&gate.target_calls);
    for (int i = 1; i <= 5; i++)
        rig.backend->ops->set_target(rig.backend, id, (uint64_t)i * GIB, done, &rig);
    UNTIL(rig.dones == 5);
    g_assert_cmpuint(gate_count(&gate.target_calls), <=,
                     calls + 2); /* the first one, where nothing was under way */
    look(&rig);
    g_assert_cmpuint(server(&rig, "test")->balloon_bytes, ==, 5 * GIB);
    rig_end(&rig);
}

static void test_fresh(void)
{
    Rig rig;
    rig_begin(&rig);
    connect_and_look(&rig);
    g_autofree char *id = g_strdup(server(&rig, "test")->id);
    UNTIL(gate_count(&gate.period_set) > 0); /* it was off */
    run_for(30);
    unsigned zero = gate_count(&gate.period_zero), set = gate_count(&gate.period_set);
    rig.backend->ops->ask_fresh(rig.backend, id, done, &rig);
    UNTIL(rig.dones == 1);
    g_assert_no_error(rig.done_error);
    g_assert_cmpuint(gate_count(&gate.period_zero), ==, zero + 1);
    g_assert_cmpuint(gate_count(&gate.period_set), ==, set + 1);
    rig_end(&rig);
}

static void test_read_only(void)
{
    LibvirtBackendOptions options = {.uri = "test:///default", .deadline_us = DEADLINE_US, .read_only = TRUE};
    unsigned set = gate_count(&gate.period_set);
    Rig rig;
    rig_begin_with(&rig, &options);
    connect_and_look(&rig);
    look(&rig);
    rig.backend->ops->ask_fresh(rig.backend, server(&rig, "test")->id, done, &rig);
    UNTIL(rig.dones == 1);
    g_assert_error(rig.done_error, AEROSTAT_ERROR, AEROSTAT_ERROR_DENIED);
    g_assert_cmpuint(gate_count(&gate.period_set), ==, set);
    rig_end(&rig);
}

static void test_daemon_hung(void)
{
    Rig rig;
    rig_begin(&rig);
    connect_and_look(&rig);
    gate_set("", TRUE, FALSE);
    look_at_all(&rig);
    g_assert_error(rig.error, AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT);
    look(&rig);
    g_assert_cmpfloat(rig.took_ms, <, PATIENCE_US / 1000);
    gate_set("", FALSE, FALSE);
    UNTIL((look(&rig), rig.error == NULL));
    g_assert_true(server(&rig, "test")->responsive); /* nobody was blamed for it */
    rig_end(&rig);
}

static void test_connection_comes_later(void)
{
    LibvirtBackendOptions options = {.uri = "test:///default", .deadline_us = DEADLINE_US};
    Rig rig;
    gate_set("", FALSE, TRUE);
    rig = (Rig){.backend = libvirt_backend_new(&options), .events = g_string_new(NULL)};
    rig.backend->on_event = on_event;
    rig.backend->on_event_data = &rig;
    look(&rig);
    g_assert_error(rig.error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE);
    run_for(800); /* three attempts */
    g_assert_cmpstr(rig.events->str, ==, "disconnected ");
    look(&rig);
    g_assert_error(rig.error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE);
    g_assert_nonnull(strstr(rig.error->message, "/nonexistent/socket"));
    gate_set("", FALSE, FALSE);
    rig.conn = virConnectOpen("test:///default");
    UNTIL(strstr(rig.events->str, " connected"));
    look(&rig);
    g_assert_no_error(rig.error);
    rig_end(&rig);
}

/* Nobody is told of a connection that closes while it is being opened. */
static void test_stillborn_connection(void)
{
    LibvirtBackendOptions options = {.uri = "test:///default", .deadline_us = DEADLINE_US};
    Rig rig;
    gate_put(&gate.stillborn, 1);
    rig = (Rig){.backend = libvirt_backend_new(&options), .events = g_string_new(NULL)};
    rig.backend->on_event = on_event;
    rig.backend->on_event_data = &rig;
    UNTIL(gate_count(&gate.stillborn) == 0);
    rig.conn = virConnectOpen("test:///default");
    UNTIL(strstr(rig.events->str, "disconnected "));
    UNTIL(strstr(rig.events->str, " connected"));
    look(&rig);
    g_assert_no_error(rig.error);
    rig_end(&rig);
}

static void test_freed_while_busy(void)
{
    Rig rig;
    rig_begin(&rig);
    connect_and_look(&rig);
    gate_set("test", FALSE, FALSE);
    rig.backend->ops->observe(rig.backend, observed, &rig);
    rig.backend->ops->set_target(rig.backend, server(&rig, "test")->id, GIB, done, &rig);
    rig.backend->ops->set_target(rig.backend, server(&rig, "test")->id, 2 * GIB, done, &rig);
    UNTIL(gate_count(&gate.waiting) > 0);
    unsigned answers = rig.answers, dones = rig.dones;
    backend_free(rig.backend);
    rig.backend = NULL;
    run_for(20);
    gate_set("", FALSE, FALSE);
    run_for(100);
    g_assert_cmpuint(rig.answers, ==, answers);
    g_assert_cmpuint(rig.dones, ==, dones);
    rig_end(&rig);

    rig_begin(&rig); /* and before it is even connected */
    rig_end(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/libvirt/list-and-set", test_list_and_set);
    g_test_add_func("/libvirt/filter-and-names", test_filter_and_names);
    g_test_add_func("/libvirt/shared-observation", test_shared_observation);
    g_test_add_func("/libvirt/hung-server", test_hung_server);
    g_test_add_func("/libvirt/lists-on-news", test_lists_on_news);
    g_test_add_func("/libvirt/glance", test_glance);
    g_test_add_func("/libvirt/glance-width", test_glance_width);
    g_test_add_func("/libvirt/many-hung", test_many_hung);
    g_test_add_func("/libvirt/hung-from-the-start", test_hung_from_the_start);
    g_test_add_func("/libvirt/target-deadline", test_target_deadline);
    g_test_add_func("/libvirt/superseded", test_superseded);
    g_test_add_func("/libvirt/fresh", test_fresh);
    g_test_add_func("/libvirt/read-only", test_read_only);
    g_test_add_func("/libvirt/daemon-hung", test_daemon_hung);
    g_test_add_func("/libvirt/connection-comes-later", test_connection_comes_later);
    g_test_add_func("/libvirt/stillborn-connection", test_stillborn_connection);
    g_test_add_func("/libvirt/freed-while-busy", test_freed_while_busy);
    return g_test_run();
}
