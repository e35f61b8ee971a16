/* The terminal in its full-screen state: frames go out, keys come in. */
#pragma once
#include "cli/frame.h"

#define KEY_NONE   (-1)
#define KEY_ESCAPE 27

/* screen_open: FALSE when the terminal cannot be used so (TERM unknown). @colour: FALSE for a plain picture. */
gboolean screen_open(gboolean colour);
void screen_close(void);
void screen_size(int *ret_width, int *ret_height);
void screen_show(const Frame *frame);
/* The next key (a character, or one of ncurses' KEY_*), KEY_NONE when none waits. */
int screen_key(void);
