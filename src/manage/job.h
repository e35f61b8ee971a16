/*
 * Job: one operation under way, as a row of steps that are begun one after the other. What a kind of operation is made of
 * is a JobRecipe; this runs it, journals it, gives up at deadlines, takes it back when a step fails, and goes on with it
 * in a new daemon.
 *
 * A step is written into the store before it is begun, so a step may find itself done already, or half: begin() and undo()
 * must be repeatable. Whatever a later step needs to know is kept with job_set().
 */
#pragma once
#include "manage/manage.h"

typedef struct Job Job;

typedef struct {
    const char *name;        /* for machines, and in the store: never changed once released */
    guint progress_permille; /* of the whole operation, when this step begins */
    int64_t deadline_us;     /* 0: none, for those whose own calls have one */
    /* Begins it, or begins it again. It ends by job_next(), job_skip_to() or job_fail(), from within or later. */
    void (*begin)(Job *job);
    /* (nullable) Asked every 100 ms while the step is under way. */
    void (*poll)(Job *job);
    /* (nullable) Instead of failing when the deadline has passed. */
    void (*expired)(Job *job);
    /* (nullable) Takes it back, also when it was only begun; ends by job_undone(). What cannot be taken back is told with
     * job_tell(). */
    void (*undo)(Job *job);
    /* (nullable) Asked every 100 ms while it is being taken back, until job_undone(); for ten minutes at most. */
    void (*undo_poll)(Job *job);
    /* No server of its own can be seen then: a new daemon goes on with it without waiting for one. */
    gboolean unseen;
} JobStep;

typedef struct {
    const char *kind; /* "restart" */
    const JobStep *steps;
    guint n_steps;
    guint
        finish_from; /* a new daemon that finds it at this step or later goes on, before that it takes it back */
    /* (nullable) What is before this step is over once the host has been booted anew, and is not done a second time: a new
     * daemon goes on from here. "": there is nothing left to do. */
    const char *after_boot;
    /* (transfer full) one sentence for people when it is done. */
    char *(*done_text)(Job *job);
} JobRecipe;

/* job_begin: @data: (transfer full) (nullable) what the steps know, as JSON. @server_id: (nullable) of a server that is
 * there; @name: of one that is or will be. NULL with AEROSTAT_ERROR_BUSY, or when the store cannot take it down. */
Job *job_begin(Manage *manage, const JobRecipe *recipe, const char *server_id, const char *name, json_t *data,
               const ManageCaller *caller, GError **error);

/* The end of a step. */
void job_next(Job *job);
void job_skip_to(Job *job, const char *name);
/* (transfer full) @error: what has been done is undone, last step first; then the operation has failed. With
 * AEROSTAT_ERROR_UNAVAILABLE, in an undo with AEROSTAT_ERROR_TIMEOUT as well, it is first tried again for a while. */
void job_fail(Job *job, GError *error);
void job_undone(Job *job);

/* job_text: (transfer full) the sentence that people see now. job_tell: one more thing to say with the last one. */
void job_text(Job *job, char *text);
void job_tell(Job *job, char *text);
void job_progress(Job *job, guint permille);

Manage *job_manage(const Job *job);
const Operation *job_operation(const Job *job);
const char *job_name(const Job *job);
/* job_server: NULL while it is not there. */
Tracked *job_server(const Job *job);
/* job_is_resumed: a daemon before this one has begun it. */
gboolean job_is_resumed(const Job *job);
/* job_set_server: the operation is about this id from now on (one that was just created). */
void job_set_server(Job *job, const char *server_id);
/* Seconds or less since this step was begun, in this daemon. */
int64_t job_step_us(const Job *job);

/* The steps' own knowledge: kept with the operation; written with the next step or at once by job_save(). */
const char *job_get(const Job *job, const char *key);       /* (nullable) */
uint64_t job_get_bytes(const Job *job, const char *key);    /* 0 when there is none */
void job_set(Job *job, const char *key, const char *value); /* @value: NULL takes it away */
void job_set_bytes(Job *job, const char *key, uint64_t value);
gboolean job_save(Job *job, GError **error);

/* job_done: a BackendDone that ends the step: next, or fail with the error. @user_data comes from job_hold(), which keeps
 * an answer from reaching a job, or a step, that has ended meanwhile. */
void job_done(Backend *backend, const char *id, const GError *error, gpointer user_data);
gpointer job_hold(Job *job);
/* job_held: for a step's own BackendDone: the job, or NULL when that step is over. Releases @data. */
Job *job_held(gpointer data);
/* job_undo_done: the same in an undo. job_doubt: to be called before: @key (static) is in the job's data until that undo has
 * succeeded, for those who must know whether it has. */
void job_doubt(Job *job, const char *key);
void job_undo_done(Backend *backend, const char *id, const GError *error, gpointer user_data);

/* manage_check_free: AEROSTAT_ERROR_BUSY while an operation on that server, or of that name, is under way. */
gboolean manage_check_free(Manage *manage, const char *server_id, const char *name, GError **error);

/*
 * The room for its server to start, kept until the job ends: a step of its own that anybody may use. JOB_ROOM_STEP is for
 * the table of steps.
 * job_room: for later steps, which a new daemon may begin with, and for undoing: TRUE when the room is there; else it is
 * being made (ask again from poll() or undo_poll()), or the step has failed.
 */
void job_room_begin(Job *job);
void job_room_poll(Job *job);
void job_room_expired(Job *job);
gboolean job_room(Job *job);
#define JOB_ROOM_US INT64_C(60000000)
#define JOB_ROOM_STEP                                                                                        \
    {                                                                                                        \
        .name = "room", .deadline_us = JOB_ROOM_US, .begin = job_room_begin, .poll = job_room_poll,          \
        .expired = job_room_expired                                                                          \
    }

/* Recipes register here, so that a new daemon finds them again. */
void manage_add_recipe(Manage *manage, const JobRecipe *recipe);
