/* Assets: the dashboard's files, built into this program, with their types and entity tags. */
#pragma once
#include "web/http.h"

typedef struct WebAssets WebAssets;

WebAssets *web_assets_new(void);
void web_assets_free(WebAssets *assets);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WebAssets, web_assets_free)

/* web_assets_answer: answers GET and HEAD of the page and its parts. A path without a dot in its last part is a place
 * within the page and gets the page itself. */
void web_assets_answer(WebAssets *assets, HttpRequest *request);
