#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define NCURSES_WIDECHAR 1
#include <ncurses.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/screen.h"
#include "cli/text.h"
#include "cli/top_draw.h"
#include "cli/top_model.h"

#define DECISIONS     20
#define CALL_MS       1500 /* the picture stands still meanwhile */
#define RETRY_US      ((int64_t)G_USEC_PER_SEC)
#define RESYNC_US     ((int64_t)G_USEC_PER_SEC)
#define FRAME_US      (INT64_C(50) * 1000) /* at most 20 frames a second */
#define IDLE_MS       500                  /* "no news for 5 s" counts on by itself */
#define EVENTS_A_TURN 2000
#define PLAIN_WIDTH   100 /* of a frame for a pipe, unless COLUMNS says otherwise */
#define WIDTH_LEAST   40
#define WIDTH_MOST    250

static const CliOption top_options[] = {
    {"once", '1', NULL, "print one picture as text, and end"},
    {0},
};

typedef struct {
    Cli *cli;
    TopModel *model;
    ControlClient *client;
    int64_t retry_us, resync_us, drawn_us;
    gboolean dirty, quit;
} Top;

/* Everything the picture needs, asked for at once. */
static gboolean sync_model(TopModel *model, ControlClient *client, int timeout_ms, GError **error)
{
    g_autoptr(json_t) host = control_client_call(client, "status", NULL, timeout_ms, error);
    if (host == NULL)
        return FALSE;
    g_autoptr(json_t) list = control_client_call(client, "list", NULL, timeout_ms, error);
    if (list == NULL)
        return FALSE;
    json_t *params = json_pack("{s:i}", "limit", DECISIONS);
    g_autoptr(json_t) journal = control_client_call(client, "journal", params, timeout_ms, error);
    if (journal == NULL)
        return FALSE;
    top_model_set_host(model, host);
    top_model_set_servers(model, json_object_get(list, "servers"));
    top_model_set_decisions(model, json_object_get(journal, "decisions"));
    model->connected = TRUE;
    return TRUE;
}

static int plain_width(const Cli *cli)
{
    if (cli->width > 0)
        return CLAMP(cli->width, WIDTH_LEAST, WIDTH_MOST);
    const char *columns = g_getenv("COLUMNS");
    guint64 width = PLAIN_WIDTH;
    if (columns != NULL && g_ascii_string_to_unsigned(columns, 10, WIDTH_LEAST, WIDTH_MOST, &width, NULL))
        return (int)width;
    return PLAIN_WIDTH;
}

static int print_json(Cli *cli)
{
    g_autoptr(json_t) host = cli_call(cli, "status", NULL);
    g_autoptr(json_t) list = host != NULL ? cli_call(cli, "list", NULL) : NULL;
    if (list == NULL)
        return CLI_FAILED;
    g_autoptr(json_t) both =
        json_pack("{s:O, s:O?}", "host", host, "servers", json_object_get(list, "servers"));
    cli_print_json(cli, both, FALSE);
    return CLI_OK;
}

static int print_once(Cli *cli)
{
    if (cli_connect(cli) == NULL)
        return CLI_FAILED;
    g_autoptr(TopModel) model = top_model_new();
    g_autoptr(GError) error = NULL;
    if (!sync_model(model, cli->client, CLI_TIMEOUT_MS, &error)) {
        cli_complain(cli, "%s", error->message);
        return CLI_FAILED;
    }
    model->plain = TRUE;
    int width = plain_width(cli);
    g_autoptr(Frame) frame = frame_new(width, top_draw_height(model, width));
    top_draw(model, frame, 0);
    g_autofree char *text = frame_text(frame);
    fputs(text, cli->out);
    return CLI_OK;
}

static void lose(Top *top, int64_t now_us)
{
    g_clear_pointer(&top->client, control_client_free);
    top->model->connected = FALSE;
    top->retry_us = now_us + RETRY_US;
    top->dirty = TRUE;
}

static gboolean connect_top(Top *top, GError **error)
{
    g_autoptr(ControlClient) client = control_client_open(top->cli->socket_path, error);
    if (client == NULL)
        return FALSE;
    /* Events first: what happens while the rest is asked for is then not missed. */
    g_autoptr(json_t) subscribed = control_client_call(client, "events", NULL, CALL_MS, error);
    if (subscribed == NULL || !sync_model(top->model, client, CALL_MS, error))
        return FALSE;
    top->client = g_steal_pointer(&client);
    top->model->news_us = g_get_monotonic_time();
    top->dirty = TRUE;
    return TRUE;
}

static void resync(Top *top, int64_t now_us)
{
    top->resync_us = now_us + RESYNC_US;
    if (!sync_model(top->model, top->client, CALL_MS, NULL))
        lose(top, now_us);
}

static void take_events(Top *top, int64_t now_us)
{
    for (int i = 0; top->client != NULL && i < EVENTS_A_TURN; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) event = control_client_next_event(top->client, &error);
        if (error != NULL)
            lose(top, now_us);
        if (event == NULL)
            break;
        top_model_apply(top->model, event, now_us);
        top->dirty = TRUE;
    }
    if (top->client != NULL && top->model->stale && !top->model->paused && now_us >= top->resync_us)
        resync(top, now_us);
}

static void explain_selected(Top *top)
{
    int selected = top_model_selected(top->model);
    if (selected < 0)
        return;
    ServerView *server = g_ptr_array_index(top->model->servers, (guint)selected);
    g_autofree char *name = g_strdup(server->raw_name);
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) result = NULL;
    if (top->client != NULL)
        result =
            control_client_call(top->client, "explain", json_pack("{s:s}", "name", name), CALL_MS, &error);
    top_model_open_explain(top->model, name, result,
                           error != NULL ? error->message : "The daemon is away; it is being waited for.");
}

static void toggle_pause(Top *top)
{
    top->model->paused = !top->model->paused;
    if (!top->model->paused)
        top->model->stale = TRUE;
}

static void page_key(Top *top, int key, int rows)
{
    TopPage *page = top->model->page;
    if (key == KEY_UP || key == 'k')
        page->offset = MAX(page->offset - 1, 0);
    else if (key == KEY_DOWN || key == 'j')
        page->offset++;
    else if (key == KEY_PPAGE)
        page->offset = MAX(page->offset - rows, 0);
    else if (key == KEY_NPAGE || key == ' ')
        page->offset += rows;
    else if (key == KEY_HOME || key == 'g')
        page->offset = 0;
    else if (key == KEY_END || key == 'G')
        page->offset = G_MAXINT / 2;
    else if (key == KEY_ESCAPE || key == 'q' || key == '?' || key == KEY_LEFT || key == KEY_ENTER ||
             key == '\r' || key == '\n' || key == KEY_BACKSPACE)
        top_model_close_page(top->model);
}

static gboolean move_key(Top *top, int key, int rows)
{
    if (key == KEY_UP || key == 'k')
        top_model_move(top->model, -1);
    else if (key == KEY_DOWN || key == 'j')
        top_model_move(top->model, 1);
    else if (key == KEY_PPAGE)
        top_model_move(top->model, -rows);
    else if (key == KEY_NPAGE || key == ' ')
        top_model_move(top->model, rows);
    else if (key == KEY_HOME || key == 'g')
        top_model_move(top->model, -(int)top->model->servers->len);
    else if (key == KEY_END || key == 'G')
        top_model_move(top->model, (int)top->model->servers->len);
    else
        return FALSE;
    return TRUE;
}

static void list_key(Top *top, int key, int rows)
{
    TopModel *model = top->model;
    if (move_key(top, key, rows))
        return;
    if (key == 'q') {
        top->quit = TRUE;
    } else if (key == '?' || key == 'h') {
        top_model_open_help(model);
    } else if (key == KEY_ENTER || key == '\r' || key == '\n' || key == KEY_RIGHT) {
        explain_selected(top);
    } else if (key == 'p') {
        toggle_pause(top);
    } else if (key == 's' || key == 'r') {
        if (key == 's')
            model->sort = (TopSort)((model->sort + 1) % SORT_N);
        else
            model->reverse = !model->reverse;
        top_model_sort(model);
        top_model_move(model, -(int)model->servers->len); /* to see what is first now */
    }
}

static void take_keys(Top *top)
{
    int key, width, height;
    while (!top->quit && (key = screen_key()) != KEY_NONE) {
        screen_size(&width, &height);
        top->dirty = TRUE;
        if (top->model->page != NULL)
            page_key(top, key, MAX(height / 2, 1));
        else
            list_key(top, key, MAX(height / 2, 1));
    }
}

static void draw(Top *top, int64_t now_us)
{
    int width, height;
    screen_size(&width, &height);
    g_autoptr(Frame) frame = frame_new(width, height);
    top_draw(top->model, frame, now_us);
    screen_show(frame);
    top->drawn_us = now_us;
    top->dirty = FALSE;
}

/* Sleeps until there is a key, an event or a frame to draw; FALSE when the terminal has gone. */
static gboolean wait_turn(const Top *top)
{
    struct pollfd fds[2] = {
        {.fd = STDIN_FILENO, .events = POLLIN},
        {.fd = top->client != NULL ? control_client_fd(top->client) : -1, .events = POLLIN}};
    if (poll(fds, 2, top->dirty ? (int)(FRAME_US / 1000) : IDLE_MS) <= 0)
        return TRUE; /* time, or a signal such as a resize */
    return (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)) == 0;
}

static void watch(Top *top)
{
    while (!top->quit) {
        int64_t now_us = g_get_monotonic_time();
        if (top->client == NULL && now_us >= top->retry_us && !connect_top(top, NULL))
            lose(top, now_us);
        take_events(top, now_us);
        take_keys(top);
        if (now_us - top->drawn_us >= (top->dirty ? FRAME_US : IDLE_MS * INT64_C(1000)))
            draw(top, now_us);
        if (!top->quit && !wait_turn(top))
            break;
    }
}

static int run_screen(Cli *cli)
{
    g_autoptr(TopModel) model = top_model_new();
    Top top = {.cli = cli, .model = model};
    g_autoptr(GError) error = NULL;
    if (!connect_top(&top, &error)) {
        cli_complain(cli, "%s", error->message);
        return CLI_FAILED;
    }
    if (screen_open(cli->colour)) {
        watch(&top);
        screen_close();
        control_client_free(top.client);
        return CLI_OK;
    }
    control_client_free(top.client);
    const char *term = g_getenv("TERM");
    cli_complain(cli, "the terminal \"%s\" is not known here, so there is one picture as text only",
                 term != NULL ? term : "");
    return print_once(cli);
}

static int run_top(Cli *cli)
{
    if (cli->json)
        return print_json(cli);
    if (cli_value(cli, "once") != NULL || !cli->is_tty || !isatty(STDIN_FILENO))
        return print_once(cli);
    return run_screen(cli);
}

const CliVerb verb_top = {
    .name = "top",
    .operands = "",
    .options = top_options,
    .summary = "watch memory move between the servers",
    .text =
        "Shows the pool and every server, live. The bar of a server is what it booked: full where it is in\n"
        "use, half where it is available now, light where it is lent out; the tick is what the host really\n"
        "holds for it. Keys: arrows or j/k select, Enter explains, s sorts, r reverses, p pauses, ? helps,\n"
        "q quits. Into a pipe it prints one picture as text, as wide as COLUMNS says.\n\n"
        "Examples:\n"
        "  aerostat top\n"
        "  COLUMNS=160 aerostat top --once | less",
    .run = run_top,
};
