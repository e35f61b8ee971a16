/* The guest's agent: its lines as the daemon reads them, and the channel against guests that send whatever they like. */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib.h>
#include <glib/gstdio.h>
#include "backend/agent_channel.h"
#include "base/u64.h"
#include "policy/facts.h"

#define GOOD                                                                                                 \
    "{\"v\":1,\"version\":\"0.1.0\",\"why\":\"period\",\"sequence\":3,\"boot\":\"b-1\",\"triggers\":true,"   \
    "\"psi_some_us\":5,\"total_bytes\":1000,\"available_bytes\":600,\"free_bytes\":500,\"swap_in_bytes\":7}"

static gboolean parses(const char *text, const AgentSample *before, AgentSample *ret)
{
    g_autoptr(GError) error = NULL;
    gboolean good = agent_line_parse(text, strlen(text), 2000, before, ret, &error);
    g_assert_true(good == (error == NULL));
    return good;
}

static void test_good(void)
{
    AgentSample sample;
    g_assert_true(parses(GOOD, NULL, &sample));
    g_assert_cmpstr(sample.version, ==, "0.1.0");
    g_assert_cmpstr(sample.boot, ==, "b-1");
    g_assert_cmpuint(sample.available_bytes, ==, 600);
    g_assert_cmpuint(sample.swap_in_bytes, ==, 7);
    g_assert_true(sample.refaults == UNKNOWN);
    g_assert_false(sample.pressure);
}

/* @old in the good line replaced by @new must be refused. */
static void assert_refused(const char *old, const char *new)
{
    AgentSample sample = {.psi_some_us = 42};
    g_auto(GStrv) parts = g_strsplit(GOOD, old, 2);
    g_assert_nonnull(parts[1]);
    g_autofree char *text = g_strjoinv(new, parts);
    if (parses(text, NULL, &sample))
        g_error("taken: %s", text);
    g_assert_cmpuint(sample.psi_some_us, ==, 42);
}

static void test_refused(void)
{
    AgentSample sample;
    static const char *const garbage[] = {"", "{", "[]", "null", "7", "\"x\"", "{}", "\xff\xfe", "{\"v\":1}"};
    for (gsize i = 0; i < G_N_ELEMENTS(garbage); i++)
        g_assert_false(parses(garbage[i], NULL, &sample));
    assert_refused("\"v\":1", "\"v\":2");
    assert_refused("\"v\":1", "\"v\":\"1\"");
    assert_refused("\"0.1.0\"", "\"\"");
    assert_refused("\"0.1.0\"", "\"0.1.0 <script>\"");
    assert_refused("\"0.1.0\"", "\"0.1.0\\n\"");
    assert_refused("\"0.1.0\"", "\"0123456789012345678901234567890\"");
    assert_refused("\"b-1\"", "1");
    assert_refused("\"b-1\"", "\"0123456789012345678901234567890123456789\"");
    assert_refused("\"period\"", "3");
    assert_refused("1000", "2001"); /* more than the machine has */
    assert_refused("1000", "0");
    assert_refused("1000", "-1");
    assert_refused("1000", "1e3");
    assert_refused("1000", "99999999999999999999999");
    assert_refused("600", "1001");
    assert_refused("500", "1001");
    assert_refused("\"available_bytes\":600,", "");
    assert_refused("\"psi_some_us\":5", "\"psi_some_us\":-5");
    assert_refused("\"psi_some_us\":5", "\"psi_some_us\":5,\"psi_some_us\":6");
}

static void test_counters(void)
{
    AgentSample before, sample;
    g_assert_true(parses(GOOD, NULL, &before));
    g_assert_true(parses(GOOD, &before, &sample));
    before.psi_some_us = 6;
    g_assert_false(parses(GOOD, &before, &sample)); /* fell within a boot */
    g_strlcpy(before.boot, "b-0", sizeof before.boot);
    g_assert_true(parses(GOOD, &before, &sample)); /* another boot */
}

/* A port's socket, as QEMU would have it. */
typedef struct {
    char *folder, *path;
    int listener, guest;
    guint heard;
    AgentSample last;
    int64_t said_us;
    AgentChannel *channel;
} Port;

static void on_heard(const AgentSample *sample, int64_t said_us, gpointer user_data)
{
    Port *port = user_data;
    port->heard++;
    port->said_us = said_us;
    port->last = *sample;
}

static void port_listen(Port *port)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, port->path, sizeof address.sun_path);
    port->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(port->listener, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(port->listener, 1), ==, 0);
}

static void turn_for(guint ms)
{
    int64_t end_us = g_get_monotonic_time() + (int64_t)ms * 1000;
    while (g_get_monotonic_time() < end_us) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(1000);
    }
}

static void port_accept(Port *port)
{
    while (!agent_channel_connected(port->channel))
        g_main_context_iteration(NULL, TRUE);
    port->guest = accept4(port->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    g_assert_cmpint(port->guest, >=, 0);
}

static void port_open(Port *port)
{
    *port = (Port){.guest = -1};
    port->folder = g_dir_make_tmp("agent-XXXXXX", NULL);
    port->path = g_build_filename(port->folder, "port", NULL);
    port_listen(port);
    port->channel = agent_channel_new(port->path, 2000, on_heard, port, NULL);
    port_accept(port);
}

static void port_close(Port *port)
{
    agent_channel_free(port->channel);
    close(port->guest);
    close(port->listener);
    g_unlink(port->path);
    g_rmdir(port->folder);
    g_free(port->path);
    g_free(port->folder);
}

static void say(Port *port, const char *text, gsize length)
{
    g_assert_cmpint(send(port->guest, text, length, MSG_NOSIGNAL), ==, (gssize)length);
}

static void test_halves(void)
{
    Port port;
    port_open(&port);
    const char *line = GOOD "\n";
    for (gsize i = 0; line[i]; i++) {
        say(&port, line + i, 1);
        turn_for(1);
        g_assert_cmpuint(port.heard, ==, line[i] == '\n' ? 1 : 0);
    }
    g_assert_cmpuint(agent_channel_dropped(port.channel), ==, 0);
    port_close(&port);
}

static void test_garbage(void)
{
    Port port;
    port_open(&port);
    g_autofree char *longest = g_strnfill(3 * AGENT_LINE_MAX, 'x');
    say(&port, longest, strlen(longest));
    say(&port, "\n\n\0\xff{\n" GOOD "\n", 6 + sizeof GOOD);
    turn_for(50);
    g_assert_cmpuint(port.heard, ==, 1);
    g_assert_cmpuint(agent_channel_dropped(port.channel), ==, 2);
    port_close(&port);
}

/* More than the machine had is not believed until it has more. */
static void test_plugged(void)
{
    Port port;
    port_open(&port);
    agent_channel_set_maximum(port.channel, 900);
    say(&port, GOOD "\n", sizeof GOOD);
    turn_for(50);
    g_assert_cmpuint(port.heard, ==, 0);
    agent_channel_set_maximum(port.channel, 1000);
    say(&port, GOOD "\n", sizeof GOOD);
    turn_for(50);
    g_assert_cmpuint(port.heard, ==, 1);
    port_close(&port);
}

/* However much a guest says, 20 lines a second are taken, and the loop is left to others. */
static void test_flood(void)
{
    Port port;
    port_open(&port);
    const char *line = GOOD "\n";
    guint64 sent = 0, turns = 0;
    int64_t end_us = g_get_monotonic_time() + 1500000;
    while (g_get_monotonic_time() < end_us) {
        sent += send(port.guest, line, strlen(line), MSG_NOSIGNAL) > 0 ? 1 : 0;
        g_main_context_iteration(NULL, FALSE);
        turns++;
    }
    g_assert_cmpuint(port.heard, >=, 20);
    g_assert_cmpuint(port.heard, <=, 60);
    g_assert_cmpuint(sent, >, port.heard); /* the rest was dropped, or waits in the guest's own port */
    g_assert_cmpuint(turns, >, 100);
    port_close(&port);
}

static void test_again(void)
{
    Port port;
    port_open(&port);
    say(&port, GOOD, 10); /* the guest resets in the middle of a line */
    turn_for(20);
    close(port.guest);
    turn_for(20);
    g_assert_false(agent_channel_connected(port.channel));
    port_accept(&port);
    say(&port, GOOD "\n", sizeof GOOD);
    turn_for(50);
    g_assert_cmpuint(port.heard, ==, 1);
    g_assert_cmpuint(agent_channel_dropped(port.channel), ==, 0);
    port_close(&port);
}

static void say_at(Port *port, const char *boot, int64_t uptime_us)
{
    g_autofree char *line = g_strdup_printf(
        "{\"v\":1,\"version\":\"1\",\"why\":\"period\",\"boot\":\"%s\",\"uptime_us\":%" G_GINT64_FORMAT
        ",\"total_bytes\":1000,\"available_bytes\":600,\"free_bytes\":500}\n",
        boot, uptime_us);
    guint heard = port->heard;
    say(port, line, strlen(line));
    while (port->heard == heard)
        g_main_context_iteration(NULL, TRUE);
}

/* Lines that waited in the port are as old as they are; a guest whose clock stood still is believed again soon. */
static void test_late(void)
{
    Port port;
    port_open(&port);
    const int64_t up_us = INT64_C(100000000), second_us = 1000000;
    int64_t began_us = g_get_monotonic_time();
    say_at(&port, "b", up_us);
    say_at(&port, "b", up_us - 60 * second_us);
    g_assert_cmpint(g_get_monotonic_time() - port.said_us, >=, 60 * second_us);
    say_at(&port, "b", up_us - 59 * second_us);
    g_assert_cmpint(g_get_monotonic_time() - port.said_us, >=, 59 * second_us);
    say_at(&port, "b", up_us + g_get_monotonic_time() - began_us);
    g_assert_cmpint(port.said_us, >=, began_us);
    say_at(&port, "c", second_us); /* another boot */
    g_assert_cmpint(port.said_us, >=, began_us);
    for (int i = 0; i < 20 && g_get_monotonic_time() - began_us < 10 * second_us; i++) {
        say_at(&port, "d", i == 0 ? 60 * second_us : g_get_monotonic_time() - began_us);
        if (i == 1)
            g_assert_cmpint(g_get_monotonic_time() - port.said_us, >, 50 * second_us);
        turn_for(200);
    }
    g_assert_cmpint(g_get_monotonic_time() - port.said_us, <, second_us);
    port_close(&port);
}

static void test_nobody(void)
{
    g_autoptr(AgentChannel) channel = agent_channel_new("/nowhere/port", 2000, on_heard, NULL, NULL);
    turn_for(50);
    g_assert_false(agent_channel_connected(channel));
    g_assert_null(agent_channel_latest(channel));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/agent/line/good", test_good);
    g_test_add_func("/agent/line/refused", test_refused);
    g_test_add_func("/agent/line/counters", test_counters);
    g_test_add_func("/agent/channel/halves", test_halves);
    g_test_add_func("/agent/channel/garbage", test_garbage);
    g_test_add_func("/agent/channel/plugged", test_plugged);
    g_test_add_func("/agent/channel/flood", test_flood);
    g_test_add_func("/agent/channel/again", test_again);
    g_test_add_func("/agent/channel/late", test_late);
    g_test_add_func("/agent/channel/nobody", test_nobody);
    return g_test_run();
}
