#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#define NCURSES_WIDECHAR 1
#include <ncurses.h>

#include "cli/screen.h"

#define ESCAPE_WAIT_MS 25

/*
 * Colours that keep their contrast on black and on white: from the 256 the middle tones, at least 3.8:1 on either;
 * from the 8 those that terminals agree on. The shading of the bars says the same without any.
 */
static const struct {
    short of_256, of_8;
    attr_t always, without; /* attributes with any colour, and for a monochrome terminal */
} looks[STYLE_N] = {
    [STYLE_PLAIN] = {-1, -1, A_NORMAL, A_NORMAL},
    [STYLE_BOLD] = {-1, -1, A_BOLD, A_BOLD},
    [STYLE_DIM] = {243, -1, A_NORMAL, A_NORMAL},
    [STYLE_USED] = {32, COLOR_CYAN, A_NORMAL, A_NORMAL},
    [STYLE_HELD] = {32, COLOR_CYAN, A_NORMAL, A_NORMAL},
    [STYLE_REST] = {243, -1, A_NORMAL, A_NORMAL},
    [STYLE_TICK] = {166, COLOR_MAGENTA, A_NORMAL, A_BOLD},
    [STYLE_GOOD] = {29, COLOR_GREEN, A_NORMAL, A_NORMAL},
    [STYLE_WARN] = {166, COLOR_MAGENTA, A_NORMAL, A_NORMAL},
    [STYLE_BAD] = {160, COLOR_RED, A_BOLD, A_BOLD},
    [STYLE_SELECTED] = {-1, -1, A_REVERSE, A_REVERSE},
};

static attr_t attributes[STYLE_N];
static short pairs[STYLE_N];
static SCREEN *screen;

static void make_looks(gboolean colour)
{
    gboolean coloured = colour && has_colors() && start_color() == OK && use_default_colors() == OK;
    for (int i = 0; i < STYLE_N; i++) {
        short wanted = coloured ? (COLORS >= 256 ? looks[i].of_256 : looks[i].of_8) : (short)-1;
        pairs[i] = 0;
        attributes[i] = coloured ? looks[i].always : looks[i].without;
        if (wanted < 0)
            continue;
        pairs[i] = (short)(i + 1);
        init_pair(pairs[i], wanted, -1);
    }
}

gboolean screen_open(gboolean colour)
{
    screen = newterm(NULL, stdout, stdin);
    if (screen == NULL)
        return FALSE;
    make_looks(colour);
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(ESCAPE_WAIT_MS);
    curs_set(0);
    return TRUE;
}

void screen_close(void)
{
    if (screen == NULL)
        return;
    endwin();
    delscreen(screen);
    screen = NULL;
}

void screen_size(int *ret_width, int *ret_height)
{
    getmaxyx(stdscr, *ret_height, *ret_width);
}

void screen_show(const Frame *frame)
{
    erase();
    for (int y = 0; y < frame->height; y++) {
        for (int x = 0; x < frame->width; x++) {
            const FrameCell *cell = frame_at(frame, x, y);
            if (cell->c == 0 || (cell->c == ' ' && cell->style != STYLE_SELECTED))
                continue;
            wchar_t text[2] = {(wchar_t)cell->c, 0};
            cchar_t character;
            setcchar(&character, text, attributes[cell->style], pairs[cell->style], NULL);
            mvadd_wch(y, x, &character);
        }
    }
    refresh();
}

int screen_key(void)
{
    int key = getch();
    return key == ERR ? KEY_NONE : key;
}
