/* aerostatd: shares one host's memory among its virtual servers by what each needs now. */
#include <stdio.h>
#include <glib.h>
#include "daemon/daemon.h"

#define DEFAULT_CONFIG "/etc/aerostat/aerostat.conf"

static const char description[] =
    "Shares one host's memory among its virtual servers by what each needs now: takes back\n"
    "what lies idle through their balloons and gives it to those that need more.\n"
    "See aerostatd(8) and aerostat.conf(5); talk to it with aerostat(1).";

int main(int argc, char **argv)
{
    g_autofree char *config_path = NULL;
    gboolean check = FALSE, version = FALSE;
    const GOptionEntry entries[] = {
        {"config", 'c', 0, G_OPTION_ARG_FILENAME, &config_path,
         "Key file; default " DEFAULT_CONFIG " where it exists, else built-in defaults", "FILE"},
        {"check", 0, 0, G_OPTION_ARG_NONE, &check,
         "Check the key file against this host and stop; touches nothing", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_summary(context, description);
    g_option_context_add_main_entries(context, entries, NULL);
    g_autoptr(GError) error = NULL;
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "aerostatd: %s; see aerostatd --help\n", error->message);
        return 2;
    }
    if (argc > 1) {
        fprintf(stderr, "aerostatd: \"%s\" is not an option; see aerostatd --help\n", argv[1]);
        return 2;
    }
    if (version) {
        printf("aerostatd %s\n", AEROSTAT_VERSION);
        return 0;
    }
    if (!config_path && g_file_test(DEFAULT_CONFIG, G_FILE_TEST_EXISTS))
        config_path = g_strdup(DEFAULT_CONFIG);
    if (!daemon_run(config_path, check, &error)) {
        fprintf(stderr, "aerostatd: %s\n", error->message);
        return 1;
    }
    return 0;
}
