#include "cli/frame.h"

#include <string.h>

#include "cli/text.h"

#define SEGMENT_GAP 3

Frame *frame_new(int width, int height)
{
    Frame *frame = g_new0(Frame, 1);
    frame->width = MAX(width, 1);
    frame->height = MAX(height, 1);
    gsize n = (gsize)frame->width * (gsize)frame->height;
    frame->cells = g_new0(FrameCell, n);
    for (gsize i = 0; i < n; i++)
        frame->cells[i].c = ' ';
    return frame;
}

void frame_free(Frame *frame)
{
    if (frame == NULL)
        return;
    g_free(frame->cells);
    g_free(frame);
}

FrameCell *frame_at(const Frame *frame, int x, int y)
{
    return &frame->cells[y * frame->width + x];
}

int frame_put(Frame *frame, int x, int y, int width, Style style, const char *text)
{
    if (y < 0 || y >= frame->height || x < 0)
        return x;
    g_autofree char *fitted = text_fit(text, MIN(width, frame->width - x));
    for (const char *p = fitted; *p != '\0'; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (g_unichar_iszerowidth(c))
            continue;
        *frame_at(frame, x++, y) = (FrameCell){.c = c, .style = style};
        if (g_unichar_iswide(c))
            *frame_at(frame, x++, y) = (FrameCell){.c = 0, .style = style};
    }
    return x;
}

void frame_put_right(Frame *frame, int x, int y, int width, Style style, const char *text)
{
    g_autofree char *padded = text_pad(text, width, TRUE);
    frame_put(frame, x, y, width, style, padded);
}

void frame_bar(Frame *frame, int x, int y, const BarPart *parts, int n)
{
    static const Style styles[BAR_N] = {STYLE_USED, STYLE_HELD, STYLE_REST, STYLE_TICK};
    for (int i = 0; i < n; i++)
        frame_put(frame, x + i, y, 1, styles[parts[i]], bar_glyph(parts[i]));
}

int frame_flow(Frame *frame, int width, int y, int max_lines, Segment *segments, gsize n)
{
    int x = 0, line = 0;
    for (gsize i = 0; i < n; i++) {
        g_autofree char *text = segments[i].text;
        segments[i].text = NULL;
        if (text == NULL || *text == '\0')
            continue;
        int columns = text_width(text);
        if (x > 0 && x + columns > width) {
            if (line + 1 >= max_lines)
                continue; /* a shorter one may still fit */
            line++;
            x = 0;
        }
        if (frame != NULL)
            frame_put(frame, x, y + line, width - x, segments[i].style, text);
        x += columns + SEGMENT_GAP;
    }
    return line + 1;
}

char *frame_text(const Frame *frame)
{
    GString *text = g_string_new(NULL);
    for (int y = 0; y < frame->height; y++) {
        for (int x = 0; x < frame->width; x++) {
            gunichar c = frame_at(frame, x, y)->c;
            if (c != 0)
                g_string_append_unichar(text, c);
        }
        while (text->len > 0 && text->str[text->len - 1] == ' ')
            g_string_truncate(text, text->len - 1);
        g_string_append_c(text, '\n');
    }
    return g_string_free(text, FALSE);
}
