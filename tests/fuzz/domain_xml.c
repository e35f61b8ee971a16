/* A domain's definition, as somebody may have edited it: what is read from it, and what becomes of it with ballooning off and on. */
#include <string.h>
#include "backend/libvirt_private.h"
#include "fuzz.h"

static void check_off(const char *xml)
{
    g_autofree char *off = define_ballooning(xml, BALLOONING_OFF);
    if (!off)
        return;
    Definition definition;
    g_assert_true(definition_parse(off, &definition));
    g_assert_true(definition.marked_off && !definition.has_balloon && definition.preallocated);
    g_autofree char *on = define_ballooning(off, BALLOONING_ON);
    g_assert_true(on && definition_parse(on, &definition));
    g_assert_true(!definition.marked_off && definition.has_balloon);
}

static void check_aside(const char *xml)
{
    g_autofree char *aside = define_aside(xml, "web-1", TRUE);
    if (!aside)
        return;
    gboolean autostart = FALSE;
    g_autofree char *name = define_aside_of(aside, &autostart);
    g_assert_cmpstr(name, ==, "web-1");
    g_assert_true(autostart);
    g_autofree char *back = define_aside(aside, NULL, FALSE);
    g_assert_nonnull(back);
    g_autofree char *none = define_aside_of(back, &autostart);
    g_assert_null(none);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* libvirt hands on text: it ends at the first NUL. */
    g_autofree char *xml = g_strndup((const char *)data, size);
    Definition definition;
    if (definition_parse(xml, &definition)) {
        g_assert_nonnull(definition.driver);
        g_assert_nonnull(memchr(definition.agent_path, '\0', sizeof definition.agent_path));
        check_off(xml);
        check_aside(xml);
    }
    g_autoptr(GPtrArray) disks = define_disks(xml);
    g_assert_true(!disks || disks->len <= size);
    return 0;
}
