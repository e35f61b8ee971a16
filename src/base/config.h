/* The daemon's key file: every key, its default, and a refusal with file, line and remedy for anything else. */
#pragma once
#include <stdint.h>
#include <glib.h>

typedef enum { MODE_OBSERVE, MODE_MANAGE } Mode;

/* Room for every key there is; held against the table of keys when that is compiled. */
#define CONFIG_KEYS_MAX 32

/* No key file comes near this; whoever names a disk image or /dev/zero by mistake hears so at once. */
#define CONFIG_FILE_MAX_BYTES 1048576

/* A size that may be relative: percent of something known only later (host memory, a server's maximum, the pool). */
typedef struct {
    gboolean is_auto; /* "auto" was written, or the key was absent and auto is its default */
    gboolean is_percent;
    double percent; /* 0-100 when is_percent */
    uint64_t bytes; /* when neither */
} SizeSetting;

typedef struct {
    char *file;          /* where it was read from; NULL for the defaults alone */
    SizeSetting pool;    /* [host] pool: "auto" or a size or percent of host memory */
    SizeSetting reserve; /* [host] reserve: never managed when the pool is auto; default 10% of host memory */
    SizeSetting slack;   /* [host] slack: default 5% of the pool */
    Mode mode;           /* [host] mode: default observe */
    SizeSetting
        minimum; /* [policy] minimum: servers with none of their own; default 25% of the server's maximum */
    uint32_t weight;          /* [policy] weight: 1-10000, default 100 */
    SizeSetting overhead;     /* [policy] overhead: "auto" (measured) or a size */
    gboolean libvirt_enabled; /* [libvirt] enabled: default true */
    char *libvirt_uri;        /* [libvirt] uri: default qemu:///system */
    char **libvirt_servers;   /* [libvirt] servers: globs, ';' or ',' separated; default "*" */
    char *lxc_path;           /* [lxc] path; default NULL: none */
    char **lxc_servers;       /* [lxc] servers; default "*" */
    char **qmp_sockets;       /* [qmp] sockets: globs of paths; default empty */
    char *control_socket;     /* [control] socket: default /run/aerostat/control.sock */
    char *control_group;      /* [control] group: default "aerostat" */
    char *store_path;         /* [store] path: a folder, default /var/lib/aerostat */
    char *images_path;        /* [images] path: descriptions of images; default /etc/aerostat/images */
    char *images_disks;    /* [images] disks: where new servers' disks go; default /var/lib/libvirt/images */
    char *web_listen;      /* [web] listen: default 127.0.0.1:8470 (read by aerostat-web) */
    char *web_certificate; /* [web] certificate: a PEM file; default NULL: no TLS */
    char *web_key;         /* [web] key: a PEM file; default NULL */
    char **web_proxies;    /* [web] proxies: addresses whose X-Forwarded-* is believed; default empty */
    guint key_lines[CONFIG_KEYS_MAX]; /* on which line each key was set; ask config_key_line() */
} Config;

/* config_new: all defaults. Free with config_free(). */
Config *config_new(void);
void config_free(Config *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_free)

/*
 * config_load:
 * @path:  (nullable): NULL gives the defaults
 * Returns: (transfer full), or NULL with AEROSTAT_ERROR_INVALID: "FILE:LINE: what is wrong; what would be right".
 *          An unknown section or key, a key given twice, a bad or impossible value, and a file that cannot be read
 *          are each refused. Suggests the nearest known key for a misspelt one.
 */
Config *config_load(const char *path, GError **error);

/* config_parse: the same from memory; @name stands for the file in messages. Any bytes are safe. */
Config *config_parse(const char *text, gsize length, const char *name, GError **error);

/* config_key_line: the line on which [@section] @name was set; 0 when it has its default (or is no key at all). */
guint config_key_line(const Config *config, const char *section, const char *name);

/*
 * config_check_host: pool, reserve and slack against the real host.
 * @host_bytes: MemTotal
 * Errors (AEROSTAT_ERROR_INVALID, with the file and line of the key): a pool larger than host memory, a reserve that
 * leaves nothing, a slack above half of the pool.
 */
gboolean config_check_host(const Config *config, uint64_t host_bytes, GError **error);

/* size_setting_resolve: bytes of @setting with @of_bytes for a percentage; @if_auto for auto. */
uint64_t size_setting_resolve(const SizeSetting *setting, uint64_t of_bytes, uint64_t if_auto);
