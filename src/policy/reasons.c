/* The words for every reason, in one place, so that command line, journal and dashboard say the same. */
#include "policy/reasons.h"

typedef struct {
    const char *name;
    const char *sentence;
    const char *remedy;
} Words;

static const Words fixed_words[FIXED_N] = {
    [FIXED_NO] = {"none", "", NULL},
    [FIXED_DISABLED_BY_OWNER] =
        {"disabled-by-owner", "The owner has turned ballooning off; all its memory is guaranteed.",
         "The owner can turn it on again under Settings; it applies at the next restart."},
    [FIXED_CONTAINER] = {"container", "It is an LXC container; containers have no balloon.",
                         "Reinstall it on KVM to have ballooning."},
    [FIXED_NO_DRIVER] =
        {"no-driver", "Nothing in the guest answers the balloon device, or it has no such device.",
         "Load virtio_balloon in the guest, or add <memballoon model='virtio'/> and restart the server."},
    [FIXED_DEVICE_ASSIGNMENT] = {"device-assignment",
                                 "A host device is passed through to it, which pins all its memory.",
                                 "Remove the passed-through device, or leave the server fixed."},
    [FIXED_HUGEPAGES] = {"hugepages",
                         "Its memory is made of huge pages, which a balloon cannot give back to the host.",
                         "Remove <hugepages/> and restart the server, or leave it fixed."},
    [FIXED_LOCKED_MEMORY] =
        {"locked-memory", "Its memory is locked or encrypted, so the host gains nothing from a balloon.",
         "Remove <locked/> or launch security and restart the server, or leave it fixed."},
};

static const Words hold_words[HOLD_N] = {
    [HOLD_NO] = {"none", "", NULL},
    [HOLD_STARTING] = {"starting",
                       "It is starting and counts at its maximum until its balloon driver has answered.",
                       NULL},
    [HOLD_REBOOTING] = {"rebooting",
                        "It is rebooting and has all its memory until its balloon driver has answered.",
                        NULL},
    [HOLD_PAUSED] = {"paused", "It is paused; a paused guest can neither give nor use memory.", NULL},
    [HOLD_MIGRATING] = {"migrating", "A migration, save or snapshot is under way.", NULL},
    [HOLD_UNRESPONSIVE] = {"unresponsive", "Its QEMU does not answer, so it keeps what it holds.",
                           "Look at the QEMU process: is it stopped, or is its storage hanging?"},
    [HOLD_MANUAL_OVERRIDE] =
        {"manual-override", "Somebody else has set its balloon; that is respected for ten minutes.",
         "Stop other tools that set balloons (virsh setmem, MoM), or let Aerostat do it."},
    [HOLD_STALE_STATISTICS] = {"stale-statistics",
                               "Its guest statistics are too old to take memory on their word.",
                               "Check that the guest is not hanging and that statistics polling is on."},
    [HOLD_RESTING] = {"resting",
                      "It ran out of memory or stalled under its balloon; it rests with a raised floor.",
                      "Raise its minimum if this happens again."},
};

static const Words wait_words[WAIT_N] = {
    [WAIT_NONE] = {"none", "", NULL},
    [WAIT_SETTLED] = {"settled", "It has its share.", NULL},
    [WAIT_FIXED] = {"fixed", "It is never touched.", NULL},
    [WAIT_HELD] = {"held", "It is left alone for now.", NULL},
    [WAIT_FRESH_SAMPLE] = {"fresh-sample", "The last step waits for fresh statistics before the next.", NULL},
    [WAIT_IN_FLIGHT] = {"in-flight", "Its balloon is still on its way to the target.", NULL},
    [WAIT_NO_ROOM] = {"no-room", "It wants more; memory is on its way from others.", NULL},
    [WAIT_POOL_EXHAUSTED] = {"pool-exhausted", "It wants more, and no server has anything idle left to give.",
                             NULL},
    [WAIT_NOT_NEEDED] = {"not-needed", "It has more than its share, and nobody needs it now.", NULL},
    [WAIT_FLOOR] = {"floor", "It is at its floor.", NULL},
    [WAIT_FAULTING] = {"faulting", "It is swapping or faulting, so it keeps what may come back from swap.",
                       NULL},
    [WAIT_PACE] = {"pace", "It moves gently, since nobody waits.", NULL},
    [WAIT_OVERCOMMITTED] = {"overcommitted",
                            "Servers hold more than the pool, so nothing is granted until that is mended.",
                            NULL},
    [WAIT_INFEASIBLE] =
        {"infeasible", "The minima add up to more than the pool, so nothing is touched until that is mended.",
         NULL},
    [WAIT_NOT_TAKEN] = {"not-taken", "It wants more, but its guest did not take up what it was granted last.",
                        NULL},
};

static const char *const move_names[MOVE_N] = {
    [MOVE_NONE] = "none",
    [MOVE_GRANT_NEED] = "grant-need",
    [MOVE_GRANT_SURPLUS] = "grant-surplus",
    [MOVE_WITHDRAW] = "withdraw",
    [MOVE_DISTRESS] = "distress",
    [MOVE_NUDGE] = "nudge",
    [MOVE_RECLAIM_URGENT] = "reclaim-urgent",
    [MOVE_RECLAIM_CALM] = "reclaim-calm",
};

static const Words *words_of(const Words *table, unsigned n, unsigned index)
{
    return &table[index < n ? index : 0];
}

const char *fixed_name(FixedReason reason)
{
    return words_of(fixed_words, FIXED_N, (unsigned)reason)->name;
}

const char *fixed_sentence(FixedReason reason)
{
    return words_of(fixed_words, FIXED_N, (unsigned)reason)->sentence;
}

const char *fixed_remedy(FixedReason reason)
{
    return words_of(fixed_words, FIXED_N, (unsigned)reason)->remedy;
}

const char *hold_name(HoldReason reason)
{
    return words_of(hold_words, HOLD_N, (unsigned)reason)->name;
}

const char *hold_sentence(HoldReason reason)
{
    return words_of(hold_words, HOLD_N, (unsigned)reason)->sentence;
}

const char *hold_remedy(HoldReason reason)
{
    return words_of(hold_words, HOLD_N, (unsigned)reason)->remedy;
}

const char *move_name(Move move)
{
    return move_names[(unsigned)move < MOVE_N ? (unsigned)move : 0];
}

const char *wait_name(Wait wait)
{
    return words_of(wait_words, WAIT_N, (unsigned)wait)->name;
}

const char *wait_sentence(Wait wait)
{
    return words_of(wait_words, WAIT_N, (unsigned)wait)->sentence;
}
