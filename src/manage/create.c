/* A new server from an image: disk, definition, owner, start. */
#include "base/error.h"
#include "base/size.h"
#include "engine/ballooning.h"
#include "engine/reservation.h"
#include "manage/disk.h"
#include "manage/making.h"
#include "manage/manage_private.h"
#include "store/accounts.h"

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

static char *done_text(Job *job)
{
    g_autofree char *memory = size_format(job_get_bytes(job, "memory_bytes"));
    return g_strdup_printf("%s: is there, made from %s with %s, and running.", job_name(job),
                           job_get(job, "image"), memory);
}

static const JobStep steps[] = {
    JOB_ROOM_STEP,           MAKING_DISK_STEP(100),
    MAKING_DEFINE_STEP(600), {.name = "own", .progress_permille = 650, .begin = own_begin, .undo = own_undo},
    MAKING_START_STEP(700),  MAKING_VERIFY_STEP(900),
};

static const JobRecipe recipe = {.kind = "create",
                                 .steps = steps,
                                 .n_steps = G_N_ELEMENTS(steps),
                                 .finish_from = 2,
                                 .done_text = done_text};

void create_register(Manage *manage)
{
    manage_add_recipe(manage, &recipe);
}

/* ---- what is asked */

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
    if (!making_check_name(manage, create->name, NULL, error) ||
        !manage_check_free(manage, NULL, create->name, error))
        return NULL;
    image = image_folder_find(manage->images, create->image, error);
    if (!image || !check_memory(image, create->memory_bytes, error) ||
        !check_owner(manage, create->owner, error) || !disk_check(manage, image, error))
        return NULL;
    if (!making_check(manage, error))
        return NULL;
    if (!check_room(manage, create, error))
        return NULL;
    g_autofree char *id = g_uuid_string_random();
    g_autofree char *disk = disk_path(manage, image, create->name, id);
    json_t *data = json_pack("{s:s, s:s, s:I, s:s*, s:s*}", "image", image->name, "id", id, "memory_bytes",
                             (json_int_t)create->memory_bytes, "owner", create->owner, "disk", disk);
    Job *job = job_begin(manage, &recipe, id, create->name, data, caller, error);
    return job ? job_operation(job) : NULL;
}
