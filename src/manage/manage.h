/*
 * Manage: what people have done to whole servers: power, creation, reinstallation, ballooning on and off. Each is an
 * operation: a row of steps, written into the store before each is begun, so that a daemon that was killed finishes it
 * or takes it back. One operation per server at a time. All of it runs on the engine's thread and never blocks.
 */
#pragma once
#include "engine/engine.h"
#include "manage/image.h"
#include "store/operations.h"

typedef struct Manage Manage;

/* Who asks; borrowed for the call. */
typedef struct {
    const char *who;  /* "alice", "root@local" */
    const char *from; /* "local", "web 192.0.2.7" */
} ManageCaller;

typedef enum { ACTION_START, ACTION_SHUTDOWN, ACTION_RESTART, ACTION_STOP, ACTIONS } PowerAction;

/* Told of every change of an operation, also of its end. @operation is valid during the call. */
typedef void (*ManageListener)(Manage *manage, const Operation *operation, gpointer user_data);

typedef struct {
    const char *images;          /* the folder of image descriptions */
    const char *disks;           /* the folder where new servers' disks are made */
    const char *const *patterns; /* (nullable: all) globs: which names of new servers the engine will see */
    const char *boot_id;         /* (nullable: as the kernel says) which boot of the host this is */
} ManageOptions;

/* manage_new: @engine and @store (nullable: nothing outlives the daemon) are borrowed; free it before either. Operations
 * that a killed daemon left running are taken up as soon as their servers have been seen. */
Manage *manage_new(Engine *engine, Store *store, const ManageOptions *options);
void manage_free(Manage *manage);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Manage, manage_free)
void manage_listen(Manage *manage, ManageListener listener, gpointer user_data);

/* power_action_from_name: "start", "shutdown", "restart", "stop"; FALSE for any other. */
gboolean power_action_from_name(const char *name, PowerAction *ret);

/* manage_check_ballooning: whether a wish can come true: FALSE with AEROSTAT_ERROR_CONFLICT, and why, and the way out.
 * The wish itself is a setting; definitions follow it by themselves. */
gboolean manage_check_ballooning(Manage *manage, const Tracked *tracked, gboolean enabled, GError **error);

/*
 * manage_power, manage_create: begin an operation; (transfer none) it is valid until the next turn of the main loop.
 * NULL with
 *   AEROSTAT_ERROR_BUSY      another operation is under way on that server; the message names it
 *   AEROSTAT_ERROR_NO_ROOM   the pool cannot hold it even in the end; with the bytes missing; nothing was stopped
 *   AEROSTAT_ERROR_CONFLICT  not in its present state (off, migrating, not persistent, name taken)
 *   AEROSTAT_ERROR_INVALID, AEROSTAT_ERROR_NOT_FOUND, AEROSTAT_ERROR_UNAVAILABLE
 */
/* @patience_s: how long a guest may take to shut down, 1 to 3600; 0: 60. What then: a restart stops it, a shutdown fails. */
const Operation *manage_power(Manage *manage, Tracked *tracked, PowerAction action, unsigned patience_s,
                              const ManageCaller *caller, GError **error);

typedef struct {
    const char *name, *image;
    uint64_t memory_bytes;
    const char *owner; /* (nullable) an account */
} ManageCreate;
const Operation *manage_create(Manage *manage, const ManageCreate *create, const ManageCaller *caller,
                               GError **error);

/* manage_operation_on: what is under way on a server, or NULL. */
const Operation *manage_operation_on(Manage *manage, const char *server_id);
/* manage_operation: (transfer full) by id, also of those that have ended. */
Operation *manage_operation(Manage *manage, int64_t id, GError **error);
/* manage_operations: (transfer full) (element-type Operation) newest first. Without a store no @query->account is known. */
GPtrArray *manage_operations(Manage *manage, const OperationQuery *query, GError **error);
ImageFolder *manage_images(Manage *manage);
Engine *manage_engine(Manage *manage);
