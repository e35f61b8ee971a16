/* libvirt's events. The callbacks run on the engine's thread, where libvirt's event loop is, and ask libvirt nothing. */
#include "backend/libvirt_private.h"

/* The server an event is about, or NULL: of an old connection, or not one of ours. */
static Server *server_of(Link *link, virDomainPtr domain)
{
    char id[VIR_UUID_STRING_BUFLEN];
    g_autofree char *name = NULL;
    if (!link->backend || virDomainGetUUIDString(domain, id) != 0)
        return NULL;
    name = name_clean(virDomainGetName(domain));
    if (!server_is_seen(link->backend, name))
        return NULL;
    return server_get(link->backend, id);
}

static void emit(Link *link, BackendEvent event, Server *server, const char *detail)
{
    g_autofree char *id = g_strdup(server->id);
    server_emit(link->backend, event, id, detail);
}

static const char *started_detail(int detail)
{
    switch (detail) {
    case VIR_DOMAIN_EVENT_STARTED_MIGRATED:
        return "migrated to this host";
    case VIR_DOMAIN_EVENT_STARTED_RESTORED:
        return "restored";
    case VIR_DOMAIN_EVENT_STARTED_FROM_SNAPSHOT:
        return "reverted to a snapshot";
    default:
        return "booted";
    }
}

static const char *stopped_detail(int detail)
{
    switch (detail) {
    case VIR_DOMAIN_EVENT_STOPPED_DESTROYED:
        return "destroyed";
    case VIR_DOMAIN_EVENT_STOPPED_CRASHED:
        return "crashed";
    case VIR_DOMAIN_EVENT_STOPPED_MIGRATED:
        return "migrated away";
    case VIR_DOMAIN_EVENT_STOPPED_SAVED:
        return "saved";
    case VIR_DOMAIN_EVENT_STOPPED_FAILED:
        return "its QEMU failed";
    default:
        return "shut down";
    }
}

/* A list that was quicker than this event has counted the start already: a libvirtd never uses a number twice. */
static void on_started(Link *link, Server *server, virDomainPtr domain)
{
    unsigned id = virDomainGetID(domain);
    if (id != (unsigned)-1 && server->domain_id == (int)id)
        return;
    if (id != (unsigned)-1)
        server->domain_id = (int)id;
    server_started(link->backend, server);
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *opaque)
{
    Link *link = opaque;
    Server *server = server_of(link, domain);
    if (!server)
        return 0;
    server->definition_stale = TRUE;
    switch (event) {
    case VIR_DOMAIN_EVENT_STARTED:
        on_started(link, server, domain);
        emit(link, BACKEND_EVENT_STARTED, server, started_detail(detail));
        break;
    case VIR_DOMAIN_EVENT_STOPPED:
        server_stopped(server);
        server->event_us = g_get_monotonic_time();
        emit(link, BACKEND_EVENT_STOPPED, server, stopped_detail(detail));
        break;
    default:
        emit(link, BACKEND_EVENT_CHANGED, server, NULL);
        break;
    }
    return 0;
}

static void on_reboot(virConnectPtr conn, virDomainPtr domain, void *opaque)
{
    Link *link = opaque;
    Server *server = server_of(link, domain);
    if (!server)
        return;
    server_booted(link->backend, server);
    emit(link, BACKEND_EVENT_RESET, server, "the guest was reset");
}

static void on_balloon(virConnectPtr conn, virDomainPtr domain, unsigned long long actual_kib, void *opaque)
{
    Link *link = opaque;
    Server *server = server_of(link, domain);
    if (!server)
        return;
    server->moved_us = g_get_monotonic_time();
    if (actual_kib > server->sample.balloon_bytes / KIB)
        server->live_us = 0; /* this is newer than what was last heard of it */
    emit(link, BACKEND_EVENT_CHANGED, server, "its balloon moved");
}

static void on_device(virConnectPtr conn, virDomainPtr domain, const char *alias, void *opaque)
{
    Link *link = opaque;
    Server *server = server_of(link, domain);
    if (!server)
        return;
    server->definition_stale = TRUE;
    emit(link, BACKEND_EVENT_CHANGED, server, "a device was plugged or unplugged");
}

static void on_iteration(virConnectPtr conn, virDomainPtr domain, int iteration, void *opaque)
{
    Link *link = opaque;
    Server *server = server_of(link, domain);
    if (!server || server->job_active)
        return;
    server->job_active = TRUE;
    emit(link, BACKEND_EVENT_CHANGED, server, "it is being migrated, saved or copied");
}

static void free_opaque(void *opaque)
{
    link_unref(opaque);
}

static int add(Link *link, int event, virConnectDomainEventGenericCallback callback)
{
    int id = virConnectDomainEventRegisterAny(link->conn, NULL, event, callback, link_ref(link), free_opaque);
    if (id < 0)
        link_unref(link); /* a driver without this event; observations tell the same later */
    return id;
}

void event_register(Link *link)
{
    link->lifecycle = add(link, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle));
    link->reboot = add(link, VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot));
    link->balloon = add(link, VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_balloon));
    link->device_added = add(link, VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device));
    link->device_removed =
        add(link, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device));
    link->iteration =
        add(link, VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, VIR_DOMAIN_EVENT_CALLBACK(on_iteration));
}

void event_deregister(Link *link, virConnectPtr conn)
{
    const int ids[] = {link->lifecycle,    link->reboot,         link->balloon,
                       link->device_added, link->device_removed, link->iteration};
    for (guint i = 0; i < G_N_ELEMENTS(ids); i++)
        if (ids[i] >= 0)
            virConnectDomainEventDeregisterAny(conn, ids[i]);
}
