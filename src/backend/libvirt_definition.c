/* A domain's XML: does it have a balloon, and would taking memory by it give the host anything? */
#include "backend/libvirt_private.h"

#include <string.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlXPathContext, xmlXPathFreeContext)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlXPathObject, xmlXPathFreeObject)

static void be_silent(void *context, const char *format, ...)
{
}

static gboolean has(xmlXPathContext *context, const char *expression)
{
    g_autoptr(xmlXPathObject) result = xmlXPathEvalExpression((const xmlChar *)expression, context);
    return result && result->type == XPATH_NODESET && result->nodesetval && result->nodesetval->nodeNr > 0;
}

/* (transfer full), empty when it is not there */
static char *string_of(xmlXPathContext *context, const char *expression)
{
    g_autoptr(xmlXPathObject) result = xmlXPathEvalExpression((const xmlChar *)expression, context);
    return g_strdup(result && result->type == XPATH_STRING ? (const char *)result->stringval : "");
}

/* libvirt prints KiB, but takes and documents all of these. 0 for an unknown unit. */
static uint64_t unit_bytes(const char *unit)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        {"", KIB},  {"b", 1},     {"bytes", 1},
        {"k", KIB}, {"KiB", KIB}, {"KB", 1000},
        {"M", MIB}, {"MiB", MIB}, {"MB", 1000000},
        {"G", GIB}, {"GiB", GIB}, {"GB", UINT64_C(1000000000)},
        {"T", TIB}, {"TiB", TIB}, {"TB", UINT64_C(1000000000000)},
    };
    for (guint i = 0; i < G_N_ELEMENTS(units); i++)
        if (g_ascii_strcasecmp(unit, units[i].name) == 0)
            return units[i].bytes;
    return 0;
}

static uint64_t maximum_of(xmlXPathContext *context)
{
    g_autofree char *text = string_of(context, "normalize-space(/domain/memory)");
    g_autofree char *unit = string_of(context, "string(/domain/memory/@unit)");
    guint64 number;
    uint64_t bytes;
    if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT64, &number, NULL) ||
        __builtin_mul_overflow(number, unit_bytes(unit), &bytes) || bytes == 0 || bytes > SIZE_MAX_BYTES)
        return UNKNOWN;
    return bytes;
}

#define AGENT_PATH                                                                                           \
    "string(/domain/devices/channel[@type='unix'][target/@type='virtio' and "                                \
    "target/@name='org.aerostat.agent.0']"                                                                   \
    "/source[@mode='bind']/@path)"
#define MARK "/domain/metadata/*[local-name()='server' and namespace-uri()='" AEROSTAT_METADATA_URI "'"

static FixedReason fixed_of(xmlXPathContext *context, const Definition *definition)
{
    if (!definition->has_balloon)
        return definition->marked_off ? FIXED_DISABLED_BY_OWNER : FIXED_NO_DRIVER;
    /* All of these map guest RAM through VFIO, which pins every page: the balloon takes from the guest, and the host
     * gets nothing. A vDPA network device and an NVMe disk by userspace driver do just the same. */
    if (has(context, "/domain/devices/hostdev[@type='pci' or @type='mdev']"
                     " | /domain/devices/interface[@type='hostdev' or @type='vdpa']"
                     " | /domain/devices/interface/actual[@type='hostdev']"
                     " | /domain/devices/disk[@type='nvme' or @type='vhostvdpa']"))
        return FIXED_DEVICE_ASSIGNMENT;
    if (has(context, "/domain/memoryBacking/hugepages"))
        return FIXED_HUGEPAGES;
    /* Memory of confidential machines (SEV, TDX, s390 PV) is pinned and encrypted. */
    if (has(context, "/domain/memoryBacking/locked | /domain/launchSecurity"))
        return FIXED_LOCKED_MEMORY;
    return FIXED_NO;
}

static void fill(xmlXPathContext *context, Definition *definition)
{
    gboolean balloon = has(context, "/domain/devices/memballoon[starts-with(@model, 'virtio')]");
    g_autofree char *period = string_of(context, "string(/domain/devices/memballoon/stats/@period)");
    guint64 seconds;
    definition->driver = balloon ? "virtio-balloon" : "none";
    definition->has_balloon = balloon;
    definition->preallocated = has(context, "/domain/memoryBacking/allocation[@mode='immediate']");
    definition->locked = has(context, "/domain/memoryBacking/locked");
    definition->marked_off = has(context, MARK " and @ballooning='off']");
    definition->aside = has(context, MARK " and @aside]");
    definition->fixed = fixed_of(context, definition);
    definition->maximum_bytes = maximum_of(context);
    definition->deflates_on_oom = has(context, "/domain/devices/memballoon[@autodeflate='on']");
    definition->reports_free_pages = has(context, "/domain/devices/memballoon[@freePageReporting='on']");
    g_autofree char *agent = string_of(context, AGENT_PATH);
    if (strlen(agent) < sizeof definition->agent_path)
        g_strlcpy(definition->agent_path, agent, sizeof definition->agent_path);
    if (g_ascii_string_to_unsigned(period, 10, 0, G_MAXINT, &seconds, NULL))
        definition->stats_period_s = (unsigned)seconds;
}

gboolean definition_parse(const char *xml, Definition *ret)
{
    size_t length = strlen(xml);
    g_autoptr(xmlDoc) document = NULL;
    g_autoptr(xmlXPathContext) context = NULL;
    Definition definition = {0};
    if (length > G_MAXINT)
        return FALSE;
    document = xmlReadMemory(xml, (int)length, "domain.xml", NULL,
                             XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!document)
        return FALSE;
    context = xmlXPathNewContext(document);
    if (!context)
        return FALSE;
    xmlSetGenericErrorFunc(NULL, be_silent);
    if (!has(context, "/domain"))
        return FALSE;
    fill(context, &definition);
    *ret = definition;
    return TRUE;
}
