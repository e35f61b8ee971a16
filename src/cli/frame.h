/* A screenful of characters with styles, drawn in memory: printed as text, or put on a terminal by screen.c. */
#pragma once
#include <glib.h>

#include "cli/view.h"

typedef enum {
    STYLE_PLAIN,
    STYLE_BOLD,
    STYLE_DIM,
    STYLE_USED, /* the four parts of a bar, in the order of BarPart */
    STYLE_HELD,
    STYLE_REST,
    STYLE_TICK,
    STYLE_GOOD,
    STYLE_WARN,
    STYLE_BAD,
    STYLE_SELECTED,
    STYLE_N
} Style;

typedef struct {
    gunichar c; /* 0: the right half of a wide one */
    Style style;
} FrameCell;

typedef struct {
    int width, height;
    FrameCell *cells;
} Frame;

Frame *frame_new(int width, int height);
void frame_free(Frame *frame);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Frame, frame_free)
FrameCell *frame_at(const Frame *frame, int x, int y);

/* frame_put: clean @text from @x on, cut at @width columns and at the frame; returns the column after it. */
int frame_put(Frame *frame, int x, int y, int width, Style style, const char *text);
/* Right-aligned in @width columns. */
void frame_put_right(Frame *frame, int x, int y, int width, Style style, const char *text);
void frame_bar(Frame *frame, int x, int y, const BarPart *parts, int n);

/* Words that belong together, put side by side, on as many lines as they need and may have. */
typedef struct {
    Style style;
    char *text; /* taken over by frame_flow(); NULL: none */
} Segment;
/* Returns how many lines it took, from @y; a @frame of NULL only counts. What does not fit @max_lines is left out. */
int frame_flow(Frame *frame, int width, int y, int max_lines, Segment *segments, gsize n);

/* All lines without trailing spaces. */
char *frame_text(const Frame *frame);
