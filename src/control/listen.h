/* The control socket's file: one daemon at a time, nobody else's leftovers, the right owner before anybody
 * connects. */
#pragma once
#include <sys/types.h>
#include <sys/un.h>
#include <glib.h>

#define NO_GROUP ((gid_t)-1)

/* socket_address: AEROSTAT_ERROR_INVALID for a path that is empty or longer than a Unix socket's may be. */
gboolean socket_address(const char *path, struct sockaddr_un *ret, GError **error);

typedef struct {
    int fd;      /* listening, non-blocking */
    int lock_fd; /* holds PATH.lock */
    char *path;
    dev_t device; /* of the socket file, to remove it only while it is ours */
    ino_t inode;
} Listener;

/* listener_open: see control_server_new(). @group: NO_GROUP leaves the file's group alone. */
gboolean listener_open(const char *path, gid_t group, Listener *ret, GError **error);
void listener_close(Listener *listener);
