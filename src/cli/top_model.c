#include "cli/top_model.h"

#include <string.h>

#include "cli/text.h"

#define DECISIONS_KEPT 50

const char *top_sort_name(TopSort sort)
{
    static const char *const names[SORT_N] = {"name", "in use", "available now", "booked", "short", "weight"};
    return names[sort];
}

static void server_destroy(gpointer server)
{
    server_view_free(server);
}

TopModel *top_model_new(void)
{
    TopModel *model = g_new0(TopModel, 1);
    host_view_init(&model->host, NULL);
    model->servers = g_ptr_array_new_with_free_func(server_destroy);
    model->decisions = g_ptr_array_new_with_free_func(g_free);
    return model;
}

void top_model_free(TopModel *model)
{
    if (model == NULL)
        return;
    top_model_close_page(model);
    host_view_clear(&model->host);
    g_ptr_array_unref(model->servers);
    g_ptr_array_unref(model->decisions);
    g_free(model->selected);
    g_free(model);
}

void top_model_set_host(TopModel *model, json_t *host)
{
    host_view_clear(&model->host);
    host_view_init(&model->host, host);
}

void top_model_set_servers(TopModel *model, json_t *servers)
{
    g_ptr_array_set_size(model->servers, 0);
    size_t i;
    json_t *server;
    json_array_foreach(servers, i, server) g_ptr_array_add(model->servers, server_view_new(server));
    model->stale = FALSE;
    top_model_sort(model);
}

static char *decision_line(json_t *decision)
{
    json_t *time_us = json_object_get(decision, "time_us");
    g_autofree char *time =
        json_is_integer(time_us) ? text_time(json_integer_value(time_us), TRUE) : g_strdup(text_dash());
    g_autofree char *text = view_text(decision, "text");
    const char *failed = view_raw(decision, "error") != NULL ? " (failed)" : "";
    const char *seen =
        json_is_false(json_object_get(decision, "performed")) && *failed == '\0' ? " (only decided)" : "";
    return g_strconcat(time, "  ", text, failed, seen, NULL);
}

void top_model_set_decisions(TopModel *model, json_t *decisions)
{
    g_ptr_array_set_size(model->decisions, 0);
    size_t i;
    json_t *decision;
    json_array_foreach(decisions, i, decision)
    {
        if (i < DECISIONS_KEPT)
            g_ptr_array_add(model->decisions, decision_line(decision));
    }
}

ServerView *top_model_server(const TopModel *model, const char *raw_name)
{
    for (guint i = 0; raw_name != NULL && i < model->servers->len; i++) {
        ServerView *server = g_ptr_array_index(model->servers, i);
        if (strcmp(server->raw_name, raw_name) == 0)
            return server;
    }
    return NULL;
}

static void apply_server(TopModel *model, json_t *data)
{
    ServerView *server = server_view_new(data);
    for (guint i = 0; i < model->servers->len; i++) {
        ServerView *known = g_ptr_array_index(model->servers, i);
        if (strcmp(known->raw_name, server->raw_name) == 0) {
            server_view_free(known);
            g_ptr_array_index(model->servers, i) = server;
            top_model_sort(model);
            return;
        }
    }
    g_ptr_array_add(model->servers, server);
    top_model_sort(model);
}

void top_model_apply(TopModel *model, json_t *event, int64_t now_us)
{
    const char *type = view_raw(event, "type");
    json_t *data = json_object_get(event, "data");
    model->news_us = now_us;
    if (type == NULL || model->paused)
        return;
    if (strcmp(type, "host") == 0) {
        top_model_set_host(model, data);
        if (model->host.servers != UNKNOWN_FACT && model->host.servers != model->servers->len)
            model->stale = TRUE;
    } else if (strcmp(type, "server") == 0) {
        apply_server(model, data);
    } else if (strcmp(type, "decision") == 0) {
        g_ptr_array_insert(model->decisions, 0, decision_line(data));
        if (model->decisions->len > DECISIONS_KEPT)
            g_ptr_array_set_size(model->decisions, DECISIONS_KEPT);
    } else if (strcmp(type, "lost") == 0 || strcmp(type, "gone") == 0) {
        model->stale = TRUE;
    }
}

static uint64_t sort_figure(const ServerView *server, TopSort sort)
{
    switch (sort) {
    case SORT_IN_USE:
        return server->in_use;
    case SORT_AVAILABLE:
        return server->available;
    case SORT_BOOKED:
        return server->booked;
    case SORT_SHORT:
        return server->short_by;
    case SORT_WEIGHT:
        return server->weight;
    case SORT_NAME:
    case SORT_N:
        break;
    }
    return 0;
}

/* Names upwards, figures downwards, unknown ones last either way; equal ones by name, so that rows stay in place. */
static gint compare(gconstpointer a, gconstpointer b, gpointer user_data)
{
    const ServerView *one = *(ServerView *const *)a, *other = *(ServerView *const *)b;
    const TopModel *model = user_data;
    int sign = model->reverse ? -1 : 1, by_name = strcmp(one->raw_name, other->raw_name);
    uint64_t left = sort_figure(one, model->sort), right = sort_figure(other, model->sort);
    if (model->sort == SORT_NAME)
        return model->reverse ? -by_name : by_name;
    if (left == right)
        return by_name;
    if (left == UNKNOWN_FACT || right == UNKNOWN_FACT)
        return left == UNKNOWN_FACT ? 1 : -1;
    return sign * (left > right ? -1 : 1);
}

void top_model_sort(TopModel *model)
{
    g_ptr_array_sort_with_data(model->servers, compare, model);
}

int top_model_selected(const TopModel *model)
{
    for (guint i = 0; model->selected != NULL && i < model->servers->len; i++)
        if (strcmp(((ServerView *)g_ptr_array_index(model->servers, i))->raw_name, model->selected) == 0)
            return (int)i;
    return model->servers->len > 0 ? 0 : -1;
}

void top_model_move(TopModel *model, int rows)
{
    int at = top_model_selected(model);
    if (at < 0)
        return;
    at = CLAMP(at + rows, 0, (int)model->servers->len - 1);
    g_free(model->selected);
    model->selected = g_strdup(((ServerView *)g_ptr_array_index(model->servers, (guint)at))->raw_name);
}

static void paragraph_free(gpointer paragraph)
{
    g_free(((TopParagraph *)paragraph)->text);
    g_free(paragraph);
}

void top_model_close_page(TopModel *model)
{
    if (model->page == NULL)
        return;
    g_free(model->page->title);
    g_free(model->page->raw_name);
    g_ptr_array_unref(model->page->paragraphs);
    g_clear_pointer(&model->page, g_free);
}

static TopPage *open_page(TopModel *model, const char *title, const char *raw_name)
{
    top_model_close_page(model);
    model->page = g_new0(TopPage, 1);
    model->page->title = g_strdup(title);
    model->page->raw_name = g_strdup(raw_name);
    model->page->paragraphs = g_ptr_array_new_with_free_func(paragraph_free);
    return model->page;
}

static void add(TopPage *page, int indent, gboolean bold, char *text)
{
    TopParagraph *paragraph = g_new(TopParagraph, 1);
    paragraph->indent = indent;
    paragraph->bold = bold;
    paragraph->text = text;
    g_ptr_array_add(page->paragraphs, paragraph);
}

void top_model_open_help(TopModel *model)
{
    static const char *const keys[] = {
        "Up, Down, j, k    select a server; PgUp, PgDn, Home, End go further",
        "Enter             why it holds what it holds; Esc goes back",
        "s, r              sort by the next column; the other way round",
        "p                 pause: the picture stands still until p again",
        "q                 quit",
    };
    TopPage *page = open_page(model, "Keys and signs", NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
        add(page, 2, FALSE, g_strdup(keys[i]));
    add(page, 0, TRUE, g_strdup(""));
    add(page, 0, TRUE, g_strdup("Bars"));
    add(page, 2, FALSE, g_strdup_printf("%s  in use by its programs", bar_glyph(BAR_USED)));
    add(page, 2, FALSE, g_strdup_printf("%s  available now, and idle", bar_glyph(BAR_HELD)));
    add(page, 2, FALSE, g_strdup_printf("%s  booked, but lent out for now", bar_glyph(BAR_REST)));
    add(page, 2, FALSE,
        g_strdup_printf("%s  resident: what the host really holds for it", bar_glyph(BAR_TICK)));
    add(page, 0, TRUE, g_strdup(""));
    add(page, 0, TRUE, g_strdup("Signs before a name"));
    add(page, 2, FALSE, g_strdup("!  short: it needs more than it has"));
    add(page, 2, FALSE, g_strdup("+  memory is on its way to it"));
    add(page, 2, FALSE, g_strdup("-  it is giving memory back"));
    add(page, 2, FALSE, g_strdup("~  held for now: starting, rebooting, resting after trouble, ..."));
    add(page, 2, FALSE, g_strdup("=  fixed: it always has all it booked"));
}

static void add_decisions(TopPage *page, json_t *decisions)
{
    if (json_array_size(decisions) == 0)
        return;
    add(page, 0, TRUE, g_strdup(""));
    add(page, 0, TRUE, g_strdup("Recent decisions, the newest first"));
    size_t i;
    json_t *decision;
    json_array_foreach(decisions, i, decision) add(page, 2, FALSE, decision_line(decision));
}

void top_model_open_explain(TopModel *model, const char *raw_name, json_t *result, const char *problem)
{
    g_autofree char *name = text_clean(raw_name);
    TopPage *page = open_page(model, name, raw_name);
    if (result == NULL) {
        add(page, 0, FALSE, text_clean(problem));
        return;
    }
    add(page, 0, TRUE, view_text(result, "summary"));
    add(page, 0, FALSE, g_strdup(""));
    size_t i;
    json_t *sentence;
    json_array_foreach(json_object_get(result, "sentences"), i, sentence)
        add(page, 2, FALSE, text_clean(json_string_value(sentence)));
    add_decisions(page, json_object_get(result, "decisions"));
}
