#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>
#include "base/config_keys.h"
#include "base/error.h"
#include "base/size.h"
#include "base/suggest.h"

#define QUOTE_CHARS 60
#define WEIGHT_MAX  10000
/* sun_path has 108 bytes, the last one for the NUL that not every program can do without. */
#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
/* What useradd allows: utmp's field, and more than any hand-made group has. */
#define GROUP_NAME_MAX 32

static gboolean refuse(const char *value, const char *wrong, const char *right, GError **error)
{
    g_autofree char *quoted = error_printable(value, -1, QUOTE_CHARS);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "\"%s\" %s; %s", quoted, wrong, right);
    return FALSE;
}

static gboolean take_string(Config *config, const ConfigKey *key, const char *value)
{
    char **string = G_STRUCT_MEMBER_P(config, key->offset);
    g_free(*string);
    *string = g_strdup(value);
    return TRUE;
}

static gboolean parse_size(const ConfigKey *key, const char *value, SizeSetting *size, GError **error)
{
    gboolean percent_allowed = (key->flags & KEY_PERCENT) != 0;
    size->is_auto = (key->flags & KEY_AUTO) && strcmp(value, "auto") == 0;
    if (size->is_auto)
        return TRUE;
    size->is_percent = percent_allowed && g_str_has_suffix(value, "%");
    if (size->is_percent)
        return size_parse_percent(value, &size->percent, error);
    /* A percentage never gets here; saying that one of something would do only puts it into the message. */
    return size_parse(value, percent_allowed ? 1 : 0, &size->bytes, error);
}

static gboolean set_size(Config *config, const ConfigKey *key, const char *value, GError **error)
{
    SizeSetting size = {0};
    if (!parse_size(key, value, &size, error)) {
        if (error && *error && (key->flags & KEY_AUTO)) {
            g_autofree char *message = g_steal_pointer(&(*error)->message);
            (*error)->message = g_strconcat(message, ", or auto", NULL);
        }
        return FALSE;
    }
    gboolean is_zero = !size.is_auto && (size.is_percent ? !(size.percent > 0) : size.bytes == 0);
    if ((key->flags & KEY_POSITIVE) && is_zero)
        return refuse(value, "leaves nothing to share", "write a size above 0, or auto", error);
    if ((key->flags & KEY_HALF) && size.percent > 50)
        return refuse(value, "is more than half of the pool", "write at most 50%", error);
    *(SizeSetting *)G_STRUCT_MEMBER_P(config, key->offset) = size;
    return TRUE;
}

static gboolean set_mode(Config *config, const ConfigKey *key, const char *value, GError **error)
{
    Mode *mode = G_STRUCT_MEMBER_P(config, key->offset);
    if (strcmp(value, "observe") == 0)
        *mode = MODE_OBSERVE;
    else if (strcmp(value, "manage") == 0)
        *mode = MODE_MANAGE;
    else
        return refuse(value, "is not a mode", "write observe (decide and touch nothing) or manage (act)",
                      error);
    return TRUE;
}

static gboolean set_weight(Config *config, const ConfigKey *key, const char *value, GError **error)
{
    guint64 weight;
    if (!g_ascii_string_to_unsigned(value, 10, 1, WEIGHT_MAX, &weight, NULL))
        return refuse(value, "is not a weight", "write a whole number from 1 to 10000", error);
    *(uint32_t *)G_STRUCT_MEMBER_P(config, key->offset) = (uint32_t)weight;
    return TRUE;
}

static gboolean set_bool(Config *config, const ConfigKey *key, const char *value, GError **error)
{
    static const char *const YES[] = {"true", "yes", "on", "1", NULL};
    static const char *const NO[] = {"false", "no", "off", "0", NULL};
    gboolean yes = g_strv_contains(YES, value);
    if (!yes && !g_strv_contains(NO, value))
        return refuse(value, "is neither yes nor no", "write true or false", error);
    *(gboolean *)G_STRUCT_MEMBER_P(config, key->offset) = yes;
    return TRUE;
}

static gboolean set_uri(Config *config, const ConfigKey *key, const char *value, GError **error)
{
    g_autofree char *scheme = g_uri_parse_scheme(value);
    if (!scheme || strpbrk(value, " \t"))
        return refuse(value, "is not a libvirt URI", "write one such as qemu:///system", error);
    return take_string(config, key, value);
}

/* Whether each [ of a glob has its ]. One that has not is matched as a plain letter, which nobody means; it
 * is also what a comma inside brackets leaves behind. */
static gboolean brackets_close(const char *glob)
{
    for (const char *p = glob; *p; p++) {
        if (*p == '\\' && p[1]) {
            p++;
        } else if (*p == '[') {
            p++;
            if (*p == '!' || *p == '^')
                p++;
            /* As in a shell, a ] in the first place is one of the letters. */
            p = *p ? strchr(p + 1, ']') : NULL;
            if (!p)
                return FALSE;
        }
    }
    return TRUE;
}

static gboolean set_globs(Config *config, const ConfigKey *key, const char *value, GError **error)
{
    g_autoptr(GPtrArray) globs = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) parts = g_strsplit_set(value, ";,", -1);
    for (guint i = 0; parts[i]; i++) {
        const char *glob = g_strstrip(parts[i]);
        if (glob[0] == '\0')
            continue; /* a separator too many is harmless, and "a;b;" is how key files write lists */
        if ((key->flags & KEY_PATHS) && glob[0] != '/')
            return refuse(glob, "is not an absolute path", "write it from / on, such as /run/qemu/*.qmp",
                          error);
        if (!brackets_close(glob))
            return refuse(glob, "has no closing ]", "close the bracket, without ; or , inside it", error);
        g_ptr_array_add(globs, g_strdup(glob));
    }
    if (globs->len == 0 && !(key->flags & KEY_EMPTY))
        return refuse(value, "names nothing", "write patterns such as web-*;db-1, or * for all", error);
    g_ptr_array_add(globs, NULL);
    char ***list = G_STRUCT_MEMBER_P(config, key->offset);
    g_strfreev(*list);
    *list = (char **)g_ptr_array_steal(globs, NULL);
    return TRUE;
}

static gboolean set_path(Config *config, const ConfigKey *key, const char *value, GError **error)
{
    if (value[0] != '/')
        return refuse(value, "is not an absolute path", "write it from / on", error);
    return take_string(config, key, value);
}

static gboolean set_socket(Config *config, const ConfigKey *key, const char *value, GError **error)
{
    if (value[0] != '/')
        return refuse(value, "is not an absolute path", "write it from / on", error);
    if (g_str_has_suffix(value, "/"))
        return refuse(value, "is a folder", "name the socket in it, such as /run/aerostat/control.sock",
                      error);
    if (strlen(value) > SOCKET_PATH_MAX)
        return refuse(value, "is too long for a socket", "write a path of at most 107 bytes", error);
    return take_string(config, key, value);
}

static gboolean set_group(Config *config, const ConfigKey *key, const char *value, GError **error)
{
    static const char LETTERS[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_.-";
    gsize length = strlen(value);
    if (value[0] == '-' || strspn(value, LETTERS) != length || length > GROUP_NAME_MAX)
        return refuse(value, "is not the name of a group", "write one such as aerostat", error);
    return take_string(config, key, value);
}

static gboolean is_address(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    gsize length = strlen(host);
    if (host[0] != '[')
        return inet_pton(AF_INET, host, &v4) == 1;
    if (host[length - 1] != ']')
        return FALSE;
    g_autofree char *inside = g_strndup(host + 1, length - 2);
    return inet_pton(AF_INET6, inside, &v6) == 1;
}

/* As addresses are compared: 0:0:0:0:0:0:0:1 is ::1. NULL for what is no numeric address. */
static char *usual_address(const char *text)
{
    struct in_addr v4;
    struct in6_addr v6;
    char usual[INET6_ADDRSTRLEN];
    if (inet_pton(AF_INET, text, &v4) == 1)
        return g_strdup(inet_ntop(AF_INET, &v4, usual, sizeof usual));
    if (inet_pton(AF_INET6, text, &v6) == 1)
        return g_strdup(inet_ntop(AF_INET6, &v6, usual, sizeof usual));
    return NULL;
}

static gboolean set_addresses(Config *config, const ConfigKey *key, const char *value, GError **error)
{
    g_autoptr(GPtrArray) addresses = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) parts = g_strsplit_set(value, ";,", -1);
    for (guint i = 0; parts[i]; i++) {
        const char *text = g_strstrip(parts[i]);
        if (text[0] == '\0')
            continue;
        char *address = usual_address(text);
        if (!address)
            return refuse(text, "is not a numeric address", "write addresses such as 127.0.0.1, ::1", error);
        g_ptr_array_add(addresses, address);
    }
    g_ptr_array_add(addresses, NULL);
    char ***list = G_STRUCT_MEMBER_P(config, key->offset);
    g_strfreev(*list);
    *list = (char **)g_ptr_array_steal(addresses, NULL);
    return TRUE;
}

static gboolean set_listen(Config *config, const ConfigKey *key, const char *value, GError **error)
{
    static const char RIGHT[] = "write ADDRESS:PORT such as 127.0.0.1:8470 or [::1]:8470";
    const char *colon = strrchr(value, ':');
    guint64 port;
    if (!colon)
        return refuse(value, "has no port", RIGHT, error);
    g_autofree char *host = g_strndup(value, (gsize)(colon - value));
    if (!is_address(host))
        return refuse(value, "has no numeric address", RIGHT, error);
    if (!g_ascii_string_to_unsigned(colon + 1, 10, 1, G_MAXUINT16, &port, NULL))
        return refuse(value, "has no port from 1 to 65535", RIGHT, error);
    return take_string(config, key, value);
}

#define AT(member) G_STRUCT_OFFSET(Config, member)

const ConfigKey CONFIG_KEYS[] = {
    {"host", "pool", "auto", set_size, AT(pool), KEY_AUTO | KEY_PERCENT | KEY_POSITIVE},
    {"host", "reserve", "10%", set_size, AT(reserve), KEY_PERCENT},
    {"host", "slack", "5%", set_size, AT(slack), KEY_PERCENT | KEY_HALF},
    {"host", "mode", "observe", set_mode, AT(mode), 0},
    {"policy", "minimum", "25%", set_size, AT(minimum), KEY_PERCENT},
    {"policy", "weight", "100", set_weight, AT(weight), 0},
    {"policy", "overhead", "auto", set_size, AT(overhead), KEY_AUTO},
    {"libvirt", "enabled", "true", set_bool, AT(libvirt_enabled), 0},
    {"libvirt", "uri", "qemu:///system", set_uri, AT(libvirt_uri), 0},
    {"libvirt", "servers", "*", set_globs, AT(libvirt_servers), 0},
    {"lxc", "path", NULL, set_path, AT(lxc_path), 0},
    {"lxc", "servers", "*", set_globs, AT(lxc_servers), 0},
    {"qmp", "sockets", "", set_globs, AT(qmp_sockets), KEY_EMPTY | KEY_PATHS},
    {"control", "socket", "/run/aerostat/control.sock", set_socket, AT(control_socket), 0},
    {"control", "group", "aerostat", set_group, AT(control_group), 0},
    {"store", "path", "/var/lib/aerostat", set_path, AT(store_path), 0},
    {"images", "path", "/etc/aerostat/images", set_path, AT(images_path), 0},
    {"images", "disks", "/var/lib/libvirt/images", set_path, AT(images_disks), 0},
    {"web", "listen", "127.0.0.1:8470", set_listen, AT(web_listen), 0},
    {"web", "certificate", NULL, set_path, AT(web_certificate), 0},
    {"web", "key", NULL, set_path, AT(web_key), 0},
    {"web", "proxies", "", set_addresses, AT(web_proxies), KEY_EMPTY},
};
const guint CONFIG_N_KEYS = G_N_ELEMENTS(CONFIG_KEYS);
G_STATIC_ASSERT(G_N_ELEMENTS(CONFIG_KEYS) <= CONFIG_KEYS_MAX);

/* The table keeps a section's keys together, so its first row stands for it. */
static gboolean opens_section(guint index)
{
    return index == 0 || strcmp(CONFIG_KEYS[index].section, CONFIG_KEYS[index - 1].section) != 0;
}

gboolean config_section_check(const char *section, GError **error)
{
    const char *known[G_N_ELEMENTS(CONFIG_KEYS)] = {0};
    g_autoptr(GString) all = g_string_new(NULL);
    for (guint i = 0; i < CONFIG_N_KEYS; i++) {
        if (!opens_section(i))
            continue;
        known[i] = CONFIG_KEYS[i].section;
        if (strcmp(section, known[i]) == 0)
            return TRUE;
        g_string_append_printf(all, "%s[%s]", i ? ", " : "", known[i]);
    }
    const char *meant = suggest_nearest(section, known, CONFIG_N_KEYS);
    g_autofree char *quoted = error_printable(section, -1, QUOTE_CHARS);
    if (meant)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "there is no section [%s]; did you mean [%s]?", quoted, meant);
    else
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "there is no section [%s]; the sections are %s", quoted, all->str);
    return FALSE;
}

static void unknown_key(const char *section, const char *name, GError **error)
{
    const char *known[G_N_ELEMENTS(CONFIG_KEYS)] = {0}, *elsewhere = NULL;
    g_autoptr(GString) all = g_string_new(NULL);
    for (guint i = 0; i < CONFIG_N_KEYS; i++) {
        if (!elsewhere && strcmp(CONFIG_KEYS[i].name, name) == 0)
            elsewhere = CONFIG_KEYS[i].section;
        if (g_strcmp0(CONFIG_KEYS[i].section, section) != 0)
            continue;
        known[i] = CONFIG_KEYS[i].name;
        g_string_append_printf(all, "%s%s", all->len ? ", " : "", known[i]);
    }
    const char *meant = suggest_nearest(name, known, CONFIG_N_KEYS);
    g_autofree char *quoted = error_printable(name, -1, QUOTE_CHARS);
    g_autofree char *where = section ? g_strdup_printf("[%s] has no key \"%s\"", section, quoted)
                                     : g_strdup_printf("\"%s\" stands before any section", quoted);
    if (elsewhere)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "%s; it belongs under [%s]", where,
                    elsewhere);
    else if (meant)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "%s; did you mean \"%s\"?", where, meant);
    else if (section)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "%s; its keys are %s", where, all->str);
    else
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "%s; begin with one such as [host]",
                    where);
}

const ConfigKey *config_key_find(const char *section, const char *name, GError **error)
{
    for (guint i = 0; i < CONFIG_N_KEYS; i++)
        if (g_strcmp0(CONFIG_KEYS[i].section, section) == 0 && strcmp(CONFIG_KEYS[i].name, name) == 0)
            return &CONFIG_KEYS[i];
    unknown_key(section, name, error);
    return NULL;
}
