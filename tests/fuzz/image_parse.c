/* A description of an image: refused with its file's name, or complete and absolute. */
#include <string.h>
#include "base/error.h"
#include "fuzz.h"
#include "manage/image.h"

static void check_path(const char *path)
{
    g_assert_true(!path || (g_path_is_absolute(path) && g_utf8_validate(path, -1, NULL)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Image) image =
        image_parse((const char *)data, size, "test", "test.conf", "/var/lib/aerostat/images", &error);
    if (!image) {
        g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
        g_assert_true(g_str_has_prefix(error->message, "test.conf"));
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        return 0;
    }
    g_assert_cmpstr(image->name, ==, "test");
    g_assert_true(image->title && *image->title);
    g_assert_true(image->disk || image->kernel);
    check_path(image->disk);
    check_path(image->kernel);
    check_path(image->initramfs);
    return 0;
}
