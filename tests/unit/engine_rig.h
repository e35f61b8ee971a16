/* Rig: an engine over a fake backend, with a host of 64 GiB and times FAKE_SPEED times shorter than the daemon's. */
#pragma once
#include "engine/engine.h"
#include "fake_backend.h"

typedef struct {
    Config *config;
    char *proc;
    PolicyParams params;
    TrackedTimes times;
    EngineOptions options;
    Engine *engine;
    FakeBackend *fake;
    guint tick;
    int64_t ticked_us,
        longest_pause_us; /* between two turns of the loop: how busy the machine is with other things */
} Rig;

/* rig_begin: a pool of @pool_bytes and no engine yet, so that a test can change the options. */
void rig_begin(Rig *rig, uint64_t pool_bytes, Mode mode);
/* rig_start: an engine over rig->fake (and @second, nullable). */
void rig_start(Rig *rig, FakeBackend *second);
void rig_end(Rig *rig);
Tracked *rig_server(Rig *rig, const char *name);
/* rig_pass: lets @ms go by. */
void rig_pass(unsigned ms);

#define RIG_PATIENCE_US (INT64_C(20) * G_USEC_PER_SEC)

/* RIG_UNTIL: lets time go by until @condition holds, which it must in the end. */
#define RIG_UNTIL(condition)                                                                                 \
    do {                                                                                                     \
        int64_t end_us_ = g_get_monotonic_time() + RIG_PATIENCE_US;                                          \
        while (!(condition)) {                                                                               \
            if (g_get_monotonic_time() > end_us_)                                                            \
                g_error("%s:%d: never came: %s", __FILE__, __LINE__, #condition);                            \
            g_main_context_iteration(NULL, TRUE);                                                            \
        }                                                                                                    \
    } while (0)
