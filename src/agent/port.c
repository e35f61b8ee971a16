/* The virtio-serial port by its name: by udev's link, or where there is no udev, by what the kernel calls it. */
#include "agent.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 300

static bool has_name(const char *device)
{
    char path[PATH_BYTES], name[64] = "";
    snprintf(path, sizeof path, "/sys/class/virtio-ports/%.200s/name", device);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, name, sizeof name - 1);
    close(fd);
    name[got > 0 ? (size_t)got : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
    return strcmp(name, AGENT_PORT) == 0;
}

static int open_device(const char *path)
{
    return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

int agent_open_port(const char *path)
{
    if (path)
        return open_device(path);
    int fd = open_device("/dev/virtio-ports/" AGENT_PORT);
    DIR *ports = fd < 0 ? opendir("/sys/class/virtio-ports") : NULL;
    if (!ports)
        return fd;
    for (const struct dirent *entry; fd < 0 && (entry = readdir(ports)) != NULL;) {
        char device[PATH_BYTES];
        snprintf(device, sizeof device, "/dev/%.200s", entry->d_name);
        if (entry->d_name[0] != '.' && has_name(entry->d_name))
            fd = open_device(device);
    }
    closedir(ports);
    return fd;
}
