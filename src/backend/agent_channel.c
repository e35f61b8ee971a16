#include "backend/agent_channel.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib-unix.h>
#include "policy/facts.h"

#define RETRY_MS       1000
#define TURN_BYTES     16384
#define LINES_A_SECOND 20
/* A guest that says more is not read for so long: its own port then holds it up. */
#define FLOOD_REST_MS 500
#define SECOND_US     INT64_C(1000000)
/* By the guest's clock a line comes so much later than others did: it has waited to be read. Clocks that drift apart, and
 * a guest that was paused, come to the same, but go on so: then that is how they are. */
#define LATE_US  (2 * SECOND_US)
#define LEARN_US (3 * SECOND_US)

struct AgentChannel {
    char *path;
    uint64_t maximum_bytes;
    AgentHeard heard;
    gpointer user_data;
    GDestroyNotify free_data;
    int fd; /* -1: not connected */
    GSource *source;
    guint timer; /* to connect, or to read on */
    char line[AGENT_LINE_MAX];
    gsize used;
    gboolean skipping; /* within a line that is too long */
    int64_t second_us; /* the second that lines are counted in */
    guint lines;
    int64_t behind_us; /* the least that the guest's clock was seen behind ours, in this boot */
    int64_t late_us;   /* since when lines have been late; 0: they are not */
    gboolean has_latest;
    AgentSample latest;
    int64_t heard_us;
    guint64 dropped;
};

static gboolean on_connect(gpointer user_data);
static gboolean on_readable(int fd, GIOCondition condition, gpointer user_data);

static void watch(AgentChannel *channel)
{
    channel->source = g_unix_fd_source_new(channel->fd, G_IO_IN | G_IO_HUP | G_IO_ERR);
    /* Facts from guests wait until the loop has nothing better to do. */
    g_source_set_priority(channel->source, G_PRIORITY_DEFAULT_IDLE);
    g_source_set_callback(channel->source, G_SOURCE_FUNC(on_readable), channel, NULL);
    g_autoptr(GMainContext) context = g_main_context_ref_thread_default();
    g_source_attach(channel->source, context);
}

static void unwatch(AgentChannel *channel)
{
    if (!channel->source)
        return;
    g_source_destroy(channel->source);
    g_clear_pointer(&channel->source, g_source_unref);
}

static void start_timer(AgentChannel *channel, guint ms, GSourceFunc func)
{
    GSource *timer = g_timeout_source_new(ms);
    g_source_set_callback(timer, func, channel, NULL);
    g_autoptr(GMainContext) context = g_main_context_ref_thread_default();
    channel->timer = g_source_attach(timer, context);
    g_source_unref(timer);
}

static void stop_timer(AgentChannel *channel)
{
    if (channel->timer == 0)
        return;
    g_autoptr(GMainContext) context = g_main_context_ref_thread_default();
    GSource *timer = g_main_context_find_source_by_id(context, channel->timer);
    if (timer)
        g_source_destroy(timer);
    channel->timer = 0;
}

static void disconnect(AgentChannel *channel)
{
    unwatch(channel);
    if (channel->fd >= 0)
        close(channel->fd);
    channel->fd = -1;
    channel->used = 0;
    channel->skipping = FALSE;
    stop_timer(channel);
    start_timer(channel, RETRY_MS, on_connect);
}

static gboolean on_connect(gpointer user_data)
{
    AgentChannel *channel = user_data;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    channel->timer = 0;
    g_strlcpy(address.sun_path, channel->path, sizeof address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* A Unix socket connects at once, or not at all. */
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        if (fd >= 0)
            close(fd);
        start_timer(channel, RETRY_MS, on_connect);
        return G_SOURCE_REMOVE;
    }
    channel->fd = fd;
    watch(channel);
    return G_SOURCE_REMOVE;
}

/* FALSE when this second has had its lines. */
static gboolean may_take(AgentChannel *channel, int64_t now_us)
{
    if (now_us - channel->second_us >= SECOND_US) {
        channel->second_us = now_us;
        channel->lines = 0;
    }
    return channel->lines++ < LINES_A_SECOND;
}

/* How long the line has waited. */
static int64_t waited_us(AgentChannel *channel, const AgentSample *sample, int64_t now_us)
{
    if (sample->uptime_us > G_MAXINT64 / 2)
        return 0;
    int64_t behind_us = now_us - (int64_t)sample->uptime_us;
    gboolean first = !channel->has_latest || !g_str_equal(channel->latest.boot, sample->boot) ||
                     channel->latest.uptime_us == UNKNOWN;
    if (first || behind_us < channel->behind_us)
        channel->behind_us = behind_us;
    int64_t late_us = behind_us - channel->behind_us;
    if (late_us < LATE_US) {
        channel->late_us = 0;
        return 0;
    }
    if (channel->late_us == 0)
        channel->late_us = now_us;
    if (now_us - channel->late_us < LEARN_US)
        return late_us;
    channel->behind_us = behind_us;
    channel->late_us = 0;
    return 0;
}

static void take_line(AgentChannel *channel)
{
    AgentSample sample;
    int64_t now_us = g_get_monotonic_time();
    if (!may_take(channel, now_us) ||
        !agent_line_parse(channel->line, channel->used, channel->maximum_bytes,
                          channel->has_latest ? &channel->latest : NULL, &sample, NULL)) {
        channel->dropped++;
        return;
    }
    int64_t said_us = now_us - waited_us(channel, &sample, now_us);
    channel->latest = sample;
    channel->has_latest = TRUE;
    channel->heard_us = now_us;
    channel->heard(&channel->latest, said_us, channel->user_data);
}

static void take_bytes(AgentChannel *channel, const char *text, gsize length)
{
    for (gsize i = 0; i < length; i++) {
        if (text[i] == '\n') {
            if (channel->skipping)
                channel->dropped++;
            else if (channel->used > 0)
                take_line(channel);
            channel->used = 0;
            channel->skipping = FALSE;
        } else if (channel->used == sizeof channel->line) {
            channel->skipping = TRUE;
        } else {
            channel->line[channel->used++] = text[i];
        }
    }
}

static gboolean on_rested(gpointer user_data)
{
    AgentChannel *channel = user_data;
    channel->timer = 0;
    watch(channel);
    return G_SOURCE_REMOVE;
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer user_data)
{
    AgentChannel *channel = user_data;
    char bytes[TURN_BYTES];
    ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (got <= 0) {
        disconnect(channel);
        return G_SOURCE_REMOVE;
    }
    take_bytes(channel, bytes, (gsize)got);
    if (channel->lines <= LINES_A_SECOND && got < TURN_BYTES)
        return G_SOURCE_CONTINUE;
    unwatch(channel);
    start_timer(channel, FLOOD_REST_MS, on_rested);
    return G_SOURCE_REMOVE;
}

AgentChannel *agent_channel_new(const char *path, uint64_t maximum_bytes, AgentHeard heard,
                                gpointer user_data, GDestroyNotify free_data)
{
    AgentChannel *channel = g_new0(AgentChannel, 1);
    channel->path = g_strdup(path);
    channel->maximum_bytes = maximum_bytes;
    channel->heard = heard;
    channel->user_data = user_data;
    channel->free_data = free_data;
    channel->fd = -1;
    start_timer(channel, 0, on_connect);
    return channel;
}

void agent_channel_free(AgentChannel *channel)
{
    if (!channel)
        return;
    unwatch(channel);
    stop_timer(channel);
    if (channel->fd >= 0)
        close(channel->fd);
    if (channel->free_data)
        channel->free_data(channel->user_data);
    g_free(channel->path);
    g_free(channel);
}

void agent_channel_set_maximum(AgentChannel *channel, uint64_t maximum_bytes)
{
    channel->maximum_bytes = maximum_bytes;
}

const char *agent_channel_path(const AgentChannel *channel)
{
    return channel->path;
}

const AgentSample *agent_channel_latest(const AgentChannel *channel)
{
    return channel->has_latest ? &channel->latest : NULL;
}

int64_t agent_channel_heard_us(const AgentChannel *channel)
{
    return channel->heard_us;
}

gboolean agent_channel_connected(const AgentChannel *channel)
{
    return channel->fd >= 0;
}

guint64 agent_channel_dropped(const AgentChannel *channel)
{
    return channel->dropped;
}
