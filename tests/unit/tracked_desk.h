/* Desk: one server followed through virtual time: what a look at it shows, and what is made of it. */
#pragma once
#include "engine/tracked.h"

#define S         INT64_C(1000000)
#define MS        INT64_C(1000)
#define MAX_BYTES (4 * GIB)

typedef struct {
    TrackedTimes times;
    TrackedDefaults defaults;
    Tracked *tracked;
    int64_t now_us, wall_us;
    BackendServer facts; /* what the next look shows */
    uint64_t returned;   /* by the last look */
} Desk;

void desk_begin(Desk *desk, gconstpointer data);
void desk_end(Desk *desk, gconstpointer data);
/* Lets @us pass, then looks. */
const ServerFacts *look(Desk *desk, int64_t us);
/* The guest speaks now, and says something new. */
void speak(Desk *desk);
/* A second goes by with statistics in it. */
const ServerFacts *live(Desk *desk);
/* Until the server found running has been taken up. */
void adopt_all(Desk *desk);

#define ADD(name, test) g_test_add("/tracked/" name, Desk, NULL, desk_begin, test, desk_end)
