/* The lab guest's /init: starts the guest, then serves commands, the script and the reports until it is reset. */
#define _GNU_SOURCE
#include "lab.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PORT_NAME        "org.aerostat.lab.0"
#define AGENT_PATH       "/sbin/aerostat-agent"
#define REPORT_PERIOD_US 500000
/* While a script waits or the host is not connected there is nothing to poll for: look again this often. */
#define IDLE_MS 20
/* About 6 % of a core under TCG; every page of 100 MiB is touched once in 5 s. */
#define TOUCH_RATE 5000

static void set_oom_score(const char *score)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, score, strlen(score)) < 0)
        fprintf(stderr, "aerolab: oom_score_adj: %s\n", strerror(errno));
    close(fd);
}

void worker_start(struct lab *lab, struct worker *worker)
{
    pid_t pid = fork();
    if (pid < 0) {
        fprintf(stderr, "aerolab: fork: %s\n", strerror(errno));
        return;
    }
    if (pid == 0) {
        set_oom_score("1000");
        close(lab->notes[0]);
        worker->run(lab->shared, lab->notes[1]);
        _exit(0);
    }
    worker->pid = pid;
    worker->starts++;
}

/* False: this guest was not given one. */
bool agent_start(struct lab *lab)
{
    if (access(AGENT_PATH, X_OK) < 0)
        return false;
    pid_t pid = lab->agent_pid != 0 ? lab->agent_pid : fork();
    if (pid == 0) {
        set_oom_score("-900");
        execl(AGENT_PATH, AGENT_PATH, (char *)NULL);
        _exit(127);
    }
    lab->agent_pid = pid < 0 ? 0 : pid;
    return pid > 0;
}

void agent_end(struct lab *lab)
{
    if (lab->agent_pid != 0)
        kill(lab->agent_pid, SIGTERM);
    lab->agent_pid = 0;
}

static void worker_ended(struct lab *lab, struct worker *worker, int status)
{
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    worker->pid = 0;
    output_event("\"event\",\"event\":\"%s\",\"worker\":\"%s\",\"status\":%d,\"anon_bytes\":%" PRIu64
                 ",\"time_us\":%" PRId64,
                 killed ? "oom" : "worker-exit", worker->name, status, atomic_load(&lab->shared->anon_bytes),
                 time_us(CLOCK_REALTIME));
    if (worker == &lab->anon) {
        atomic_store(&lab->shared->anon_goal_bytes, 0);
        atomic_store(&lab->shared->anon_bytes, 0);
    } else {
        atomic_store(&lab->shared->cache_goal_bytes, 0);
        atomic_store(&lab->shared->cache_bytes, 0);
    }
}

static void reap(struct lab *lab)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == lab->anon.pid)
            worker_ended(lab, &lab->anon, status);
        else if (pid == lab->cache.pid)
            worker_ended(lab, &lab->cache, status);
        else if (pid == lab->agent_pid)
            lab->agent_pid = 0;
    }
}

static void tell_note(const struct note *note)
{
    static const char *const names[] = {"burst", "reached", "cached"};
    output_event("\"event\",\"event\":\"%s\",\"time_us\":%" PRId64 ",\"took_us\":%" PRId64
                 ",\"from_bytes\":%" PRIu64 ",\"goal_bytes\":%" PRIu64,
                 names[note->kind], note->time_us, note->took_us, note->from_bytes, note->goal_bytes);
}

static void read_notes(const struct lab *lab)
{
    struct note note;
    while (read(lab->notes[0], &note, sizeof note) == (ssize_t)sizeof note)
        tell_note(&note);
}

static void read_commands(struct lab *lab)
{
    static char text[LINE_BYTES];
    static size_t used;
    ssize_t got = read(output_fd(), text + used, sizeof text - 1 - used);
    if (got <= 0)
        return;
    used += (size_t)got;
    text[used] = '\0';
    char *line = text;
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        command_line(lab, line);
    }
    used = strlen(line);
    memmove(text, line, used + 1);
    if (used == sizeof text - 1)
        used = 0;
}

static void report_if_due(struct lab *lab, int64_t now_us)
{
    static char line[LINE_BYTES];
    if (lab->report_period_us == 0 || now_us < lab->report_next_us)
        return;
    lab->report_next_us += lab->report_period_us;
    if (lab->report_next_us <= now_us)
        lab->report_next_us = now_us + lab->report_period_us;
    output_flush();
    if (!output_idle())
        return;
    stats_report(line, sizeof line, lab->shared, &lab->anon);
    output_line(line);
}

static int poll_timeout_ms(const struct lab *lab, bool connected)
{
    if (!connected || !output_idle() || lab->script_waiting)
        return IDLE_MS;
    int64_t now_us = time_us(CLOCK_MONOTONIC), until_us = now_us + 1000000;
    if (lab->report_period_us != 0 && lab->report_next_us < until_us)
        until_us = lab->report_next_us;
    if (lab->script_running && lab->script_resume_us < until_us)
        until_us = lab->script_resume_us;
    return until_us <= now_us ? 0 : (int)((until_us - now_us + 999) / 1000);
}

/* Only there so that the end of a worker interrupts poll. */
static void on_child(int number)
{
    (void)number;
}

static void serve(struct lab *lab)
{
    bool connected = true;
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = on_child}, NULL);
    for (;;) {
        /* A port that nobody has opened on the host polls as hung up for ever: then only look now and again. */
        struct pollfd fds[] = {{.fd = lab->notes[0], .events = POLLIN},
                               {.fd = connected ? output_fd() : -1, .events = POLLIN}};
        poll(fds, 2, poll_timeout_ms(lab, connected));
        struct pollfd port = {.fd = output_fd(), .events = POLLIN};
        connected = poll(&port, 1, 0) <= 0 || (port.revents & POLLHUP) == 0;
        if (port.revents & POLLIN)
            read_commands(lab);
        read_notes(lab);
        reap(lab);
        output_flush();
        int64_t now_us = time_us(CLOCK_MONOTONIC);
        command_advance(lab, now_us);
        report_if_due(lab, now_us);
    }
}

static int open_console(void)
{
    int fd = open("/dev/ttyS0", O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct termios mode;
    if (fd >= 0 && tcgetattr(fd, &mode) == 0) {
        cfmakeraw(&mode);
        tcsetattr(fd, TCSANOW, &mode);
    }
    return fd;
}

static void prepare(struct lab *lab)
{
    void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || pipe2(lab->notes, O_CLOEXEC) < 0) {
        fprintf(stderr, "aerolab: %s\n", strerror(errno));
        reboot(RB_POWER_OFF);
    }
    fcntl(lab->notes[0], F_SETFL, O_NONBLOCK);
    lab->shared = page;
    lab->anon = (struct worker){.name = "anon", .run = anon_run};
    lab->cache = (struct worker){.name = "cache", .run = cache_run};
    lab->report_period_us = REPORT_PERIOD_US;
    lab->boot_total_bytes = stats_meminfo().total_bytes;
    atomic_store(&lab->shared->touch_rate, TOUCH_RATE);
    atomic_store(&lab->shared->huge_pages, true);
}

static void say_ready(void)
{
    struct utsname name;
    uname(&name);
    output_event("\"event\",\"event\":\"ready\",\"time_us\":%" PRId64 ",\"uptime_us\":%" PRId64
                 ",\"kernel\":\"%s\",\"mem_total_bytes\":%" PRIu64,
                 time_us(CLOCK_REALTIME), time_us(CLOCK_BOOTTIME), name.release, stats_meminfo().total_bytes);
}

int main(void)
{
    static struct lab lab;
    char value[LINE_BYTES] = "";
    boot_mount();
    set_oom_score("-1000");
    fprintf(stderr, "aerolab: init\n");
    bool balloon = !(boot_argument("aerolab.balloon", value, sizeof value) && strcmp(value, "off") == 0);
    boot_modules(balloon);
    prepare(&lab);
    int port = boot_open_port(PORT_NAME);
    output_open(port >= 0 ? port : open_console());
    /* Init must answer while its guest thrashes; the workers are forked and do not inherit this. */
    mlockall(MCL_CURRENT | MCL_FUTURE);
    agent_start(&lab);
    say_ready();
    if (boot_argument("aerolab.script", value, sizeof value))
        command_script(&lab, value);
    serve(&lab);
}
