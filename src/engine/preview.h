/* Preview: what the newest facts would come to with other settings of one server. The policy's own functions on copies:
 * nothing is changed. */
#pragma once
#include "engine/engine.h"

typedef struct {
    const Tracked *server;              /* borrowed */
    uint64_t before_bytes, after_bytes; /* its allocation, as it is and as it would be */
} PreviewRow;

/*
 * engine_preview: @settings: those that @tracked would have.
 * Returns: (transfer full) (element-type PreviewRow): one row for each server that takes part in the account; empty before
 * the first beat. Settings that would be refused are not looked for: ask engine_check_settings().
 */
GArray *engine_preview(Engine *engine, const Tracked *tracked, const ServerSettings *settings);
