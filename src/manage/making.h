/*
 * Making: the steps by which a new server comes into being, which creation and reinstallation share. What they go by is
 * in the job's data: "image", "id" (the new server's), "memory_bytes", "disk" (nullable), "ballooning_off" (nullable),
 * "autostart" (nullable).
 */
#pragma once
#include "manage/job.h"

/* making_backend: who makes servers here: connected, and borrowed; NULL while nobody does. */
Backend *making_backend(Engine *engine);
/* making_check: FALSE with AEROSTAT_ERROR_UNAVAILABLE while nobody makes servers. */
gboolean making_check(Manage *manage, GError **error);
/* making_check_name: whether a new server may be called that: AEROSTAT_ERROR_INVALID for characters and for names the
 * daemon would not see, AEROSTAT_ERROR_CONFLICT when it is taken by another than @same (nullable). */
gboolean making_check_name(Manage *manage, const char *name, const Tracked *same, GError **error);

void making_disk_begin(Job *job);
void making_disk_undo(Job *job);
void making_define_begin(Job *job);
void making_define_undo(Job *job);
void making_start_begin(Job *job);
void making_start_poll(Job *job);
void making_start_undo(Job *job);
/* making_may_run: it was taken back, but could not be stopped. */
gboolean making_may_run(const Job *job);
void making_verify_begin(Job *job);
void making_verify_poll(Job *job);

#define MAKING_SECOND_US ((int64_t)G_USEC_PER_SEC)
/* A disk may be large; the backend's own deadlines and a lost answer; the engine looks once a second, a busy host takes
 * a few. */
#define MAKING_COPY_US (3600 * MAKING_SECOND_US)
#define MAKING_CALL_US (240 * MAKING_SECOND_US)
#define MAKING_SEEN_US (30 * MAKING_SECOND_US)

#define MAKING_DISK_STEP(permille)                                                                           \
    {                                                                                                        \
        .name = "disk", .progress_permille = (permille), .begin = making_disk_begin,                         \
        .undo = making_disk_undo, .deadline_us = MAKING_COPY_US                                              \
    }
#define MAKING_DEFINE_STEP(permille)                                                                         \
    {                                                                                                        \
        .name = "define", .progress_permille = (permille), .begin = making_define_begin,                     \
        .undo = making_define_undo, .deadline_us = MAKING_CALL_US, .unseen = TRUE                            \
    }
#define MAKING_START_STEP(permille)                                                                          \
    {                                                                                                        \
        .name = "start", .progress_permille = (permille), .begin = making_start_begin,                       \
        .poll = making_start_poll, .undo = making_start_undo, .deadline_us = MAKING_CALL_US                  \
    }
#define MAKING_VERIFY_STEP(permille)                                                                         \
    {                                                                                                        \
        .name = "verify", .progress_permille = (permille), .begin = making_verify_begin,                     \
        .poll = making_verify_poll, .deadline_us = MAKING_SEEN_US                                            \
    }
