/* A connection to libvirtd for one call at a time, with the handles of the domains that were looked up on it. */
#include "backend/libvirt_private.h"

static void free_domain(gpointer domain)
{
    virDomainFree(domain);
}

Lane *lane_open(const char *uri, GError **error)
{
    virConnectPtr conn = virConnectOpen(uri);
    if (!conn) {
        set_libvirt_error(error, "connect");
        return NULL;
    }
    Lane *lane = g_new0(Lane, 1);
    lane->conn = conn;
    lane->domains = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_domain);
    return lane;
}

void lane_close(Lane *lane)
{
    g_hash_table_unref(lane->domains); /* each handle keeps the connection open */
    virConnectClose(lane->conn);
    g_free(lane);
}

void lane_keep(Lane *lane, virDomainPtr domain)
{
    char id[VIR_UUID_STRING_BUFLEN];
    if (virDomainGetUUIDString(domain, id) == 0)
        g_hash_table_insert(lane->domains, g_strdup(id), domain);
    else
        virDomainFree(domain);
}

virDomainPtr lane_domain(Lane *lane, const char *id, GError **error)
{
    virDomainPtr domain = g_hash_table_lookup(lane->domains, id);
    if (!domain) {
        domain = domain_lookup(lane->conn, id, error);
        if (domain)
            lane_keep(lane, domain);
    }
    return domain;
}

static gboolean is_unwanted(gpointer id, gpointer domain, gpointer wanted)
{
    return !g_hash_table_contains(wanted, id);
}

void lane_forget_others(Lane *lane, GHashTable *wanted)
{
    g_hash_table_foreach_remove(lane->domains, is_unwanted, wanted);
}
