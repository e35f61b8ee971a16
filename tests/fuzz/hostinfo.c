#include <string.h>
#include "backend/hostinfo.h"
#include "backend/hostsettings.h"
#include "backend/process.h"
#include "base/size.h"
#include "fuzz.h"

static void check_small(const char *text)
{
    HostMemory host = {.memory_bytes = 1, .available_bytes = 1};
    uint64_t bytes = 7, ticks;
    double some = 7;
    if (hostinfo_parse_meminfo(text, &host)) {
        g_assert_cmpuint(host.memory_bytes, >, 0);
        g_assert_cmpuint(host.memory_bytes, <=, SIZE_MAX_BYTES);
        g_assert_cmpuint(host.available_bytes, <=, host.memory_bytes);
    } else {
        g_assert_true(host.memory_bytes == 1 && host.available_bytes == 1);
    }
    if (hostinfo_parse_pressure(text, &some))
        g_assert_true(some >= 0 && some <= 100);
    else
        g_assert_true(some == 7);
    if (hostinfo_parse_arcstats(text, &bytes) || hostinfo_parse_statm(text, 4096, &bytes))
        g_assert_cmpuint(bytes, <=, SIZE_MAX_BYTES);
    else
        g_assert_cmpuint(bytes, ==, 7);
    process_parse_stat(text, &ticks);
    process_parse_processor(text, 100, &ticks);
    HostSettings settings = {0};
    hostsettings_parse_meminfo(text, &settings);
    hostsettings_parse_arcstats(text, &settings);
    g_assert_cmpuint(settings.swap_total_bytes, <=, SIZE_MAX_BYTES);
    g_assert_cmpuint(settings.huge_free_bytes, <=, settings.huge_total_bytes);
    g_assert_cmpint(hostsettings_parse_number(text), <=, 9);
    gboolean unified;
    g_autofree char *group = hostsettings_parse_cgroup(text, &unified);
    g_assert_true(group ? group[0] == '/' : !unified);
}

/* Overhead is never more than all that is resident, which no guest size can reach beyond. */
static void check_smaps(const char *text)
{
    static const uint64_t guests[] = {1, 4 * KIB, 512 * MIB, SIZE_MAX_BYTES};
    for (size_t i = 0; i < sizeof guests / sizeof *guests; i++) {
        uint64_t bytes = 7;
        if (!hostinfo_parse_smaps(text, guests[i], &bytes))
            g_assert_cmpuint(bytes, ==, 7);
    }
    g_assert_false(hostinfo_parse_smaps(text, 0, &(uint64_t){0}));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autofree char *uuid = process_parse_cmdline((const char *)data, size);
    if (uuid)
        g_assert_true(*uuid && strlen(uuid) <= 64 && g_utf8_validate(uuid, -1, NULL));
    check_small(text);
    check_smaps(text);
    return 0;
}
