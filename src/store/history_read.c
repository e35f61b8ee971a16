/* History on the worker: from a question to points, from the coarsest level that is fine enough and what is newer. */
#include "base/json.h"
#include "store/database.h"
#include "store/history_private.h"

#define COLUMNS_MAX       7
#define STALLED           6
#define BYTES_OF_KIB(kib) ((kib)*1024.0)

/* One thing that is read: a server or the host. The last column of a server is a sum. */
typedef struct {
    const char *table, *columns;
    const char *const *names;
    guint n;
    int64_t server; /* 0: the host */
} Source;

static const char *const SERVER_NAMES[] = {"balloon_bytes", "used_bytes",   "resident_bytes", "target_bytes",
                                           "maximum_bytes", "demand_bytes", "stalled_us"};
static const char *const HOST_NAMES[] = {"committed_bytes", "pool_bytes", "slack_bytes", "available_bytes",
                                         "pressure"};

/* A point while rows fall into it; a row counts as long as it lasts. */
typedef struct {
    gboolean any;
    double sum[COLUMNS_MAX], weight[COLUMNS_MAX];
} Bucket;

typedef struct {
    int64_t from_s, to_s, step_s;
    guint n;
    guint coarsest; /* level */
} Grid;

static Grid grid_of(const HistoryQuery *query, int64_t now_s)
{
    Grid grid = {0};
    int64_t step_s = (query->to_s - query->from_s + query->points - 1) / query->points;
    for (guint level = 1; level < HISTORY_LEVELS; level++)
        if (step_s >= HISTORY_LEVEL[level].step_s || query->from_s < now_s - HISTORY_LEVEL[level - 1].keep_s)
            grid.coarsest = level;
    int64_t unit_s = HISTORY_LEVEL[grid.coarsest].step_s;
    grid.step_s = MAX((step_s + unit_s - 1) / unit_s, 1) * unit_s;
    grid.from_s = query->from_s / grid.step_s * grid.step_s;
    grid.to_s = query->to_s;
    grid.n = (guint)((grid.to_s - grid.from_s + grid.step_s - 1) / grid.step_s);
    /* Aligned, it may touch one more than was asked for: the oldest goes. */
    if (grid.n > query->points) {
        guint too_many = grid.n - query->points;
        grid.from_s += too_many * grid.step_s;
        grid.n -= too_many;
    }
    return grid;
}

static void take_row(const Source *source, const Grid *grid, guint level, sqlite3_stmt *row, Bucket *buckets)
{
    int64_t at = (sqlite3_column_int64(row, 0) - grid->from_s) / grid->step_s;
    if (at < 0 || at >= grid->n)
        return;
    Bucket *bucket = &buckets[at];
    double lasts = (double)HISTORY_LEVEL[level].step_s;
    bucket->any = TRUE;
    for (guint i = 0; i < source->n; i++) {
        if (sqlite3_column_type(row, (int)i + 1) == SQLITE_NULL)
            continue;
        gboolean is_sum = source->server != 0 && i == STALLED;
        bucket->sum[i] += sqlite3_column_double(row, (int)i + 1) * (is_sum ? 1 : lasts);
        bucket->weight[i] += lasts;
    }
}

static gboolean read_level(sqlite3 *db, const Source *source, const Grid *grid, guint level, int64_t from_s,
                           int64_t to_s, Bucket *buckets, GError **error)
{
    GError *problem = NULL;
    g_autofree char *sql =
        g_strdup_printf("SELECT time_s, %s FROM %s_%s WHERE time_s >= ?1 AND time_s < ?2 %s", source->columns,
                        source->table, HISTORY_LEVEL[level].suffix, source->server ? "AND server = ?3" : "");
    g_autoptr(sqlite3_stmt) row =
        database_query(db, error, sql, source->server ? "iii" : "ii", from_s, to_s, source->server);
    if (!row)
        return FALSE;
    while (database_step(db, row, &problem))
        take_row(source, grid, level, row, buckets);
    if (problem)
        g_propagate_error(error, problem);
    return problem == NULL;
}

/* Where a coarse level ends the next finer one goes on. */
static gboolean read_buckets(sqlite3 *db, const Source *source, const Grid *grid, Bucket *buckets,
                             GError **error)
{
    int64_t from_s = grid->from_s;
    for (guint level = grid->coarsest; from_s < grid->to_s; level--) {
        int64_t end_s = level > 0 ? history_level_end(db, level, grid->to_s, error) : grid->to_s;
        if (end_s < 0)
            return FALSE;
        int64_t to_s = MIN(end_s, grid->to_s);
        if (to_s > from_s && !read_level(db, source, grid, level, from_s, to_s, buckets, error))
            return FALSE;
        from_s = MAX(from_s, to_s);
        if (level == 0)
            break;
    }
    return TRUE;
}

static json_t *figure(const Source *source, const Bucket *bucket, guint i)
{
    const char *name = source->names[i];
    if (source->server != 0 && i == STALLED)
        return json_integer((json_int_t)bucket->sum[i]);
    if (bucket->weight[i] <= 0)
        return json_null();
    double mean = bucket->sum[i] / bucket->weight[i];
    return g_str_equal(name, "pressure") ? json_real(mean / 100)
                                         : json_integer((json_int_t)BYTES_OF_KIB(mean));
}

static json_t *points_of(const Source *source, const Grid *grid, const Bucket *buckets)
{
    json_t *points = json_array();
    for (guint b = 0; b < grid->n; b++) {
        if (!buckets[b].any)
            continue;
        json_t *point = json_object();
        json_object_set_new(point, "time", json_integer(grid->from_s + (int64_t)b * grid->step_s));
        for (guint i = 0; i < source->n; i++)
            json_object_set_new(point, source->names[i], figure(source, &buckets[b], i));
        json_array_append_new(points, point);
    }
    return points;
}

static json_t *read_source(sqlite3 *db, const Source *source, const Grid *grid, GError **error)
{
    g_autofree Bucket *buckets = g_new0(Bucket, grid->n);
    return read_buckets(db, source, grid, buckets, error) ? points_of(source, grid, buckets) : NULL;
}

static Source server_source(int64_t number)
{
    return (Source){
        .table = "history",
        .columns = "balloon_kib, used_kib, resident_kib, target_kib, maximum_kib, demand_kib, stalled_us",
        .names = SERVER_NAMES,
        .n = G_N_ELEMENTS(SERVER_NAMES),
        .server = number,
    };
}

/* One balloon for each point of the host, null where there is none. */
static json_t *balloons_of(json_t *host_points, json_t *server_points)
{
    json_t *balloons = json_array();
    gsize i, at = 0;
    json_t *point;
    json_array_foreach(host_points, i, point)
    {
        json_int_t time = json_integer_value(json_object_get(point, "time"));
        json_t *own = json_array_get(server_points, at);
        while (own && json_integer_value(json_object_get(own, "time")) < time)
            own = json_array_get(server_points, ++at);
        gboolean same = own && json_integer_value(json_object_get(own, "time")) == time;
        json_array_append_new(balloons,
                              same ? json_incref(json_object_get(own, "balloon_bytes")) : json_null());
    }
    return balloons;
}

static gboolean add_servers(sqlite3 *db, const Grid *grid, json_t *points, json_t *ret, GError **error)
{
    GError *problem = NULL;
    g_autoptr(sqlite3_stmt) row = database_query(db, error, "SELECT number, name FROM history_servers", "");
    if (!row)
        return FALSE;
    while (database_step(db, row, &problem)) {
        Source source = server_source(sqlite3_column_int64(row, 0));
        g_autoptr(json_t) own = read_source(db, &source, grid, error);
        if (!own)
            return FALSE;
        if (json_array_size(own) > 0)
            json_object_set_new(ret, (const char *)sqlite3_column_text(row, 1), balloons_of(points, own));
    }
    if (problem)
        g_propagate_error(error, problem);
    return problem == NULL;
}

static gboolean find_server(sqlite3 *db, const char *id, int64_t *ret, GError **error)
{
    GError *problem = NULL;
    *ret = -1; /* nothing is known of it: no points */
    g_autoptr(sqlite3_stmt) row =
        database_query(db, error, "SELECT number FROM history_servers WHERE id = ?", "t", id);
    if (!row)
        return FALSE;
    if (database_step(db, row, &problem))
        *ret = sqlite3_column_int64(row, 0);
    if (problem)
        g_propagate_error(error, problem);
    return problem == NULL;
}

static json_t *read_host(sqlite3 *db, const HistoryQuery *query, const Grid *grid, GError **error)
{
    Source source = {.table = "history_host",
                     .columns = "committed_kib, pool_kib, slack_kib, available_kib, pressure_centi",
                     .names = HOST_NAMES,
                     .n = G_N_ELEMENTS(HOST_NAMES)};
    g_autoptr(json_t) points = read_source(db, &source, grid, error);
    if (!points)
        return NULL;
    g_autoptr(json_t) servers = json_object();
    if (query->with_servers && !add_servers(db, grid, points, servers, error))
        return NULL;
    json_t *result = json_pack("{s:I, s:O}", "step_seconds", (json_int_t)grid->step_s, "points", points);
    if (query->with_servers)
        json_object_set(result, "servers", servers);
    return result;
}

json_t *history_read_points(sqlite3 *db, const HistoryQuery *query, GError **error)
{
    Grid grid = grid_of(query, g_get_real_time() / G_USEC_PER_SEC);
    if (!query->server_id)
        return read_host(db, query, &grid, error);
    int64_t number = 0;
    if (!find_server(db, query->server_id, &number, error))
        return NULL;
    Source source = server_source(number);
    json_t *points = read_source(db, &source, &grid, error);
    return points ? json_pack("{s:I, s:o}", "step_seconds", (json_int_t)grid.step_s, "points", points) : NULL;
}
