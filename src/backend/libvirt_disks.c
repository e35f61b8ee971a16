/* Whose disk a file is: before one is removed for good, every definition is asked, and every chain of backing files. */
#include "backend/libvirt_private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

/* Far beyond any chain of snapshots; a chain may be a ring by mistake. */
#define CHAIN_MAX 256
/* QEMU's own limit for the name of a backing file (docs/interop/qcow2.txt). */
#define NAME_MAX_BYTES 1023

typedef enum { STANDS_ALONE, STANDS_ON, STANDS_UNKNOWN } Standing;

/* A qcow2 header begins with a magic, a version, and where the name of its backing file is (docs/interop/qcow2.txt). */
static Standing backing_of(const char *path, char **ret_backing)
{
    struct __attribute__((packed)) {
        guint8 magic[4];
        guint32 version;
        guint64 offset;
        guint32 size;
    } header;
    char name[NAME_MAX_BYTES + 1] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return STANDS_UNKNOWN; /* also one that is not there: it may be, for whom this daemon's unit does not hide it */
    ssize_t got = pread(fd, &header, sizeof header, 0);
    gsize size = got == sizeof header ? GUINT32_FROM_BE(header.size) : 0;
    Standing standing = got < 0 ? STANDS_UNKNOWN : STANDS_ALONE;
    if (got == sizeof header && memcmp(header.magic, "QFI\xfb", 4) == 0 && header.offset != 0 && size != 0) {
        guint64 offset = GUINT64_FROM_BE(header.offset);
        gboolean read = size <= NAME_MAX_BYTES && offset <= G_MAXINT64 &&
                        pread(fd, name, size, (off_t)offset) == (ssize_t)size;
        standing = read ? STANDS_ON : STANDS_UNKNOWN;
    }
    close(fd);
    if (standing != STANDS_ON)
        return standing;
    const char *file = g_str_has_prefix(name, "file:") ? name + strlen("file:") : name;
    if (g_str_has_prefix(file, "json:"))
        return STANDS_UNKNOWN;
    g_autofree char *folder = g_path_get_dirname(path);
    *ret_backing = g_path_is_absolute(file) ? g_strdup(file) : g_build_filename(folder, file, NULL);
    return STANDS_ON;
}

static gboolean is_same_file(const char *a, const char *b)
{
    struct stat one, other;
    if (g_str_equal(a, b))
        return TRUE;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

gboolean disks_stand_on(const char *disk, const char *file)
{
    g_autofree char *path = g_strdup(disk);
    for (guint i = 0; i < CHAIN_MAX; i++) {
        char *backing = NULL;
        if (is_same_file(path, file))
            return TRUE;
        Standing standing = backing_of(path, &backing);
        if (standing != STANDS_ON)
            return standing == STANDS_UNKNOWN;
        g_free(path);
        path = backing;
    }
    return TRUE;
}

/* Whether @file is in a definition of @domain, the running one or the next, or behind one of its disks; where that cannot
 * be read, or a disk is in a pool or on a network and may be anything, it may be. */
static gboolean may_use(virDomainPtr domain, const char *file)
{
    static const unsigned kinds[] = {0, VIR_DOMAIN_XML_INACTIVE};
    for (guint k = 0; k < G_N_ELEMENTS(kinds); k++) {
        g_autofree char *xml = virDomainGetXMLDesc(domain, kinds[k]);
        g_autoptr(GPtrArray) disks = xml ? define_disks(xml) : NULL;
        if (!disks || strstr(xml, file) || define_has_hidden(xml))
            return TRUE;
        for (guint i = 0; i < disks->len; i++)
            if (disks_stand_on(disks->pdata[i], file))
                return TRUE;
    }
    return FALSE;
}

gboolean disks_is_shared(virConnectPtr conn, const char *own_id, const char *file)
{
    virDomainPtr *domains = NULL;
    int n = virConnectListAllDomains(conn, &domains, 0);
    gboolean shared = n < 0;
    for (int i = 0; i < n; i++) {
        char id[VIR_UUID_STRING_BUFLEN] = "";
        virDomainGetUUIDString(domains[i], id);
        if (!shared && g_strcmp0(id, own_id) != 0 && may_use(domains[i], file)) {
            g_message("the disk %s is kept: server %s has it, or may have it", file,
                      virDomainGetName(domains[i]));
            shared = TRUE;
        }
        virDomainFree(domains[i]);
    }
    g_free(domains);
    return shared;
}
