/* Inside scenario: what each key of each section means, and the values it takes. */
#pragma once
#include "sim/scenario.h"

gboolean scenario_set_host(Scenario *scenario, const char *key, const char *value, GError **error);
gboolean scenario_set_faults(Scenario *scenario, const char *key, const char *value, GError **error);
gboolean scenario_set_policy(Scenario *scenario, const char *key, const char *value, GError **error);
gboolean guest_spec_set(GuestSpec *spec, const char *key, const char *value, GError **error);

/* Values; all refuse with AEROSTAT_ERROR_INVALID, "what is wrong; what would be right", and leave *ret alone. */
gboolean value_duration(const char *text, int64_t low_us, int64_t high_us, int64_t *ret_us, GError **error);
gboolean value_number(const char *text, uint64_t low, uint64_t high, uint64_t *ret, GError **error);
gboolean value_speed(const char *text, uint64_t *ret_bytes_per_s, GError **error);
gboolean value_phase(const char *text, const Phase *before, Phase *ret, GError **error);
gboolean value_times(const char *text, GArray *times, GError **error);
