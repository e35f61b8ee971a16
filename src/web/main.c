/* aerostat-web: the dashboard and its HTTP interface. Holds no hypervisor handle and decides nothing: the daemon does. */
#include <stdio.h>
#include <unistd.h>
#include <glib.h>
#include <systemd/sd-daemon.h>
#include "base/config.h"
#include "base/error.h"
#include "web/web.h"

#define DEFAULT_CONFIG "/etc/aerostat/aerostat.conf"

static const char description[] =
    "Serves the Server Dashboard and its HTTP interface, and forwards what people do there to\n"
    "aerostatd with their own session or token. Needs no rights of its own: run it as a user of its own.\n"
    "See aerostat-web(8) and aerostat.conf(5).";

typedef struct {
    char *config_path;
    gboolean check, version, as_root;
} Options;

static gboolean read_options(int argc, char **argv, Options *options)
{
    const GOptionEntry entries[] = {
        {"config", 'c', 0, G_OPTION_ARG_FILENAME, &options->config_path,
         "Key file; default " DEFAULT_CONFIG " where it exists, else built-in defaults", "FILE"},
        {"check", 0, 0, G_OPTION_ARG_NONE, &options->check, "Check the key file and stop", NULL},
        {"allow-root", 0, 0, G_OPTION_ARG_NONE, &options->as_root,
         "Run as root all the same: for a trial, never for service", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Print the version", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_summary(context, description);
    g_option_context_add_main_entries(context, entries, NULL);
    g_autoptr(GError) error = NULL;
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "aerostat-web: %s; see aerostat-web --help\n", error->message);
        return FALSE;
    }
    if (argc > 1) {
        fprintf(stderr, "aerostat-web: \"%s\" is not an option; see aerostat-web --help\n", argv[1]);
        return FALSE;
    }
    return TRUE;
}

static gboolean check_tls(const Config *config, GError **error)
{
    if (!config->web_certificate == !config->web_key)
        return TRUE;
    const char *there = config->web_key ? "key" : "certificate",
               *missing = config->web_key ? "certificate" : "key";
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                "%s:%u: [web] %s: there is no %s beside it; write both, or none for plain HTTP", config->file,
                config_key_line(config, "web", there), there, missing);
    return FALSE;
}

static gboolean serve(const Config *config, GError **error)
{
    g_autoptr(Web) web = web_new(config, error);
    if (!web)
        return FALSE;
    printf("aerostat-web: listening on %s (port %u)\n", config->web_listen, web_port(web));
    fflush(stdout);
    sd_notify(0, "READY=1");
    web_run(web);
    sd_notify(0, "STOPPING=1");
    return TRUE;
}

int main(int argc, char **argv)
{
    Options options = {0};
    if (!read_options(argc, argv, &options))
        return 2;
    g_autofree char *path = options.config_path;
    if (options.version) {
        printf("aerostat-web %s\n", AEROSTAT_VERSION);
        return 0;
    }
    if (!path && g_file_test(DEFAULT_CONFIG, G_FILE_TEST_EXISTS))
        path = g_strdup(DEFAULT_CONFIG);
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = config_load(path, &error);
    if (config && geteuid() == 0 && !options.as_root && !options.check) {
        fprintf(
            stderr,
            "aerostat-web: it does not run as root, since it needs no rights: start it as a user of its own "
            "(aerostat-web.service does), or say --allow-root for a trial\n");
        return 1;
    }
    if (!config || !check_tls(config, &error) || (!options.check && !serve(config, &error))) {
        fprintf(stderr, "aerostat-web: %s\n", error->message);
        return 1;
    }
    if (options.check)
        printf("%s is fine\n", path ? path : "the built-in configuration");
    return 0;
}
