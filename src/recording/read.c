/* Recording: the reader. Nothing in the file is believed before it is checked. */
#include <string.h>
#include "base/error.h"
#include "base/json.h"
#include "base/u64.h"
#include "policy/reasons.h"
#include "recording/members.h"

/* A server's present facts while reading. */
typedef struct {
    ServerFacts facts;
    gboolean known;
} Present;

typedef struct {
    Recording *recording;
    GHashTable *index; /* name -> number + 1 */
    GArray *present;   /* of Present */
    HostFacts host;
    uint64_t reserved_bytes;
    int64_t last_us;
} Reader;

static gboolean wrong(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static gboolean wrong(GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, text);
    return FALSE;
}

void recording_free(Recording *recording)
{
    if (!recording)
        return;
    g_free(recording->version);
    g_free(recording->mode);
    g_free(recording->note);
    g_ptr_array_unref(recording->names);
    g_array_unref(recording->facts);
    g_array_unref(recording->moves);
    g_array_unref(recording->pools);
    g_free(recording);
}

static gboolean read_integer(const json_t *value, const char *name, int64_t low, int64_t high, int64_t *ret,
                             GError **error)
{
    if (!json_is_integer(value))
        return wrong(error, "%s is not an integer; it should be one", name);
    int64_t number = json_integer_value(value);
    if (number < low || number > high)
        return wrong(error, "%s is out of range; it should be from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                     name, low, high);
    *ret = number;
    return TRUE;
}

static gboolean read_bytes(const json_t *value, const char *name, uint64_t *ret, GError **error)
{
    int64_t number = 0;
    if (!read_integer(value, name, 0, (int64_t)SIZE_MAX_BYTES, &number, error))
        return FALSE;
    *ret = (uint64_t)number;
    return TRUE;
}

static gboolean read_name(const json_t *value, const char *name, const char *(*name_of)(unsigned), unsigned n,
                          unsigned *ret, GError **error)
{
    const char *text = json_string_value(value);
    for (unsigned i = 0; text && i < n; i++)
        if (g_str_equal(text, name_of(i))) {
            *ret = i;
            return TRUE;
        }
    return wrong(error, "%s is no known reason or move; it should be a name that this version knows", name);
}

static const char *fixed_of(unsigned i)
{
    return fixed_name((FixedReason)i);
}

static const char *hold_of(unsigned i)
{
    return hold_name((HoldReason)i);
}

static const char *move_of(unsigned i)
{
    return move_name((Move)i);
}

static gboolean read_member(const Member *member, const json_t *value, ServerFacts *facts, GError **error)
{
    void *at = (char *)facts + member->offset;
    int64_t number = 0;
    unsigned index = 0;
    switch (member->kind) {
    case MEMBER_BYTES:
        return read_bytes(value, member->name, at, error);
    case MEMBER_COUNTER:
        if (!json_is_null(value) && !read_integer(value, member->name, 0, INT64_MAX, &number, error))
            return FALSE;
        *(uint64_t *)at = json_is_null(value) ? UNKNOWN : (uint64_t)number;
        return TRUE;
    case MEMBER_WEIGHT:
        if (!read_integer(value, member->name, 1, UINT32_MAX, &number, error))
            return FALSE;
        *(uint32_t *)at = (uint32_t)number;
        return TRUE;
    case MEMBER_TIME:
        if (!json_is_null(value) &&
            !read_integer(value, member->name, 1 - RECORDING_EPOCH_US, INT64_MAX / 4, &number, error))
            return FALSE;
        *(int64_t *)at = json_is_null(value) ? 0 : number + RECORDING_EPOCH_US;
        return TRUE;
    case MEMBER_BOOL:
        if (!json_is_boolean(value))
            return wrong(error, "%s is not a boolean; it should be true or false", member->name);
        *(bool *)at = json_is_true(value);
        return TRUE;
    case MEMBER_FIXED:
        if (!read_name(value, member->name, fixed_of, FIXED_N, &index, error))
            return FALSE;
        *(FixedReason *)at = (FixedReason)index;
        return TRUE;
    case MEMBER_HOLD:
        if (!read_name(value, member->name, hold_of, HOLD_N, &index, error))
            return FALSE;
        *(HoldReason *)at = (HoldReason)index;
        return TRUE;
    }
    return FALSE;
}

static gboolean find_server(Reader *reader, const char *name, gboolean add, guint *ret, GError **error)
{
    guint number = GPOINTER_TO_UINT(g_hash_table_lookup(reader->index, name));
    if (number == 0) {
        g_autofree char *quoted = error_printable(name, -1, 60);
        if (!add)
            return wrong(error, "server \"%s\" is not known; it should have stood under servers before",
                         quoted);
        if (*name == '\0' || strlen(name) > RECORDING_MAX_NAME)
            return wrong(error, "a server's name is empty or too long; it should have 1 to %d bytes",
                         RECORDING_MAX_NAME);
        if (reader->recording->names->len >= RECORDING_MAX_SERVERS)
            return wrong(error, "server \"%s\" is one too many; at most %d", quoted, RECORDING_MAX_SERVERS);
        char *copy = g_strdup(name);
        g_ptr_array_add(reader->recording->names, copy);
        number = reader->recording->names->len;
        g_hash_table_insert(reader->index, copy, GUINT_TO_POINTER(number));
        Present nothing = {.known = FALSE};
        g_array_append_val(reader->present, nothing);
    }
    *ret = number - 1;
    return TRUE;
}

static gboolean check_facts(const char *name, const ServerFacts *facts, GError **error)
{
    g_autofree char *quoted = error_printable(name, -1, 60);
    if (facts->maximum_bytes == 0 || facts->weight == 0)
        return wrong(error,
                     "server %s has no maximum or no weight; both should be above 0 where it first stands",
                     quoted);
    if (facts->minimum_bytes > facts->maximum_bytes)
        return wrong(error, "server %s: its minimum is above its maximum; it should be at most that", quoted);
    return TRUE;
}

static gboolean read_server(Reader *reader, const char *name, json_t *object, int64_t t_us, GError **error)
{
    guint number = 0;
    if (!json_is_object(object))
        return wrong(error, "a server is not an object; it should be one");
    if (!find_server(reader, name, TRUE, &number, error))
        return FALSE;
    Present *present = &g_array_index(reader->present, Present, number);
    if (!present->known)
        present->facts = (ServerFacts){.resident_bytes = UNKNOWN,
                                       .available_bytes = UNKNOWN,
                                       .unused_bytes = UNKNOWN,
                                       .swap_in_bytes = UNKNOWN,
                                       .swap_out_bytes = UNKNOWN,
                                       .major_faults = UNKNOWN,
                                       .refaults = UNKNOWN,
                                       .stall_us = UNKNOWN};
    for (guint i = 0; i < RECORDING_N_MEMBERS; i++) {
        json_t *value = json_object_get(object, RECORDING_MEMBERS[i].name);
        if (value && !read_member(&RECORDING_MEMBERS[i], value, &present->facts, error))
            return FALSE;
    }
    if (!check_facts(name, &present->facts, error))
        return FALSE;
    present->known = TRUE;
    RecordedFacts row = {.t_us = t_us, .server = number, .facts = present->facts};
    g_array_append_val(reader->recording->facts, row);
    return TRUE;
}

static gboolean read_move(Reader *reader, const char *name, json_t *object, int64_t t_us, GError **error)
{
    RecordedMove row = {.t_us = t_us};
    unsigned move = 0;
    if (!find_server(reader, name, FALSE, &row.server, error) ||
        !read_name(json_object_get(object, "move"), "move", move_of, MOVE_N, &move, error) ||
        !read_bytes(json_object_get(object, "to"), "to", &row.to_bytes, error) ||
        !read_bytes(json_object_get(object, "need"), "need", &row.need_bytes, error) ||
        !read_bytes(json_object_get(object, "share"), "share", &row.allocation_bytes, error))
        return FALSE;
    row.move = (Move)move;
    g_array_append_val(reader->recording->moves, row);
    return TRUE;
}

static gboolean read_gone(Reader *reader, json_t *gone, int64_t t_us, GError **error)
{
    size_t i;
    json_t *value;
    json_array_foreach(gone, i, value)
    {
        RecordedFacts row = {.t_us = t_us, .gone = TRUE};
        const char *name = json_string_value(value);
        if (!name)
            return wrong(error, "gone has something that is no name; it should list names");
        if (!find_server(reader, name, FALSE, &row.server, error))
            return FALSE;
        Present *present = &g_array_index(reader->present, Present, row.server);
        row.facts = present->facts;
        present->known = FALSE;
        g_array_append_val(reader->recording->facts, row);
    }
    return TRUE;
}

static gboolean read_pool(Reader *reader, json_t *line, int64_t t_us, GError **error)
{
    json_t *pool = json_object_get(line, "pool_bytes"), *slack = json_object_get(line, "slack_bytes");
    json_t *reserved = json_object_get(line, "reserved_bytes");
    if (!pool && !slack && !reserved)
        return TRUE;
    if ((pool || slack) && (!read_bytes(pool, "pool_bytes", &reader->host.pool_bytes, error) ||
                            !read_bytes(slack, "slack_bytes", &reader->host.slack_bytes, error)))
        return FALSE;
    if (reserved && !read_bytes(reserved, "reserved_bytes", &reader->reserved_bytes, error))
        return FALSE;
    RecordedPool row = {t_us, reader->host, reader->reserved_bytes};
    g_array_append_val(reader->recording->pools, row);
    return TRUE;
}

static gboolean read_lost(Reader *reader, json_t *line, GError **error)
{
    json_t *lost = json_object_get(line, "lost");
    int64_t beats = 0;
    if (lost && !read_integer(lost, "lost", 1, INT32_MAX, &beats, error))
        return FALSE;
    reader->recording->lost += (guint64)beats;
    return TRUE;
}

static gboolean read_beat(Reader *reader, json_t *line, GError **error)
{
    int64_t t_us = 0;
    const char *name;
    json_t *value;
    if (!read_integer(json_object_get(line, "t"), "t", 0, INT64_C(366) * 86400 * 1000000, &t_us, error))
        return FALSE;
    if (t_us < reader->last_us)
        return wrong(error, "t goes back; it should not be before the line above");
    reader->last_us = reader->recording->duration_us = t_us;
    if (!read_pool(reader, line, t_us, error) || !read_lost(reader, line, error))
        return FALSE;
    json_object_foreach(json_object_get(line, "servers"), name, value)
    {
        if (!read_server(reader, name, value, t_us, error))
            return FALSE;
    }
    json_object_foreach(json_object_get(line, "decisions"), name, value)
    {
        if (!read_move(reader, name, value, t_us, error))
            return FALSE;
    }
    return read_gone(reader, json_object_get(line, "gone"), t_us, error);
}

static gboolean read_header(Reader *reader, json_t *line, GError **error)
{
    int64_t version = 0;
    Recording *recording = reader->recording;
    if (!json_object_get(line, "aerostat_recording"))
        return wrong(error, "this is no recording; its first line should have \"aerostat_recording\"");
    if (!read_integer(json_object_get(line, "aerostat_recording"), "aerostat_recording", 1, INT32_MAX,
                      &version, error))
        return FALSE;
    if (version != RECORDING_VERSION)
        return wrong(error, "it is of format %d; this version reads format %d", (int)version,
                     RECORDING_VERSION);
    if (!read_integer(json_object_get(line, "started"), "started", 0, INT64_MAX / 4, &recording->started_s,
                      error) ||
        !read_bytes(json_object_get(line, "pool_bytes"), "pool_bytes", &recording->host.pool_bytes, error) ||
        !read_bytes(json_object_get(line, "slack_bytes"), "slack_bytes", &recording->host.slack_bytes, error))
        return FALSE;
    const char *daemon = json_string_value(json_object_get(line, "version"));
    recording->version = g_strdup(daemon ? daemon : "unknown");
    recording->mode = g_strdup(json_string_value(json_object_get(line, "mode")));
    reader->host = recording->host;
    return TRUE;
}

static gboolean read_line(Reader *reader, const char *text, gsize length, guint64 number, GError **error)
{
    g_autoptr(json_t) line = json_parse_object(text, length, error);
    if (!line)
        return FALSE;
    return number == 1 ? read_header(reader, line, error) : read_beat(reader, line, error);
}

static gboolean read_lines(Reader *reader, const char *text, gsize length, const char *name, GError **error)
{
    guint64 number = 0;
    for (gsize at = 0; at < length;) {
        const char *end = memchr(text + at, '\n', length - at);
        gsize size = end ? (gsize)(end - (text + at)) : length - at;
        g_autoptr(GError) local = NULL;
        number++;
        if (!end && number > 1) {
            reader->recording->note = g_strdup("its last line is cut off and was left out");
            return TRUE;
        }
        if (!read_line(reader, text + at, size, number, &local)) {
            g_propagate_prefixed_error(error, g_steal_pointer(&local), "%s:%" G_GUINT64_FORMAT ": ", name,
                                       number);
            return FALSE;
        }
        at += size + 1;
    }
    if (number == 0)
        return wrong(error, "%s: is empty; a recording begins with its header", name);
    return TRUE;
}

Recording *recording_parse(const char *text, gsize length, const char *name, GError **error)
{
    g_autoptr(Recording) recording = g_new0(Recording, 1);
    recording->names = g_ptr_array_new_with_free_func(g_free);
    recording->facts = g_array_new(FALSE, TRUE, sizeof(RecordedFacts));
    recording->moves = g_array_new(FALSE, TRUE, sizeof(RecordedMove));
    recording->pools = g_array_new(FALSE, TRUE, sizeof(RecordedPool));
    g_autoptr(GHashTable) index = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GArray) present = g_array_new(FALSE, TRUE, sizeof(Present));
    Reader reader = {.recording = recording, .index = index, .present = present};
    if (!read_lines(&reader, text, length, name, error))
        return NULL;
    return g_steal_pointer(&recording);
}

Recording *recording_load(const char *path, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(GMappedFile) file = g_mapped_file_new(path, FALSE, &local);
    if (!file) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "%s: cannot be read: %s", path,
                    local->message);
        return NULL;
    }
    gsize length = g_mapped_file_get_length(file);
    if (length > RECORDING_MAX_BYTES) {
        wrong(error, "%s: is larger than 2 GiB; record a shorter time", path);
        return NULL;
    }
    const char *text = g_mapped_file_get_contents(file);
    return recording_parse(text ? text : "", length, path, error);
}
