/* Domain definitions as text: what is read from them, and what is made of them. Nothing runs. */
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "backend/libvirt_private.h"

static void test_definitions(void)
{
#define DOMAIN(inside) "<domain><memory unit='KiB'>1048576</memory>" inside "</domain>"
#define BALLOON                                                                                              \
    "<memballoon model='virtio' autodeflate='on' freePageReporting='on'><stats period='7'/></memballoon>"
#define DEVICES(more)     "<devices>" BALLOON more "</devices>"
#define NO_BALLOON        "<devices><memballoon model='none'/></devices>"
#define BACKING(more)     "<memoryBacking>" more "</memoryBacking>" DEVICES("")
#define OFF_BY_OWNER(uri) "<metadata><a:server xmlns:a='" uri "' ballooning='off'/></metadata>"
    static const struct {
        const char *xml;
        FixedReason fixed;
    } table[] = {
        {DOMAIN(DEVICES("")), FIXED_NO},
        {DOMAIN(NO_BALLOON), FIXED_NO_DRIVER},
        {DOMAIN("<devices/>"), FIXED_NO_DRIVER},
        {DOMAIN("<devices><memballoon model='xen'/></devices>"), FIXED_NO_DRIVER},
        {DOMAIN(OFF_BY_OWNER("urn:aerostat:server:1") NO_BALLOON), FIXED_DISABLED_BY_OWNER},
        {DOMAIN(OFF_BY_OWNER("urn:another") NO_BALLOON), FIXED_NO_DRIVER},
        {DOMAIN(OFF_BY_OWNER("urn:aerostat:server:1") DEVICES("")), FIXED_NO}, /* pending its restart */
        {DOMAIN(DEVICES("<hostdev mode='subsystem' type='pci'/>")), FIXED_DEVICE_ASSIGNMENT},
        {DOMAIN(DEVICES("<hostdev mode='subsystem' type='mdev'/>")), FIXED_DEVICE_ASSIGNMENT},
        {DOMAIN(DEVICES("<hostdev mode='subsystem' type='usb'/>")), FIXED_NO},
        {DOMAIN(DEVICES("<interface type='hostdev'/>")), FIXED_DEVICE_ASSIGNMENT},
        {DOMAIN(DEVICES("<interface type='vdpa'/>")), FIXED_DEVICE_ASSIGNMENT},
        {DOMAIN(DEVICES("<interface type='network'/>")), FIXED_NO},
        {DOMAIN(DEVICES("<disk type='nvme'/>")), FIXED_DEVICE_ASSIGNMENT},
        {DOMAIN(BACKING("<hugepages/>")), FIXED_HUGEPAGES},
        {DOMAIN(BACKING("<locked/>")), FIXED_LOCKED_MEMORY},
        {DOMAIN(BACKING("<nosharepages/><allocation mode='immediate'/>")), FIXED_NO},
        {DOMAIN("<launchSecurity type='sev'/>" DEVICES("")), FIXED_LOCKED_MEMORY},
    };
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        Definition definition;
        g_assert_true(definition_parse(table[i].xml, &definition));
        g_assert_cmpint(definition.fixed, ==, table[i].fixed);
        g_assert_cmpuint(definition.maximum_bytes, ==, GIB);
        gboolean has_balloon = strstr(table[i].xml, "model='virtio'") != NULL;
        g_assert_cmpstr(definition.driver, ==, has_balloon ? "virtio-balloon" : "none");
        g_assert_cmpuint(definition.stats_period_s, ==, has_balloon ? 7 : 0);
        g_assert_cmpint(definition.deflates_on_oom, ==, has_balloon);
        g_assert_cmpint(definition.reports_free_pages, ==, has_balloon);
        g_assert_cmpint(definition.has_balloon, ==, has_balloon);
        g_assert_cmpint(definition.locked, ==, strstr(table[i].xml, "<locked/>") != NULL);
        g_assert_cmpint(definition.preallocated, ==, strstr(table[i].xml, "immediate") != NULL);
        g_assert_cmpint(definition.marked_off, ==, strstr(table[i].xml, "urn:aerostat:server:1") != NULL);
        g_assert_false(definition.aside);
    }
}

static Definition parsed(const char *xml)
{
    Definition definition;
    g_assert_nonnull(xml);
    g_assert_true(definition_parse(xml, &definition));
    return definition;
}

/* Off and on again: what is there afterwards takes part, and what was there before is there again. */
static void test_define_ballooning(void)
{
    static const char *const before[] = {
        DOMAIN(DEVICES("")),
        DOMAIN("<currentMemory>5</currentMemory>" DEVICES("")),
        DOMAIN("<devices><memballoon model='virtio-transitional'/></devices>"),
        DOMAIN(BACKING("<allocation mode='ondemand' threads='2'/><access mode='shared'/>")),
        DOMAIN(OFF_BY_OWNER("urn:another") DEVICES("")),
        "<domain/>",
    };
    for (guint i = 0; i < G_N_ELEMENTS(before); i++) {
        g_autofree char *off = define_ballooning(before[i], BALLOONING_OFF_LOCKED);
        Definition definition = parsed(off);
        g_assert_cmpint(definition.fixed, ==, FIXED_DISABLED_BY_OWNER);
        g_assert_true(definition.preallocated && definition.locked && definition.marked_off);
        g_assert_null(strstr(off, "currentMemory"));
        g_autofree char *milder = define_ballooning(off, BALLOONING_OFF);
        definition = parsed(milder);
        g_assert_true(definition.preallocated && !definition.locked);
        g_assert_cmpint(definition.fixed, ==, FIXED_DISABLED_BY_OWNER);
        g_autofree char *on = define_ballooning(milder, BALLOONING_ON);
        definition = parsed(on);
        g_assert_cmpint(definition.fixed, ==, FIXED_NO);
        g_assert_true(definition.deflates_on_oom && definition.reports_free_pages);
        g_assert_false(definition.preallocated || definition.locked || definition.marked_off);
        g_assert_nonnull(strstr(on, "org.aerostat.agent.0"));
        g_assert_cmpint(strstr(before[i], "ondemand") != NULL, ==, strstr(on, "ondemand") != NULL);
        g_assert_cmpint(strstr(before[i], "transitional") != NULL, ==, strstr(on, "transitional") != NULL);
        g_assert_null(strstr(on, "urn:aerostat"));
        g_autofree char *same = define_ballooning(on, BALLOONING_ON);
        g_assert_cmpstr(same, ==, on);
    }
    /* Locked before us: that is not ours to take away. */
    g_autofree char *off = define_ballooning(DOMAIN(BACKING("<locked/>")), BALLOONING_OFF);
    g_autofree char *on = define_ballooning(off, BALLOONING_ON);
    g_assert_true(parsed(off).locked && parsed(on).locked);
    g_assert_null(define_ballooning("<network/>", BALLOONING_OFF));
    g_assert_null(define_ballooning("\xff", BALLOONING_OFF));
}

static void test_define_aside(void)
{
    gboolean autostart;
    g_autofree char *aside = define_aside(DOMAIN(DEVICES("")), "web-<&'\"1", TRUE);
    g_assert_true(parsed(aside).aside);
    g_autofree char *name = define_aside_of(aside, &autostart);
    g_assert_cmpstr(name, ==, "web-<&'\"1");
    g_assert_true(autostart);
    g_autofree char *back = define_aside(aside, NULL, FALSE);
    g_assert_false(parsed(back).aside);
    g_assert_null(define_aside_of(back, &autostart));
    g_assert_null(strstr(back, "metadata"));
    g_assert_null(define_aside("", "x", FALSE));
    g_assert_null(define_aside_of("<", &autostart));
}

static void test_define_new(void)
{
    BackendSpec spec = {.name = "a<b&\"c'",
                        .id = "2f5b0d7c-6a3f-4c7e-9d0a-0f0e0d0c0b0a",
                        .memory_bytes = 512 * MIB,
                        .kernel = "/k<",
                        .initramfs = "/i",
                        .command_line = "console=ttyS0 a=\"&\"",
                        .disk = "/d&.qcow2",
                        .disk_format = "qcow2",
                        .network = "default"};
    g_autofree char *xml = define_new(&spec, FALSE);
    Definition definition = parsed(xml);
    g_assert_cmpint(definition.fixed, ==, FIXED_NO);
    g_assert_cmpuint(definition.maximum_bytes, ==, 512 * MIB);
    g_assert_nonnull(strstr(xml, "a&lt;b&amp;"));
    g_assert_nonnull(strstr(xml, "<interface type=\"network\">"));
    g_autoptr(GPtrArray) disks = define_disks(xml);
    g_assert_cmpuint(disks->len, ==, 1);
    g_assert_cmpstr(disks->pdata[0], ==, "/d&.qcow2");
    g_autoptr(GPtrArray) none = define_disks("<domain><devices><disk type='file' device='cdrom'>"
                                             "<source file='/x'/></disk><disk/></devices></domain>");
    g_assert_cmpuint(none->len, ==, 0);
}

static void test_definition_garbage(void)
{
    static const char *const bad[] = {"", "<", "<domain>", "<network/>", "\xff\xfe", "<domain/><domain/>"};
    static const struct {
        const char *memory;
        uint64_t bytes;
    } sizes[] = {
        {"<memory>8</memory>", 8 * KIB},
        {"<memory unit='MiB'> 8 </memory>", 8 * MIB},
        {"<memory unit='b'>8</memory>", 8},
        {"<memory unit='GB'>8</memory>", UINT64_C(8000000000)},
        {"<memory unit='furlong'>8</memory>", UNKNOWN},
        {"<memory unit='TiB'>18446744073709551615</memory>", UNKNOWN},
        {"<memory unit='TiB'>99999999</memory>", UNKNOWN},
        {"<memory>-8</memory>", UNKNOWN},
        {"<memory>0</memory>", UNKNOWN},
        {"<memory/>", UNKNOWN},
        {"", UNKNOWN},
    };
    Definition definition = {.maximum_bytes = 5};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(definition_parse(bad[i], &definition));
    g_assert_cmpuint(definition.maximum_bytes, ==, 5);
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *xml = g_strdup_printf("<domain>%s</domain>", sizes[i].memory);
        g_assert_true(definition_parse(xml, &definition));
        g_assert_cmpuint(definition.maximum_bytes, ==, sizes[i].bytes);
    }
}

/* A qcow2 header, version 3, whose backing file's name is @backing (nullable). */
static char *qcow2_file(const char *folder, const char *name, const char *backing)
{
    guint8 bytes[2048] = "QFI\xfb\0\0\0\3";
    gsize size = backing ? strlen(backing) : 0;
    if (backing) {
        bytes[14] = 4; /* at 1024 */
        bytes[18] = (guint8)(size >> 8);
        bytes[19] = (guint8)size;
        memcpy(bytes + 1024, backing, size);
    }
    char *path = g_build_filename(folder, name, NULL);
    g_assert_true(g_file_set_contents(path, (const char *)bytes, sizeof bytes, NULL));
    return path;
}

static void test_disks_stand_on(void)
{
    g_autofree char *folder = g_dir_make_tmp("aerostat-disks-XXXXXX", NULL);
    g_autofree char *base = qcow2_file(folder, "base", NULL);
    g_autofree char *alone = qcow2_file(folder, "alone", NULL);
    g_autofree char *middle = qcow2_file(folder, "middle", "base"); /* beside it */
    g_autofree char *whole = g_strconcat("file:", middle, NULL);
    g_autofree char *top = qcow2_file(folder, "top", whole);
    g_autofree char *odd = qcow2_file(folder, "odd", "json:{}");
    g_autofree char *ring = qcow2_file(folder, "ring", "ring");
    g_autofree char *raw = g_build_filename(folder, "raw", NULL);
    g_autofree char *link = g_build_filename(folder, "link", NULL);
    g_autofree char *lost = g_build_filename(folder, "lost", NULL);
    g_assert_true(g_file_set_contents(raw, "raw", -1, NULL));
    g_assert_cmpint(symlink(base, link), ==, 0);
    g_assert_true(disks_stand_on(base, base));
    g_assert_true(disks_stand_on(link, base));
    g_assert_true(disks_stand_on(middle, base));
    g_assert_true(disks_stand_on(top, base));
    g_assert_true(disks_stand_on(top, link));
    g_assert_true(disks_stand_on(odd, base)); /* nobody can say */
    g_assert_true(disks_stand_on(ring, base));
    g_assert_false(disks_stand_on(alone, base));
    g_assert_false(disks_stand_on(raw, base));
    g_assert_true(disks_stand_on(lost, base)); /* it may be there for others */
    g_assert_false(disks_stand_on(base, top)); /* only downwards */
    for (const char *const *path = (const char *[]){base, alone, middle, top, odd, ring, raw, link, NULL};
         *path; path++)
        g_unlink(*path);
    g_rmdir(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/libvirt-define/definitions", test_definitions);
    g_test_add_func("/libvirt-define/garbage", test_definition_garbage);
    g_test_add_func("/libvirt-define/ballooning", test_define_ballooning);
    g_test_add_func("/libvirt-define/aside", test_define_aside);
    g_test_add_func("/libvirt-define/disks-stand-on", test_disks_stand_on);
    g_test_add_func("/libvirt-define/new", test_define_new);
    return g_test_run();
}
