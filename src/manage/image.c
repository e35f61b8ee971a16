#include "manage/image.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/keyfile.h"
#include "base/size.h"
#include "base/suggest.h"

#define SUFFIX         ".conf"
#define TITLE_MAX      120
#define FILE_MAX_BYTES (UINT64_C(64) * 1024)
/* Linux with a small init is up with less; a server with less is a mistake in the description. */
#define MINIMUM_LEAST_BYTES (16 * MIB)

struct ImageFolder {
    char *path;
};

typedef struct {
    Image *image;
    const char *folder;
    guint lines[16]; /* where each key was set */
} Reading;

typedef gboolean (*TakeValue)(const Reading *reading, const char *value, char **ret, GError **error);

static gboolean refuse(const char *value, const char *wrong, const char *right, GError **error)
{
    g_autofree char *quoted = error_printable(value, -1, 60);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "\"%s\" %s; %s", quoted, wrong, right);
    return FALSE;
}

static gboolean take_text(const Reading *reading, const char *value, char **ret, GError **error)
{
    *ret = g_strdup(value);
    return TRUE;
}

static gboolean take_title(const Reading *reading, const char *value, char **ret, GError **error)
{
    if (value[0] == '\0' || g_utf8_strlen(value, -1) > TITLE_MAX)
        return refuse(value, "is no title", "write 1 to 120 characters, such as Debian 12", error);
    return take_text(reading, value, ret, error);
}

static gboolean take_path(const Reading *reading, const char *value, char **ret, GError **error)
{
    if (value[0] == '\0')
        return refuse(value, "is no file", "name one, beside this description or from / on", error);
    *ret = g_path_is_absolute(value) ? g_strdup(value) : g_build_filename(reading->folder, value, NULL);
    return TRUE;
}

static gboolean take_format(const Reading *reading, const char *value, char **ret, GError **error)
{
    if (!g_str_equal(value, "qcow2") && !g_str_equal(value, "raw"))
        return refuse(value, "is not a format", "write qcow2 or raw", error);
    return take_text(reading, value, ret, error);
}

static gboolean take_name(const Reading *reading, const char *value, char **ret, GError **error)
{
    if (value[0] == '\0' || strlen(value) > 64)
        return refuse(value, "is no network", "name one of the hypervisor's, such as default", error);
    return take_text(reading, value, ret, error);
}

static const struct {
    const char *name;
    TakeValue take; /* NULL: minimum, which is a size */
    gsize offset;
} keys[] = {
    {"title", take_title, G_STRUCT_OFFSET(Image, title)},
    {"minimum", NULL, 0},
    {"disk", take_path, G_STRUCT_OFFSET(Image, disk)},
    {"format", take_format, G_STRUCT_OFFSET(Image, format)},
    {"kernel", take_path, G_STRUCT_OFFSET(Image, kernel)},
    {"initramfs", take_path, G_STRUCT_OFFSET(Image, initramfs)},
    {"command-line", take_text, G_STRUCT_OFFSET(Image, command_line)},
    {"network", take_name, G_STRUCT_OFFSET(Image, network)},
};

static gboolean take_minimum(Image *image, const char *value, GError **error)
{
    if (!size_parse(value, 0, &image->minimum_bytes, error))
        return FALSE;
    if (image->minimum_bytes < MINIMUM_LEAST_BYTES)
        return refuse(value, "is too little for any server", "write at least 16MiB", error);
    return TRUE;
}

static gboolean refuse_key(const char *key, GError **error)
{
    const char *names[G_N_ELEMENTS(keys)];
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
        names[i] = keys[i].name;
    const char *meant = suggest_nearest(key, names, G_N_ELEMENTS(keys));
    g_autofree char *joined =
        g_strdup("title, minimum, disk, format, kernel, initramfs, command-line, network");
    g_autofree char *right =
        meant ? g_strdup_printf("did you mean %s?", meant) : g_strdup_printf("the keys are %s", joined);
    return refuse(key, "is not a key of an image", right, error);
}

static gboolean on_key(const char *section, const char *key, const char *value, guint line,
                       gpointer user_data, GError **error)
{
    Reading *reading = user_data;
    if (!section || !g_str_equal(section, "image"))
        return refuse(section ? section : key, section ? "is not a section" : "stands before [image]",
                      "an image has one section, [image]", error);
    if (!key)
        return TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (!g_str_equal(keys[i].name, key))
            continue;
        if (reading->lines[i] != 0) {
            g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                        "\"%s\" was set on line %u already; leave one of the two", key, reading->lines[i]);
            return FALSE;
        }
        reading->lines[i] = line;
        return keys[i].take
                   ? keys[i].take(reading, value, G_STRUCT_MEMBER_P(reading->image, keys[i].offset), error)
                   : take_minimum(reading->image, value, error);
    }
    return refuse_key(key, error);
}

void image_free(Image *image)
{
    if (!image)
        return;
    g_free(image->name);
    g_free(image->title);
    g_free(image->disk);
    g_free(image->format);
    g_free(image->kernel);
    g_free(image->initramfs);
    g_free(image->command_line);
    g_free(image->network);
    g_free(image);
}

static const char *what_is_missing(const Image *image)
{
    if (image->minimum_bytes == 0)
        return "minimum is missing; write the least memory it runs with, such as minimum = 512MiB";
    if (!image->disk && !image->kernel)
        return "there is nothing to start; name a disk, or a kernel";
    if (!image->kernel && (image->initramfs || image->command_line))
        return "initramfs and command-line need a kernel; name it";
    if (!image->disk && image->format)
        return "format is of a disk; name the disk";
    return NULL;
}

Image *image_parse(const char *text, gsize length, const char *name, const char *file, const char *folder,
                   GError **error)
{
    g_autoptr(Image) image = g_new0(Image, 1);
    Reading reading = {.image = image, .folder = folder};
    G_STATIC_ASSERT(G_N_ELEMENTS(keys) <= G_N_ELEMENTS(reading.lines));
    if (!keyfile_scan(text, length, file, on_key, &reading, error))
        return NULL;
    const char *missing = what_is_missing(image);
    if (missing) {
        g_autofree char *printable = error_printable(file, -1, G_MAXUINT);
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "%s: %s", printable, missing);
        return NULL;
    }
    image->name = g_strdup(name);
    if (!image->title)
        image->title = g_strdup(name);
    if (image->disk && !image->format)
        image->format = g_strdup(g_str_has_suffix(image->disk, ".qcow2") ? "qcow2" : "raw");
    return g_steal_pointer(&image);
}

/* ---- the folder */

ImageFolder *image_folder_new(const char *path)
{
    ImageFolder *folder = g_new0(ImageFolder, 1);
    folder->path = g_strdup(path);
    return folder;
}

void image_folder_free(ImageFolder *folder)
{
    if (!folder)
        return;
    g_free(folder->path);
    g_free(folder);
}

/* A name from outside becomes part of a path. */
static gboolean is_name(const char *name)
{
    gsize length = strlen(name);
    return length > 0 && length <= 64 && g_ascii_isalnum(name[0]) &&
           strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._+-") == length;
}

static Image *load(ImageFolder *folder, const char *name, GError **error)
{
    g_autofree char *file = g_strconcat(name, SUFFIX, NULL);
    g_autofree char *path = g_build_filename(folder->path, file, NULL);
    g_autofree char *text = NULL;
    gsize length = 0;
    g_autoptr(GError) local = NULL;
    if (!g_file_test(path, G_FILE_TEST_IS_REGULAR) || !g_file_get_contents(path, &text, &length, &local)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND, "image %s: %s", name,
                    local ? local->message : "there is no such description");
        return NULL;
    }
    if (length > FILE_MAX_BYTES) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "%s: it is too large for a description",
                    path);
        return NULL;
    }
    return image_parse(text, length, name, path, folder->path, error);
}

static int compare_texts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* (element-type utf8) (transfer full) */
static GPtrArray *names_in(ImageFolder *folder)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(folder->path, 0, NULL);
    for (const char *file = dir ? g_dir_read_name(dir) : NULL; file; file = g_dir_read_name(dir)) {
        if (!g_str_has_suffix(file, SUFFIX))
            continue;
        g_autofree char *name = g_strndup(file, strlen(file) - strlen(SUFFIX));
        if (is_name(name))
            g_ptr_array_add(names, g_steal_pointer(&name));
    }
    g_ptr_array_sort(names, compare_texts);
    return names;
}

static gboolean check_files(const Image *image, GError **error)
{
    const char *const files[] = {image->disk, image->kernel, image->initramfs};
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        if (!files[i] || access(files[i], R_OK) == 0)
            continue;
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT, "image %s: its file %s: %s", image->name,
                    files[i], g_strerror(errno));
        return FALSE;
    }
    return TRUE;
}

Image *image_folder_find(ImageFolder *folder, const char *name, GError **error)
{
    g_autofree char *file = g_strconcat(name, SUFFIX, NULL);
    g_autofree char *path = g_build_filename(folder->path, file, NULL);
    if (!is_name(name) || !g_file_test(path, G_FILE_TEST_EXISTS)) {
        g_autoptr(GPtrArray) names = names_in(folder);
        g_autofree char *shown = error_printable(name, -1, 64);
        g_ptr_array_add(names, NULL);
        g_autofree char *all = g_strjoinv(", ", (char **)names->pdata);
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND, "there is no image \"%s\"; %s%s", shown,
                    *all ? "there are " : "none is described in ", *all ? all : folder->path);
        return NULL;
    }
    g_autoptr(Image) image = load(folder, name, error);
    return image && check_files(image, error) ? g_steal_pointer(&image) : NULL;
}

GPtrArray *image_folder_list(ImageFolder *folder, GPtrArray *problems)
{
    GPtrArray *images = g_ptr_array_new_with_free_func((GDestroyNotify)image_free);
    g_autoptr(GPtrArray) names = names_in(folder);
    for (guint i = 0; i < names->len; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Image) image = load(folder, names->pdata[i], &error);
        if (image && check_files(image, &error))
            g_ptr_array_add(images, g_steal_pointer(&image));
        else if (problems)
            g_ptr_array_add(problems, g_strdup(error->message));
    }
    return images;
}
