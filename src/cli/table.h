/* Aligned tables for people, narrow or wide. */
#pragma once
#include <stdio.h>
#include <glib.h>

typedef enum { TONE_PLAIN, TONE_GOOD, TONE_WARN, TONE_BAD, TONE_DIM, TONE_BOLD, TONE_N } Tone;

/* tone_begin / tone_end: the escape sequences, "" without colours. Readable on dark and on light backgrounds. */
const char *tone_begin(Tone tone, gboolean colour);
const char *tone_end(Tone tone, gboolean colour);

typedef struct Table Table;

Table *table_new(void);
void table_free(Table *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)

/* @drop: 0 stays; otherwise the highest number goes first when the terminal is too narrow. */
void table_column(Table *table, const char *title, gboolean right, int drop);
/* Cells come row by row, left to right; @text is clean (transfer full). */
void table_cell(Table *table, char *text, Tone tone);

/*
 * table_print: @width columns, 0 = as many as it takes. What is too wide first loses the columns that may be dropped,
 * then the end of the last column. Returns (transfer full) the names of dropped columns, or NULL.
 */
char *table_print(const Table *table, FILE *out, int width, gboolean colour);
