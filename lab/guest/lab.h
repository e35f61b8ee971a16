/* What the parts of the lab guest's init share: the workload's state, the messages and the functions. */
#ifndef AEROLAB_GUEST_H
#define AEROLAB_GUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE_BYTES UINT64_C(4096)
#define LINE_BYTES 2048

/* Goals go from init to the workers, counters come back; one page shared by all three processes. */
struct shared {
    _Atomic uint64_t anon_goal_bytes;
    _Atomic uint64_t anon_rate_bytes; /* per second; 0: as fast as it goes */
    _Atomic uint64_t anon_bytes;      /* touched so far and not given back */
    _Atomic uint64_t anon_ops;        /* pages written since boot */
    _Atomic uint64_t touch_rate;      /* pages re-written per second; TOUCH_MAX: as fast as it goes */
    _Atomic uint64_t cache_goal_bytes;
    _Atomic uint64_t cache_rate_bytes;
    _Atomic uint64_t cache_bytes; /* read at least once since the goal was set */
    _Atomic uint64_t cache_ops;   /* pages read since boot */
    _Atomic bool huge_pages;
    _Atomic uint32_t changes; /* of the goals; what workers sleep on */
};

#define TOUCH_MAX UINT64_MAX

/* A worker tells init something at once; smaller than PIPE_BUF, so never torn. */
enum note_kind { NOTE_BURST, NOTE_REACHED, NOTE_CACHED };

struct note {
    enum note_kind kind;
    int64_t time_us; /* CLOCK_REALTIME of the very moment */
    int64_t took_us; /* NOTE_REACHED, NOTE_CACHED: since the goal was seen */
    uint64_t from_bytes;
    uint64_t goal_bytes;
};

struct worker {
    const char *name;
    pid_t pid; /* 0: not running */
    uint64_t starts;
    void (*run)(struct shared *shared, int notes);
};

struct meminfo {
    uint64_t total_bytes, free_bytes, available_bytes, cached_bytes, buffers_bytes, swap_total_bytes,
        swap_free_bytes;
};

/* boot.c: everything between the kernel and the workload */
void boot_mount(void);
void boot_modules(bool with_balloon);
int boot_set_module(const char *name, bool loaded);
void boot_link_ports(void);
int boot_open_port(const char *name);
bool boot_find_disk(const char *serial, char *path, size_t size);
int boot_swap(bool on);
bool boot_argument(const char *key, char *value, size_t size);

/* pause.c: a worker's sleep, until @limit_us are over (negative: without a limit) or the goals have changed since there were
 * @seen changes; and the end of it */
void pause_until_changed(struct shared *shared, uint32_t seen, int64_t limit_us);
void pause_end(struct shared *shared);

/* anon.c, cache.c: the workers; they never return */
void anon_run(struct shared *shared, int notes);
void cache_run(struct shared *shared, int notes);

/* stats.c: what the kernel counts */
int64_t time_us(int clock);
struct meminfo stats_meminfo(void);
size_t stats_report(char *line, size_t size, const struct shared *shared, const struct worker *anon);

/* script.c: words, sizes and steps */
struct step {
    char *words[8];
    int n;
    uint64_t size_bytes, rate_bytes; /* of `anon`, `free`, `cache`: filled by script_amount */
};
bool script_size(const char *text, uint64_t total_bytes, uint64_t *bytes);
bool script_split(char *text, struct step *step);
bool script_amount(const struct step *step, uint64_t now_bytes, uint64_t total_bytes, uint64_t *goal_bytes,
                   uint64_t *rate_bytes);

/* output.c: lines to the host */
void output_open(int fd);
int output_fd(void);
void output_flush(void);
bool output_idle(void);
void output_line(const char *line);
__attribute__((format(printf, 1, 2))) void output_event(const char *format, ...);
void output_quote(char *to, size_t size, const char *from);

/* command.c: does one step */
struct lab {
    struct shared *shared;
    struct worker anon, cache;
    pid_t agent_pid; /* 0: not running */
    int notes[2];
    int64_t report_period_us; /* 0: quiet */
    int64_t report_next_us;   /* CLOCK_MONOTONIC, as all below */
    uint64_t boot_total_bytes;
    char script[LINE_BYTES]; /* as given; empty: none */
    size_t script_at;
    uint64_t script_loops;
    int64_t script_resume_us;
    bool script_running, script_waiting;
};
const char *command_run(struct lab *lab, struct step *step, bool in_script);
void command_line(struct lab *lab, char *line);
void command_script(struct lab *lab, const char *text);
void command_advance(struct lab *lab, int64_t now_us);
void worker_start(struct lab *lab, struct worker *worker);
bool agent_start(struct lab *lab);
void agent_end(struct lab *lab);

#endif
