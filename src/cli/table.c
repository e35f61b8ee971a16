#include "cli/table.h"

#include "cli/text.h"

#define GAP               2
#define LAST_COLUMN_LEAST 14

typedef struct {
    char *title;
    gboolean right;
    int drop;
    int width;
    gboolean dropped;
} Column;

typedef struct {
    char *text;
    Tone tone;
} Cell;

struct Table {
    GArray *columns; /* of Column */
    GArray *cells;   /* of Cell */
};

/* The 8 basic colours that keep contrast on black and on white; dim is left to the terminal. */
static const char *const tones[TONE_N] = {
    [TONE_PLAIN] = "",         [TONE_GOOD] = "\033[32m", [TONE_WARN] = "\033[35m",
    [TONE_BAD] = "\033[1;31m", [TONE_DIM] = "\033[2m",   [TONE_BOLD] = "\033[1m",
};

const char *tone_begin(Tone tone, gboolean colour)
{
    return colour ? tones[tone] : "";
}

const char *tone_end(Tone tone, gboolean colour)
{
    return colour && tone != TONE_PLAIN ? "\033[0m" : "";
}

static void column_clear(gpointer column)
{
    g_free(((Column *)column)->title);
}

static void cell_clear(gpointer cell)
{
    g_free(((Cell *)cell)->text);
}

Table *table_new(void)
{
    Table *table = g_new0(Table, 1);
    table->columns = g_array_new(FALSE, TRUE, sizeof(Column));
    table->cells = g_array_new(FALSE, TRUE, sizeof(Cell));
    g_array_set_clear_func(table->columns, column_clear);
    g_array_set_clear_func(table->cells, cell_clear);
    return table;
}

void table_free(Table *table)
{
    if (table == NULL)
        return;
    g_array_unref(table->columns);
    g_array_unref(table->cells);
    g_free(table);
}

void table_column(Table *table, const char *title, gboolean right, int drop)
{
    Column column = {.title = g_strdup(title), .right = right, .drop = drop, .width = text_width(title)};
    g_array_append_val(table->columns, column);
}

void table_cell(Table *table, char *text, Tone tone)
{
    Cell cell = {.text = text, .tone = tone};
    guint index = table->cells->len % table->columns->len;
    Column *column = &g_array_index(table->columns, Column, index);
    column->width = MAX(column->width, text_width(text));
    g_array_append_val(table->cells, cell);
}

static int total_width(const Table *table)
{
    int width = -GAP;
    for (guint i = 0; i < table->columns->len; i++) {
        const Column *column = &g_array_index(table->columns, Column, i);
        width += column->dropped ? 0 : column->width + GAP;
    }
    return width;
}

static Column *next_to_drop(const Table *table)
{
    Column *found = NULL;
    for (guint i = 0; i < table->columns->len; i++) {
        Column *column = &g_array_index(table->columns, Column, i);
        if (!column->dropped && column->drop > (found != NULL ? found->drop : 0))
            found = column;
    }
    return found;
}

/* Makes it fit into @width. */
static char *squeeze(const Table *table, int width)
{
    Column *last = &g_array_index(table->columns, Column, table->columns->len - 1);
    int spare = MAX(last->width - LAST_COLUMN_LEAST, 0);
    GString *names = NULL;
    Column *victim;
    while (total_width(table) - spare > width && (victim = next_to_drop(table)) != NULL) {
        victim->dropped = TRUE;
        if (names == NULL)
            names = g_string_new(NULL);
        g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "", victim->title);
    }
    int excess = total_width(table) - width;
    if (excess > 0)
        last->width -= MIN(excess, spare);
    return names != NULL ? g_string_free(names, FALSE) : NULL;
}

static void print_row(const Table *table, const Cell *cells, FILE *out, gboolean colour)
{
    int pending = 0; /* spaces are printed before a cell only, so that no line ends in them */
    for (guint i = 0; i < table->columns->len; i++) {
        const Column *column = &g_array_index(table->columns, Column, i);
        if (column->dropped)
            continue;
        const char *text = cells != NULL ? cells[i].text : column->title;
        Tone tone = cells != NULL ? cells[i].tone : TONE_BOLD;
        g_autofree char *fitted = text_fit(text, column->width);
        int missing = column->width - text_width(fitted);
        if (column->right)
            pending += missing;
        if (*fitted != '\0') {
            fprintf(out, "%*s%s%s%s", pending, "", tone_begin(tone, colour), fitted, tone_end(tone, colour));
            pending = 0;
        }
        pending += GAP + (column->right ? 0 : missing);
    }
    fputc('\n', out);
}

char *table_print(const Table *table, FILE *out, int width, gboolean colour)
{
    char *dropped = width > 0 ? squeeze(table, width) : NULL;
    print_row(table, NULL, out, colour);
    for (guint i = 0; i + table->columns->len <= table->cells->len; i += table->columns->len)
        print_row(table, &g_array_index(table->cells, Cell, i), out, colour);
    return dropped;
}
