/* Inside methods: what stands in a file of its own. */
#pragma once
#include "control/methods.h"

/* record.c: the caller's connection is sent {"line": text} for each line of a recording from now on. */
json_t *method_record(Engine *engine, const ControlCaller *caller, json_t *params, GError **error);
