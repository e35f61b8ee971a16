/* Carries out the steps of scripts and the commands from the host, and keeps the running script's place. */
#define _GNU_SOURCE
#include "lab.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

/* Reading from the page cache costs a core of its own if nothing holds it back. */
#define CACHE_RATE_BYTES (UINT64_C(64) << 20)

typedef const char *(*action)(struct lab *lab, struct step *step);

static const char *do_anon(struct lab *lab, struct step *step)
{
    uint64_t goal, rate = 0, now = atomic_load(&lab->shared->anon_goal_bytes);
    if (!script_amount(step, now, lab->boot_total_bytes, &goal, &rate))
        return "anon SIZE [at RATE]";
    if (lab->anon.pid == 0)
        worker_start(lab, &lab->anon);
    atomic_store(&lab->shared->anon_rate_bytes, rate);
    atomic_store(&lab->shared->anon_goal_bytes, goal / PAGE_BYTES * PAGE_BYTES);
    return NULL;
}

static const char *do_free(struct lab *lab, struct step *step)
{
    uint64_t bytes = UINT64_MAX, now = atomic_load(&lab->shared->anon_goal_bytes);
    if (step->n > 2 || (step->n == 2 && !script_size(step->words[1], lab->boot_total_bytes, &bytes)))
        return "free [SIZE]";
    uint64_t goal = bytes < now ? now - bytes : 0;
    atomic_store(&lab->shared->anon_goal_bytes, goal / PAGE_BYTES * PAGE_BYTES);
    return NULL;
}

static const char *do_touch(struct lab *lab, struct step *step)
{
    uint64_t rate = TOUCH_MAX;
    if (step->n != 2 || (strcmp(step->words[1], "max") != 0 && !script_size(step->words[1], 0, &rate)))
        return "touch PAGES_PER_SECOND|max";
    atomic_store(&lab->shared->touch_rate, rate);
    return NULL;
}

static const char *do_cache(struct lab *lab, struct step *step)
{
    char path[32];
    uint64_t goal, rate = CACHE_RATE_BYTES, now = atomic_load(&lab->shared->cache_goal_bytes);
    if (!boot_find_disk("cache", path, sizeof path))
        return "this guest has no cache disk";
    if (!script_amount(step, now, lab->boot_total_bytes, &goal, &rate))
        return "cache SIZE [at RATE]";
    if (lab->cache.pid == 0)
        worker_start(lab, &lab->cache);
    atomic_store(&lab->shared->cache_rate_bytes, rate);
    atomic_store(&lab->shared->cache_goal_bytes, goal);
    return NULL;
}

static const char *do_drop(struct lab *lab, struct step *step)
{
    (void)lab;
    (void)step;
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
    ssize_t sent = fd < 0 ? -1 : write(fd, "3", 1);
    if (fd >= 0)
        close(fd);
    return sent == 1 ? NULL : "drop_caches failed";
}

/* -1: neither on nor off */
static int on_or_off(const struct step *step)
{
    if (step->n != 2)
        return -1;
    return strcmp(step->words[1], "on") == 0 ? 1 : strcmp(step->words[1], "off") == 0 ? 0 : -1;
}

static const char *do_swap(struct lab *lab, struct step *step)
{
    (void)lab;
    int on = on_or_off(step);
    if (on < 0)
        return "swap on|off";
    return boot_swap(on == 1) == 0 ? NULL : strerror(errno);
}

static const char *do_thp(struct lab *lab, struct step *step)
{
    int on = on_or_off(step);
    if (on < 0)
        return "thp on|off";
    atomic_store(&lab->shared->huge_pages, on == 1);
    return NULL;
}

static const char *do_driver(struct lab *lab, struct step *step)
{
    (void)lab;
    int on = on_or_off(step);
    if (on < 0)
        return "driver on|off";
    return boot_set_module("virtio_balloon", on == 1) == 0 ? NULL : strerror(errno);
}

static const char *do_agent(struct lab *lab, struct step *step)
{
    int on = on_or_off(step);
    if (on < 0)
        return "agent on|off";
    if (on == 0)
        agent_end(lab);
    return on == 0 || agent_start(lab) ? NULL : "this guest has no aerostat-agent";
}

static const char *do_report(struct lab *lab, struct step *step)
{
    uint64_t ms;
    if (step->n != 2 || !script_size(step->words[1], 0, &ms) || ms < 10 || ms > 60000)
        return "report MILLISECONDS (10 to 60000)";
    lab->report_period_us = (int64_t)ms * 1000;
    return NULL;
}

static const char *do_quiet(struct lab *lab, struct step *step)
{
    (void)step;
    lab->report_period_us = 0;
    return NULL;
}

static const char *do_nothing(struct lab *lab, struct step *step)
{
    (void)lab;
    (void)step;
    return NULL;
}

static const char *do_stop(struct lab *lab, struct step *step)
{
    (void)step;
    lab->script_running = false;
    return NULL;
}

static const char *do_reboot(struct lab *lab, struct step *step)
{
    (void)lab;
    output_event("\"event\",\"event\":\"%s\",\"time_us\":%" PRId64, step->words[0], time_us(CLOCK_REALTIME));
    usleep(20000);
    reboot(strcmp(step->words[0], "reboot") == 0 ? RB_AUTOBOOT : RB_POWER_OFF);
    return strerror(errno);
}

static const char *do_hold(struct lab *lab, struct step *step)
{
    char *end = NULL;
    double seconds = step->n == 2 ? strtod(step->words[1], &end) : -1;
    if (end == NULL || *end != '\0' || !(seconds >= 0) || seconds > 1e6)
        return "hold SECONDS";
    lab->script_resume_us = time_us(CLOCK_MONOTONIC) + (int64_t)(seconds * 1e6);
    return NULL;
}

static const char *do_wait(struct lab *lab, struct step *step)
{
    (void)step;
    lab->script_waiting = true;
    return NULL;
}

static const char *do_loop(struct lab *lab, struct step *step)
{
    uint64_t times = 0;
    if (step->n > 2 || (step->n == 2 && !script_size(step->words[1], 0, &times)))
        return "loop [TIMES]";
    lab->script_loops++;
    if (step->n == 1 || lab->script_loops < times)
        lab->script_at = 0;
    /* A script without any hold must not keep init from everything else. */
    int64_t soon_us = time_us(CLOCK_MONOTONIC) + 10000;
    if (lab->script_resume_us < soon_us)
        lab->script_resume_us = soon_us;
    return NULL;
}

static const struct {
    const char *name;
    action run;
    bool only_in_script;
} verbs[] = {
    {"anon", do_anon, false},   {"free", do_free, false},     {"touch", do_touch, false},
    {"cache", do_cache, false}, {"drop", do_drop, false},     {"swap", do_swap, false},
    {"thp", do_thp, false},     {"driver", do_driver, false}, {"report", do_report, false},
    {"quiet", do_quiet, false}, {"clock", do_nothing, false}, {"stop", do_stop, false},
    {"agent", do_agent, false}, {"reboot", do_reboot, false}, {"poweroff", do_reboot, false},
    {"hold", do_hold, true},    {"wait", do_wait, true},      {"loop", do_loop, true},
};

/* NULL, or why not */
const char *command_run(struct lab *lab, struct step *step, bool in_script)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, step->words[0]) != 0)
            continue;
        if (verbs[i].only_in_script && !in_script)
            return "only in a script";
        const char *error = verbs[i].run(lab, step);
        pause_end(lab->shared);
        return error;
    }
    return "unknown command";
}

void command_script(struct lab *lab, const char *text)
{
    snprintf(lab->script, sizeof lab->script, "%s", text);
    lab->script_at = 0;
    lab->script_loops = 0;
    lab->script_resume_us = 0;
    lab->script_waiting = false;
    lab->script_running = lab->script[0] != '\0';
}

/* A line from the host: `script TEXT` replaces the script, anything else is one command; each gets one reply. */
void command_line(struct lab *lab, char *line)
{
    char quoted[256];
    struct step step;
    const char *error = NULL;
    line += strspn(line, " \t");
    output_quote(quoted, sizeof quoted, line);
    if (*line == '\0')
        return;
    if (strncmp(line, "script ", 7) == 0)
        command_script(lab, line + 7);
    else
        error = script_split(line, &step) ? command_run(lab, &step, false) : "too many words";
    output_event("\"reply\",\"ok\":%s,\"command\":\"%s\",\"error\":\"%s\",\"time_us\":%" PRId64,
                 error == NULL ? "true" : "false", quoted, error == NULL ? "" : error,
                 time_us(CLOCK_REALTIME));
}

static bool goals_reached(const struct lab *lab)
{
    const struct shared *shared = lab->shared;
    bool anon =
        lab->anon.pid == 0 || atomic_load(&shared->anon_bytes) == atomic_load(&shared->anon_goal_bytes);
    /* The cache is read in chunks of 64 KiB. */
    bool cache = lab->cache.pid == 0 ||
                 atomic_load(&shared->cache_bytes) / 65536 == atomic_load(&shared->cache_goal_bytes) / 65536;
    return anon && cache;
}

static void run_next_step(struct lab *lab)
{
    char text[LINE_BYTES], quoted[256];
    struct step step;
    const char *from = lab->script + lab->script_at;
    size_t length = strcspn(from, ";\n");
    snprintf(text, sizeof text, "%.*s", (int)length, from);
    lab->script_at += length + (from[length] != '\0');
    if (text[strspn(text, " \t:")] == '\0')
        return;
    output_quote(quoted, sizeof quoted, text);
    const char *error = script_split(text, &step) ? command_run(lab, &step, true) : "too many words";
    output_event("\"event\",\"event\":\"step\",\"step\":\"%s\",\"error\":\"%s\",\"time_us\":%" PRId64, quoted,
                 error == NULL ? "" : error, time_us(CLOCK_REALTIME));
}

/* Runs what is due, up to the next hold, wait or loop. */
void command_advance(struct lab *lab, int64_t now_us)
{
    while (lab->script_running && lab->script_resume_us <= now_us) {
        if (lab->script_waiting && !goals_reached(lab))
            return;
        lab->script_waiting = false;
        if (lab->script[lab->script_at] == '\0') {
            lab->script_running = false;
            output_event("\"event\",\"event\":\"done\",\"time_us\":%" PRId64, time_us(CLOCK_REALTIME));
            return;
        }
        run_next_step(lab);
    }
}
