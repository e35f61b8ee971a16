/* The aerostat manager's own extra: hearing each decision, for recordings. */
#pragma once
#include "policy/decide.h"
#include "sim/manager.h"

typedef void (*DecisionFunc)(const HostFacts *host, const ServerFacts *facts, const Decision *decision,
                             int64_t now_us, gpointer user_data);

void manager_aerostat_listen(Manager *manager, DecisionFunc func, gpointer user_data);
