/* Chronicle: gathers every beat's figures into the store's history, one step each ten seconds. */
#pragma once
#include "engine/engine.h"

typedef struct Chronicle Chronicle;

/* chronicle_new: @store: borrowed. */
Chronicle *chronicle_new(Store *store);
void chronicle_free(Chronicle *chronicle);

/* Once a beat, after the decision. @now_s: Unix time. Says once when nothing can be recorded, and once when it can again. */
void chronicle_beat(Chronicle *chronicle, Engine *engine, int64_t now_s);
