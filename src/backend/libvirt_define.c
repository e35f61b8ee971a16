/* A domain's XML changed, or written anew: ballooning on and off, and a new server. Pure: no libvirt, any bytes are safe. */
#include "backend/libvirt_private.h"

#include <string.h>
#include <libxml/parser.h>
#include <libxml/tree.h>

#define AGENT_PORT "org.aerostat.agent.0"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

static const xmlChar *x(const char *text)
{
    return (const xmlChar *)text;
}

static gboolean is_named(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

static xmlNode *child_of(xmlNode *parent, const char *name)
{
    for (xmlNode *node = parent ? parent->children : NULL; node; node = node->next)
        if (is_named(node, name))
            return node;
    return NULL;
}

static xmlNode *child_made(xmlNode *parent, const char *name)
{
    xmlNode *node = child_of(parent, name);
    return node ? node : xmlNewChild(parent, NULL, x(name), NULL);
}

static void drop(xmlNode *node)
{
    if (!node)
        return;
    xmlUnlinkNode(node);
    xmlFreeNode(node);
}

/* (transfer full) (nullable) */
static char *attribute(xmlNode *node, const char *name)
{
    xmlChar *value = node ? xmlGetNoNsProp(node, x(name)) : NULL;
    char *copy = g_strdup((const char *)value);
    xmlFree(value);
    return copy;
}

static void set_attribute(xmlNode *node, const char *name, const char *value)
{
    if (value)
        xmlSetProp(node, x(name), x(value));
    else
        xmlUnsetProp(node, x(name));
}

/* ---- our own mark */

static xmlNode *mark_of(xmlNode *domain)
{
    xmlNode *metadata = child_of(domain, "metadata");
    for (xmlNode *node = metadata ? metadata->children : NULL; node; node = node->next)
        if (is_named(node, "server") && node->ns && xmlStrEqual(node->ns->href, x(AEROSTAT_METADATA_URI)))
            return node;
    return NULL;
}

static xmlNode *mark_made(xmlNode *domain)
{
    xmlNode *mark = mark_of(domain);
    if (mark)
        return mark;
    mark = xmlNewChild(child_made(domain, "metadata"), NULL, x("server"), NULL);
    xmlSetNs(mark, xmlNewNs(mark, x(AEROSTAT_METADATA_URI), x("aerostat")));
    return mark;
}

/* A mark that says nothing any more goes. */
static void mark_tidy(xmlNode *domain)
{
    xmlNode *mark = mark_of(domain), *metadata = child_of(domain, "metadata");
    if (!mark || mark->properties)
        return;
    drop(mark);
    if (!xmlFirstElementChild(metadata))
        drop(metadata);
}

/* ---- off and on */

/* What was there before is kept in the mark, for the way back. */
static void remember(xmlNode *domain, xmlNode *mark)
{
    xmlNode *backing = child_of(domain, "memoryBacking");
    g_autofree char *off = attribute(mark, "ballooning");
    g_autofree char *mode = attribute(child_of(backing, "allocation"), "mode");
    g_autofree char *model = attribute(child_of(child_of(domain, "devices"), "memballoon"), "model");
    if (g_strcmp0(off, "off") == 0)
        return; /* that is what was there before us */
    set_attribute(mark, "ballooning", "off");
    set_attribute(mark, "allocation", mode);
    set_attribute(mark, "locked", child_of(backing, "locked") ? "yes" : NULL);
    set_attribute(mark, "model", g_strcmp0(model, "none") == 0 ? NULL : model);
}

static void set_balloon(xmlNode *devices, const char *model)
{
    xmlNode *balloon = child_made(devices, "memballoon");
    if (strcmp(model, "none") == 0) {
        drop(balloon);
        balloon = child_made(devices, "memballoon");
        set_attribute(balloon, "model", model);
        return;
    }
    set_attribute(balloon, "model", model);
    set_attribute(balloon, "autodeflate", "on");
    set_attribute(balloon, "freePageReporting", "on");
}

static void set_backing(xmlNode *domain, const char *mode, gboolean locked)
{
    xmlNode *backing = child_made(domain, "memoryBacking");
    xmlNode *allocation = child_of(backing, "allocation");
    if (mode)
        set_attribute(child_made(backing, "allocation"), "mode", mode);
    else if (allocation) { /* it may say more than its mode */
        set_attribute(allocation, "mode", NULL);
        if (!allocation->properties)
            drop(allocation);
    }
    if (locked)
        child_made(backing, "locked");
    else
        drop(child_of(backing, "locked"));
    if (!xmlFirstElementChild(backing))
        drop(backing);
}

static void add_agent_port(xmlNode *devices)
{
    for (xmlNode *node = devices->children; node; node = node->next) {
        g_autofree char *name =
            is_named(node, "channel") ? attribute(child_of(node, "target"), "name") : NULL;
        if (g_strcmp0(name, AGENT_PORT) == 0)
            return;
    }
    xmlNode *channel = xmlNewChild(devices, NULL, x("channel"), NULL);
    set_attribute(channel, "type", "unix");
    xmlNode *target = xmlNewChild(channel, NULL, x("target"), NULL);
    set_attribute(target, "type", "virtio");
    set_attribute(target, "name", AGENT_PORT);
}

static void turn_off(xmlNode *domain, gboolean locked)
{
    xmlNode *mark = mark_made(domain);
    remember(domain, mark);
    g_autofree char *was_locked = attribute(mark, "locked");
    set_balloon(child_made(domain, "devices"), "none");
    set_backing(domain, "immediate", locked || was_locked);
    drop(child_of(domain, "currentMemory")); /* all of it from the start */
}

static void turn_on(xmlNode *domain)
{
    xmlNode *mark = mark_of(domain), *devices = child_made(domain, "devices");
    g_autofree char *off = attribute(mark, "ballooning");
    g_autofree char *model = attribute(mark, "model");
    if (g_strcmp0(off, "off") == 0) {
        g_autofree char *mode = attribute(mark, "allocation"), *locked = attribute(mark, "locked");
        set_backing(domain, mode, locked != NULL);
        for (const char *const *name = (const char *[]){"ballooning", "allocation", "locked", "model", NULL};
             *name; name++)
            set_attribute(mark, *name, NULL);
        mark_tidy(domain);
    }
    if (!model)
        model = attribute(child_of(devices, "memballoon"), "model");
    set_balloon(devices, model && g_str_has_prefix(model, "virtio") ? model : "virtio");
    add_agent_port(devices);
}

/* ---- text in, text out */

static void be_silent(void *context, const char *format, ...)
{
}

static xmlDoc *domain_of_text(const char *xml, xmlNode **ret_domain)
{
    size_t length = strlen(xml);
    xmlSetGenericErrorFunc(NULL, be_silent);
    xmlDoc *document = length > G_MAXINT
                           ? NULL
                           : xmlReadMemory(xml, (int)length, "domain.xml", NULL,
                                           XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    *ret_domain = document ? xmlDocGetRootElement(document) : NULL;
    if (*ret_domain && is_named(*ret_domain, "domain"))
        return document;
    xmlFreeDoc(document);
    return NULL;
}

static char *text_of(xmlDoc *document)
{
    xmlChar *text = NULL;
    int size = 0;
    xmlDocDumpMemoryEnc(document, &text, &size, "UTF-8");
    char *copy = g_strdup((const char *)text);
    xmlFree(text);
    return copy;
}

char *define_ballooning(const char *xml, Ballooning ballooning)
{
    xmlNode *domain;
    g_autoptr(xmlDoc) document = domain_of_text(xml, &domain);
    if (!document)
        return NULL;
    if (ballooning == BALLOONING_ON)
        turn_on(domain);
    else
        turn_off(domain, ballooning == BALLOONING_OFF_LOCKED);
    return text_of(document);
}

char *define_aside(const char *xml, const char *name, gboolean autostart)
{
    xmlNode *domain;
    g_autoptr(xmlDoc) document = domain_of_text(xml, &domain);
    if (!document)
        return NULL;
    xmlNode *mark = name ? mark_made(domain) : mark_of(domain);
    if (mark) {
        set_attribute(mark, "aside", name);
        set_attribute(mark, "autostart", name && autostart ? "yes" : NULL);
    }
    mark_tidy(domain);
    return text_of(document);
}

char *define_aside_of(const char *xml, gboolean *ret_autostart)
{
    xmlNode *domain;
    g_autoptr(xmlDoc) document = domain_of_text(xml, &domain);
    xmlNode *mark = document ? mark_of(domain) : NULL;
    g_autofree char *autostart = attribute(mark, "autostart");
    *ret_autostart = autostart != NULL;
    return attribute(mark, "aside");
}

GPtrArray *define_disks(const char *xml)
{
    GPtrArray *files = g_ptr_array_new_with_free_func(g_free);
    xmlNode *domain;
    g_autoptr(xmlDoc) document = domain_of_text(xml, &domain);
    xmlNode *devices = document ? child_of(domain, "devices") : NULL;
    for (xmlNode *node = devices ? devices->children : NULL; node; node = node->next) {
        if (!is_named(node, "disk"))
            continue;
        g_autofree char *type = attribute(node, "type"), *device = attribute(node, "device");
        g_autofree char *file = attribute(child_of(node, "source"), "file");
        if (file && g_strcmp0(type, "file") == 0 && (!device || strcmp(device, "disk") == 0))
            g_ptr_array_add(files, g_steal_pointer(&file));
    }
    return files;
}

gboolean define_has_hidden(const char *xml)
{
    xmlNode *domain;
    g_autoptr(xmlDoc) document = domain_of_text(xml, &domain);
    xmlNode *devices = document ? child_of(domain, "devices") : NULL;
    for (xmlNode *node = devices ? devices->children : NULL; node; node = node->next) {
        g_autofree char *type = is_named(node, "disk") ? attribute(node, "type") : NULL;
        if (type && strcmp(type, "file") != 0 && strcmp(type, "dir") != 0)
            return TRUE;
    }
    return FALSE;
}

/* ---- a new server */

static xmlNode *text_child(xmlNode *parent, const char *name, const char *text)
{
    return xmlNewTextChild(parent, NULL, x(name), x(text));
}

static void kib_child(xmlNode *parent, const char *name, uint64_t bytes)
{
    g_autofree char *kib = g_strdup_printf("%" G_GUINT64_FORMAT, (guint64)(bytes / KIB));
    set_attribute(text_child(parent, name, kib), "unit", "KiB");
}

static void add_os(xmlNode *domain, const BackendSpec *spec)
{
    xmlNode *os = xmlNewChild(domain, NULL, x("os"), NULL);
    text_child(os, "type", "hvm");
    if (spec->kernel)
        text_child(os, "kernel", spec->kernel);
    if (spec->initramfs)
        text_child(os, "initrd", spec->initramfs);
    if (spec->kernel && spec->command_line)
        text_child(os, "cmdline", spec->command_line);
}

static void add_disk(xmlNode *devices, const BackendSpec *spec)
{
    if (!spec->disk)
        return;
    xmlNode *disk = xmlNewChild(devices, NULL, x("disk"), NULL);
    set_attribute(disk, "type", "file");
    set_attribute(disk, "device", "disk");
    xmlNode *driver = xmlNewChild(disk, NULL, x("driver"), NULL);
    set_attribute(driver, "name", "qemu");
    set_attribute(driver, "type", spec->disk_format ? spec->disk_format : "raw");
    set_attribute(driver, "discard", "unmap");
    set_attribute(xmlNewChild(disk, NULL, x("source"), NULL), "file", spec->disk);
    xmlNode *target = xmlNewChild(disk, NULL, x("target"), NULL);
    set_attribute(target, "dev", "vda");
    set_attribute(target, "bus", "virtio");
}

static void add_console(xmlNode *devices)
{
    xmlNode *serial = xmlNewChild(devices, NULL, x("serial"), NULL);
    set_attribute(serial, "type", "pty");
    xmlNode *rng = xmlNewChild(devices, NULL, x("rng"), NULL);
    set_attribute(rng, "model", "virtio");
    set_attribute(text_child(rng, "backend", "/dev/urandom"), "model", "random");
}

static void add_network(xmlNode *devices, const char *network)
{
    if (!network)
        return;
    xmlNode *interface = xmlNewChild(devices, NULL, x("interface"), NULL);
    set_attribute(interface, "type", "network");
    set_attribute(xmlNewChild(interface, NULL, x("source"), NULL), "network", network);
    set_attribute(xmlNewChild(interface, NULL, x("model"), NULL), "type", "virtio");
}

char *define_new(const BackendSpec *spec, gboolean kvm)
{
    g_autoptr(xmlDoc) document = xmlNewDoc(x("1.0"));
    g_autofree char *processors = g_strdup_printf("%u", MAX(1, spec->processors));
    xmlNode *domain = xmlNewNode(NULL, x("domain"));
    xmlDocSetRootElement(document, domain);
    set_attribute(domain, "type", kvm ? "kvm" : "qemu");
    text_child(domain, "name", spec->name);
    if (spec->id)
        text_child(domain, "uuid", spec->id);
    kib_child(domain, "memory", spec->memory_bytes);
    text_child(domain, "vcpu", processors);
    add_os(domain, spec);
    xmlNode *features = xmlNewChild(domain, NULL, x("features"), NULL);
    xmlNewChild(features, NULL, x("acpi"), NULL);
    if (kvm)
        set_attribute(xmlNewChild(domain, NULL, x("cpu"), NULL), "mode", "host-model");
    set_attribute(xmlNewChild(domain, NULL, x("clock"), NULL), "offset", "utc");
    text_child(domain, "on_poweroff", "destroy");
    text_child(domain, "on_reboot", "restart");
    text_child(domain, "on_crash", "destroy");
    xmlNode *devices = xmlNewChild(domain, NULL, x("devices"), NULL);
    add_disk(devices, spec);
    add_network(devices, spec->network);
    add_console(devices);
    if (spec->ballooning == BALLOONING_ON)
        turn_on(domain);
    else
        turn_off(domain, spec->ballooning == BALLOONING_OFF_LOCKED);
    return text_of(document);
}
