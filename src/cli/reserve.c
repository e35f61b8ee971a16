#include <string.h>

#include "base/json.h"
#include "base/size.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/view.h"

/* A room is made within seconds or not at all; asking five times a second costs nothing. */
#define POLL_US 200000UL

static const CliOption reserve_options[] = {
    {"for", 'f', "NAME", "the server it is for: it takes the room up by starting"},
    {"wait", 'w', "SECONDS", "wait until the room is there; give it up after this long"},
    {0},
};

static gboolean read_number(Cli *cli, const char *text, const char *what, guint64 most, guint64 *ret)
{
    if (g_ascii_string_to_unsigned(text, 10, 0, most, ret, NULL))
        return TRUE;
    cli_complain(cli, "%s: \"%s\" is not a whole number from 0 to %" G_GUINT64_FORMAT, what, text, most);
    return FALSE;
}

/* (transfer full) the reservation as it is now; NULL when it is gone or the daemon is. */
static json_t *look_up(Cli *cli, json_int_t id)
{
    g_autoptr(json_t) all = cli_call(cli, "reservations", json_object());
    gsize index;
    json_t *one;
    json_array_foreach(json_object_get(all, "reservations"), index, one)
    {
        if (json_integer_value(json_object_get(one, "id")) == id)
            return json_incref(one);
    }
    return NULL;
}

static json_t *wait_for_room(Cli *cli, json_t *made, guint64 seconds)
{
    json_int_t id = json_integer_value(json_object_get(made, "id"));
    gint64 end_us = g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
    json_t *now = json_incref(made);
    while (!json_is_true(json_object_get(now, "ready"))) {
        guint64 missing = view_figure(now, "missing_bytes");
        json_decref(now);
        if (g_get_monotonic_time() >= end_us) {
            json_decref(cli_call(cli, "release", json_pack("{s:I}", "id", id)));
            g_autofree char *text = text_bytes(missing);
            cli_complain(cli,
                         "the room was not there within %" G_GUINT64_FORMAT
                         " s, %s missing (%" G_GUINT64_FORMAT " bytes); the reservation is given up",
                         seconds, text, missing);
            return NULL;
        }
        g_usleep(POLL_US);
        now = look_up(cli, id);
        if (now == NULL) {
            cli_complain(cli, "the reservation has expired or was released meanwhile");
            return NULL;
        }
    }
    return now;
}

static void print_reservation(Cli *cli, json_t *made)
{
    g_autofree char *bytes = text_bytes(view_figure(made, "bytes"));
    gboolean ready = json_is_true(json_object_get(made, "ready"));
    fprintf(cli->out, "reservation %" JSON_INTEGER_FORMAT ": %s with overhead, %s\n",
            json_integer_value(json_object_get(made, "id")), bytes,
            ready ? "the room is there" : "the room is being made");
}

static int run_reserve(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    uint64_t bytes;
    guint64 seconds = 0;
    const char *wait = cli_value(cli, "wait"), *name = cli_value(cli, "for");
    if (!size_parse(cli_operand(cli, 0), 0, &bytes, &error)) {
        cli_complain(cli, "%s", error->message);
        return CLI_USAGE;
    }
    if (wait != NULL && !read_number(cli, wait, "--wait", 86400, &seconds))
        return CLI_USAGE;
    json_t *params = json_object();
    json_object_set_new(params, "bytes", json_bytes(bytes));
    if (name != NULL && json_object_set_new(params, "for", json_string(name)) != 0) {
        json_decref(params);
        cli_complain(cli, "--for: the name is not valid UTF-8");
        return CLI_USAGE;
    }
    g_autoptr(json_t) made = cli_call(cli, "reserve", params);
    if (made == NULL)
        return CLI_FAILED;
    g_autoptr(json_t) now = wait != NULL ? wait_for_room(cli, made, seconds) : json_incref(made);
    if (now == NULL)
        return CLI_FAILED;
    if (cli->json)
        cli_print_json(cli, now, FALSE);
    else
        print_reservation(cli, now);
    return CLI_OK;
}

const CliVerb verb_reserve = {
    .name = "reserve",
    .operands = "SIZE",
    .least = 1,
    .most = 1,
    .options = reserve_options,
    .summary = "make room for a server that is about to start",
    .text =
        "Keeps room for SIZE of guest memory and one QEMU's overhead: others give back what they leave\n"
        "idle, and nothing is granted from it. It ends when the server it is for runs, when it is\n"
        "released, or after five minutes. Refused when the running servers' minima leave no such room.\n\n"
        "Examples:\n"
        "  aerostat reserve 2GiB --for web-2 --wait 60 && virsh start web-2\n"
        "  aerostat reserve 512M",
    .run = run_reserve,
};

static int run_release(Cli *cli)
{
    guint64 id;
    if (!read_number(cli, cli_operand(cli, 0), "release", G_MAXINT64, &id))
        return CLI_USAGE;
    g_autoptr(json_t) result = cli_call(cli, "release", json_pack("{s:I}", "id", (json_int_t)id));
    if (result == NULL)
        return CLI_FAILED;
    if (cli->json)
        cli_print_json(cli, result, FALSE);
    else
        fprintf(cli->out, "reservation %" G_GUINT64_FORMAT " is released\n", id);
    return CLI_OK;
}

const CliVerb verb_release = {
    .name = "release",
    .operands = "ID",
    .least = 1,
    .most = 1,
    .summary = "give a reservation up",
    .text = "Gives the room of a reservation back to all.\n\n"
            "Example:\n"
            "  aerostat release 7",
    .run = run_release,
};
