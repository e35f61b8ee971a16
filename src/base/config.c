#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "base/config.h"
#include "base/config_keys.h"
#include "base/error.h"
#include "base/keyfile.h"
#include "base/size.h"

Config *config_new(void)
{
    Config *config = g_new0(Config, 1);
    for (guint i = 0; i < CONFIG_N_KEYS; i++) {
        const ConfigKey *key = &CONFIG_KEYS[i];
        g_autoptr(GError) error = NULL;
        if (key->fallback && !key->set(config, key, key->fallback, &error))
            g_error("default of [%s] %s: %s", key->section, key->name, error->message);
    }
    return config;
}

void config_free(Config *config)
{
    if (!config)
        return;
    g_free(config->file);
    g_free(config->libvirt_uri);
    g_strfreev(config->libvirt_servers);
    g_free(config->lxc_path);
    g_strfreev(config->lxc_servers);
    g_strfreev(config->qmp_sockets);
    g_free(config->control_socket);
    g_free(config->control_group);
    g_free(config->store_path);
    g_free(config->images_path);
    g_free(config->images_disks);
    g_free(config->web_listen);
    g_free(config->web_certificate);
    g_free(config->web_key);
    g_strfreev(config->web_proxies);
    g_free(config);
}

/* A default to go back to is worth more than "bad value". */
static void no_value(const ConfigKey *key, GError **error)
{
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                "[%s] %s has no value; write one, or leave the line out for %s", key->section, key->name,
                key->fallback ? key->fallback : "none");
}

/* KeyfileFunc. */
static gboolean take_line(const char *section, const char *name, const char *value, guint line,
                          gpointer user_data, GError **error)
{
    Config *config = user_data;
    if (!name)
        return config_section_check(section, error);
    const ConfigKey *key = config_key_find(section, name, error);
    if (!key)
        return FALSE;
    guint *first_line = &config->key_lines[key - CONFIG_KEYS];
    if (*first_line) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "[%s] %s was already set on line %u; keep one of the two", section, name, *first_line);
        return FALSE;
    }
    *first_line = line;
    if (*value == '\0' && !(key->flags & KEY_EMPTY)) {
        no_value(key, error);
        return FALSE;
    }
    if (!key->set(config, key, value, error)) {
        g_prefix_error(error, "[%s] %s: ", section, name);
        return FALSE;
    }
    return TRUE;
}

Config *config_parse(const char *text, gsize length, const char *name, GError **error)
{
    g_autoptr(Config) config = config_new();
    config->file = g_strdup(name);
    if (!keyfile_scan(text, length, name, take_line, config, error))
        return NULL;
    return g_steal_pointer(&config);
}

/* 0, or errno; EFBIG above CONFIG_FILE_MAX_BYTES. Not g_file_get_contents(), which would swallow /dev/zero
 * whole. */
static int read_bounded(const char *path, GByteArray *into)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int failure = 0;
    guint8 chunk[16384];
    while (!failure) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got == 0)
            break;
        if (got > 0)
            g_byte_array_append(into, chunk, (guint)got);
        else if (errno != EINTR)
            failure = errno;
        if (into->len > CONFIG_FILE_MAX_BYTES)
            failure = EFBIG;
    }
    close(fd);
    return failure;
}

Config *config_load(const char *path, GError **error)
{
    if (!path)
        return config_new();
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    int failure = read_bounded(path, bytes);
    if (failure) {
        g_autofree char *printable = error_printable(path, -1, G_MAXUINT);
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "%s: cannot be read: %s; name a key file of at most 1 MiB, or none for the defaults",
                    printable, g_strerror(failure));
        return NULL;
    }
    return config_parse((const char *)bytes->data, bytes->len, path, error);
}

guint config_key_line(const Config *config, const char *section, const char *name)
{
    const ConfigKey *key = config_key_find(section, name, NULL);
    return key ? config->key_lines[key - CONFIG_KEYS] : 0;
}

uint64_t size_setting_resolve(const SizeSetting *setting, uint64_t of_bytes, uint64_t if_auto)
{
    if (setting->is_auto)
        return if_auto;
    return setting->is_percent ? size_of_percent(of_bytes, setting->percent) : setting->bytes;
}

/* "FILE:LINE: [host] KEY": no line for a default, no file when none was read. */
static gboolean refuse_host_key(const Config *config, const char *key, const char *why, GError **error)
{
    guint line = config_key_line(config, "host", key);
    g_autofree char *file =
        config->file ? error_printable(config->file, -1, G_MAXUINT) : g_strdup("defaults");
    g_autofree char *place = line ? g_strdup_printf("%s:%u", file, line) : g_strdup(file);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "%s: [host] %s: %s", place, key, why);
    return FALSE;
}

gboolean config_check_host(const Config *config, uint64_t host_bytes, GError **error)
{
    g_autofree char *host = size_format(host_bytes);
    uint64_t reserve = size_setting_resolve(&config->reserve, host_bytes, 0);
    if (reserve >= host_bytes) {
        g_autofree char *size = size_format(reserve);
        g_autofree char *why =
            g_strdup_printf("%s leaves nothing of the host's %s; write less, such as 10%%", size, host);
        return refuse_host_key(config, "reserve", why, error);
    }
    uint64_t pool = size_setting_resolve(&config->pool, host_bytes, host_bytes - reserve);
    g_autofree char *pool_size = size_format(pool);
    if (pool > host_bytes) {
        g_autofree char *why =
            g_strdup_printf("%s is more than the host's %s; write at most that, or auto", pool_size, host);
        return refuse_host_key(config, "pool", why, error);
    }
    uint64_t slack = size_setting_resolve(&config->slack, pool, 0);
    if (slack > pool / 2) {
        g_autofree char *size = size_format(slack);
        g_autofree char *why = g_strdup_printf(
            "%s is more than half of the pool, which is %s; write less, such as 5%%", size, pool_size);
        return refuse_host_key(config, "slack", why, error);
    }
    return TRUE;
}
