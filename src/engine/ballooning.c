#include "engine/ballooning.h"
#include "policy/reasons.h"

static const char *const names[BALLOON_STATES] = {
    [BALLOON_ON] = "on",
    [BALLOON_OFF_PENDING] = "off-pending-restart",
    [BALLOON_OFF] = "off",
    [BALLOON_ON_PENDING] = "on-pending-restart",
    [BALLOON_UNAVAILABLE] = "unavailable",
};

static const char *const sentences[BALLOON_STATES] = {
    [BALLOON_ON] =
        "Ballooning is on: memory it leaves idle may help others, and comes back when it needs it.",
    [BALLOON_OFF_PENDING] = "Ballooning goes off at the next restart; a reboot inside the server does not do "
                            "it. Until then nothing is "
                            "taken from it, and it gets back all its memory as soon as there is room.",
    [BALLOON_OFF] = "Ballooning is off: all its memory is guaranteed, and was made resident when it started.",
    [BALLOON_ON_PENDING] = "Ballooning comes back at the next restart; a reboot inside the server does not "
                           "do it. Until then all its "
                           "memory stays guaranteed.",
};

static const char *const off_locked = "Ballooning is off: all its memory is guaranteed, was made resident "
                                      "when it started, and is locked into RAM.";

const char *ballooning_state_name(BallooningState state)
{
    return names[state];
}

gboolean ballooning_wants_off(const Tracked *tracked)
{
    const ServerSettings *settings = &tracked->settings;
    if (settings->revision == 0 && !settings->ballooning_disabled)
        return tracked->latest->next_start == NEXT_START_DISABLED;
    return settings->ballooning_disabled;
}

/* Why it can have no balloon whatever anybody wishes; FIXED_NO when it can. */
static FixedReason impossible(const Tracked *tracked)
{
    FixedReason fixed = tracked->decided ? tracked->facts.fixed : tracked->latest->fixed;
    if (tracked->latest->kind == SERVER_KIND_LXC)
        return FIXED_CONTAINER;
    return fixed == FIXED_DISABLED_BY_OWNER ? FIXED_NO : fixed;
}

static BallooningState state_wished_off(const BackendServer *latest)
{
    if (latest->power == POWER_OFF)
        return latest->next_start == NEXT_START_DISABLED ? BALLOON_OFF : BALLOON_OFF_PENDING;
    return !latest->has_balloon && latest->preallocated ? BALLOON_OFF : BALLOON_OFF_PENDING;
}

static BallooningState state_wished_on(const BackendServer *latest, FixedReason why_not)
{
    gboolean marked = latest->marked_off || latest->next_start == NEXT_START_DISABLED;
    gboolean coming = latest->next_start == NEXT_START_ON;
    if (latest->power == POWER_OFF)
        return coming || latest->has_balloon ? BALLOON_ON
                                             : (marked ? BALLOON_ON_PENDING : BALLOON_UNAVAILABLE);
    if (!latest->has_balloon && (marked || coming))
        return BALLOON_ON_PENDING;
    return why_not == FIXED_NO ? BALLOON_ON : BALLOON_UNAVAILABLE;
}

BallooningStatus ballooning_status(const Tracked *tracked)
{
    const BackendServer *latest = tracked->latest;
    FixedReason why_not = impossible(tracked);
    BallooningStatus status = {0};
    if (latest->kind == SERVER_KIND_LXC)
        status.state = BALLOON_UNAVAILABLE;
    else if (ballooning_wants_off(tracked))
        status.state = state_wished_off(latest);
    else
        status.state = state_wished_on(latest, why_not);
    if (status.state == BALLOON_UNAVAILABLE) {
        status.reason = why_not == FIXED_NO ? FIXED_NO_DRIVER : why_not;
        status.sentence = fixed_sentence(status.reason);
    } else {
        status.sentence =
            status.state == BALLOON_OFF && latest->locked ? off_locked : sentences[status.state];
    }
    return status;
}

gboolean ballooning_pins(const Tracked *tracked)
{
    return tracked_counts(tracked) && tracked->latest->has_balloon && ballooning_wants_off(tracked);
}
