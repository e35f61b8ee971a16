#include "backend/agent_line.h"
#include <string.h>
#include "base/error.h"
#include "base/json.h"
#include "policy/facts.h"

#define PROTOCOL 1

static gboolean refuse(GError **error, const char *name, const char *why)
{
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "%s %s", name, why);
    return FALSE;
}

/* A word of letters, digits, dots and dashes that fits, with its NUL, into @room. */
static gboolean take_word(json_t *object, const char *name, char *word, gsize room, GError **error)
{
    const char *text = NULL;
    if (!json_member_string(object, name, TRUE, &text, error))
        return FALSE;
    gsize length = strlen(text);
    if (length == 0 || length >= room)
        return refuse(error, name, "is empty or too long");
    if (strspn(text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS ".-+~") != length)
        return refuse(error, name, "has other letters than words have");
    g_strlcpy(word, text, room);
    return TRUE;
}

static gboolean take_protocol(json_t *object, GError **error)
{
    uint64_t protocol = 0;
    if (!json_member_uint64(object, "v", TRUE, &protocol, error))
        return FALSE;
    return protocol == PROTOCOL || refuse(error, "v", "is not a version of the protocol that is known here");
}

static gboolean take_numbers(json_t *object, AgentSample *sample, GError **error)
{
    const struct {
        const char *name;
        uint64_t *number;
    } members[] = {
        {"uptime_us", &sample->uptime_us},
        {"psi_some_us", &sample->psi_some_us},
        {"total_bytes", &sample->total_bytes},
        {"available_bytes", &sample->available_bytes},
        {"free_bytes", &sample->free_bytes},
        {"swap_in_bytes", &sample->swap_in_bytes},
        {"swap_out_bytes", &sample->swap_out_bytes},
        {"major_faults", &sample->major_faults},
        {"refaults", &sample->refaults},
        {"oom_kills", &sample->oom_kills},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(members); i++) {
        g_autoptr(GError) wrong = NULL;
        *members[i].number = UNKNOWN;
        if (!json_member_uint64(object, members[i].name, FALSE, members[i].number, &wrong) && wrong) {
            g_propagate_error(error, g_steal_pointer(&wrong));
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean check_sizes(const AgentSample *sample, uint64_t maximum_bytes, GError **error)
{
    if (sample->total_bytes == UNKNOWN || sample->available_bytes == UNKNOWN || sample->free_bytes == UNKNOWN)
        return refuse(error, "total_bytes, available_bytes or free_bytes", "is missing");
    if (sample->total_bytes == 0 || sample->total_bytes > maximum_bytes)
        return refuse(error, "total_bytes", "is more than the machine has, or nothing");
    /* Free pages that the kernel keeps for itself do not count as available: it may be the larger. */
    if (sample->available_bytes > sample->total_bytes || sample->free_bytes > sample->total_bytes)
        return refuse(error, "available_bytes or free_bytes", "is more than total_bytes");
    return TRUE;
}

static gboolean fell(uint64_t now, uint64_t before)
{
    return now != UNKNOWN && before != UNKNOWN && now < before;
}

static gboolean check_counters(const AgentSample *sample, const AgentSample *before, GError **error)
{
    if (!before || strcmp(before->boot, sample->boot) != 0)
        return TRUE;
    if (fell(sample->psi_some_us, before->psi_some_us) ||
        fell(sample->swap_in_bytes, before->swap_in_bytes) ||
        fell(sample->swap_out_bytes, before->swap_out_bytes) ||
        fell(sample->major_faults, before->major_faults) || fell(sample->refaults, before->refaults) ||
        fell(sample->oom_kills, before->oom_kills))
        return refuse(error, "a counter", "is less than it was within the same boot");
    return TRUE;
}

gboolean agent_line_parse(const char *text, gsize length, uint64_t maximum_bytes, const AgentSample *before,
                          AgentSample *ret, GError **error)
{
    AgentSample sample = {0};
    const char *why = NULL;
    if (length > AGENT_LINE_MAX)
        return refuse(error, "the line", "is too long");
    g_autoptr(json_t) object = json_parse_object(text, length, error);
    if (!object || !take_protocol(object, error) ||
        !take_word(object, "version", sample.version, sizeof sample.version, error) ||
        !take_word(object, "boot", sample.boot, sizeof sample.boot, error) ||
        !json_member_string(object, "why", TRUE, &why, error) || !take_numbers(object, &sample, error) ||
        !check_sizes(&sample, maximum_bytes, error) || !check_counters(&sample, before, error))
        return FALSE;
    sample.pressure = g_str_equal(why, "pressure");
    *ret = sample;
    return TRUE;
}
