/* What is done to a container: power, and setting aside. */
#include "backend/lxc_private.h"
#include <string.h>
#include <unistd.h>
#include <lxc/lxccontainer.h>

/* Hooks and mounts take their time; liblxc itself is through in milliseconds. */
#define START_US (60 * US_PER_S)
#define STOP_US  (60 * US_PER_S)
/* A root file system of many files, on a disk that is busy. */
#define PURGE_US  (3600 * US_PER_S)
#define GONE_S    30
#define WORDS_MAX 300

typedef struct {
    char *path, *name, *id, *keep; /* owned */
    AerostatError code;            /* of a refusal */
    char *words;                   /* ... and what it says */
} Deed;

static void deed_free(gpointer data)
{
    Deed *deed = data;
    g_free(deed->path);
    g_free(deed->name);
    g_free(deed->id);
    g_free(deed->keep);
    g_free(deed->words);
    g_free(deed);
}

/* ---- worker threads */

/* The name of one that was not listed when this was asked for: just taken back, or a daemon has just begun. */
static gboolean resolve(Deed *deed, GError **error)
{
    if (!deed->name)
        deed->name = aside_name_of(deed->path, deed->id, error);
    if (!deed->name)
        return FALSE;
    /* It may have waited behind another errand: meanwhile there may be another container of that name. */
    g_autofree char *id = container_id(deed->path, deed->name);
    if (g_strcmp0(id, deed->id) == 0)
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND,
                "container %s: it is not the one that was meant any more", deed->name);
    return FALSE;
}

static void run_refusal(gpointer data, GError **error)
{
    const Deed *deed = data;
    g_set_error(error, AEROSTAT_ERROR, (gint)deed->code, "%s", deed->words);
}

/* The last line of liblxc's log that says something: "lxc-start NAME TIME ERROR file - ../src/x.c:f:1 - words". */
static char *words_of_log(const char *path)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return g_strdup("it says nothing");
    g_auto(GStrv) lines = g_strsplit(g_strchomp(text), "\n", -1);
    const char *first = NULL;
    for (guint i = 0; lines[i] && !first; i++)
        first = strstr(lines[i], " ERROR ") ? lines[i] : NULL;
    if (!first)
        return g_strdup("it says nothing");
    const char *dash = strstr(first, " - ");
    const char *second = dash ? strstr(dash + 3, " - ") : NULL;
    return error_printable(second ? second + 3 : first, -1, WORDS_MAX);
}

/* A service manager is asked to start it: this daemon's own service is shut in, and may not make namespaces. */
static void add_service_manager(GPtrArray *arguments)
{
    static const char *const words[] = {"systemd-run",
                                        "--quiet",
                                        "--collect",
                                        "--service-type=forking",
                                        "--property=Delegate=yes",
                                        "--property=KillMode=process"};
    if (!g_file_test("/run/systemd/system", G_FILE_TEST_IS_DIR))
        return;
    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        g_ptr_array_add(arguments, (char *)words[i]);
}

/*
 * By lxc-start, not by liblxc from here: it forks the process that watches over the container from its caller, and that
 * one would keep this daemon's memory and files, and its place in the service's control group.
 */
static void spawn(const Deed *deed, const char *log, GError **error)
{
    const char *words[] = {"lxc-start", "--daemon", "-P", deed->path, "-n", deed->name,
                           "-l",        "ERROR",    "-o", log,        NULL};
    int status = 0;
    g_autoptr(GPtrArray) arguments = g_ptr_array_new();
    g_autoptr(GError) local = NULL;
    GSpawnFlags flags = G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL;
    add_service_manager(arguments);
    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        g_ptr_array_add(arguments, (char *)words[i]);
    if (!g_spawn_sync("/", (char **)arguments->pdata, NULL, flags, NULL, NULL, NULL, NULL, &status, &local)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED,
                    "container %s: %s; is the package lxc installed?", deed->name, local->message);
        return;
    }
    if (g_spawn_check_wait_status(status, NULL))
        return;
    g_autofree char *said = words_of_log(log);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "container %s: lxc-start failed: %s",
                deed->name, said);
}

/* Where a service manager's child sees it too; /tmp may be this service's own. */
static int open_log(char **ret_path, GError **error)
{
    char *path = g_strdup("/run/aerostat/lxc-XXXXXX");
    int fd = g_mkstemp(path);
    if (fd < 0)
        g_clear_pointer(&path, g_free);
    *ret_path = path;
    return fd >= 0 ? fd : g_file_open_tmp("aerostat-lxc-XXXXXX", ret_path, error);
}

static gboolean is_running(const Deed *deed)
{
    struct lxc_container *container = lxc_container_new(deed->name, deed->path);
    gboolean running = container && container->is_running(container);
    if (container)
        lxc_container_put(container);
    return running;
}

static void run_start(gpointer data, GError **error)
{
    Deed *deed = data;
    g_autofree char *log = NULL;
    g_autoptr(GError) local = NULL;
    if (!resolve(deed, error) || is_running(deed))
        return;
    int fd = open_log(&log, &local);
    if (fd < 0) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "container %s: %s", deed->name,
                    local->message);
        return;
    }
    close(fd);
    spawn(deed, log, error);
    unlink(log);
}

static struct lxc_container *open_container(const Deed *deed, GError **error)
{
    struct lxc_container *container = lxc_container_new(deed->name, deed->path);
    if (!container)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED,
                    "container %s: liblxc cannot read its config", deed->name);
    return container;
}

static void run_shutdown(gpointer data, GError **error)
{
    Deed *deed = data;
    struct lxc_container *container = resolve(deed, error) ? open_container(deed, error) : NULL;
    if (!container)
        return;
    /* 0: do not wait. */
    if (container->is_running(container) && !container->shutdown(container, 0))
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED,
                    "container %s: cannot be asked to shut down", deed->name);
    lxc_container_put(container);
}

static void run_stop(gpointer data, GError **error)
{
    Deed *deed = data;
    struct lxc_container *container = resolve(deed, error) ? open_container(deed, error) : NULL;
    if (!container)
        return;
    gboolean gone = !container->is_running(container) || container->stop(container);
    if (gone)
        gone = container->wait(container, "STOPPED", GONE_S);
    if (!gone)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "container %s: cannot be stopped",
                    deed->name);
    lxc_container_put(container);
}

static void run_set_aside(gpointer data, GError **error)
{
    const Deed *deed = data;
    aside_put(deed->path, deed->id, deed->keep, error);
}

static void run_take_back(gpointer data, GError **error)
{
    const Deed *deed = data;
    aside_take_back(deed->path, deed->id, deed->keep, error);
}

static void run_purge(gpointer data, GError **error)
{
    const Deed *deed = data;
    aside_purge(deed->path, deed->id, deed->keep, error);
}

/* ---- engine thread */

/* The facts change by what was done: the next observation asks. */
static void answered(Container *container, gpointer data, const GError *error)
{
    container->asked_us = 0;
}

static Errand *errand_new(void (*run)(gpointer, GError **), Deed *deed, int64_t deadline_us, BackendDone done,
                          gpointer user_data)
{
    Errand *errand = g_new0(Errand, 1);
    errand->run = run;
    errand->answered = answered;
    errand->data = deed;
    errand->free_data = deed_free;
    errand->deadline_us = deadline_us;
    errand->is_long = TRUE;
    errand->done = done;
    errand->user_data = user_data;
    return errand;
}

static Deed *deed_new(const LxcBackend *backend, const char *id, const char *name, const char *keep)
{
    Deed *deed = g_new0(Deed, 1);
    deed->path = g_strdup(backend->path);
    deed->id = g_strdup(id);
    deed->name = g_strdup(name);
    deed->keep = g_strdup(keep);
    return deed;
}

/* On nobody's behalf: an anchor that is in no table. */
static void send_apart(LxcBackend *backend, const char *id, Errand *errand)
{
    Container *anchor = container_new(backend, id, id);
    container_send(anchor, errand);
    container_unref(anchor);
}

/* Answered from the main loop, never from within the request. */
static void refuse(LxcBackend *backend, const char *id, AerostatError code, const char *words,
                   BackendDone done, gpointer user_data)
{
    const Container *container = lxc_find(backend, id);
    Deed *deed = deed_new(backend, id, NULL, NULL);
    deed->code = code;
    deed->words = g_strdup_printf("container %s: %s", container ? container->shown_name : id, words);
    send_apart(backend, id, errand_new(run_refusal, deed, backend->deadline_us, done, user_data));
}

static void act(Backend *base, const char *id, const char *keep, void (*run)(gpointer, GError **),
                int64_t deadline_us, BackendDone done, gpointer user_data)
{
    LxcBackend *backend = (LxcBackend *)base;
    Container *container = lxc_find(backend, id);
    if (container && container->stuck) {
        refuse(backend, id, AEROSTAT_ERROR_UNAVAILABLE, "its monitor process does not answer", done,
               user_data);
        return;
    }
    Deed *deed = deed_new(backend, id, container ? container->name : NULL, keep);
    Errand *errand = errand_new(run, deed, deadline_us, done, user_data);
    if (container)
        container_send(container, errand);
    else
        send_apart(backend, id, errand);
}

void lxc_set_target(Backend *base, const char *id, uint64_t bytes, BackendDone done, gpointer user_data)
{
    refuse((LxcBackend *)base, id, AEROSTAT_ERROR_CONFLICT, "containers have no balloon", done, user_data);
}

void lxc_ask_fresh(Backend *base, const char *id, BackendDone done, gpointer user_data)
{
    refuse((LxcBackend *)base, id, AEROSTAT_ERROR_CONFLICT, "containers have no balloon", done, user_data);
}

void lxc_start(Backend *base, const char *id, BackendDone done, gpointer user_data)
{
    act(base, id, NULL, run_start, START_US, done, user_data);
}

void lxc_shutdown(Backend *base, const char *id, BackendDone done, gpointer user_data)
{
    act(base, id, NULL, run_shutdown, START_US, done, user_data);
}

void lxc_stop(Backend *base, const char *id, BackendDone done, gpointer user_data)
{
    act(base, id, NULL, run_stop, STOP_US, done, user_data);
}

void lxc_set_aside(Backend *base, const char *id, const char *keep, BackendDone done, gpointer user_data)
{
    act(base, id, keep, run_set_aside, STOP_US, done, user_data);
}

void lxc_take_back(Backend *base, const char *id, const char *keep, BackendDone done, gpointer user_data)
{
    act(base, id, keep, run_take_back, STOP_US, done, user_data);
}

void lxc_purge(Backend *base, const char *id, const char *keep, BackendDone done, gpointer user_data)
{
    act(base, id, keep, run_purge, PURGE_US, done, user_data);
}
