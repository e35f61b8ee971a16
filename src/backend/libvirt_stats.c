/* What workers ask libvirt, and plain data made of the answers. KiB become bytes here and nowhere else. */
#include "backend/libvirt_private.h"

#include <fnmatch.h>
#include <string.h>

#define WANTED_STATS (VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_BALLOON)

void listed_free(Listed *listed)
{
    if (!listed)
        return;
    g_free(listed->name);
    g_free(listed->xml);
    g_free(listed->next_xml);
    g_free(listed);
}

void sample_init(Sample *sample)
{
    *sample = (Sample){
        .balloon_bytes = UNKNOWN,
        .maximum_bytes = UNKNOWN,
        .available_bytes = UNKNOWN,
        .free_bytes = UNKNOWN,
        .total_bytes = UNKNOWN,
        .cache_bytes = UNKNOWN,
        .swap_in_bytes = UNKNOWN,
        .swap_out_bytes = UNKNOWN,
        .major_faults = UNKNOWN,
        .guest_update_s = UNKNOWN,
    };
}

static AerostatError code_of(int libvirt_code)
{
    switch (libvirt_code) {
    case VIR_ERR_NO_DOMAIN:
        return AEROSTAT_ERROR_NOT_FOUND;
    case VIR_ERR_OPERATION_INVALID:
        return AEROSTAT_ERROR_CONFLICT;
    case VIR_ERR_INVALID_ARG:
    case VIR_ERR_ARGUMENT_UNSUPPORTED:
        return AEROSTAT_ERROR_INVALID;
    case VIR_ERR_OPERATION_TIMEOUT:
        return AEROSTAT_ERROR_TIMEOUT;
    case VIR_ERR_ACCESS_DENIED:
    case VIR_ERR_OPERATION_DENIED:
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_AUTH_CANCELLED:
    case VIR_ERR_AUTH_UNAVAILABLE:
        return AEROSTAT_ERROR_DENIED;
    case VIR_ERR_INVALID_CONN:
    case VIR_ERR_NO_CONNECT:
    case VIR_ERR_RPC:
    case VIR_ERR_SYSTEM_ERROR:
        return AEROSTAT_ERROR_UNAVAILABLE;
    default:
        return AEROSTAT_ERROR_FAILED;
    }
}

void set_libvirt_error(GError **error, const char *what)
{
    virErrorPtr cause = virGetLastError();
    g_autofree char *message = g_strdup(cause && cause->message ? cause->message : "no reason given");
    g_strdelimit(message, "\r\n", ' ');
    g_set_error(error, AEROSTAT_ERROR, (gint)(cause ? code_of(cause->code) : AEROSTAT_ERROR_FAILED), "%s: %s",
                what, message);
}

/* Names go to terminals, logs and pages: control characters in them would act there. */
char *name_clean(const char *name)
{
    g_autofree char *valid = g_utf8_make_valid(name, -1);
    GString *clean = g_string_new(NULL);
    for (const char *c = valid; *c; c = g_utf8_next_char(c)) {
        gunichar letter = g_utf8_get_char(c);
        g_string_append_unichar(clean, g_unichar_iscntrl(letter) ? 0xFFFD : letter);
    }
    return g_string_free(clean, FALSE);
}

static gboolean matches(const char *name, const char *const *globs)
{
    for (guint i = 0; globs[i]; i++)
        if (fnmatch(globs[i], name, 0) == 0)
            return TRUE;
    return FALSE;
}

static Listed *listed_new(virDomainPtr domain, GHashTable *known)
{
    Listed *listed = g_new0(Listed, 1);
    unsigned id;
    listed->name = name_clean(virDomainGetName(domain));
    if (virDomainGetUUIDString(domain, listed->id) != 0)
        listed->id[0] = '\0';
    id = virDomainGetID(domain);
    listed->domain_id = id == (unsigned)-1 ? -1 : (int)id;
    if (!g_hash_table_contains(known, listed->id)) {
        /* Allocated by libvirt with malloc; GLib's is the same. A domain that has just gone has none. */
        listed->xml = virDomainGetXMLDesc(domain, 0);
        int autostart = 0;
        listed->persistent = virDomainIsPersistent(domain) == 1;
        listed->autostart =
            listed->persistent && virDomainGetAutostart(domain, &autostart) == 0 && autostart != 0;
        if (listed->domain_id >= 0 && listed->persistent)
            listed->next_xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
    }
    return listed;
}

GPtrArray *stats_list(Lane *lane, const char *const *globs, GHashTable *known, GError **error)
{
    GPtrArray *list;
    virDomainPtr *domains = NULL;
    int n = virConnectListAllDomains(lane->conn, &domains, 0);
    if (n < 0) {
        set_libvirt_error(error, "list the servers");
        return NULL;
    }
    list = g_ptr_array_new_with_free_func((GDestroyNotify)listed_free);
    for (int i = 0; i < n; i++) {
        g_autofree char *name = name_clean(virDomainGetName(domains[i]));
        if (matches(name, globs))
            g_ptr_array_add(list, listed_new(domains[i], known));
        lane_keep(lane, domains[i]);
    }
    g_free(domains);
    return list;
}

/* Absent, all-ones and impossible values are UNKNOWN. */
static uint64_t bytes_of_kib(unsigned long long kib)
{
    return kib > SIZE_MAX_BYTES / KIB ? UNKNOWN : (uint64_t)kib * KIB;
}

static uint64_t param_number(virTypedParameterPtr params, int n, const char *name)
{
    unsigned long long value;
    return virTypedParamsGetULLong(params, n, name, &value) == 1 ? value : UNKNOWN;
}

static uint64_t param_kib(virTypedParameterPtr params, int n, const char *name)
{
    return bytes_of_kib(param_number(params, n, name));
}

static gboolean is_running(virDomainPtr domain, int state)
{
    /* A crashed guest that is preserved still has its process and its memory. */
    return state != VIR_DOMAIN_SHUTOFF &&
           (state != VIR_DOMAIN_CRASHED || virDomainGetID(domain) != (unsigned)-1);
}

static void sample_from_record(const virDomainStatsRecord *record, Sample *sample)
{
    virTypedParameterPtr params = record->params;
    int n = record->nparams;
    sample_init(sample);
    virTypedParamsGetInt(params, n, "state.state", &sample->power);
    virTypedParamsGetInt(params, n, "state.reason", &sample->reason);
    sample->running = is_running(record->dom, sample->power);
    sample->balloon_bytes = param_kib(params, n, "balloon.current");
    sample->has_balloon = sample->balloon_bytes != UNKNOWN;
    sample->maximum_bytes = param_kib(params, n, "balloon.maximum");
    /* libvirt adds the process's rss itself once it has got hold of the domain and of its QEMU. */
    sample->asked = param_number(params, n, "balloon.rss") != UNKNOWN;
    sample->available_bytes = param_kib(params, n, "balloon.usable");
    sample->free_bytes = param_kib(params, n, "balloon.unused");
    sample->total_bytes = param_kib(params, n, "balloon.available");
    sample->cache_bytes = param_kib(params, n, "balloon.disk_caches");
    sample->swap_in_bytes = param_kib(params, n, "balloon.swap_in");
    sample->swap_out_bytes = param_kib(params, n, "balloon.swap_out");
    sample->major_faults = param_number(params, n, "balloon.major_fault");
    sample->guest_update_s = param_number(params, n, "balloon.last-update");
}

static gboolean has_all(const Lane *lane, GHashTable *wanted)
{
    GHashTableIter each;
    gpointer id;
    g_hash_table_iter_init(&each, wanted);
    while (g_hash_table_iter_next(&each, &id, NULL))
        if (!g_hash_table_contains(lane->domains, id))
            return FALSE;
    return TRUE;
}

static gboolean keep_all(Lane *lane, GError **error)
{
    virDomainPtr *domains = NULL;
    int n = virConnectListAllDomains(lane->conn, &domains, 0);
    if (n < 0) {
        set_libvirt_error(error, "list the servers");
        return FALSE;
    }
    for (int i = 0; i < n; i++)
        lane_keep(lane, domains[i]);
    g_free(domains);
    return TRUE;
}

/* (transfer container) of virDomainPtr, the lane's own; ends with NULL. */
static GPtrArray *pick_domains(Lane *lane, GHashTable *wanted)
{
    GPtrArray *picked = g_ptr_array_new();
    GHashTableIter each;
    gpointer id;
    g_hash_table_iter_init(&each, wanted);
    while (g_hash_table_iter_next(&each, &id, NULL)) {
        virDomainPtr domain = lane_domain(lane, id, NULL);
        if (domain)
            g_ptr_array_add(picked, domain);
    }
    g_ptr_array_add(picked, NULL);
    return picked;
}

/* @domains ends with NULL. */
static GArray *bulk_of(GPtrArray *domains, GError **error)
{
    GArray *samples;
    virDomainStatsRecordPtr *records = NULL;
    int n = domains->len <= 1 ? 0
                              : virDomainListGetStats((virDomainPtr *)domains->pdata, WANTED_STATS, &records,
                                                      VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
    if (n < 0) {
        set_libvirt_error(error, "read the servers' statistics");
        return NULL;
    }
    samples = g_array_new(FALSE, TRUE, sizeof(Sampled));
    for (int i = 0; i < n; i++) {
        Sampled one;
        if (virDomainGetUUIDString(records[i]->dom, one.id) != 0)
            continue;
        sample_from_record(records[i], &one.sample);
        g_array_append_val(samples, one);
    }
    virDomainStatsRecordListFree(records);
    return samples;
}

GArray *stats_bulk(Lane *lane, GHashTable *wanted, gboolean one_by_one, GError **error)
{
    if (!one_by_one && !has_all(lane, wanted) && !keep_all(lane, error))
        return NULL;
    lane_forget_others(lane, wanted);
    g_autoptr(GPtrArray) domains = pick_domains(lane, wanted);
    return bulk_of(domains, error);
}

virDomainPtr domain_lookup(virConnectPtr conn, const char *id, GError **error)
{
    g_autofree char *what = NULL;
    virDomainPtr domain = virDomainLookupByUUIDString(conn, id);
    if (!domain) {
        what = g_strdup_printf("server %s", id);
        set_libvirt_error(error, what);
    }
    return domain;
}

/* How long somebody has been waiting for this QEMU: libvirt knows without asking it. */
static int64_t occupied_us(virDomainPtr domain)
{
    virDomainControlInfo info;
    if (virDomainGetControlInfo(domain, &info, 0) != 0 || info.state != VIR_DOMAIN_CONTROL_OCCUPIED ||
        info.stateTime > G_MAXINT)
        return 0;
    return (int64_t)info.stateTime * 1000;
}

gboolean stats_probe(Lane *lane, const char *id, Sample *ret, int64_t *ret_occupied_us, GError **error)
{
    virDomainPtr domain = lane_domain(lane, id, error);
    virDomainPtr domains[2] = {domain, NULL};
    virDomainStatsRecordPtr *records = NULL;
    int n;
    if (!domain)
        return FALSE;
    n = virDomainListGetStats(domains, WANTED_STATS, &records, VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
    if (n < 0) {
        set_libvirt_error(error, "read one server's statistics");
        return FALSE;
    }
    sample_init(ret);
    if (n > 0)
        sample_from_record(records[0], ret);
    virDomainStatsRecordListFree(records);
    *ret_occupied_us = ret->running && !ret->asked ? occupied_us(domain) : 0;
    return TRUE;
}

gboolean stats_alive(Lane *lane, const char *id, GError **error)
{
    virDomainPtr domain = lane_domain(lane, id, error);
    virDomainPtr domains[2] = {domain, NULL};
    virDomainStatsRecordPtr *records = NULL;
    if (!domain)
        return FALSE;
    /* For block statistics libvirt always asks QEMU, also when there are no disks. */
    if (virDomainListGetStats(domains, VIR_DOMAIN_STATS_BLOCK, &records, 0) < 0) {
        set_libvirt_error(error, "ask one server's QEMU for a sign of life");
        return FALSE;
    }
    virDomainStatsRecordListFree(records);
    return TRUE;
}

static void take_memory_stat(Sample *sample, const virDomainMemoryStatStruct *stat)
{
    switch (stat->tag) {
    case VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON:
        sample->balloon_bytes = bytes_of_kib(stat->val);
        sample->has_balloon = sample->live = sample->balloon_bytes != UNKNOWN;
        break;
    case VIR_DOMAIN_MEMORY_STAT_USABLE:
        sample->available_bytes = bytes_of_kib(stat->val);
        break;
    case VIR_DOMAIN_MEMORY_STAT_UNUSED:
        sample->free_bytes = bytes_of_kib(stat->val);
        break;
    case VIR_DOMAIN_MEMORY_STAT_AVAILABLE:
        sample->total_bytes = bytes_of_kib(stat->val);
        break;
    case VIR_DOMAIN_MEMORY_STAT_DISK_CACHES:
        sample->cache_bytes = bytes_of_kib(stat->val);
        break;
    case VIR_DOMAIN_MEMORY_STAT_SWAP_IN:
        sample->swap_in_bytes = bytes_of_kib(stat->val);
        break;
    case VIR_DOMAIN_MEMORY_STAT_SWAP_OUT:
        sample->swap_out_bytes = bytes_of_kib(stat->val);
        break;
    case VIR_DOMAIN_MEMORY_STAT_MAJOR_FAULT:
        sample->major_faults = stat->val;
        break;
    case VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE:
        sample->guest_update_s = stat->val;
        break;
    default:
        break;
    }
}

gboolean stats_live(Lane *lane, const char *id, Sample *ret, GError **error)
{
    virDomainPtr domain = lane_domain(lane, id, error);
    virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
    int n;
    if (!domain)
        return FALSE;
    n = virDomainMemoryStats(domain, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0);
    if (n < 0) {
        set_libvirt_error(error, "read one server's live balloon");
        return FALSE;
    }
    sample_init(ret);
    ret->running = ret->asked = TRUE;
    for (int i = 0; i < n; i++)
        take_memory_stat(ret, &stats[i]);
    return TRUE;
}
