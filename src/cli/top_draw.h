/* Draws what `top` knows into a frame of any size. */
#pragma once
#include "cli/frame.h"
#include "cli/top_model.h"

/* top_draw: also brings the selection into view (@model->offset) and a page's offset into its bounds. */
void top_draw(TopModel *model, Frame *frame, int64_t now_us);
/* The height at which nothing has to scroll. */
int top_draw_height(const TopModel *model, int width);
