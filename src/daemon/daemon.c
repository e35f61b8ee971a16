/* Start, run, stop. */
#include "daemon/daemon.h"
#include <glib-unix.h>
#include <systemd/sd-daemon.h>
#include "backend/hostinfo.h"
#include "backend/libvirt.h"
#include "backend/lxc.h"
#include "base/config.h"
#include "base/error.h"
#include "base/size.h"
#include "base/trim.h"
#include "control/login.h"
#include "control/methods.h"
#include "control/refusals.h"
#include "engine/engine.h"
#include "manage/manage.h"
#include "store/store.h"

/* systemd is told twice within its watchdog time, as its manual asks. */
#define WATCHDOG_SHARE 2

static gboolean on_stop(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

/* Only the loop itself feeds the watchdog: if it ever blocks, systemd notices. */
static gboolean on_watchdog(gpointer user_data)
{
    sd_notify(0, "WATCHDOG=1");
    return G_SOURCE_CONTINUE;
}

static gboolean check_host(const Config *config, GError **error)
{
    HostMemory memory;
    if (!hostinfo_read("/proc", &memory, error))
        return FALSE;
    return config_check_host(config, memory.memory_bytes, error);
}

static Mode starting_mode(const Config *config, Store *store)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *stored = store_get_mode(store, &error);
    if (error)
        g_warning("the mode last chosen cannot be read, using the config's: %s", error->message);
    if (!stored)
        return config->mode;
    return g_str_equal(stored, "manage") ? MODE_MANAGE : MODE_OBSERVE;
}

static void add_libvirt(Engine *engine, const Config *config)
{
    LibvirtBackendOptions options = {
        .uri = config->libvirt_uri,
        .servers = (const char *const *)config->libvirt_servers,
    };
    engine_add_backend(engine, libvirt_backend_new(&options), config->libvirt_uri);
}

static void add_lxc(Engine *engine, const Config *config)
{
    LxcBackendOptions options = {
        .path = config->lxc_path,
        .servers = (const char *const *)config->lxc_servers,
    };
    engine_add_backend(engine, lxc_backend_new(&options), config->lxc_path);
}

static void add_backends(Engine *engine, const Config *config)
{
    if (config->libvirt_enabled)
        add_libvirt(engine, config);
    if (config->lxc_path)
        add_lxc(engine, config);
}

static void run_loop(void)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    guint term = g_unix_signal_add(SIGTERM, on_stop, loop),
          interrupt = g_unix_signal_add(SIGINT, on_stop, loop);
    guint watchdog = 0;
    uint64_t watchdog_us = 0;
    if (sd_watchdog_enabled(0, &watchdog_us) > 0)
        watchdog = g_timeout_add((guint)(watchdog_us / 1000 / WATCHDOG_SHARE), on_watchdog, NULL);
    sd_notify(0, "READY=1");
    g_main_loop_run(loop);
    sd_notify(0, "STOPPING=1");
    g_source_remove(term);
    g_source_remove(interrupt);
    if (watchdog)
        g_source_remove(watchdog);
}

/* Where the path comes from, for whoever can mend it there. */
static Store *open_store(const Config *config, const char *config_path, GError **error)
{
    Store *store = store_open(config->store_path, error);
    if (!store)
        g_prefix_error(error, "%s: [store] path should name a folder that aerostatd may write in: ",
                       config_path ? config_path : "built-in defaults");
    return store;
}

static Manage *begin_manage(Engine *engine, Store *store, const Config *config)
{
    ManageOptions options = {
        .images = config->images_path,
        .disks = config->images_disks,
        .patterns = (const char *const *)config->libvirt_servers,
    };
    return manage_new(engine, store, &options);
}

static gboolean serve(const Config *config, const char *config_path, GError **error)
{
    g_autoptr(Engine) engine = NULL;
    MethodsContext methods = {0};
    /* Before anything else: a second daemon must not even open the store. */
    g_autoptr(ControlServer) control =
        control_server_new(config->control_socket, config->control_group, methods_dispatch, &methods, error);
    if (!control)
        return FALSE;
    trim_memory("/proc/self/smaps"); /* from here on there are threads */
    g_autoptr(Store) store = open_store(config, config_path, error);
    if (!store)
        return FALSE;
    /* Beside the socket, which is this daemon's alone, and by default in a folder that lives as long as the host runs. */
    g_autofree char *promises = g_strconcat(config->control_socket, ".promises", NULL);
    EngineOptions options = {
        .config = config, .store = store, .promises = promises, .mode = starting_mode(config, store)};
    engine = engine_new(&options);
    /* What waits in the login for a hash is refused at the end, and that is still counted. */
    g_autoptr(Refusals) refusals = refusals_new(), changes = refusals_new();
    g_autoptr(Login) login = login_new(store);
    methods.store = store;
    methods.login = login;
    methods.refusals = refusals;
    methods.changes = changes;
    methods.engine = engine;
    g_autoptr(MethodsPublisher) publisher = methods_publisher_new(engine, control);
    add_backends(engine, config);
    engine_start(engine);
    g_autoptr(Manage) manage = begin_manage(engine, store, config);
    methods.manage = manage;
    methods_publish_operations(manage, control);
    g_message("aerostatd " AEROSTAT_VERSION " listens on %s, mode %s", config->control_socket,
              options.mode == MODE_MANAGE ? "manage" : "observe");
    run_loop();
    /* Calls until the control server is gone read it through their pointer to methods. */
    // cppcheck-suppress redundantAssignment
    methods.manage = NULL;
    g_clear_pointer(&manage, manage_free);
    g_clear_pointer(&publisher, methods_publisher_free);
    g_clear_pointer(&control, control_server_free);
    g_clear_pointer(&engine, engine_free);
    return TRUE;
}

gboolean daemon_run(const char *config_path, gboolean check_only, GError **error)
{
    g_autoptr(Config) config = config_load(config_path, error);
    if (!config || !check_host(config, error))
        return FALSE;
    if (!check_only)
        return serve(config, config_path, error);
    g_print("%s: fine\n", config_path ? config_path : "built-in defaults");
    return TRUE;
}
