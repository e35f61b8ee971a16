/*
 * Agent channel: the host's end of one guest's agent: connects to the port's socket, again and again, and gives on whole,
 * sane lines. A guest can send what it likes: lines are bounded, at most 20 a second are taken, and only 16 KiB in one turn
 * of the loop; what is malformed is dropped and counted.
 *
 * Everything runs on the GMainContext that is the thread's default at construction.
 */
#pragma once
#include "backend/agent_line.h"

typedef struct AgentChannel AgentChannel;

/* @sample is valid during the call; the channel may not be freed within it. @said_us: when it was said: earlier than now
 * where it waited in the port for somebody to read it. */
typedef void (*AgentHeard)(const AgentSample *sample, int64_t said_us, gpointer user_data);

/* agent_channel_new: @path: of the port's socket, copied; @user_data: (transfer full) freed with @free_data. */
AgentChannel *agent_channel_new(const char *path, uint64_t maximum_bytes, AgentHeard heard,
                                gpointer user_data, GDestroyNotify free_data);
void agent_channel_free(AgentChannel *channel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AgentChannel, agent_channel_free)

/* The machine has this much memory now: who claims to have more is not believed. */
void agent_channel_set_maximum(AgentChannel *channel, uint64_t maximum_bytes);
const char *agent_channel_path(const AgentChannel *channel);
/* The newest sane sample; NULL when there was none. Borrowed. */
const AgentSample *agent_channel_latest(const AgentChannel *channel);
int64_t agent_channel_heard_us(const AgentChannel *channel); /* monotonic; 0 = never */
gboolean
agent_channel_connected(const AgentChannel *channel);       /* to the port: not that an agent is behind it */
guint64 agent_channel_dropped(const AgentChannel *channel); /* malformed, or more than 20 in a second */
