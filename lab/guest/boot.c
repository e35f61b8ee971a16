/* Mounts, kernel modules, device names and swap: what a distribution's init scripts would do. */
#define _GNU_SOURCE
#include "lab.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const modules[] = {
    "virtio_ring", "virtio",     "virtio_pci_modern_dev", "virtio_pci_legacy_dev",
    "virtio_pci",  "virtio_blk", "virtio_console",        "virtio_balloon",
};

void boot_mount(void)
{
    mkdir("/proc", 0755);
    mkdir("/sys", 0755);
    mkdir("/dev", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
}

/* A module that is not in the image is built into the kernel, or the device is not wanted. */
int boot_set_module(const char *name, bool loaded)
{
    char path[128];
    snprintf(path, sizeof path, "/modules/%s.ko", name);
    if (!loaded)
        return (int)syscall(SYS_delete_module, name, O_NONBLOCK);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    int result = (int)syscall(SYS_finit_module, fd, "", 0);
    if (result < 0 && errno == EEXIST)
        result = 0;
    close(fd);
    return result;
}

void boot_modules(bool with_balloon)
{
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
        if (!with_balloon && strcmp(modules[i], "virtio_balloon") == 0)
            continue;
        if (boot_set_module(modules[i], true) < 0)
            fprintf(stderr, "aerolab: module %s: %s\n", modules[i], strerror(errno));
    }
}

static bool read_word(const char *path, char *word, size_t size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool ok = fgets(word, (int)size, file) != NULL;
    fclose(file);
    if (ok)
        word[strcspn(word, "\n")] = '\0';
    return ok;
}

/* udev's /dev/virtio-ports/NAME, for programs that know the port by its name. */
void boot_link_ports(void)
{
    DIR *dir = opendir("/sys/class/virtio-ports");
    if (dir == NULL)
        return;
    mkdir("/dev/virtio-ports", 0755);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[300], name[128], link[300];
        snprintf(path, sizeof path, "/sys/class/virtio-ports/%.200s/name", entry->d_name);
        if (entry->d_name[0] == '.' || !read_word(path, name, sizeof name))
            continue;
        snprintf(path, sizeof path, "../%.200s", entry->d_name);
        snprintf(link, sizeof link, "/dev/virtio-ports/%.120s", name);
        if (symlink(path, link) < 0 && errno != EEXIST)
            fprintf(stderr, "aerolab: %s: %s\n", link, strerror(errno));
    }
    closedir(dir);
}

/* The kernel learns a port's name from the host a moment after the driver starts: up to 2 s of patience. */
int boot_open_port(const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "/dev/virtio-ports/%s", name);
    for (int i = 0; i < 200; i++) {
        boot_link_ports();
        int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0)
            return fd;
        usleep(10000);
    }
    return -1;
}

/* Disks are known by their virtio serial number ("cache", "swap"), not by their letter. */
bool boot_find_disk(const char *serial, char *path, size_t size)
{
    for (char letter = 'a'; letter <= 'h'; letter++) {
        char name[64], word[64] = "";
        snprintf(name, sizeof name, "/sys/block/vd%c/serial", letter);
        if (read_word(name, word, sizeof word) && strcmp(word, serial) == 0) {
            snprintf(path, size, "/dev/vd%c", letter);
            return true;
        }
    }
    errno = ENODEV;
    return false;
}

/* The header that mkswap would write (Linux: union swap_header), for the whole disk. */
static int write_swap_header(int fd)
{
    struct {
        char boot_bits[1024];
        uint32_t version, last_page, bad_pages;
        char padding[3050];
        char magic[10];
    } __attribute__((packed)) header = {.version = 1};
    _Static_assert(sizeof header == 4096, "one page");

    off_t bytes = lseek(fd, 0, SEEK_END);
    if (bytes < (off_t)(16 * PAGE_BYTES))
        return -1;
    header.last_page = (uint32_t)((uint64_t)bytes / PAGE_BYTES - 1);
    memcpy(header.magic, "SWAPSPACE2", sizeof header.magic);
    if (pwrite(fd, &header, sizeof header, 0) != (ssize_t)sizeof header)
        return -1;
    return fsync(fd);
}

int boot_swap(bool on)
{
    char path[32];
    if (!boot_find_disk("swap", path, sizeof path))
        return -1;
    if (!on) {
        int result;
        do
            /* A worker that ends interrupts it. */
            result = swapoff(path);
        while (result < 0 && errno == EINTR);
        return result;
    }
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = write_swap_header(fd);
    close(fd);
    return result < 0 ? result : swapon(path, 0);
}

/* KEY=VALUE or KEY="VALUE WITH SPACES" of the kernel command line. */
bool boot_argument(const char *key, char *value, size_t size)
{
    char text[4096];
    if (!read_word("/proc/cmdline", text, sizeof text))
        return false;
    size_t length = strlen(key);
    for (char *at = text; (at = strstr(at, key)) != NULL; at += length) {
        bool starts = at == text || at[-1] == ' ' || at[-1] == '"';
        if (!starts || at[length] != '=')
            continue;
        bool quoted = at[-1] == '"' || at[length + 1] == '"';
        const char *from = at + length + (at[length + 1] == '"' ? 2 : 1);
        size_t n = strcspn(from, quoted ? "\"" : " ");
        snprintf(value, size, "%.*s", (int)n, from);
        return true;
    }
    return false;
}
