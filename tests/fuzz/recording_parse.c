#include <string.h>
#include "base/error.h"
#include "base/u64.h"
#include "fuzz.h"
#include "recording/recording.h"
#include "sim/replay.h"

static void check_recording(const Recording *recording)
{
    int64_t last_us = 0;
    for (guint i = 0; i < recording->facts->len; i++) {
        const RecordedFacts *row = &g_array_index(recording->facts, RecordedFacts, i);
        g_assert_cmpint(row->t_us, >=, last_us);
        g_assert_cmpuint(row->server, <, recording->names->len);
        g_assert_true(row->facts.maximum_bytes > 0 && row->facts.maximum_bytes <= SIZE_MAX_BYTES);
        g_assert_cmpuint(row->facts.minimum_bytes, <=, row->facts.maximum_bytes);
        g_assert_cmpuint(row->facts.weight, >, 0);
        last_us = row->t_us;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(Scenario) scenario = replay_scenario(recording, "r", NULL, &error);
    g_assert_true((scenario == NULL) == (error != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Recording) recording = recording_parse((const char *)data, size, "r", &error);
    g_assert_true((recording == NULL) == (error != NULL));
    if (recording)
        check_recording(recording);
    else
        g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
    return 0;
}
