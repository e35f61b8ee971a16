#include "cli/top_draw.h"

#include <string.h>

#include "cli/text.h"

#define NARROW_BELOW 64 /* then a server takes two lines */
#define ROOMY_FROM   24 /* lines: then there is room for a legend and a blank line */
#define FIGURE       8  /* "1023 MiB" */
#define SILENT_US    (INT64_C(3) * G_USEC_PER_SEC)

typedef enum { EXTRA_SHORT, EXTRA_NOTE, EXTRA_DEMAND, EXTRA_RESIDENT, EXTRA_WEIGHT, EXTRA_N } Extra;

typedef struct {
    gboolean narrow;
    int gap, name, available; /* columns */
    int extra[EXTRA_N];       /* 0: not shown */
    int bar_x, bar;
    int row_height, heading_height;
} Layout;

static int longest_name(const TopModel *model)
{
    int longest = 0;
    for (guint i = 0; i < model->servers->len; i++)
        longest = MAX(longest, text_width(((ServerView *)g_ptr_array_index(model->servers, i))->name));
    return longest;
}

/* Wider terminals get more columns, in this order, as long as the bar stays readable. */
static Layout make_layout(const TopModel *model, int width)
{
    static const struct {
        Extra extra;
        int columns, least_bar;
    } wishes[] = {{EXTRA_SHORT, FIGURE, 16},
                  {EXTRA_NOTE, 26, 28},
                  {EXTRA_DEMAND, FIGURE, 28},
                  {EXTRA_RESIDENT, FIGURE, 28},
                  {EXTRA_WEIGHT, 6, 28}};
    Layout layout = {.narrow = width < NARROW_BELOW};
    layout.gap = layout.narrow ? 1 : 2;
    layout.available = layout.narrow ? 9 : 13;
    layout.row_height = layout.heading_height = layout.narrow ? 2 : 1;
    int figures = 3 * layout.gap + 2 * FIGURE + layout.available;
    if (layout.narrow) {
        layout.name = MAX(width - 2 - figures, 4);
        layout.bar_x = 2;
        layout.bar = MAX(width - 2, 1);
        return layout;
    }
    layout.name = CLAMP(longest_name(model), 8, width / 6 + 1);
    layout.bar = width - 2 - layout.name - figures - layout.gap;
    for (gsize i = 0; i < G_N_ELEMENTS(wishes); i++) {
        int cost = wishes[i].columns + layout.gap;
        if (layout.bar - cost < wishes[i].least_bar)
            continue;
        layout.extra[wishes[i].extra] = wishes[i].columns;
        layout.bar -= cost;
    }
    return layout;
}

/* --- the top of the screen --- */

static Segment state_segment(const TopModel *model, int64_t now_us)
{
    const HostView *host = &model->host;
    if (!model->connected)
        return (Segment){STYLE_BAD, g_strconcat("reconnecting", text_ellipsis(), NULL)};
    if (model->paused)
        return (Segment){STYLE_WARN, g_strdup("paused")};
    if (model->news_us > 0 && now_us - model->news_us > SILENT_US)
        return (Segment){STYLE_BAD, g_strdup_printf("no news for %d s",
                                                    (int)((now_us - model->news_us) / G_USEC_PER_SEC))};
    if (strcmp(host->state, "ok") != 0) {
        g_autofree char *over = text_bytes(host->over);
        gboolean by = strcmp(host->state, "overcommitted") == 0 && host->over != UNKNOWN_FACT;
        return (Segment){STYLE_BAD, g_strconcat(host->state, by ? " by " : NULL, over, NULL)};
    }
    if (host->short_by != UNKNOWN_FACT && host->short_by > 0) {
        g_autofree char *missing = text_bytes(host->short_by);
        return (Segment){STYLE_WARN, g_strdup_printf("ok, short of %s", missing)};
    }
    return (Segment){STYLE_GOOD, g_strdup("ok")};
}

static char *labelled(const char *before, char *figure, const char *after)
{
    char *text = g_strconcat(before, figure, after, NULL);
    g_free(figure);
    return text;
}

static char *relief(const HostView *host)
{
    if (host->relief_p50_us == UNKNOWN_FACT || host->relief_p99_us == UNKNOWN_FACT)
        return NULL;
    g_autofree char *p50 = text_duration(host->relief_p50_us), *p99 = text_duration(host->relief_p99_us);
    return g_strdup_printf("relief p50 %s p99 %s", p50, p99);
}

static int draw_title(const TopModel *model, Frame *frame, int width, int64_t now_us)
{
    const HostView *host = &model->host;
    Segment segments[] = {
        {STYLE_BOLD, g_strdup("aerostat")},
        {strcmp(host->mode, "manage") == 0 ? STYLE_PLAIN : STYLE_WARN, g_strdup(host->mode)},
        state_segment(model, now_us),
        {STYLE_PLAIN, labelled("pool ", text_bytes(host->pool), "")},
        {STYLE_PLAIN, relief(host)},
        {STYLE_DIM,
         labelled("", text_count(model->servers->len), model->servers->len == 1 ? " server" : " servers")},
        {STYLE_DIM, labelled("", text_count(host->beats), " beats")},
        {STYLE_DIM, labelled("up ", text_duration(host->uptime_us), "")},
    };
    return frame_flow(frame, width, 0, 2, segments, G_N_ELEMENTS(segments));
}

static uint64_t or_zero(uint64_t figure)
{
    return figure != UNKNOWN_FACT ? figure : 0;
}

/* Committed, slack and free of the pool; what is over the pool stands at the end in its own colour. */
static void draw_pool_bar(const HostView *host, Frame *frame, int y)
{
    int width = frame->width;
    uint64_t committed = or_zero(host->committed), pool = or_zero(host->pool);
    g_autofree BarPart *parts = g_new(BarPart, (gsize)width);
    bar_fill(parts, width, committed, committed + or_zero(host->slack), pool, UNKNOWN_FACT);
    frame_bar(frame, 0, y, parts, width);
    if (committed <= pool || pool == 0)
        return;
    int within = CLAMP((int)((double)pool / (double)committed * width), 0, width - 1);
    for (int x = within; x < width; x++)
        frame_put(frame, x, y, 1, STYLE_BAD, text_is_utf8() ? "▓" : "X");
}

static int draw_pool_legend(const HostView *host, Frame *frame, int width, int y)
{
    uint64_t rest =
        host->free == UNKNOWN_FACT ? UNKNOWN_FACT : host->free - MIN(or_zero(host->slack), host->free);
    gboolean over = host->over != UNKNOWN_FACT && host->over > 0;
    g_autofree char *used_label = g_strdup_printf("%s committed ", bar_glyph(BAR_USED));
    g_autofree char *slack_label = g_strdup_printf("%s slack ", bar_glyph(BAR_HELD));
    g_autofree char *free_label = g_strdup_printf("%s free ", bar_glyph(BAR_REST));
    gboolean narrow = width < NARROW_BELOW;
    Segment segments[] = {
        {STYLE_PLAIN, labelled(used_label, text_bytes(host->committed), "")},
        {STYLE_PLAIN, labelled(slack_label, text_bytes(host->slack), "")},
        {STYLE_PLAIN, labelled(free_label, text_bytes(rest), "")},
        {STYLE_BAD, over ? labelled("over by ", text_bytes(host->over), "") : NULL},
        {STYLE_DIM, narrow ? NULL : labelled("fixed ", text_bytes(host->fixed), "")},
        {STYLE_DIM, narrow ? NULL : labelled("host memory ", text_bytes(host->memory), "")},
    };
    return frame_flow(frame, width, y, narrow ? 2 : 1, segments, G_N_ELEMENTS(segments));
}

/* --- the servers --- */

/* The pool's bar and the servers' are shaded alike, but not for the same thing. */
static void draw_bar_legend(Frame *frame, int y)
{
    static const char *const meanings[BAR_N] = {"in use", "available now", "booked", "resident"};
    Segment segments[BAR_N];
    for (int part = 0; part < BAR_N; part++)
        segments[part] =
            (Segment){STYLE_DIM, g_strdup_printf("%s %s", bar_glyph((BarPart)part), meanings[part])};
    frame_flow(frame, frame->width, y, 1, segments, BAR_N);
}

static int draw_headings(const Layout *layout, Frame *frame, int y)
{
    int gap = layout->gap, x = 2 + layout->name, last = y + layout->heading_height - 1;
    frame_put(frame, 2, last, layout->name, STYLE_BOLD, "Name");
    frame_put_right(frame, x + gap, last, FIGURE, STYLE_BOLD, LABEL_IN_USE);
    x += gap + FIGURE;
    if (layout->narrow) {
        frame_put_right(frame, x + gap, y, layout->available, STYLE_BOLD, "Available");
        frame_put_right(frame, x + gap, last, layout->available, STYLE_BOLD, "now");
    } else {
        frame_put_right(frame, x + gap, last, layout->available, STYLE_BOLD, LABEL_AVAILABLE);
    }
    x += gap + layout->available;
    frame_put_right(frame, x + gap, last, FIGURE, STYLE_BOLD, LABEL_BOOKED);
    x += gap + FIGURE;
    static const struct {
        Extra extra;
        const char *title;
    } extras[] = {{EXTRA_SHORT, "Short"},
                  {EXTRA_DEMAND, "Demand"},
                  {EXTRA_RESIDENT, LABEL_RESIDENT},
                  {EXTRA_WEIGHT, "Weight"}};
    for (gsize i = 0; i < G_N_ELEMENTS(extras); i++) {
        int columns = layout->extra[extras[i].extra];
        if (columns == 0)
            continue;
        frame_put_right(frame, x + gap, last, columns, STYLE_BOLD, extras[i].title);
        x += gap + columns;
    }
    if (layout->extra[EXTRA_NOTE] > 0)
        frame_put(frame, x + 2 * gap + layout->bar, last, layout->extra[EXTRA_NOTE], STYLE_BOLD,
                  "Ballooning");
    return y + layout->heading_height;
}

static const char *sign_of(const ServerView *server, Style *ret_style)
{
    gboolean known = server->target != UNKNOWN_FACT && server->available != UNKNOWN_FACT;
    *ret_style = STYLE_PLAIN;
    if (server->short_by != UNKNOWN_FACT && server->short_by > 0) {
        *ret_style = STYLE_BAD;
        return "!";
    }
    if (known && server->target > server->available)
        return "+";
    if (known && server->target < server->available)
        return "-";
    *ret_style = STYLE_WARN;
    if (server->is_held)
        return "~";
    return server->is_fixed ? "=" : " ";
}

static int put_figure(Frame *frame, const Layout *layout, int x, int y, int columns, Style style, char *text)
{
    frame_put_right(frame, x + layout->gap, y, columns, style, text);
    g_free(text);
    return x + layout->gap + columns;
}

static int draw_extras(const Layout *layout, Frame *frame, const ServerView *server, int x, int y)
{
    gboolean is_short = server->short_by != UNKNOWN_FACT && server->short_by > 0;
    if (layout->extra[EXTRA_SHORT] > 0)
        x = put_figure(frame, layout, x, y, FIGURE, is_short ? STYLE_BAD : STYLE_DIM,
                       server->short_by == 0 ? g_strdup("0") : text_bytes(server->short_by));
    if (layout->extra[EXTRA_DEMAND] > 0)
        x = put_figure(frame, layout, x, y, FIGURE, STYLE_PLAIN, text_bytes(server->demand));
    if (layout->extra[EXTRA_RESIDENT] > 0)
        x = put_figure(frame, layout, x, y, FIGURE, STYLE_PLAIN, text_bytes(server->resident));
    if (layout->extra[EXTRA_WEIGHT] > 0)
        x = put_figure(frame, layout, x, y, layout->extra[EXTRA_WEIGHT], STYLE_PLAIN,
                       text_count(server->weight));
    return x;
}

static void draw_bar(const Layout *layout, Frame *frame, const ServerView *server, int x, int y)
{
    if (server->available == UNKNOWN_FACT || server->booked == UNKNOWN_FACT) {
        frame_put(frame, x, y, layout->bar, STYLE_DIM, server->state);
        return;
    }
    g_autofree BarPart *parts = g_new(BarPart, (gsize)layout->bar);
    bar_fill(parts, layout->bar, server->in_use, server->available, server->booked, server->resident);
    frame_bar(frame, x, y, parts, layout->bar);
}

static void draw_server(const Layout *layout, Frame *frame, const ServerView *server, int y,
                        gboolean selected)
{
    Style sign_style, plain = selected ? STYLE_SELECTED : STYLE_PLAIN;
    const char *sign = sign_of(server, &sign_style);
    frame_put(frame, 0, y, 1, sign_style, sign);
    g_autofree char *name = text_pad(server->name, layout->name, FALSE);
    frame_put(frame, 2, y, layout->name, plain, name);
    int x = 2 + layout->name;
    for (int gap = 0; selected && gap < 3 * layout->gap + 2 * FIGURE + layout->available; gap++)
        frame_put(frame, x + gap, y, 1, plain, " ");
    x = put_figure(frame, layout, x, y, FIGURE, plain, text_bytes(server->in_use));
    x = put_figure(frame, layout, x, y, layout->available, plain, text_bytes(server->available));
    x = put_figure(frame, layout, x, y, FIGURE, plain, server_view_booked(server));
    if (layout->narrow) {
        draw_bar(layout, frame, server, layout->bar_x, y + 1);
        return;
    }
    x = draw_extras(layout, frame, server, x, y) + layout->gap;
    draw_bar(layout, frame, server, x, y);
    if (layout->extra[EXTRA_NOTE] > 0)
        frame_put(frame, x + layout->bar + layout->gap, y, layout->extra[EXTRA_NOTE], sign_style,
                  server->ballooning);
}

/* Keeps the selected one in view, and no empty lines below the last. */
static void scroll_to_selected(TopModel *model, int rows)
{
    int selected = top_model_selected(model), n = (int)model->servers->len;
    if (selected < model->offset)
        model->offset = selected;
    if (selected >= model->offset + rows)
        model->offset = selected - rows + 1;
    model->offset = CLAMP(model->offset, 0, MAX(n - rows, 0));
}

static int draw_servers(TopModel *model, const Layout *layout, Frame *frame, int y, int bottom)
{
    int rows = MAX((bottom - y) / layout->row_height, 1), n = (int)model->servers->len;
    scroll_to_selected(model, rows);
    int selected = top_model_selected(model);
    for (int i = model->offset; i < MIN(model->offset + rows, n); i++, y += layout->row_height)
        draw_server(layout, frame, g_ptr_array_index(model->servers, (guint)i), y, i == selected);
    if (n == 0)
        frame_put(frame, 2, y, frame->width, STYLE_DIM, "No servers.");
    return rows;
}

/* --- the bottom --- */

static int ticker_lines(int height)
{
    if (height < 16)
        return 0;
    return height < 24 ? 2 : (height < 40 ? 3 : 6);
}

static void draw_ticker(const TopModel *model, Frame *frame, int y, int lines)
{
    for (int i = 0; i < MIN(lines, (int)model->decisions->len); i++)
        frame_put(frame, 0, y + i, frame->width, i == 0 ? STYLE_PLAIN : STYLE_DIM,
                  g_ptr_array_index(model->decisions, (guint)i));
}

static void draw_keys(const TopModel *model, Frame *frame, int rows)
{
    int n = (int)model->servers->len, y = frame->height - 1;
    g_autofree char *place =
        n > rows ? g_strdup_printf("%d-%d of %d", model->offset + 1, MIN(model->offset + rows, n), n)
                 : g_strdup("");
    int room = frame->width - text_width(place) - 1;
    Segment segments[] = {
        {STYLE_DIM, g_strdup("q quit")},
        {STYLE_DIM, g_strdup("? help")},
        {STYLE_DIM, g_strconcat("s sort: ", top_sort_name(model->sort), model->reverse ? " (r)" : "", NULL)},
        {STYLE_DIM, g_strdup("Enter explain")},
        {STYLE_DIM, g_strdup(model->paused ? "p go on" : "p pause")},
        {STYLE_DIM, g_strdup("r reverse")},
    };
    frame_flow(frame, room, y, 1, segments, G_N_ELEMENTS(segments));
    frame_put_right(frame, room, y, frame->width - room, STYLE_DIM, place);
}

/* --- pages --- */

static int draw_page_figures(const TopModel *model, Frame *frame, int y)
{
    const ServerView *server = top_model_server(model, model->page->raw_name);
    if (server == NULL)
        return y;
    Layout layout = {.bar = frame->width};
    draw_bar(&layout, frame, server, 0, y);
    Segment segments[] = {
        {STYLE_PLAIN, labelled(LABEL_IN_USE " ", text_bytes(server->in_use), "")},
        {STYLE_PLAIN, labelled(LABEL_AVAILABLE " ", text_bytes(server->available), "")},
        {STYLE_PLAIN, labelled(LABEL_BOOKED " ", server_view_booked(server), "")},
        {STYLE_PLAIN, labelled(LABEL_RESIDENT " ", text_bytes(server->resident), "")},
        {STYLE_PLAIN, labelled("Demand ", text_bytes(server->demand), "")},
    };
    return y + 2 + frame_flow(frame, frame->width, y + 1, 2, segments, G_N_ELEMENTS(segments));
}

static GPtrArray *wrap_page(const TopPage *page, int width, GArray *styles)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < page->paragraphs->len; i++) {
        const TopParagraph *paragraph = g_ptr_array_index(page->paragraphs, i);
        g_autoptr(GPtrArray) wrapped = text_wrap(paragraph->text, width - paragraph->indent);
        for (guint j = 0; j < wrapped->len; j++) {
            Style style = paragraph->bold ? STYLE_BOLD : STYLE_PLAIN;
            g_ptr_array_add(lines, g_strdup_printf("%*s%s", paragraph->indent, "",
                                                   (char *)g_ptr_array_index(wrapped, j)));
            g_array_append_val(styles, style);
        }
    }
    return lines;
}

static void draw_page(TopModel *model, Frame *frame)
{
    TopPage *page = model->page;
    frame_put(frame, 0, 0, frame->width, STYLE_BOLD, page->title);
    int y = draw_page_figures(model, frame, 2), rows = MAX(frame->height - y - 1, 1);
    g_autoptr(GArray) styles = g_array_new(FALSE, FALSE, sizeof(Style));
    g_autoptr(GPtrArray) lines = wrap_page(page, frame->width, styles);
    int n = (int)lines->len;
    page->offset = CLAMP(page->offset, 0, MAX(n - rows, 0));
    for (int i = 0; i < MIN(rows, n - page->offset); i++) {
        guint line = (guint)(page->offset + i);
        frame_put(frame, 0, y + i, frame->width, g_array_index(styles, Style, line),
                  g_ptr_array_index(lines, line));
    }
    g_autofree char *place =
        n > rows ? g_strdup_printf("%d-%d of %d", page->offset + 1, MIN(page->offset + rows, n), n)
                 : g_strdup("");
    frame_put(frame, 0, frame->height - 1, frame->width, STYLE_DIM, "Esc back   Up, Down scroll");
    frame_put_right(frame, frame->width - 14, frame->height - 1, 14, STYLE_DIM, place);
}

void top_draw(TopModel *model, Frame *frame, int64_t now_us)
{
    if (model->page != NULL) {
        draw_page(model, frame);
        return;
    }
    Layout layout = make_layout(model, frame->width);
    int y = draw_title(model, frame, frame->width, now_us);
    draw_pool_bar(&model->host, frame, y++);
    y += draw_pool_legend(&model->host, frame, frame->width, y);
    if (frame->height >= ROOMY_FROM)
        draw_bar_legend(frame, y++);
    y = draw_headings(&layout, frame, y);
    int keys = model->plain ? 0 : 1, ticker = ticker_lines(frame->height),
        blank = frame->height >= ROOMY_FROM ? 1 : 0;
    int rows = draw_servers(model, &layout, frame, y, frame->height - keys - ticker - blank);
    draw_ticker(model, frame, frame->height - keys - ticker, ticker);
    if (keys > 0)
        draw_keys(model, frame, rows);
}

int top_draw_height(const TopModel *model, int width)
{
    Layout layout = make_layout(model, width);
    int around = draw_title(model, NULL, width, 0) + 1 + draw_pool_legend(&model->host, NULL, width, 0) +
                 layout.heading_height + (model->plain ? 0 : 1);
    int rows = MAX((int)model->servers->len, 1) * layout.row_height;
    /* The ticker's height follows the frame's, and the blank lines with it. */
    for (int height = around + rows;; height++)
        if (height - around - ticker_lines(height) - (height >= ROOMY_FROM ? 2 : 0) >= rows)
            return height;
}
