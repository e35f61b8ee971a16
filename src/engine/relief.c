/* Percentiles over the latest waits, and the wait of one server. */
#include "engine/relief.h"
#include <stdlib.h>
#include <string.h>

void relief_add(Relief *relief, uint64_t duration_us)
{
    relief->samples_us[relief->next] = duration_us;
    relief->next = (relief->next + 1) % RELIEF_KEPT;
    if (relief->n < RELIEF_KEPT)
        relief->n++;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t relief_percentile(const Relief *relief, unsigned permille)
{
    if (relief->n == 0)
        return UINT64_MAX;
    uint64_t sorted[RELIEF_KEPT];
    memcpy(sorted, relief->samples_us, relief->n * sizeof *sorted);
    qsort(sorted, relief->n, sizeof *sorted, compare);
    unsigned rank = (relief->n * permille + 999) / 1000;
    return sorted[rank > 0 ? rank - 1 : 0];
}

void relief_clear(ReliefEpisode *episode)
{
    g_clear_pointer(&episode->paid, g_ptr_array_unref);
    g_clear_pointer(&episode->helped, g_ptr_array_unref);
    *episode = (ReliefEpisode){0};
}

void relief_begin(ReliefEpisode *episode, int64_t since_us, uint64_t goal_bytes)
{
    if (episode->since_us != 0)
        return;
    episode->since_us = MAX(MAX(since_us, episode->fine_us), MAX(episode->ended_us, 1));
    episode->granted_us = 0;
    episode->goal_bytes = goal_bytes;
    /* A wait that ended without a grant was no part of what is granted later. */
    if (episode->rise.waits == 0 || episode->rise.first_grant_us < 0) {
        episode->rise = (Rise){.began_us = episode->since_us, .first_grant_us = -1};
        g_clear_pointer(&episode->helped, g_ptr_array_unref);
    }
    episode->rise.waits++;
}

int64_t relief_granted(ReliefEpisode *episode, uint64_t bytes, int64_t now_us)
{
    if (episode->rise.waits == 0)
        return -1;
    episode->rise.got_bytes += bytes;
    if (episode->rise.first_grant_us < 0)
        episode->rise.first_grant_us = now_us - episode->rise.began_us;
    if (episode->since_us == 0)
        episode->paid_us = now_us;
    if (episode->since_us == 0 || episode->granted_us != 0)
        return -1;
    episode->granted_us = now_us;
    return now_us - episode->since_us;
}

int64_t relief_end(ReliefEpisode *episode, int64_t now_us)
{
    int64_t waited_us = now_us - episode->since_us;
    episode->since_us = 0;
    episode->ended_us = now_us;
    if (episode->granted_us != 0)
        episode->paid_us = now_us;
    episode->rise.longest_us = MAX(episode->rise.longest_us, waited_us);
    episode->rise.lasted_us = now_us - episode->rise.began_us;
    return waited_us;
}

gboolean relief_over(const ReliefEpisode *episode, int64_t pause_us, int64_t now_us)
{
    int64_t last_us = episode->paid_us != 0 ? episode->paid_us : episode->ended_us;
    return episode->rise.waits > 0 && episode->since_us == 0 && now_us - last_us >= pause_us;
}

void relief_told(ReliefEpisode *episode)
{
    ReliefEpisode before = *episode;
    relief_clear(episode);
    episode->ended_us = before.ended_us;
    episode->fine_us = before.fine_us;
    episode->fine_bytes = before.fine_bytes;
}
