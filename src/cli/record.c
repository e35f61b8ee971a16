/* Writes what the daemon sees and decides into a file, to be replayed by aerostat-sim. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

#define SECONDS_MOST 31622400 /* 366 days: more than that no reader takes */
/* The daemon has a beat every second or so, and one that waits for a silent hypervisor every four. */
#define FIRST_LINE_US (INT64_C(15) * G_USEC_PER_SEC)
#define PROGRESS_US   (INT64_C(1) * G_USEC_PER_SEC)

typedef struct {
    Cli *cli;
    const char *path;
    gboolean to_stdout, shows_progress;
    int fd, signals;
    guint64 bytes, beats, lost; /* bytes: of whole lines */
    int64_t duration_us;        /* as the recording has it */
    int64_t asked_us, begun_us, shown_us;
    guint64 seconds;     /* 0: until interrupted */
    GHashTable *servers; /* names that were seen */
} Recorder;

static const CliOption record_options[] = {
    {"force", 'f', NULL, "replace FILE if it is there already"},
    {"seconds", 'n', "N", "end after so many seconds"},
    {0},
};

static gboolean may_write(const Recorder *recorder)
{
    struct stat there;
    if (recorder->to_stdout || cli_value(recorder->cli, "force") != NULL ||
        lstat(recorder->path, &there) != 0)
        return TRUE;
    cli_complain(recorder->cli, "%s is there already: name another file, or replace it with --force",
                 recorder->path);
    return FALSE;
}

static gboolean open_file(Recorder *recorder)
{
    if (recorder->to_stdout) {
        recorder->fd = fileno(recorder->cli->out);
        return TRUE;
    }
    int how = cli_value(recorder->cli, "force") != NULL ? O_TRUNC : O_EXCL;
    recorder->fd = open(recorder->path, O_WRONLY | O_CREAT | O_CLOEXEC | how, 0644);
    if (recorder->fd >= 0)
        return TRUE;
    cli_complain(recorder->cli, "%s cannot be written: %s", recorder->path, g_strerror(errno));
    return FALSE;
}

static gboolean write_all(int fd, const char *data, gsize length)
{
    while (length > 0) {
        ssize_t wrote = write(fd, data, length);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return FALSE;
        data += wrote;
        length -= (gsize)wrote;
    }
    return TRUE;
}

/* What does not fit is taken out again, so that the file is whole as far as it goes. */
static gboolean write_line(Recorder *recorder, const char *line)
{
    g_autofree char *whole = g_strconcat(line, "\n", NULL);
    gsize length = strlen(whole);
    if (write_all(recorder->fd, whole, length)) {
        recorder->bytes += length;
        return TRUE;
    }
    int code = errno;
    int cut = recorder->to_stdout ? 0 : ftruncate(recorder->fd, (off_t)recorder->bytes);
    cli_complain(recorder->cli, "%s cannot be written further: %s; it is whole%s up to there",
                 recorder->to_stdout ? "standard output" : recorder->path, g_strerror(code),
                 cut == 0 ? "" : ", but for its last line,");
    return FALSE;
}

/* Counts for people; what does not look right is written down all the same, and left to the reader. */
static void count_line(Recorder *recorder, const char *line)
{
    g_autoptr(json_t) object = json_loads(line, 0, NULL);
    json_t *t = json_object_get(object, "t"), *servers = json_object_get(object, "servers");
    if (!json_is_integer(t))
        return;
    recorder->beats++;
    recorder->duration_us = json_integer_value(t);
    recorder->lost += (guint64)MAX(json_integer_value(json_object_get(object, "lost")), 0);
    const char *name;
    json_t *value;
    json_object_foreach(servers, name, value)
    {
        if (!g_hash_table_contains(recorder->servers, name))
            g_hash_table_add(recorder->servers, g_strdup(name));
    }
}

static gboolean take_line(Recorder *recorder, json_t *params)
{
    const char *line = json_string_value(json_object_get(params, "line"));
    if (line == NULL)
        return TRUE;
    if (recorder->fd < 0 && !open_file(recorder))
        return FALSE;
    if (recorder->begun_us == 0)
        recorder->begun_us = g_get_monotonic_time();
    count_line(recorder, line);
    return write_line(recorder, line);
}

static char *counts_text(const Recorder *recorder)
{
    g_autofree char *size = text_bytes(recorder->bytes),
                    *time = text_duration((uint64_t)recorder->duration_us);
    g_autofree char *beats = text_count(recorder->beats);
    guint n = g_hash_table_size(recorder->servers);
    return g_strdup_printf("%u server%s, %s beats in %s, %s", n, n == 1 ? "" : "s", beats, time, size);
}

static void show_progress(Recorder *recorder, int64_t now_us)
{
    if (!recorder->shows_progress || recorder->begun_us == 0 || now_us - recorder->shown_us < PROGRESS_US)
        return;
    recorder->shown_us = now_us;
    g_autofree char *counts = counts_text(recorder);
    fprintf(recorder->cli->err, "\r\033[KRecording: %s. Ctrl-C ends it.", counts);
    fflush(recorder->cli->err);
}

static void end_progress(const Recorder *recorder)
{
    if (recorder->shown_us != 0)
        fputs("\r\033[K", recorder->cli->err);
}

/* Milliseconds until something is due even if nothing comes; 0: now. */
static int wait_ms(const Recorder *recorder, int64_t now_us)
{
    int64_t due_us = now_us + PROGRESS_US;
    if (recorder->begun_us == 0)
        due_us = MIN(due_us, recorder->asked_us + FIRST_LINE_US);
    else if (recorder->seconds != 0)
        due_us = MIN(due_us, recorder->begun_us + (int64_t)recorder->seconds * G_USEC_PER_SEC);
    return (int)(MAX(due_us - now_us, 0) + 999) / 1000;
}

static gboolean time_is_up(const Recorder *recorder, int64_t now_us)
{
    if (recorder->begun_us == 0)
        return now_us - recorder->asked_us >= FIRST_LINE_US;
    return recorder->seconds != 0 &&
           now_us - recorder->begun_us >= (int64_t)recorder->seconds * G_USEC_PER_SEC;
}

/* TRUE: ended as it was asked to. */
static gboolean follow(Recorder *recorder)
{
    for (;;) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) params = control_client_next_event(recorder->cli->client, &error);
        if (error != NULL) {
            end_progress(recorder);
            cli_complain(recorder->cli, "%s", error->message);
            return FALSE;
        }
        if (params != NULL && !take_line(recorder, params))
            return FALSE;
        int64_t now_us = g_get_monotonic_time();
        show_progress(recorder, now_us);
        struct pollfd fds[] = {{.fd = recorder->signals, .events = POLLIN},
                               {.fd = control_client_fd(recorder->cli->client), .events = POLLIN}};
        int ready = poll(fds, 2, params != NULL ? 0 : wait_ms(recorder, now_us));
        if ((ready > 0 && fds[0].revents != 0) || time_is_up(recorder, g_get_monotonic_time()))
            return TRUE;
    }
}

/* Ctrl-C is no failure here: it is how a recording ends. */
static int catch_signals(void)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    return signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void print_summary(const Recorder *recorder)
{
    const Cli *cli = recorder->cli;
    if (cli->json) {
        g_autoptr(json_t) summary =
            json_pack("{s:s, s:i, s:o, s:o, s:o, s:I}", "file", recorder->path, "servers",
                      (int)g_hash_table_size(recorder->servers), "beats", json_bytes(recorder->beats), "lost",
                      json_bytes(recorder->lost), "size_bytes", json_bytes(recorder->bytes), "duration_us",
                      (json_int_t)recorder->duration_us);
        cli_print_json(cli, summary, FALSE);
        return;
    }
    FILE *to = recorder->to_stdout ? cli->err : cli->out;
    g_autofree char *counts = counts_text(recorder), *path = text_clean(recorder->path);
    fprintf(to, "%s: %s.\n", recorder->to_stdout ? "Recorded" : path, counts);
    if (recorder->lost > 0) {
        g_autofree char *lost = text_count(recorder->lost);
        fprintf(to, "%s beats are missing: what took the recording was too slow for them.\n", lost);
    }
    if (!recorder->to_stdout)
        fprintf(to, "What if this host had less?  aerostat-sim %s --set pool=80%%\n", path);
}

static int finish(Recorder *recorder, gboolean good)
{
    if (recorder->begun_us == 0) {
        if (good)
            cli_complain(recorder->cli, "nothing was recorded: the daemon has not told of any beat yet");
        return CLI_FAILED;
    }
    end_progress(recorder);
    if (!recorder->to_stdout && recorder->fd >= 0 && close(recorder->fd) != 0 && good) {
        cli_complain(recorder->cli, "%s may not be whole: %s", recorder->path, g_strerror(errno));
        good = FALSE;
    }
    if (recorder->fd >= 0)
        print_summary(recorder);
    return good ? CLI_OK : CLI_FAILED;
}

static int run_record(Cli *cli)
{
    const char *path = cli_operand(cli, 0);
    Recorder recorder = {.cli = cli,
                         .path = path,
                         .to_stdout = strcmp(path, "-") == 0,
                         .shows_progress = isatty(fileno(cli->err)) != 0,
                         .fd = -1};
    if (!cli_number(cli, "seconds", 1, SECONDS_MOST, 0, &recorder.seconds))
        return CLI_USAGE;
    if (recorder.to_stdout && cli->json) {
        cli_complain(cli, "--json and \"-\" both want standard output; name a file, or leave --json out");
        return CLI_USAGE;
    }
    if (!may_write(&recorder))
        return CLI_FAILED;
    recorder.signals = catch_signals();
    recorder.asked_us = g_get_monotonic_time();
    g_autoptr(json_t) answer = cli_call(cli, "record", NULL);
    if (answer == NULL)
        return CLI_FAILED;
    g_autoptr(GHashTable) servers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    recorder.servers = servers;
    int status = finish(&recorder, follow(&recorder));
    if (recorder.signals >= 0)
        close(recorder.signals);
    return status;
}

const CliVerb verb_record = {
    .name = "record",
    .operands = "FILE",
    .least = 1,
    .most = 1,
    .options = record_options,
    .summary = "write down what happens, for aerostat-sim to replay",
    .text =
        "Writes what the daemon sees of this host's servers, and what it decides, into FILE until Ctrl-C or\n"
        "for --seconds. \"-\" is standard output. A file that is there already is left alone without "
        "--force.\n"
        "A busy server takes about 10 KiB a minute. aerostat-sim(1) replays the file with other memory,\n"
        "other weights or another policy: what would this host have done with 20 % less RAM?\n\n"
        "Examples:\n"
        "  aerostat record monday.recording --seconds 3600\n"
        "  aerostat-sim monday.recording --set pool=80%\n"
        "  aerostat record - | gzip > monday.recording.gz",
    .run = run_record,
};
