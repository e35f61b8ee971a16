/* The inside of manage, shared by its files. */
#pragma once
#include "manage/job.h"

typedef struct Alive Alive;

struct Manage {
    Engine *engine;
    Store *store; /* (nullable) */
    ImageFolder *images;
    char *disks;
    char **patterns; /* names that the engine sees at all */
    ManageListener listener;
    gpointer listener_data;
    GPtrArray *recipes; /* JobRecipe, borrowed */
    GPtrArray *jobs;    /* Job, owned: under way */
    GPtrArray *ended;   /* Job, owned: freed in the next turn */
    GPtrArray *
        unsaved; /* Operation, owned: ended, which is not written down yet: the next daemon would go on with them */
    GQueue history;   /* Operation, owned, newest first: without a store */
    GPtrArray *found; /* (nullable) Operation, owned: a daemon before this one left them running */
    int64_t started_us, save_after_us;
    int64_t last_id; /* without a store */
    guint tick_source, ticking_ms, free_source;
    Alive *alive;
    GHashTable *rewriting;     /* server ids whose definition is being written */
    GHashTable *rewrite_after; /* server id -> int64_t: a failed attempt is not repeated before */
    gboolean lock_refused;     /* a start with locked memory has failed here */
    char *boot_id; /* (nullable) of the host: another one in an operation means that it was booted since */
};

/* Answers that come after the end find nobody. */
struct Alive {
    Manage *manage; /* NULL when it is gone */
    guint references;
};

/* job.c */
void job_free(Job *job);
void job_tick(Job *job, int64_t now_us);
/* job_resume: (transfer full) @operation: of a daemon before this one. */
/* Whether @operation was left in a step in which its server is not to be seen. */
gboolean job_is_unseen(Manage *manage, const Operation *operation);
void job_resume(Manage *manage, Operation *operation);
/* manage.c */
void manage_job_began(Manage *manage);
void manage_job_ended(Manage *manage, Job *job);
/* manage_save_later: the store could not be written; it is tried again until it can. */
void manage_save_later(Manage *manage, const Operation *operation);
void manage_tell(Manage *manage, const Operation *operation);
Alive *manage_alive(Manage *manage);
void alive_unref(Alive *alive);
Tracked *manage_by_id(Manage *manage, const char *server_id);
/* rewrite.c: brings definitions in line with wishes. */
void rewrite_definitions(Manage *manage, int64_t now_us);
/* power.c, create.c, reinstall.c, aside.c: their recipes. */
void power_register(Manage *manage);
void create_register(Manage *manage);
void reinstall_register(Manage *manage);
void aside_register(Manage *manage);
/* job.c: what the engine keeps for it; room.c: gives it up */
guint64 *job_room_slot(Job *job);
void job_room_ended(Job *job);
