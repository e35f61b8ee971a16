#include "control/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

gboolean socket_address(const char *path, struct sockaddr_un *ret, GError **error)
{
    gsize length = strlen(path);
    if (length == 0 || length >= sizeof ret->sun_path) {
        g_set_error(
            error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
            "control socket %s: the path has %zu bytes; it needs 1 to %zu, which is what Unix sockets take",
            path, length, sizeof ret->sun_path - 1);
        return FALSE;
    }
    memset(ret, 0, sizeof *ret);
    ret->sun_family = AF_UNIX;
    memcpy(ret->sun_path, path, length);
    return TRUE;
}

static gboolean fail(const char *path, const char *what, GError **error)
{
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "control socket %s: %s: %s", path, what,
                g_strerror(errno));
    return FALSE;
}

static gboolean conflict(const char *path, long pid, GError **error)
{
    g_autofree char *who = pid > 0 ? g_strdup_printf(" (process %ld)", pid) : g_strdup("");
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                "another aerostatd%s listens on %s; stop it or give [control] socket another path", who,
                path);
    return FALSE;
}

static long lock_holder(int fd)
{
    char text[32] = "";
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    return got > 0 ? strtol(text, NULL, 10) : 0;
}

/* The lock may be a file that its last holder has just removed: then it locks nothing, and the next one is
 * tried. */
static gboolean lock_is_current(int fd, const char *lock_path)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && stat(lock_path, &named) == 0 && held.st_ino == named.st_ino &&
           held.st_dev == named.st_dev;
}

static int take_lock(const char *path, GError **error)
{
    g_autofree char *lock_path = g_strconcat(path, ".lock", NULL);
    for (;;) {
        int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) {
            fail(path, "its lock file (PATH.lock)", error);
            return -1;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            if (errno == EWOULDBLOCK)
                conflict(path, lock_holder(fd), error);
            else
                fail(path, "its lock file (PATH.lock)", error);
            close(fd);
            return -1;
        }
        if (lock_is_current(fd, lock_path)) {
            char text[32];
            int length = g_snprintf(text, sizeof text, "%ld\n", (long)getpid());
            if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)length, 0) == length)
                return fd;
            fail(path, "its lock file (PATH.lock)", error);
            close(fd);
            return -1;
        }
        close(fd);
    }
}

static void drop_lock(int fd, const char *path)
{
    g_autofree char *lock_path = g_strconcat(path, ".lock", NULL);
    if (lock_is_current(fd, lock_path))
        unlink(lock_path); /* while still held, so that nobody can have locked it meanwhile */
    close(fd);
}

/* With the lock held, a socket that answers belongs to somebody who does not know the lock: still not ours to
 * take. */
static gboolean clear_stale(const char *path, const struct sockaddr_un *address, GError **error)
{
    struct stat info;
    if (lstat(path, &info) < 0)
        return errno == ENOENT || fail(path, "looking at it", error);
    if (!S_ISSOCK(info.st_mode)) {
        g_set_error(
            error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
            "control socket %s: a file that is not a socket is there; give [control] socket another path",
            path);
        return FALSE;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(path, "socket", error);
    gboolean alive = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN;
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    if (alive)
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    close(fd);
    if (alive)
        return conflict(path, peer.pid, error);
    return unlink(path) == 0 || errno == ENOENT || fail(path, "removing a dead socket", error);
}

/* Nobody can connect between bind and listen, so the file has its owner and mode before the first client. */
static gboolean bind_and_listen(Listener *listener, const struct sockaddr_un *address, gid_t group,
                                GError **error)
{
    const char *path = listener->path;
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd < 0)
        return fail(path, "socket", error);
    if (bind(listener->fd, (const struct sockaddr *)address, sizeof *address) < 0)
        return fail(path, "bind", error);
    struct stat info;
    if (lstat(path, &info) < 0)
        return fail(path, "looking at it", error);
    listener->device = info.st_dev;
    listener->inode = info.st_ino;
    if (group != NO_GROUP && lchown(path, (uid_t)-1, group) < 0 && errno != EPERM)
        return fail(path, "giving it to its group", error);
    if (chmod(path, 0666) < 0)
        return fail(path, "chmod", error);
    if (listen(listener->fd, 64) < 0)
        return fail(path, "listen", error);
    return TRUE;
}

gboolean listener_open(const char *path, gid_t group, Listener *ret, GError **error)
{
    struct sockaddr_un address;
    if (!socket_address(path, &address, error))
        return FALSE;
    g_autofree char *parent = g_path_get_dirname(path);
    if (g_mkdir_with_parents(parent, 0755) < 0)
        return fail(path, "making its folder", error);

    Listener listener = {.fd = -1, .lock_fd = take_lock(path, error)};
    if (listener.lock_fd < 0)
        return FALSE;
    if (!clear_stale(path, &address, error)) {
        drop_lock(listener.lock_fd, path);
        return FALSE;
    }
    listener.path = g_strdup(path);
    if (!bind_and_listen(&listener, &address, group, error)) {
        listener_close(&listener);
        return FALSE;
    }
    *ret = listener;
    return TRUE;
}

void listener_close(Listener *listener)
{
    struct stat info;
    if (listener->inode != 0 && lstat(listener->path, &info) == 0 && info.st_ino == listener->inode &&
        info.st_dev == listener->device)
        unlink(listener->path);
    if (listener->fd >= 0)
        close(listener->fd);
    drop_lock(listener->lock_fd, listener->path);
    g_clear_pointer(&listener->path, g_free);
}
