#include "web/events.h"
#include <string.h>
#include "base/json.h"

/* Shows a client that has gone, keeps proxies from closing a quiet stream. */
#define HEARTBEAT_MS 15000
/* A stream whose session was ended elsewhere goes on for so long at the most. */
#define RECHECK_US INT64_C(60000000)
/* What waits for a slow reader beyond which events are dropped and counted. */
#define QUEUE_LIMIT_BYTES ((gsize)256 * 1024)
#define CALL_TIMEOUT_MS   10000
/* A daemon that could not subscribe just now is asked again. */
#define RETRY_MS 2000
/* When there are too many streams. */
#define CROWD_RETRY_S 10

typedef struct Feed Feed;

typedef struct {
    WebEvents *events;
    HttpRequest *request;
    HttpStream *stream; /* NULL until it is known who asks */
    Feed *feed;
    char *session, *token, *from;
    guint64 call; /* asking who it is; 0 = none */
    int64_t checked_us;
    guint64 lost;
} Stream;

struct Feed {
    WebEvents *events;
    char *account;
    WebLink *link;
    gboolean subscribed;
    guint64 call;       /* asking for that; 0 = none */
    guint retry;        /* a timer */
    GPtrArray *streams; /* Stream, borrowed */
    Stream *subscriber; /* the one whose session or token the subscription stands on; NULL: nobody's yet */
};

struct WebEvents {
    WebLink *link;
    char *socket_path;
    GHashTable *streams; /* HttpRequest -> Stream, owned */
    GHashTable *feeds;   /* account -> Feed, owned */
    GPtrArray *retired;  /* Feed, owned: nobody's any more, freed outside of their links' own callbacks */
    guint heartbeat, retire;
};

static WebCredential credential_of(const Stream *stream)
{
    return (WebCredential){.session = stream->session, .token = stream->token, .from = stream->from};
}

GBytes *web_event_text(const char *type, const char *data)
{
    char *text = g_strdup_printf("event: %s\ndata: %s\n\n", type, data);
    return g_bytes_new_take(text, strlen(text));
}

static void send_to(Stream *stream, GBytes *bytes)
{
    if (!stream->stream)
        return;
    if (stream->lost > 0) {
        g_autofree char *data = g_strdup_printf("{\"events\":%" G_GUINT64_FORMAT "}", stream->lost);
        g_autoptr(GBytes) notice = web_event_text("lost", data);
        if (http_stream_send(stream->stream, notice, QUEUE_LIMIT_BYTES))
            stream->lost = 0;
    }
    if (stream->lost > 0 || !http_stream_send(stream->stream, bytes, QUEUE_LIMIT_BYTES))
        stream->lost++;
}

static void broadcast(Feed *feed, const char *type, const char *data)
{
    g_autoptr(GBytes) bytes = web_event_text(type, data);
    for (guint i = 0; i < feed->streams->len; i++)
        send_to(feed->streams->pdata[i], bytes);
}

static void feed_free(gpointer data)
{
    Feed *feed = data;
    g_clear_handle_id(&feed->retry, g_source_remove);
    web_link_free(feed->link);
    g_ptr_array_unref(feed->streams);
    g_free(feed->account);
    g_free(feed);
}

static gboolean on_retire(gpointer user_data)
{
    WebEvents *events = user_data;
    events->retire = 0;
    g_ptr_array_set_size(events->retired, 0);
    return G_SOURCE_REMOVE;
}

static void retire(Feed *feed)
{
    WebEvents *events = feed->events;
    g_hash_table_steal(events->feeds, feed->account);
    g_ptr_array_add(events->retired, feed);
    if (events->retire == 0)
        events->retire = g_idle_add(on_retire, events);
}

static void subscribe(Feed *feed);

/* Out of its feed; the last one out ends the subscription. TRUE when another one's session has to stand in for it: the daemon
 * tells nothing more to one that has ended. */
static gboolean detach(Stream *stream)
{
    Feed *feed = stream->feed;
    stream->feed = NULL;
    if (!feed)
        return FALSE;
    g_ptr_array_remove_fast(feed->streams, stream);
    gboolean stood = feed->subscriber == stream;
    if (stood)
        feed->subscriber = NULL;
    if (feed->streams->len == 0)
        retire(feed);
    return stood && feed->streams->len > 0;
}

static void leave(Stream *stream)
{
    Feed *feed = stream->feed;
    if (detach(stream))
        subscribe(feed);
}

static void stream_free(gpointer data)
{
    Stream *stream = data;
    if (stream->call)
        web_link_cancel(stream->events->link, stream->call);
    leave(stream);
    g_free(stream->session);
    g_free(stream->token);
    g_free(stream->from);
    g_free(stream);
}

static void say_end(Stream *stream, const char *why)
{
    g_autoptr(json_t) reason = json_pack("{s:s}", "reason", why);
    g_autofree char *data = json_dumps(reason, JSON_COMPACT);
    g_autoptr(GBytes) bytes = web_event_text("end", data);
    send_to(stream, bytes);
    if (stream->stream)
        http_stream_end(stream->stream);
}

static void end_stream(Stream *stream, const char *why)
{
    say_end(stream, why);
    leave(stream);
}

static void on_notified(json_t *params, gpointer user_data)
{
    const char *type = json_string_value(json_object_get(params, "type"));
    json_t *data = json_object_get(params, "data");
    if (!type || !data)
        return;
    g_autofree char *text = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY);
    broadcast(user_data, type, text);
}

static gboolean on_retry(gpointer user_data)
{
    Feed *feed = user_data;
    feed->retry = 0;
    subscribe(feed);
    return G_SOURCE_REMOVE;
}

static void on_subscribed(const WebAnswer *answer, gpointer user_data)
{
    Feed *feed = user_data;
    feed->call = 0;
    if (answer->result) {
        feed->subscribed = TRUE;
        broadcast(feed, "online", "{}");
    } else if ((answer->http_status == 401 || answer->http_status == 403) && feed->subscriber) {
        end_stream(feed->subscriber, "this session has ended"); /* and another one's is tried */
    } else if (web_link_connected(feed->link) && feed->retry == 0) {
        feed->retry = g_timeout_add(RETRY_MS, on_retry, feed);
    }
}

static void subscribe(Feed *feed)
{
    /* What an earlier subscriber's session comes to is nothing against this one's. */
    web_link_cancel(feed->link, feed->call);
    feed->call = 0;
    feed->subscriber = feed->streams->len > 0 ? feed->streams->pdata[0] : NULL;
    if (!feed->subscriber || !web_link_connected(feed->link))
        return; /* retired, or it is asked again once there is a connection */
    WebCredential credential = credential_of(feed->subscriber);
    feed->call = web_link_call(feed->link, "events", NULL, &credential, CALL_TIMEOUT_MS, on_subscribed, feed);
}

static void on_link(gboolean connected, gpointer user_data)
{
    Feed *feed = user_data;
    if (connected)
        subscribe(feed);
    else
        broadcast(feed, "offline", "{}"); /* also to whom nobody has said yet that it was ever there */
    feed->subscribed = FALSE;
}

static guint streams_allowed(const char *account)
{
    return g_str_has_prefix(account, "operator ") ? WEB_STREAMS_OF_OPERATOR : WEB_STREAMS_OF_OWNER;
}

/* A quiet stream learns late that its client has gone: a page that is loaded again and again must not use up its own. */
static void drop_left(Feed *feed)
{
    for (guint i = feed->streams->len; i > 0; i--) {
        Stream *stream = feed->streams->pdata[i - 1];
        if (!stream->stream || !http_stream_is_left(stream->stream))
            continue;
        http_stream_end(stream->stream);
        leave(stream);
    }
}

static void refuse_crowd(HttpRequest *request, int status, const char *kind, const char *detail)
{
    g_autofree char *seconds = g_strdup_printf("%d", CROWD_RETRY_S);
    g_autoptr(json_t) more = json_pack("{s:i}", "retry_after_s", CROWD_RETRY_S);
    http_add_header(request, "Retry-After", seconds);
    http_problem(request, status, kind, detail, more);
}

/* FALSE when the request has been answered with why not. */
static gboolean may_join(WebEvents *events, HttpRequest *request, const char *account)
{
    guint allowed = streams_allowed(account);
    Feed *feed = g_hash_table_lookup(events->feeds, account);
    if (feed && feed->streams->len >= allowed) {
        drop_left(feed); /* which ends the feed, too, when all of them had left */
        feed = g_hash_table_lookup(events->feeds, account);
    }
    if (feed && feed->streams->len >= allowed) {
        g_autofree char *detail = g_strdup_printf(
            "this account has %u event streams open already, as many as it may have; close one (a tab of the "
            "dashboard, a program), then try again",
            feed->streams->len);
        refuse_crowd(request, 429, "rate-limited", detail);
        return FALSE;
    }
    if (feed || g_hash_table_size(events->feeds) < WEB_WATCHERS_MAX)
        return TRUE;
    refuse_crowd(
        request, 503, "unavailable",
        "too many accounts watch events at this moment; everything else works: ask for what you need "
        "(GET /api/v1/servers), and try again later");
    return FALSE;
}

static void join(Stream *stream, const char *account)
{
    WebEvents *events = stream->events;
    Feed *feed = g_hash_table_lookup(events->feeds, account);
    if (!feed) {
        feed = g_new0(Feed, 1);
        feed->events = events;
        feed->account = g_strdup(account);
        feed->streams = g_ptr_array_new();
        WebLinkEvents link_events = {.notified = on_notified, .changed = on_link, .user_data = feed};
        feed->link = web_link_new(events->socket_path, &link_events);
        g_hash_table_insert(events->feeds, feed->account, feed);
    }
    g_ptr_array_add(feed->streams, stream);
    stream->feed = feed;
    if (feed->subscribed) {
        g_autoptr(GBytes) online = web_event_text("online", "{}");
        send_to(stream, online);
    }
}

/* "role user" of a whoami answer; NULL when it is none. (transfer full) */
static char *account_of(GBytes *result)
{
    gsize size;
    const char *text = g_bytes_get_data(result, &size);
    g_autoptr(json_t) who = json_loadb(text, size, 0, NULL);
    const char *user = json_string_value(json_object_get(who, "user"));
    const char *role = json_string_value(json_object_get(who, "role"));
    return user && role ? g_strconcat(role, " ", user, NULL) : NULL;
}

static void on_known(const WebAnswer *answer, gpointer user_data)
{
    Stream *stream = user_data;
    HttpRequest *request = stream->request;
    stream->call = 0;
    g_autofree char *account = answer->result ? account_of(answer->result) : NULL;
    if (!account) {
        http_problem(request, answer->result ? 500 : answer->http_status,
                     answer->result ? "failed" : answer->kind,
                     answer->result ? "the daemon does not say who this is" : answer->message, NULL);
        return;
    }
    if (!may_join(stream->events, request, account))
        return;
    stream->checked_us = g_get_monotonic_time();
    http_add_header(request, "X-Accel-Buffering", "no");
    stream->stream = http_stream(request, "text/event-stream");
    join(stream, account);
}

void web_events_open(WebEvents *events, HttpRequest *request, const WebCredential *credential)
{
    Stream *stream = g_new0(Stream, 1);
    stream->events = events;
    stream->request = request;
    stream->session = g_strdup(credential->session);
    stream->token = g_strdup(credential->token);
    stream->from = g_strdup(credential->from);
    g_hash_table_insert(events->streams, request, stream);
    stream->call = web_link_call(events->link, "whoami", NULL, credential, CALL_TIMEOUT_MS, on_known, stream);
}

void web_events_gone(WebEvents *events, HttpRequest *request)
{
    g_hash_table_remove(events->streams, request);
}

/* A daemon that cannot be asked says nothing about a session. */
static void on_rechecked(const WebAnswer *answer, gpointer user_data)
{
    Stream *stream = user_data;
    stream->call = 0;
    if (!answer->result && answer->http_status == 401)
        end_stream(stream, "this session has ended");
}

static gboolean on_heartbeat(gpointer user_data)
{
    WebEvents *events = user_data;
    g_autoptr(GBytes) beat = g_bytes_new_static(": beat\n\n", 8);
    int64_t now_us = g_get_monotonic_time();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, events->streams);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Stream *stream = value;
        if (!stream->stream)
            continue;
        http_stream_send(stream->stream, beat, QUEUE_LIMIT_BYTES);
        if (stream->call != 0 || now_us - stream->checked_us < RECHECK_US)
            continue;
        stream->checked_us = now_us;
        WebCredential credential = credential_of(stream);
        stream->call =
            web_link_call(events->link, "whoami", NULL, &credential, CALL_TIMEOUT_MS, on_rechecked, stream);
    }
    return G_SOURCE_CONTINUE;
}

void web_events_end_session(WebEvents *events, const char *session)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, events->streams);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (g_strcmp0(((Stream *)value)->session, session) == 0) {
            say_end(value, "logged out");
            detach(value);
        }
    /* Only now: one of those that end would not do. */
    g_hash_table_iter_init(&iter, events->feeds);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (!((Feed *)value)->subscriber)
            subscribe(value);
}

WebEvents *web_events_new(WebLink *link, const char *socket_path)
{
    WebEvents *events = g_new0(WebEvents, 1);
    events->link = link;
    events->socket_path = g_strdup(socket_path);
    events->streams = g_hash_table_new_full(NULL, NULL, NULL, stream_free);
    events->feeds = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, feed_free);
    events->retired = g_ptr_array_new_with_free_func(feed_free);
    events->heartbeat = g_timeout_add(HEARTBEAT_MS, on_heartbeat, events);
    return events;
}

void web_events_free(WebEvents *events)
{
    if (!events)
        return;
    g_source_remove(events->heartbeat);
    g_hash_table_unref(events->streams);
    g_clear_handle_id(&events->retire, g_source_remove);
    g_ptr_array_unref(events->retired);
    g_hash_table_unref(events->feeds);
    g_free(events->socket_path);
    g_free(events);
}
