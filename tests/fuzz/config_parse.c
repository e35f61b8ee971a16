#include <string.h>
#include "base/config.h"
#include "base/error.h"
#include "base/size.h"
#include "fuzz.h"

static void check_error(const GError *error)
{
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
    g_assert_true(g_str_has_prefix(error->message, "a.conf:"));
    g_assert_nonnull(strchr(error->message, ';'));
    g_assert_null(strchr(error->message, '\n'));
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
}

/* What was let in is inside its limits, whatever it was. */
static void check_config(const Config *config)
{
    g_assert_true(config->weight >= 1 && config->weight <= 10000);
    g_assert_true(config->mode == MODE_OBSERVE || config->mode == MODE_MANAGE);
    g_assert_cmpuint(strlen(config->control_socket), <=, 107);
    g_assert_cmpuint(g_strv_length(config->libvirt_servers), >, 0);
    g_assert_cmpuint(g_strv_length(config->lxc_servers), >, 0);
    for (char **glob = config->qmp_sockets; *glob; glob++)
        g_assert_true((*glob)[0] == '/');
    g_assert_cmpuint(size_setting_resolve(&config->pool, 64 * GIB, 1), >=, config->pool.is_percent ? 0 : 1);
    g_assert_cmpuint(size_setting_resolve(&config->slack, 64 * GIB, 0), <=, SIZE_MAX_BYTES);
    g_autoptr(GError) error = NULL;
    if (!config_check_host(config, 64 * GIB, &error))
        check_error(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Config) config = config_parse((const char *)data, size, "a.conf", &error);
    g_assert_true((config == NULL) == (error != NULL));
    if (config)
        check_config(config);
    else
        check_error(error);
    return 0;
}
