/*
 * Recording: facts and decisions of a live host over time, as text: one JSON object per line.
 *
 *   {"aerostat_recording":1,"version":"0.1.0","started":1700000000,"pool_bytes":…,"slack_bytes":…}
 *   {"t":0,"servers":{"web-1":{"max":…,"min":…,…}},"decisions":{"web-1":{"move":"grant-need","to":…}}}
 *   {"t":1000000,"servers":{"web-1":{"avail":…,"sample":…}},"gone":["web-2"]}
 *
 * t is microseconds since the first beat. A beat has the servers that changed and of each only the members that did;
 * a beat in which nothing changed is not written. "lost":N says that N beats before this line are missing, after which
 * every member stands anew. null = nobody could say. docs/simulator.md has every member.
 */
#pragma once
#include <glib.h>
#include "policy/decide.h"

#define RECORDING_VERSION 1
/* A day of 200 busy servers is near 1 GiB. */
#define RECORDING_MAX_BYTES   (G_GUINT64_CONSTANT(2) * 1024 * 1024 * 1024)
#define RECORDING_MAX_SERVERS 2000
#define RECORDING_MAX_NAME    255

/* One beat, as the engine has it. */
typedef struct {
    int64_t now_us;
    const HostFacts *host;    /* the whole pool, whatever of it is reserved */
    uint64_t reserved_bytes;  /* what the policy did not see of it */
    const char *mode;         /* (nullable): "observe": the decisions were not carried out */
    const char *const *names; /* (array length=n): valid UTF-8, each once */
    const ServerFacts *facts; /* (array length=n) */
    const Decision *decision; /* (nullable): of the same servers in the same order */
    size_t n;
} RecordedBeat;

/* The lines of one recording; no I/O: whoever has them writes or sends them, in order. All are (transfer full) and end
 * with a newline. */
typedef struct RecordingEncoder RecordingEncoder;
RecordingEncoder *recording_encoder_new(void);
void recording_encoder_free(RecordingEncoder *encoder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RecordingEncoder, recording_encoder_free)

/* recording_encoder_header: the first line. @mode: (nullable) */
char *recording_encoder_header(RecordingEncoder *encoder, const HostFacts *host, const char *mode,
                               int64_t started_s);
/* recording_encoder_beat: NULL when there is nothing to say; a line at least every ten seconds. */
char *recording_encoder_beat(RecordingEncoder *encoder, const RecordedBeat *beat);
/* recording_encoder_lose: a beat was left out because its line could not be taken: the next line counts it, and says
 * everything anew. */
void recording_encoder_lose(RecordingEncoder *encoder);

/* One server's facts from t_us on. */
typedef struct {
    int64_t t_us;
    guint server;
    gboolean gone;
    ServerFacts facts; /* sample_us on the recording's own clock, shifted by RECORDING_EPOCH_US */
} RecordedFacts;

typedef struct {
    int64_t t_us;
    guint server;
    Move move;
    uint64_t to_bytes, need_bytes, allocation_bytes;
} RecordedMove;

/* Times in facts read back are t + this, so that a sample from before the first beat stays positive. */
#define RECORDING_EPOCH_US (INT64_C(86400) * 1000000)

typedef struct {
    char *version;     /* of the daemon that wrote it */
    int64_t started_s; /* Unix time */
    char *mode;        /* (nullable) of the header: "observe" or "manage" */
    HostFacts host;    /* of the header */
    int64_t duration_us;
    GPtrArray *names;
    GArray *facts; /* of RecordedFacts, by time */
    GArray *moves; /* of RecordedMove, by time */
    GArray *pools; /* of RecordedPool: where the pool changed */
    guint64 lost;  /* beats that are missing within */
    char *note;    /* (nullable): "its last line is cut off and was left out" */
} Recording;

typedef struct {
    int64_t t_us;
    HostFacts host;
    uint64_t reserved_bytes;
} RecordedPool;

/* recording_parse: any bytes are safe. AEROSTAT_ERROR_INVALID: "NAME:LINE: what is wrong; what would be right". A last
 * line that is cut off is left out, with a note. */
Recording *recording_parse(const char *text, gsize length, const char *name, GError **error);
Recording *recording_load(const char *path, GError **error);
void recording_free(Recording *recording);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Recording, recording_free)
