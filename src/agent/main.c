/* aerostat-agent: tells the host, from within the guest, how its memory stands. */
#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_MS 1000
/* 10 ms of waiting within half a second, the shortest window there is: the kernel looks every 50 ms. Without the right to
 * that, newer kernels still give windows of 2 s. */
static const char *const TRIGGERS[] = {"some 10000 500000", "some 40000 2000000"};
/* A guest under lasting pressure is heard ten times a second, not more. */
#define PRESSURE_GAP_MS 100
/* A port may come later than we do; a guest without one costs nothing meanwhile. */
#define NO_PORT_MS 5000

typedef struct {
    const char *port_path;
    int port, pressure;
    uint64_t sequence;
    bool said_missing;
} Agent;

static const char HELP[] =
    "Usage: aerostat-agent [--port PATH] [--once] [--version] [--help]\n"
    "\n"
    "Tells the host how this guest's memory stands: once a second, and at once under pressure,\n"
    "one line of JSON on the virtio-serial port " AGENT_PORT ". Nothing is asked of it, nothing\n"
    "is configured, and it takes no commands.\n"
    "\n"
    "  --port PATH  write to this device instead of looking for the port\n"
    "  --once       print one line and end\n";

static const char NO_PORT[] =
    "aerostat-agent: this machine has no port " AGENT_PORT
    "; it is looked for again by itself. The host's operator adds\n"
    "  <channel type='unix'><target type='virtio' name='" AGENT_PORT "'/></channel>\n"
    "to the machine's definition.\n";

static volatile sig_atomic_t stopping;

static void on_stop(int number)
{
    (void)number;
    stopping = 1;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* It must answer while everything else waits for memory: never swapped out, and the last to be killed. */
static void harden(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, "-900", 4) < 0)
            fprintf(stderr, "aerostat-agent: it may be killed when memory runs out: %s\n", strerror(errno));
        close(fd);
    }
    /* Its few milliseconds a second go before whatever keeps the processors busy. */
    if (setpriority(PRIO_PROCESS, 0, -10) < 0)
        fprintf(stderr, "aerostat-agent: it may be late while the guest is busy: %s\n", strerror(errno));
    if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
        fprintf(stderr, "aerostat-agent: its memory may be swapped out: %s\n", strerror(errno));
}

static int open_pressure(void)
{
    for (size_t i = 0; i < sizeof TRIGGERS / sizeof *TRIGGERS; i++) {
        int fd = open("/proc/pressure/memory", O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
            break;
        if (write(fd, TRIGGERS[i], strlen(TRIGGERS[i]) + 1) > 0)
            return fd;
        close(fd);
    }
    fprintf(stderr,
            "aerostat-agent: the kernel reports no pressure (%s): the host hears once a second only\n",
            strerror(errno));
    return -1;
}

/* A line that the host does not take now is old by the time it would: it is dropped, whole. */
static bool send_line(Agent *agent, AgentWhy why)
{
    char line[AGENT_LINE_BYTES];
    AgentSample sample;
    agent_sample("", &sample);
    size_t length = agent_line(&sample, why, agent->sequence++, agent->pressure >= 0, line, sizeof line);
    size_t done = 0;
    while (done < length) {
        ssize_t wrote = write(agent->port, line + done, length - done);
        if (wrote > 0) {
            done += (size_t)wrote;
            continue;
        }
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0 && errno != EAGAIN)
            return false; /* the port has gone */
        if (done == 0)
            return true;
        /* Begun, so it is ended: half a line would spoil the next. */
        struct pollfd port = {.fd = agent->port, .events = POLLOUT};
        if (poll(&port, 1, PERIOD_MS) <= 0)
            return true;
    }
    return true;
}

static bool find_port(Agent *agent)
{
    agent->port = agent_open_port(agent->port_path);
    if (agent->port >= 0) {
        agent->said_missing = false;
        return send_line(agent, WHY_HELLO);
    }
    if (!agent->said_missing && agent->port_path)
        fprintf(stderr, "aerostat-agent: %s: %s; it is tried again by itself\n", agent->port_path,
                strerror(errno));
    else if (!agent->said_missing)
        fputs(NO_PORT, stderr);
    agent->said_missing = true;
    return false;
}

/* Until the next line is due; true when the kernel has reported pressure. */
static bool wait_for_pressure(const Agent *agent, int64_t until_ms)
{
    for (int64_t left_ms; !stopping && (left_ms = until_ms - now_ms()) > 0;) {
        struct pollfd pressure = {.fd = agent->pressure, .events = POLLPRI};
        if (poll(&pressure, 1, (int)left_ms) > 0 && (pressure.revents & POLLPRI))
            return true;
    }
    return false;
}

static void pause_ms(int ms)
{
    if (!stopping)
        poll(NULL, 0, ms);
}

static void run(Agent *agent)
{
    int64_t next_ms = 0;
    while (!stopping) {
        if (agent->port < 0 && !find_port(agent)) {
            pause_ms(NO_PORT_MS);
            continue;
        }
        next_ms = next_ms + PERIOD_MS > now_ms() ? next_ms + PERIOD_MS : now_ms() + PERIOD_MS;
        bool pressed = wait_for_pressure(agent, next_ms);
        if (!send_line(agent, pressed ? WHY_PRESSURE : WHY_PERIOD)) {
            close(agent->port);
            agent->port = -1;
        }
        if (pressed) {
            pause_ms(PRESSURE_GAP_MS);
            next_ms = now_ms();
        }
    }
}

static int print_once(void)
{
    char line[AGENT_LINE_BYTES];
    AgentSample sample;
    agent_sample("", &sample);
    size_t length = agent_line(&sample, WHY_HELLO, 0, false, line, sizeof line);
    return length > 0 && fwrite(line, 1, length, stdout) == length ? 0 : 1;
}

int main(int argc, char **argv)
{
    Agent agent = {.port = -1, .pressure = -1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return fputs(HELP, stdout) < 0;
        if (strcmp(argv[i], "--version") == 0)
            return puts("aerostat-agent " AEROSTAT_VERSION) < 0;
        if (strcmp(argv[i], "--once") == 0)
            return print_once();
        if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) {
            agent.port_path = argv[++i];
            continue;
        }
        fprintf(stderr, "aerostat-agent: \"%s\" is not an option, or lacks its value; see --help\n", argv[i]);
        return 2;
    }
    struct sigaction stop = {.sa_handler = on_stop};
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    harden();
    agent.pressure = open_pressure();
    run(&agent);
    return 0;
}
