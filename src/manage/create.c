/* A new server from an image: disk, definition, owner, start. */
#include <fnmatch.h>
#include <string.h>
#include "base/error.h"
#include "base/size.h"
#include "engine/ballooning.h"
#include "engine/reservation.h"
#include "manage/disk.h"
#include "manage/manage_private.h"
#include "store/accounts.h"

#define SECOND_US      ((int64_t)G_USEC_PER_SEC)
#define COPY_US        (3600 * SECOND_US)
#define CALL_US        (240 * SECOND_US)
#define SEEN_US        (30 * SECOND_US)
#define NAME_MAX_CHARS 64

static Backend *maker(Engine *engine)
{
    for (guint i = 0; i < engine_backends(engine)->len; i++) {
        const EngineBackend *known = engine_backends(engine)->pdata[i];
        if (known->connected && known->backend->ops->create && known->backend->ops->start)
            return known->backend;
    }
    return NULL;
}

/* (nullable) the job has failed then. */
static Backend *maker_of(Job *job)
{
    Backend *backend = maker(job_manage(job)->engine);
    if (!backend)
        job_fail(job,
                 g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE, "the hypervisor does not answer"));
    return backend;
}

/* ---- disk */

static void copied(const GError *error, gpointer user_data)
{
    Job *job = job_held(user_data);
    if (!job)
        return;
    if (error)
        job_fail(job, g_error_copy(error));
    else
        job_next(job);
}

static void disk_begin(Job *job)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Image) image = image_folder_find(job_manage(job)->images, job_get(job, "image"), &error);
    if (!image) {
        job_fail(job, g_steal_pointer(&error));
        return;
    }
    if (!job_get(job, "disk")) {
        job_next(job);
        return;
    }
    job_text(job, g_strdup_printf("%s: its disk is being copied from %s.", job_name(job), image->name));
    disk_copy(image->disk, job_get(job, "disk"), copied, job_hold(job));
}

static void disk_undo(Job *job)
{
    g_autoptr(GError) error = NULL;
    if (job_get(job, "disk") && !disk_remove(job_get(job, "disk"), &error))
        job_tell(job, g_strdup_printf("(%s)", error->message));
    job_undone(job);
}

/* ---- definition */

static void define_begin(Job *job)
{
    g_autoptr(GError) error = NULL;
    Backend *backend = maker_of(job);
    g_autoptr(Image) image =
        backend ? image_folder_find(job_manage(job)->images, job_get(job, "image"), &error) : NULL;
    if (!backend)
        return;
    if (!image) {
        job_fail(job, g_steal_pointer(&error));
        return;
    }
    BackendSpec spec = {.name = job_name(job),
                        .id = job_get(job, "id"),
                        .memory_bytes = job_get_bytes(job, "memory_bytes"),
                        .ballooning = BALLOONING_ON,
                        .kernel = image->kernel,
                        .initramfs = image->initramfs,
                        .command_line = image->command_line,
                        .disk = job_get(job, "disk"),
                        .disk_format = image->format,
                        .network = image->network};
    backend->ops->create(backend, &spec, job_done, job_hold(job));
}

static void define_undo(Job *job)
{
    Backend *backend = maker(job_manage(job)->engine);
    if (backend && backend->ops->remove)
        backend->ops->remove(backend, job_get(job, "id"), job_undo_done, job_hold(job));
    else
        job_fail(job,
                 g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE, "the hypervisor does not answer"));
}

/* ---- owner */

static gboolean set_owner(Job *job, const char *owner, GError **error)
{
    Store *store = job_manage(job)->store;
    if (!store || !job_get(job, "owner"))
        return TRUE;
    return store_own(store, job_get(job, "id"), job_name(job), owner, NULL, error);
}

static void own_begin(Job *job)
{
    g_autoptr(GError) error = NULL;
    if (set_owner(job, job_get(job, "owner"), &error))
        job_next(job);
    else
        job_fail(job, g_steal_pointer(&error));
}

static void own_undo(Job *job)
{
    g_autoptr(GError) error = NULL;
    if (!set_owner(job, NULL, &error))
        job_tell(job, g_strdup_printf("(%s)", error->message));
    job_undone(job);
}

/* ---- start */

static void start_begin(Job *job)
{
    Backend *backend = maker_of(job);
    if (!backend || !job_room(job))
        return;
    job_set(job, "begun", "yes");
    job_text(job, g_strdup_printf("%s: is starting.", job_name(job)));
    backend->ops->start(backend, job_get(job, "id"), job_done, job_hold(job));
}

static void start_poll(Job *job)
{
    if (!job_get(job, "begun"))
        start_begin(job);
}

static void start_undo(Job *job)
{
    Backend *backend = maker(job_manage(job)->engine);
    if (backend)
        backend->ops->stop(backend, job_get(job, "id"), job_undo_done, job_hold(job));
    else
        job_undone(job);
}

static void verify_begin(Job *job)
{
    engine_look(job_manage(job)->engine);
}

static void verify_poll(Job *job)
{
    const Tracked *tracked = job_server(job);
    if (tracked && tracked_counts(tracked))
        job_next(job);
}

static void ended(Job *job, gboolean done)
{
    job_room_ended(job);
}

static char *done_text(Job *job)
{
    g_autofree char *memory = size_format(job_get_bytes(job, "memory_bytes"));
    return g_strdup_printf("%s: is there, made from %s with %s, and running.", job_name(job),
                           job_get(job, "image"), memory);
}

static const JobStep steps[] = {
    JOB_ROOM_STEP,
    {.name = "disk",
     .progress_permille = 100,
     .begin = disk_begin,
     .undo = disk_undo,
     .deadline_us = COPY_US},
    {.name = "define",
     .progress_permille = 600,
     .begin = define_begin,
     .undo = define_undo,
     .deadline_us = CALL_US},
    {.name = "own", .progress_permille = 650, .begin = own_begin, .undo = own_undo},
    {.name = "start",
     .progress_permille = 700,
     .begin = start_begin,
     .poll = start_poll,
     .undo = start_undo,
     .deadline_us = CALL_US},
    {.name = "verify",
     .progress_permille = 900,
     .begin = verify_begin,
     .poll = verify_poll,
     .deadline_us = SEEN_US},
};

static const JobRecipe recipe = {"create", steps, G_N_ELEMENTS(steps), 2, done_text, ended};

void create_register(Manage *manage)
{
    manage_add_recipe(manage, &recipe);
}

/* ---- what is asked */

static gboolean check_name(Manage *manage, const char *name, GError **error)
{
    gsize length = strlen(name);
    g_autofree char *shown = error_printable(name, -1, 80);
    if (length == 0 || length > NAME_MAX_CHARS || !g_ascii_isalnum(name[0]) ||
        strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._+-") != length) {
        g_set_error(
            error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
            "\"%s\" cannot be a server's name; use 1 to %d letters, digits, and . _ + -, beginning with a "
            "letter or digit",
            shown, NAME_MAX_CHARS);
        return FALSE;
    }
    GPtrArray *servers = engine_servers(manage->engine);
    for (guint i = 0; i < servers->len; i++)
        if (g_str_equal(((const Tracked *)servers->pdata[i])->latest->name, name)) {
            g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                        "there is a server %s already; choose another name", name);
            return FALSE;
        }
    for (guint i = 0; manage->patterns[i]; i++)
        if (fnmatch(manage->patterns[i], name, 0) == 0)
            return TRUE;
    g_autofree char *patterns = g_strjoinv(", ", manage->patterns);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                "the daemon looks after servers named %s ([libvirt] servers), and \"%s\" is not one of them",
                patterns, shown);
    return FALSE;
}

static gboolean check_memory(const Image *image, uint64_t bytes, GError **error)
{
    g_autofree char *minimum = size_format(image->minimum_bytes), *wrong = size_format(bytes);
    if (bytes >= image->minimum_bytes && bytes <= SIZE_MAX_BYTES && bytes % MIB == 0)
        return TRUE;
    if (bytes % MIB != 0)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "a memory of %" G_GUINT64_FORMAT " bytes is not whole MiB; round it", (guint64)bytes);
    else
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "a memory of %s does not do; image %s needs at least %s", wrong, image->name, minimum);
    return FALSE;
}

static gboolean check_owner(Manage *manage, const char *owner, GError **error)
{
    if (!owner)
        return TRUE;
    if (!manage->store) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                    "there are no accounts without a store");
        return FALSE;
    }
    g_autoptr(Account) account = store_account(manage->store, owner, error);
    return account != NULL;
}

static gboolean check_room(Manage *manage, const ManageCreate *create, GError **error)
{
    const Reservation *room = engine_keep_room(manage->engine, NULL, create->name, create->memory_bytes, TRUE,
                                               G_USEC_PER_SEC, error);
    if (room)
        engine_give_up_room(manage->engine, room->id);
    return room != NULL;
}

const Operation *manage_create(Manage *manage, const ManageCreate *create, const ManageCaller *caller,
                               GError **error)
{
    g_autoptr(Image) image = NULL;
    if (!check_name(manage, create->name, error) || !manage_check_free(manage, NULL, create->name, error))
        return NULL;
    image = image_folder_find(manage->images, create->image, error);
    if (!image || !check_memory(image, create->memory_bytes, error) ||
        !check_owner(manage, create->owner, error) || !disk_check(manage, image, error))
        return NULL;
    if (!maker(manage->engine)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                    "no hypervisor that makes servers answers; is libvirtd running?");
        return NULL;
    }
    if (!check_room(manage, create, error))
        return NULL;
    g_autofree char *id = g_uuid_string_random();
    g_autofree char *disk = disk_path(manage, image, create->name, id);
    json_t *data = json_pack("{s:s, s:s, s:I, s:s*, s:s*}", "image", image->name, "id", id, "memory_bytes",
                             (json_int_t)create->memory_bytes, "owner", create->owner, "disk", disk);
    Job *job = job_begin(manage, &recipe, id, create->name, data, caller, error);
    return job ? job_operation(job) : NULL;
}
