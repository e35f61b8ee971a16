/* Operations on guests in memory, on the main thread. */
#include "fake_power.h"
#include <string.h>
#include "base/error.h"

static FakePower *power_of(Backend *backend)
{
    return (FakePower *)backend->ops;
}

static gboolean is_among(const char *words, const char *word)
{
    g_auto(GStrv) list = g_strsplit(words ? words : "", " ", -1);
    return g_strv_contains((const char *const *)list, word);
}

typedef struct {
    BackendDone done;
    gpointer user_data;
} Lost;

static void lose(FakePower *power, BackendDone done, gpointer user_data)
{
    Lost *lost = g_new0(Lost, 1);
    *lost = (Lost){done, user_data};
    g_ptr_array_add(power->lost, lost);
}

/* Notes it, and says whether it is to be done; else it has been refused, or lost. */
static gboolean goes(Backend *backend, const char *what, const char *id, BackendDone done, gpointer user_data)
{
    FakePower *power = power_of(backend);
    g_string_append_printf(power->log, "%s:%s ", what, id);
    if (is_among(power->loses, what)) {
        lose(power, done, user_data);
        return FALSE;
    }
    gboolean away = is_among(power->away, what);
    if (!away && !is_among(power->fails, what))
        return TRUE;
    g_autoptr(GError) error =
        g_error_new(AEROSTAT_ERROR, away ? AEROSTAT_ERROR_UNAVAILABLE : AEROSTAT_ERROR_FAILED,
                    "the test lets %s fail", what);
    done(backend, id, error, user_data);
    return FALSE;
}

static void on_start(Backend *backend, const char *id, BackendDone done, gpointer user_data)
{
    if (!goes(backend, "start", id, done, user_data))
        return;
    FakeGuest *guest = fake_guest_by_id(power_of(backend)->fake, id);
    if (!FAKE(power_of(backend)->fake, guest->running))
        fake_start(power_of(backend)->fake, guest);
    done(backend, id, NULL, user_data);
}

static void on_shutdown(Backend *backend, const char *id, BackendDone done, gpointer user_data)
{
    if (goes(backend, "shutdown", id, done, user_data))
        done(backend, id, NULL, user_data);
}

static void on_stop(Backend *backend, const char *id, BackendDone done, gpointer user_data)
{
    if (!goes(backend, "stop", id, done, user_data))
        return;
    fake_stop(power_of(backend)->fake, fake_guest_by_id(power_of(backend)->fake, id));
    done(backend, id, NULL, user_data);
}

static void on_configure(Backend *backend, const char *id, Ballooning ballooning, BackendDone done,
                         gpointer user_data)
{
    if (goes(backend, "configure", id, done, user_data))
        done(backend, id, NULL, user_data);
}

static void on_create(Backend *backend, const BackendSpec *spec, BackendDone done, gpointer user_data)
{
    FakePower *power = power_of(backend);
    if (!goes(backend, "create", spec->name, done, user_data))
        return;
    FakeGuest *guest = fake_guest_add(power->fake, spec->name, spec->memory_bytes);
    FAKE(power->fake, guest->running = FALSE);
    FAKE(power->fake, (g_free(guest->id), guest->id = g_strdup(spec->id)));
    power->autostart = spec->autostart;
    done(backend, spec->id, NULL, user_data);
}

static void hide(Backend *backend, const char *id, gboolean gone)
{
    FakeGuest *guest = fake_guest_by_id(power_of(backend)->fake, id);
    if (guest)
        FAKE(power_of(backend)->fake, guest->gone = gone);
}

static void show(Backend *backend, const char *what, const char *id, gboolean gone, BackendDone done,
                 gpointer user_data)
{
    if (!goes(backend, what, id, done, user_data))
        return;
    hide(backend, id, gone);
    done(backend, id, NULL, user_data);
}

static void on_remove(Backend *backend, const char *id, BackendDone done, gpointer user_data)
{
    show(backend, "remove", id, TRUE, done, user_data);
}

static void on_set_aside(Backend *backend, const char *id, const char *keep, BackendDone done,
                         gpointer user_data)
{
    show(backend, "set_aside", id, TRUE, done, user_data);
}

static void on_take_back(Backend *backend, const char *id, const char *keep, BackendDone done,
                         gpointer user_data)
{
    show(backend, "take_back", id, FALSE, done, user_data);
}

static void on_purge(Backend *backend, const char *id, const char *keep, BackendDone done, gpointer user_data)
{
    if (goes(backend, "purge", id, done, user_data))
        done(backend, id, NULL, user_data);
}

FakePower *fake_power_new(FakeBackend *fake)
{
    FakePower *power = g_new0(FakePower, 1);
    power->fake = fake;
    power->log = g_string_new(NULL);
    power->lost = g_ptr_array_new_with_free_func(g_free);
    power->ops = *fake_base(fake)->ops;
    power->ops.start = on_start;
    power->ops.shutdown = on_shutdown;
    power->ops.stop = on_stop;
    power->ops.configure = on_configure;
    power->ops.create = on_create;
    power->ops.remove = on_remove;
    power->ops.set_aside = on_set_aside;
    power->ops.take_back = on_take_back;
    power->ops.purge = on_purge;
    fake_base(fake)->ops = &power->ops;
    return power;
}

void fake_power_free(FakePower *power)
{
    g_autoptr(GError) error = g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE, "all is over");
    for (guint i = 0; i < power->lost->len; i++) {
        const Lost *lost = power->lost->pdata[i];
        lost->done(NULL, NULL, error, lost->user_data);
    }
    g_ptr_array_unref(power->lost);
    g_string_free(power->log, TRUE);
    g_free(power);
}

guint fake_power_times(const FakePower *power, const char *word)
{
    g_auto(GStrv) words = g_strsplit(power->log->str, " ", -1);
    guint times = 0;
    for (guint i = 0; words[i]; i++)
        times += g_str_equal(words[i], word);
    return times;
}
