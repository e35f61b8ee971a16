/* Text for terminals: nothing a guest calls itself can move a cursor, and columns line up in any language. */
#pragma once
#include <stdint.h>
#include <glib.h>

#define UNKNOWN_FACT UINT64_MAX

/* text_set_utf8: whether the terminal takes UTF-8; otherwise everything printed is ASCII. Default: it does. */
void text_set_utf8(gboolean utf8);
gboolean text_is_utf8(void);

const char *text_dash(void); /* what an unknown fact is shown as */
const char *text_ellipsis(void);
const char *text_arrow(void);
const char *text_dot(void); /* between figures */

/*
 * text_clean: @raw fit for a terminal: control and direction characters and broken bytes as \x1b or \u202e,
 * everything beyond ASCII escaped or replaced when the terminal is not UTF-8. NULL gives a dash.
 */
char *text_clean(const char *raw);

/* The columns a clean text takes. */
int text_width(const char *text);
/* At most @columns of it, with an ellipsis where it was cut. */
char *text_fit(const char *text, int columns);
/* text_fit(), then filled up with spaces. */
char *text_pad(const char *text, int columns, gboolean right);
/* Lines of at most @columns, broken at spaces where there are any. (element-type utf8) (transfer full) */
GPtrArray *text_wrap(const char *text, int columns);

/* Figures; UNKNOWN_FACT is a dash. */
char *text_bytes(uint64_t bytes);
char *text_count(uint64_t count);
char *text_duration(uint64_t duration_us);
/* Local date and time of a wall-clock time; time alone for @clock_only. */
char *text_time(int64_t time_us, gboolean clock_only);
