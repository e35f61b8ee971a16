/* The picture: who held what over time, stacked, under the line of the pool; what was needed, dashed. */
#include <math.h>
#include "base/error.h"
#include "base/size.h"
#include "sim/report.h"

#define WIDTH  1000
#define HEIGHT 560
#define LEFT   72
#define RIGHT  204
#define TOP    76
#define BOTTOM 56
#define PLOT_W (WIDTH - LEFT - RIGHT)
#define PLOT_H (HEIGHT - TOP - BOTTOM)
/* More bands than this nobody can tell apart: the smallest servers are drawn as one. */
#define BANDS_MAX   12
#define LABEL_CHARS 22
#define TITLE_CHARS 60

/* Tableau's ten, softened, and two more; readable on white and for the colour-blind beside each other. */
static const char *const colours[BANDS_MAX] = {"#4e79a7", "#f28e2b", "#59a14f", "#e15759",
                                               "#76b7b2", "#edc948", "#b07aa1", "#9c755f",
                                               "#ff9da7", "#86bcb6", "#8cd17d", "#bab0ac"};

typedef struct {
    const Scenario *scenario;
    const History *history;
    guint bands;
    guint *band_of;  /* of each server */
    double *heights; /* rows x bands, bytes, cumulative upwards */
    double top_bytes;
} Picture;

static uint64_t value(const GArray *rows, const History *history, guint row, guint i)
{
    return g_array_index(rows, uint64_t, row * history->n + i);
}

static double x_of(const Picture *picture, guint row)
{
    guint last = MAX(picture->history->rows, 2) - 1;
    return LEFT + (double)PLOT_W * row / last;
}

static double y_of(const Picture *picture, double bytes)
{
    return TOP + PLOT_H * (1 - bytes / picture->top_bytes);
}

typedef struct {
    guint server;
    uint64_t maximum_bytes;
} Ranked;

static int larger_first(const void *a, const void *b)
{
    const Ranked *x = a, *y = b;
    if (x->maximum_bytes != y->maximum_bytes)
        return x->maximum_bytes < y->maximum_bytes ? 1 : -1;
    return x->server < y->server ? -1 : x->server > y->server;
}

static void assign_bands(Picture *picture)
{
    guint n = picture->history->n;
    picture->bands = MIN(n, BANDS_MAX);
    picture->band_of = g_new0(guint, n);
    g_autofree Ranked *ranked = g_new0(Ranked, n);
    for (guint i = 0; i < n; i++)
        ranked[i] = (Ranked){i, ((GuestSpec *)picture->scenario->guests->pdata[i])->maximum_bytes};
    if (n > BANDS_MAX)
        qsort(ranked, n, sizeof *ranked, larger_first);
    for (guint k = 0; k < n; k++)
        picture->band_of[ranked[k].server] = MIN(k, BANDS_MAX - 1);
}

static void stack(Picture *picture)
{
    const History *history = picture->history;
    picture->heights = g_new0(double, (gsize)history->rows * picture->bands);
    picture->top_bytes = (double)picture->scenario->pool_bytes;
    for (guint row = 0; row < history->rows; row++) {
        double *heights = &picture->heights[(gsize)row * picture->bands];
        double need = 0;
        for (guint i = 0; i < history->n; i++) {
            heights[picture->band_of[i]] += (double)value(history->held, history, row, i);
            need += (double)value(history->needs, history, row, i);
        }
        for (guint band = 1; band < picture->bands; band++)
            heights[band] += heights[band - 1];
        picture->top_bytes = fmax(picture->top_bytes, fmax(heights[picture->bands - 1], need));
    }
    picture->top_bytes *= 1.06;
}

static double nice_step(double range, int steps)
{
    double rough = range / steps, scale = pow(10, floor(log10(rough)));
    double part = rough / scale;
    return scale * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

static void draw_axes(const Picture *picture, GString *svg)
{
    double unit = picture->top_bytes >= (double)(2 * GIB) ? (double)GIB : (double)MIB;
    double step = nice_step(picture->top_bytes / unit, 6);
    for (int i = 0; i * step * unit <= picture->top_bytes; i++) {
        double tick = i * step;
        double y = y_of(picture, tick * unit);
        g_string_append_printf(svg, "<line x1='%d' y1='%.1f' x2='%d' y2='%.1f' stroke='#e3e6ea'/>\n", LEFT, y,
                               LEFT + PLOT_W, y);
        g_string_append_printf(svg, "<text x='%d' y='%.1f' text-anchor='end' class='tick'>%g</text>\n",
                               LEFT - 8, y + 4, tick);
    }
    g_string_append_printf(svg,
                           "<text transform='translate(22 %d) rotate(-90)' text-anchor='middle' "
                           "class='axis'>memory held, %s</text>\n",
                           TOP + PLOT_H / 2, unit > (double)MIB ? "GiB" : "MiB");
    double seconds = (double)picture->scenario->duration_us / 1e6, scale = seconds > 600 ? 60 : 1;
    step = nice_step(seconds / scale, 8);
    for (int i = 0; i * step * scale <= seconds * 1.0001; i++)
        g_string_append_printf(svg, "<text x='%.1f' y='%d' text-anchor='middle' class='tick'>%g</text>\n",
                               LEFT + PLOT_W * (i * step * scale / seconds), TOP + PLOT_H + 20, i * step);
    g_string_append_printf(svg, "<text x='%d' y='%d' text-anchor='middle' class='axis'>time, %s</text>\n",
                           LEFT + PLOT_W / 2, HEIGHT - 14, scale > 1 ? "minutes" : "seconds");
}

static void draw_bands(const Picture *picture, GString *svg)
{
    const History *history = picture->history;
    for (guint band = 0; band < picture->bands; band++) {
        g_string_append(svg, "<path d='M");
        for (guint row = 0; row < history->rows; row++)
            g_string_append_printf(svg, "%.1f %.1f ", x_of(picture, row),
                                   y_of(picture, picture->heights[(gsize)row * picture->bands + band]));
        for (guint row = history->rows; row > 0; row--) {
            double low = band > 0 ? picture->heights[(gsize)(row - 1) * picture->bands + band - 1] : 0;
            g_string_append_printf(svg, "L%.1f %.1f ", x_of(picture, row - 1), y_of(picture, low));
        }
        g_string_append_printf(svg, "Z' fill='%s' fill-opacity='.88' stroke='#ffffff' stroke-width='.7'/>\n",
                               colours[band]);
    }
}

static void draw_lines(const Picture *picture, GString *svg)
{
    const History *history = picture->history;
    double pool = y_of(picture, (double)picture->scenario->pool_bytes);
    g_string_append_printf(
        svg, "<line x1='%d' y1='%.1f' x2='%d' y2='%.1f' stroke='#c22f3d' stroke-width='1.6'/>\n", LEFT, pool,
        LEFT + PLOT_W, pool);
    g_string_append(svg, "<path fill='none' stroke='#1d2733' stroke-width='1.8' stroke-dasharray='5 3' "
                         "stroke-linejoin='round' d='M");
    for (guint row = 0; row < history->rows; row++) {
        double need = 0;
        for (guint i = 0; i < history->n; i++)
            need += (double)value(history->needs, history, row, i);
        g_string_append_printf(svg, "%.1f %.1f ", x_of(picture, row), y_of(picture, need));
    }
    g_string_append(svg, "'/>\n");
    g_string_append_printf(svg, "<path d='M%d %dV%dH%d' fill='none' stroke='#8a94a0'/>\n", LEFT, TOP,
                           TOP + PLOT_H, LEFT + PLOT_W);
}

/* Names come from files: nothing in them may end the text they stand in, or run out of the picture. */
static char *escaped(const char *text, guint max_chars)
{
    g_autofree char *plain = error_printable(text, -1, max_chars);
    return g_markup_escape_text(plain, -1);
}

static void draw_legend(const Picture *picture, GString *svg)
{
    int x = LEFT + PLOT_W + 22, y = TOP + 8;
    g_string_append_printf(svg,
                           "<line x1='%d' y1='%d' x2='%d' y2='%d' stroke='#c22f3d' stroke-width='1.6'/><text "
                           "x='%d' y='%d' class='key'>pool</text>\n",
                           x, y, x + 16, y, x + 24, y + 4);
    y += 22;
    g_string_append_printf(svg,
                           "<line x1='%d' y1='%d' x2='%d' y2='%d' stroke='#1d2733' stroke-width='1.8' "
                           "stroke-dasharray='5 3'/><text x='%d' y='%d' class='key'>needed in all</text>\n",
                           x, y, x + 16, y, x + 24, y + 4);
    for (guint k = picture->bands; k > 0; k--) {
        y += 22;
        g_autofree char *name = NULL;
        guint members = 0;
        for (guint i = 0; i < picture->history->n; i++)
            if (picture->band_of[i] == k - 1 && members++ == 0)
                name = escaped(((GuestSpec *)picture->scenario->guests->pdata[i])->name, LABEL_CHARS);
        if (members > 1) {
            g_free(name);
            name = g_strdup_printf("%u others", members);
        }
        g_string_append_printf(svg,
                               "<rect x='%d' y='%d' width='16' height='12' rx='2' fill='%s' "
                               "fill-opacity='.88'/><text x='%d' y='%d' class='key'>%s</text>\n",
                               x, y - 6, colours[k - 1], x + 24, y + 4, name ? name : "");
    }
}

static void draw_title(const Picture *picture, const ManagerOps *ops, const Run *run, GString *svg)
{
    const Summary *s = &run->summary;
    g_autofree char *name = escaped(picture->scenario->name, TITLE_CHARS);
    g_autofree char *relief =
        s->reliefs > 0 ? g_strdup_printf("relief p50 %.2f s, p99 %.2f s", s->relief_p50_s, s->relief_p99_s)
                       : g_strdup("nobody waited");
    g_string_append_printf(svg, "<text x='%d' y='32' class='title'>%s under %s</text>\n", LEFT, name,
                           ops->name);
    g_string_append_printf(svg,
                           "<text x='%d' y='54' class='axis'>work %.1f %% of unlimited memory · %.1f s of "
                           "stall · %" G_GUINT64_FORMAT " killed · %s</text>\n",
                           LEFT, s->work_percent, s->stall_s, (guint64)s->kills, relief);
}

char *svg_picture(const Scenario *scenario, const ManagerOps *ops, const Run *run)
{
    Picture picture = {.scenario = scenario, .history = &run->history};
    GString *svg = g_string_new(NULL);
    assign_bands(&picture);
    stack(&picture);
    g_string_append_printf(
        svg,
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d' height='%d' role='img'>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT);
    g_string_append(
        svg,
        "<title>Who held how much memory over time</title>\n<style>text{font-family:system-ui,'Segoe UI',"
        "'DejaVu Sans',sans-serif}.title{font-size:19px;font-weight:600;fill:#1d2733}.axis{font-size:13px;"
        "fill:#4a5561}.tick{font-size:12px;fill:#5b6672}.key{font-size:13px;fill:#1d2733}</style>\n");
    g_string_append_printf(svg, "<rect width='%d' height='%d' rx='10' fill='#fbfcfd' stroke='#d9dee4'/>\n",
                           WIDTH, HEIGHT);
    draw_title(&picture, ops, run, svg);
    draw_axes(&picture, svg);
    draw_bands(&picture, svg);
    draw_lines(&picture, svg);
    draw_legend(&picture, svg);
    g_string_append(svg, "</svg>\n");
    g_free(picture.band_of);
    g_free(picture.heights);
    return g_string_free(svg, FALSE);
}
