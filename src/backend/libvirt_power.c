/* What is done to a server as a whole: power, its definition, its making, its setting aside. */
#include "backend/libvirt_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* libvirt probes QEMU anew after an update, and all memory may have to be made resident. */
#define START_US (180 * US_PER_S)
/* libvirt waits 15 s for a QEMU to go before it kills it, and as long again for that. */
#define STOP_US (60 * US_PER_S)
/* A definition is a file; a shutdown is one word to QEMU, but libvirt may first wait 5 s for a guest agent. */
#define SHORT_US (15 * US_PER_S)
#define PURGE_US (600 * US_PER_S)

typedef struct {
    char *id, *name;
    char *keep;
    Ballooning ballooning;
    /* A new server's. */
    BackendSpec spec;
    char *texts[8];
} Deed;

static Deed *deed_new(LibvirtBackend *backend, const char *id)
{
    Deed *deed = g_new0(Deed, 1);
    const Server *server = id ? g_hash_table_lookup(backend->servers, id) : NULL;
    deed->id = g_strdup(id);
    deed->name = g_strdup(server ? server->name : id);
    return deed;
}

static void deed_free(gpointer data)
{
    Deed *deed = data;
    for (guint i = 0; i < G_N_ELEMENTS(deed->texts); i++)
        g_free(deed->texts[i]);
    g_free(deed->id);
    g_free(deed->name);
    g_free(deed->keep);
    g_free(deed);
}

/* ---- workers */

static void fail(Call *call, const char *what)
{
    const Deed *deed = call->data;
    g_autofree char *text = g_strdup_printf("server %s: %s", deed->name, what);
    set_libvirt_error(&call->error, text);
}

static void run_start(Call *call)
{
    const Deed *deed = call->data;
    g_autoptr(virDomain) domain = domain_lookup(call->lane->conn, deed->id, &call->error);
    if (domain && virDomainIsActive(domain) != 1 && virDomainCreateWithFlags(domain, 0) != 0)
        fail(call, "start");
}

static void run_shutdown(Call *call)
{
    const Deed *deed = call->data;
    g_autoptr(virDomain) domain = domain_lookup(call->lane->conn, deed->id, &call->error);
    if (domain && virDomainIsActive(domain) == 1 && virDomainShutdown(domain) != 0)
        fail(call, "ask to shut down");
}

static void run_stop(Call *call)
{
    const Deed *deed = call->data;
    g_autoptr(virDomain) domain = domain_lookup(call->lane->conn, deed->id, &call->error);
    if (!domain || virDomainIsActive(domain) != 1 || virDomainDestroy(domain) == 0)
        return;
    if (virDomainIsActive(domain) == 1)
        fail(call, "stop");
}

/* (transfer full) with its secrets, which a definition that is written back would lose otherwise. */
static char *definition_of(Call *call, virDomainPtr domain)
{
    char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
    if (!xml)
        fail(call, "read its definition");
    return xml;
}

static void define(Call *call, const char *xml)
{
    virDomainPtr defined = xml ? virDomainDefineXMLFlags(call->lane->conn, xml, 0) : NULL;
    if (defined)
        virDomainFree(defined);
    else
        fail(call, "write its definition");
}

static void run_configure(Call *call)
{
    const Deed *deed = call->data;
    g_autoptr(virDomain) domain = domain_lookup(call->lane->conn, deed->id, &call->error);
    if (!domain)
        return;
    if (virDomainIsPersistent(domain) != 1) {
        g_set_error(&call->error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                    "server %s: it is transient: there is no definition that a restart would use",
                    deed->name);
        return;
    }
    g_autofree char *xml = definition_of(call, domain);
    g_autofree char *changed = xml ? define_ballooning(xml, deed->ballooning) : NULL;
    if (xml)
        define(call, changed);
}

static gboolean has_kvm(virConnectPtr conn)
{
    g_autofree char *capabilities = virConnectGetDomainCapabilities(conn, NULL, NULL, NULL, "kvm", 0);
    virResetLastError();
    return capabilities != NULL;
}

static void run_create(Call *call)
{
    Deed *deed = call->data;
    virDomainPtr taken = virDomainLookupByName(call->lane->conn, deed->spec.name);
    g_autofree char *xml = NULL;
    if (taken) {
        char id[VIR_UUID_STRING_BUFLEN] = "";
        virDomainGetUUIDString(taken, id);
        virDomainFree(taken);
        if (g_strcmp0(id, deed->spec.id) != 0) {
            g_set_error(&call->error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                        "there is a server %s already; choose another name", deed->name);
            return;
        }
    }
    virResetLastError();
    xml = define_new(&deed->spec, has_kvm(call->lane->conn));
    virDomainPtr defined = virDomainDefineXMLFlags(call->lane->conn, xml, 0);
    if (!defined) {
        fail(call, "define it");
        return;
    }
    deed->id = g_new0(char, VIR_UUID_STRING_BUFLEN);
    virDomainGetUUIDString(defined, deed->id);
    if (deed->spec.autostart && virDomainSetAutostart(defined, 1) != 0)
        fail(call, "let it start by itself");
    virDomainFree(defined);
}

/* (nullable) without an error when there is none. */
static virDomainPtr lookup_any(Call *call)
{
    const Deed *deed = call->data;
    g_autoptr(GError) error = NULL;
    virDomainPtr domain = domain_lookup(call->lane->conn, deed->id, &error);
    if (!domain && !g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND))
        call->error = g_steal_pointer(&error);
    return domain;
}

static gboolean is_off(Call *call, virDomainPtr domain)
{
    const Deed *deed = call->data;
    if (virDomainIsActive(domain) != 1)
        return TRUE;
    g_set_error(&call->error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                "server %s: it is running; stop it first", deed->name);
    return FALSE;
}

static void undefine(Call *call, virDomainPtr domain)
{
    if (virDomainUndefineFlags(
            domain, VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                        VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM) != 0 &&
        virDomainUndefine(domain) != 0)
        fail(call, "remove its definition");
}

static void run_remove(Call *call)
{
    g_autoptr(virDomain) domain = lookup_any(call);
    if (domain && is_off(call, domain))
        undefine(call, domain);
}

static void rename_to(Call *call, virDomainPtr domain, const char *name)
{
    if (g_strcmp0(virDomainGetName(domain), name) != 0 && virDomainRename(domain, name, 0) != 0)
        fail(call, "rename it");
}

static void run_set_aside(Call *call)
{
    const Deed *deed = call->data;
    g_autoptr(virDomain) domain = domain_lookup(call->lane->conn, deed->id, &call->error);
    int autostart = 0;
    if (!domain || !is_off(call, domain) || g_strcmp0(virDomainGetName(domain), deed->keep) == 0)
        return;
    g_autofree char *xml = definition_of(call, domain);
    if (!xml)
        return;
    virDomainGetAutostart(domain, &autostart);
    g_autofree char *before = define_aside_of(xml, &(gboolean){FALSE});
    if (!before) {
        g_autofree char *marked = define_aside(xml, virDomainGetName(domain), autostart != 0);
        define(call, marked);
    }
    if (!call->error && autostart && virDomainSetAutostart(domain, 0) != 0)
        fail(call, "keep it from starting by itself");
    if (!call->error)
        rename_to(call, domain, deed->keep);
}

static void run_take_back(Call *call)
{
    g_autoptr(virDomain) domain = domain_lookup(call->lane->conn, ((Deed *)call->data)->id, &call->error);
    gboolean autostart = FALSE;
    g_autofree char *xml = domain ? definition_of(call, domain) : NULL;
    g_autofree char *name = xml ? define_aside_of(xml, &autostart) : NULL;
    if (!name)
        return; /* it was never set aside, or is back already */
    rename_to(call, domain, name);
    if (call->error)
        return;
    /* The name has changed, so the definition is read again. */
    g_autoptr(virDomain) renamed = domain_lookup(call->lane->conn, ((Deed *)call->data)->id, &call->error);
    g_autofree char *marked = renamed ? definition_of(call, renamed) : NULL;
    g_autofree char *clean = marked ? define_aside(marked, NULL, FALSE) : NULL;
    if (!marked)
        return;
    if (autostart && virDomainSetAutostart(renamed, 1) != 0)
        fail(call, "let it start by itself again");
    else
        define(call, clean);
}

static void run_purge(Call *call)
{
    const Deed *deed = call->data;
    g_autoptr(virDomain) domain = lookup_any(call);
    g_autofree char *xml = NULL;
    if (!domain || !is_off(call, domain))
        return;
    /* Asked with a wrong name, or about one that is back: nothing of it may go. */
    if (g_strcmp0(virDomainGetName(domain), deed->keep) != 0) {
        g_set_error(&call->error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT, "server %s: it is not set aside",
                    deed->name);
        return;
    }
    xml = definition_of(call, domain);
    g_autoptr(GPtrArray) disks = xml ? define_disks(xml) : NULL;
    for (guint i = 0; disks && !call->error && i < disks->len; i++)
        if (!disks_is_shared(call->lane->conn, deed->id, disks->pdata[i]) && unlink(disks->pdata[i]) != 0 &&
            errno != ENOENT)
            g_set_error(&call->error, AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED, "server %s: remove %s: %s",
                        deed->name, (char *)disks->pdata[i], g_strerror(errno));
    if (disks && !call->error)
        undefine(call, domain);
}

/* ---- requests */

static void mark_stale(LibvirtBackend *backend, const char *id)
{
    Server *server = id ? g_hash_table_lookup(backend->servers, id) : NULL;
    if (server)
        server->definition_stale = TRUE;
}

static void deed_done(Call *call, const GError *error)
{
    const Deed *deed = call->data;
    /* Only what has returned in time may be looked into: an overdue one is still its worker's. */
    const char *id = call->state == CALL_RUNNING ? deed->id : NULL;
    mark_stale(call->backend, id);
    if (call->user_done)
        call->user_done(&call->backend->base, id, error, call->user_data);
}

static void deed_late(Call *call, const GError *error)
{
    mark_stale(call->backend, ((const Deed *)call->data)->id);
}

/* Something that was asked of it before, and given up, may take effect yet: nothing is done, or taken back, until it has
 * returned. */
static gboolean is_awaited(const LibvirtBackend *backend, const char *about)
{
    for (guint i = 0; about && i < backend->calls->len; i++) {
        const Call *call = backend->calls->pdata[i];
        if (call->is_long && call->state == CALL_OVERDUE && g_strcmp0(call->about, about) == 0)
            return TRUE;
    }
    return FALSE;
}

/* Not through server_call(): a QEMU that hangs keeps that one waiting, and is just what is to be stopped. */
static void begin(LibvirtBackend *backend, CallRun run, Deed *deed, int64_t patience_us, BackendDone done,
                  gpointer user_data)
{
    const char *about = deed->id ? deed->id : deed->spec.id;
    const char *why = backend->link ? NULL : "libvirt is not connected";
    if (!why && is_awaited(backend, about))
        why = "libvirt has not answered an earlier request for it yet";
    if (why) {
        action_refuse(backend, about ? about : deed->name, done, user_data, AEROSTAT_ERROR_UNAVAILABLE, why);
        deed_free(deed);
        return;
    }
    Call *call = call_new(run, deed_done, deed, deed_free);
    call->late = deed_late;
    call->patience_us = patience_us;
    call->is_long = TRUE;
    call->about = g_strdup(about);
    call->user_done = done;
    call->user_data = user_data;
    call_start(backend, call);
}

static void begin_on(Backend *base, CallRun run, const char *id, int64_t patience_us, BackendDone done,
                     gpointer user_data)
{
    LibvirtBackend *backend = (LibvirtBackend *)base;
    begin(backend, run, deed_new(backend, id), patience_us, done, user_data);
}

void power_start(Backend *base, const char *id, BackendDone done, gpointer user_data)
{
    begin_on(base, run_start, id, START_US, done, user_data);
}

void power_shutdown(Backend *base, const char *id, BackendDone done, gpointer user_data)
{
    begin_on(base, run_shutdown, id, SHORT_US, done, user_data);
}

void power_stop(Backend *base, const char *id, BackendDone done, gpointer user_data)
{
    begin_on(base, run_stop, id, STOP_US, done, user_data);
}

void power_configure(Backend *base, const char *id, Ballooning ballooning, BackendDone done,
                     gpointer user_data)
{
    LibvirtBackend *backend = (LibvirtBackend *)base;
    Deed *deed = deed_new(backend, id);
    deed->ballooning = ballooning;
    begin(backend, run_configure, deed, SHORT_US, done, user_data);
}

void power_create(Backend *base, const BackendSpec *spec, BackendDone done, gpointer user_data)
{
    LibvirtBackend *backend = (LibvirtBackend *)base;
    Deed *deed = deed_new(backend, NULL);
    const char **members[] = {&deed->spec.id,           &deed->spec.kernel, &deed->spec.initramfs,
                              &deed->spec.command_line, &deed->spec.disk,   &deed->spec.disk_format,
                              &deed->spec.network};
    G_STATIC_ASSERT(G_N_ELEMENTS(members) < G_N_ELEMENTS(deed->texts));
    deed->name = g_strdup(spec->name);
    deed->spec = *spec;
    deed->spec.name = deed->name;
    for (guint i = 0; i < G_N_ELEMENTS(members); i++)
        *members[i] = deed->texts[i] = g_strdup(*members[i]);
    begin(backend, run_create, deed, SHORT_US, done, user_data);
}

void power_remove(Backend *base, const char *id, BackendDone done, gpointer user_data)
{
    begin_on(base, run_remove, id, SHORT_US, done, user_data);
}

static void begin_kept(Backend *base, CallRun run, const char *id, const char *keep, int64_t patience_us,
                       BackendDone done, gpointer user_data)
{
    LibvirtBackend *backend = (LibvirtBackend *)base;
    Deed *deed = deed_new(backend, id);
    deed->keep = g_strdup(keep);
    begin(backend, run, deed, patience_us, done, user_data);
}

void power_set_aside(Backend *base, const char *id, const char *keep, BackendDone done, gpointer user_data)
{
    begin_kept(base, run_set_aside, id, keep, SHORT_US, done, user_data);
}

void power_take_back(Backend *base, const char *id, const char *keep, BackendDone done, gpointer user_data)
{
    begin_kept(base, run_take_back, id, keep, SHORT_US, done, user_data);
}

void power_purge(Backend *base, const char *id, const char *keep, BackendDone done, gpointer user_data)
{
    begin_kept(base, run_purge, id, keep, PURGE_US, done, user_data);
}
