/* What a container's control group says: where it is, what it holds, what it may hold; cgroup v1 and v2. */
#pragma once
#include <stdint.h>
#include <glib.h>

/* Where the kernel shows its groups on this host. */
typedef struct {
    char *v1_memory; /* (nullable) mount point of the memory controller's own hierarchy */
    char *v2;        /* (nullable) mount point of the unified hierarchy */
} CgroupMounts;

/* Clear with cgroup_mounts_clear(). @proc: "/proc". FALSE with AEROSTAT_ERROR_FAILED when no memory controller is mounted. */
gboolean cgroup_mounts_read(const char *proc, CgroupMounts *ret, GError **error);
void cgroup_mounts_clear(CgroupMounts *mounts);

typedef struct {
    uint64_t limit_bytes; /* UNKNOWN: none */
    uint64_t usage_bytes;
    uint64_t inactive_file_bytes; /* part of usage that the kernel drops first */
    uint64_t cache_bytes;         /* part of usage that holds files; or UNKNOWN */
} CgroupMemory;

/*
 * cgroup_folder: (transfer full) (nullable): the folder of the group that holds all of container @name, seen from its
 * process @pid.
 * @own_dir: (nullable): the config's lxc.cgroup.dir.container or lxc.cgroup.dir
 */
char *cgroup_folder(const char *proc, const CgroupMounts *mounts, int pid, const char *name,
                    const char *own_dir);
/* cgroup_read: FALSE when the group has gone. */
gboolean cgroup_read(const char *folder, CgroupMemory *ret);

/* ---- pure; any bytes are safe */
gboolean cgroup_parse_mounts(const char *mountinfo, CgroupMounts *ret);
/* cgroup_parse_membership: (transfer full) (nullable): the process's path in the hierarchy that counts memory.
 * @v1: it has a hierarchy of its own */
char *cgroup_parse_membership(const char *text, gboolean v1);
/*
 * cgroup_payload_path: (transfer full): @path cut behind the container's own group. A system inside the container makes
 * groups of its own and moves its processes, PID 1 too, into them.
 */
char *cgroup_payload_path(const char *path, const char *name, const char *own_dir);
/* cgroup_parse_stat: memory.stat of either version; FALSE without the file pages' figure. */
gboolean cgroup_parse_stat(const char *text, CgroupMemory *ret);
/* cgroup_parse_limit: a number as the kernel writes it, "max", or as a config may have it: "512M", "-1".
 * UNKNOWN: no limit. FALSE: not a limit. */
gboolean cgroup_parse_limit(const char *text, uint64_t *ret);
