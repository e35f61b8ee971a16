/*
 * Manager: one policy at work on the modelled host: what the daemon is to a real one.
 *
 * A manager sees what a hypervisor shows (Seen) and asks for balloon sizes. It is told later whether a request was
 * taken. One file per manager; managers.c has the list.
 */
#pragma once
#include "sim/guest.h"

/* One server as its hypervisor shows it now. */
typedef struct {
    const GuestSpec
        *spec; /* name, maximum, minimum, weight, fixed: settings, nothing of what the guest will do */
    bool responsive;
    uint64_t balloon_bytes; /* `actual` */
    uint64_t boot_count;
    uint64_t resident_bytes;              /* guest RAM the host holds for it */
    bool idle;                            /* its QEMU uses next to no processor */
    uint64_t update_s;                    /* statistics' last-update in whole seconds; 0 = never */
    uint64_t available_bytes, free_bytes; /* UNKNOWN before the first statistics */
    uint64_t swap_in_bytes, swap_out_bytes, major_faults;
} Seen;

typedef enum {
    REPLY_DONE,
    REPLY_TIMEOUT, /* no answer within the deadline: it may or may not have been taken */
} Reply;

/* What a manager wants of one server in this beat. */
typedef struct {
    uint64_t target_bytes; /* 0 = nothing */
    bool ask;              /* for fresh statistics */
} Wish;

/* One beat's answers besides the wishes. */
typedef struct {
    int64_t pause_us; /* until the next beat */
} BeatEnd;

/* One watch's answer besides the wishes. */
typedef struct {
    bool hurry;       /* a beat at once */
    int64_t pause_us; /* until the next watch */
} WatchEnd;

typedef struct Manager Manager;

typedef struct {
    const char *name;
    const char *title; /* for people, one line */
    /* @promises: (array length=n) borrowed, outlives the manager: what it keeps of raises under way, in bytes; 0 = none. */
    Manager *(*make)(const Scenario *scenario, uint64_t *promises);
    /* @wishes: (array length=n): zeroed. */
    BeatEnd (*beat)(Manager *manager, const Seen *seen, guint n, int64_t now_us, Wish *wishes);
    /* (nullable) what became of a wish for a target */
    void (*replied)(Manager *manager, guint i, Reply reply, int64_t now_us);
    /* (nullable) between beats, when the scenario has a watch: @seen is that of the last beat, but for residency and idleness. */
    WatchEnd (*watch)(Manager *manager, const Seen *seen, guint n, int64_t now_us, Wish *wishes);
    void (*free)(Manager *manager);
} ManagerOps;

extern const ManagerOps MANAGER_AEROSTAT, MANAGER_STATIC, MANAGER_STATIC_MAXIMUM, MANAGER_PROPORTIONAL,
    MANAGER_PROXMOX, MANAGER_MOM;

extern const ManagerOps *const MANAGERS[];
extern const guint N_MANAGERS;

/* manager_find: NULL when there is none of that name. */
const ManagerOps *manager_find(const char *name);
