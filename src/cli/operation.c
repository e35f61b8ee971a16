/* What is done to whole servers: power, creation, and what has become of it. */
#include <string.h>

#include "base/json.h"
#include "base/size.h"
#include "cli/cli.h"
#include "cli/operation.h"
#include "cli/text.h"
#include "cli/view.h"

/* An operation takes seconds; asking three times in one is not felt. */
#define POLL_US 300000UL

static gboolean is_running(json_t *operation)
{
    return g_strcmp0(view_raw(operation, "state"), "running") == 0;
}

/* A sentence once, when it is new; @ret_last: (transfer full) the last one that was shown. */
static void show_progress(const Cli *cli, json_t *operation, char **last)
{
    const char *text = view_raw(operation, "text");
    if (cli->json || text == NULL || g_strcmp0(text, *last) == 0 || !is_running(operation))
        return;
    g_free(*last);
    *last = g_strdup(text);
    g_autofree char *clean = text_clean(text);
    fprintf(cli->out, "%s\n", clean);
    fflush(cli->out);
}

/* (transfer full) as it ended; NULL after having complained. @operation (transfer full). */
static json_t *wait_for_end(Cli *cli, json_t *operation)
{
    g_autofree char *last = NULL;
    json_t *id = json_incref(json_object_get(operation, "id"));
    show_progress(cli, operation, &last);
    while (operation != NULL && is_running(operation)) {
        json_decref(operation);
        g_usleep(POLL_US);
        operation = cli_call(cli, "operation", json_pack("{s:O}", "id", id));
        if (operation != NULL)
            show_progress(cli, operation, &last);
        else
            cli_complain(cli, "what became of it shows in `aerostat operations`");
    }
    json_decref(id);
    return operation;
}

static int tell_end(const Cli *cli, json_t *operation)
{
    gboolean failed = g_strcmp0(view_raw(operation, "state"), "failed") == 0;
    g_autofree char *text = view_text(operation, "text");
    if (cli->json)
        cli_print_json(cli, operation, FALSE);
    else if (failed)
        cli_complain(cli, "%s", text);
    else
        fprintf(cli->out, "%s\n", text);
    return failed ? CLI_FAILED : CLI_OK;
}

int cli_operation(Cli *cli, const char *method, json_t *params)
{
    json_t *begun = cli_call(cli, method, params);
    if (begun == NULL)
        return CLI_FAILED;
    g_autoptr(json_t) end = cli_value(cli, "no-wait") != NULL ? begun : wait_for_end(cli, begun);
    return end == NULL ? CLI_FAILED : tell_end(cli, end);
}

/* ---- power */

static const CliOption plain_options[] = {
    {"no-wait", 'n', NULL, "return at once; `aerostat operations` shows what became of it"},
    {0},
};

static const CliOption patient_options[] = {
    {"timeout", 't', "SECONDS", "how long the guest may take to shut down; default 60"},
    {"no-wait", 'n', NULL, "return at once; `aerostat operations` shows what became of it"},
    {0},
};

static int run_power(Cli *cli)
{
    guint64 patience_s = 0;
    if (cli_value(cli, "timeout") != NULL && !cli_number(cli, "timeout", 1, 3600, 60, &patience_s))
        return CLI_USAGE;
    g_autoptr(json_t) params = cli_name_params(cli);
    if (params == NULL)
        return CLI_USAGE;
    json_object_set_new(params, "action", json_string(cli->verb->name));
    if (patience_s != 0)
        json_object_set_new(params, "timeout_seconds", json_integer((json_int_t)patience_s));
    return cli_operation(cli, "power", json_incref(params));
}

const CliVerb verb_start = {
    .name = "start",
    .operands = "SERVER",
    .least = 1,
    .most = 1,
    .options = plain_options,
    .summary = "start a server, once there is room for it",
    .text = "Makes room first: others give back what they leave idle. Refused, with the bytes missing, when "
            "what\n"
            "the running servers are guaranteed leaves no such room.\n\n"
            "Example:\n"
            "  aerostat start web-1",
    .run = run_power,
};

const CliVerb verb_shutdown = {
    .name = "shutdown",
    .operands = "SERVER",
    .least = 1,
    .most = 1,
    .options = patient_options,
    .summary = "ask a server to shut down, and wait until it has",
    .text =
        "Presses its power button, or asks its guest agent where there is one. A server that has not shut\n"
        "down in time still runs.\n\n"
        "Example:\n"
        "  aerostat shutdown web-1 --timeout 120",
    .run = run_power,
};

const CliVerb verb_restart = {
    .name = "restart",
    .operands = "SERVER",
    .least = 1,
    .most = 1,
    .options = patient_options,
    .summary = "stop a server in order and start it again",
    .text = "A cold start, which also applies a change of ballooning; a reboot inside the server does not.\n"
            "It is asked to shut down, stopped when it has not in time, and started again. The room is made\n"
            "first: without it nothing is stopped, and the bytes missing are told.\n\n"
            "Examples:\n"
            "  aerostat restart web-1\n"
            "  aerostat restart web-1 --timeout 5",
    .run = run_power,
};

const CliVerb verb_stop = {
    .name = "stop",
    .operands = "SERVER",
    .least = 1,
    .most = 1,
    .options = plain_options,
    .summary = "stop a server at once, like pulling its plug",
    .text = "What its programs had not saved is lost: try shutdown first.\n\n"
            "Example:\n"
            "  aerostat stop web-1",
    .run = run_power,
};

/* ---- create */

static const CliOption create_options[] = {
    {"image", 'i', "IMAGE", "what to make it from; `aerostat images` lists them"},
    {"memory", 'm', "SIZE", "what it books"},
    {"owner", 'o', "USER", "the account that it belongs to"},
    {"no-wait", 'n', NULL, "return at once; `aerostat operations` shows what became of it"},
    {0},
};

static gboolean add_text(Cli *cli, json_t *params, const char *name, const char *text)
{
    if (text == NULL || json_object_set_new(params, name, json_string(text)) == 0)
        return TRUE;
    cli_complain(cli, "--%s: that is not valid UTF-8", name);
    return FALSE;
}

static int run_create(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    uint64_t bytes;
    const char *image = cli_value(cli, "image"), *memory = cli_value(cli, "memory");
    if (image == NULL || memory == NULL) {
        cli_complain(cli, "give --image IMAGE and --memory SIZE");
        return CLI_USAGE;
    }
    if (!size_parse(memory, 0, &bytes, &error)) {
        cli_complain(cli, "--memory: %s", error->message);
        return CLI_USAGE;
    }
    g_autoptr(json_t) params = cli_name_params(cli);
    if (params == NULL || !add_text(cli, params, "image", image) ||
        !add_text(cli, params, "user", cli_value(cli, "owner")))
        return CLI_USAGE;
    json_object_set_new(params, "memory_bytes", json_bytes(bytes));
    return cli_operation(cli, "create", json_incref(params));
}

const CliVerb verb_create = {
    .name = "create",
    .operands = "SERVER",
    .least = 1,
    .most = 1,
    .options = create_options,
    .summary = "make a new server from an image",
    .text = "A KVM server with ballooning on, with a disk of its own, started. A failure at any step leaves\n"
            "nothing behind.\n\n"
            "Example:\n"
            "  aerostat create web-9 --image debian-12 --memory 2GiB --owner alice",
    .run = run_create,
};

/* ---- images and operations */

static int run_images(Cli *cli)
{
    g_autoptr(json_t) result = cli_call(cli, "images", json_object());
    gsize index;
    json_t *one;
    if (result == NULL)
        return CLI_FAILED;
    if (cli->json) {
        cli_print_json(cli, result, FALSE);
        return CLI_OK;
    }
    json_array_foreach(json_object_get(result, "images"), index, one)
    {
        g_autofree char *name = view_text(one, "name"), *title = view_text(one, "title");
        g_autofree char *minimum = text_bytes(view_figure(one, "minimum_bytes"));
        fprintf(cli->out, "%s  %s, at least %s\n", name, title, minimum);
    }
    if (json_array_size(json_object_get(result, "images")) == 0)
        fprintf(cli->out, "There is no image; aerostat-image(5) says how to describe one.\n");
    json_array_foreach(json_object_get(result, "problems"), index, one)
    {
        cli_complain(cli, "%s", json_string_value(one) ? json_string_value(one) : "?");
    }
    return CLI_OK;
}

const CliVerb verb_images = {
    .name = "images",
    .operands = "",
    .least = 0,
    .most = 0,
    .summary = "what new servers can be made from",
    .text =
        "Lists the images that are described in the folder of [images] path, and on standard error those\n"
        "descriptions that are no good.\n\n"
        "Example:\n"
        "  aerostat images",
    .run = run_images,
};

static int run_operations(Cli *cli)
{
    g_autoptr(json_t) params = cli_name_params(cli);
    gsize index;
    json_t *one;
    if (params == NULL)
        return CLI_USAGE;
    g_autoptr(json_t) result = cli_call(cli, "operations", json_incref(params));
    if (result == NULL)
        return CLI_FAILED;
    if (cli->json) {
        cli_print_json(cli, result, FALSE);
        return CLI_OK;
    }
    json_array_foreach(json_object_get(result, "operations"), index, one)
    {
        g_autofree char *text = view_text(one, "text"), *who = view_text(one, "who");
        g_autofree char *state = view_text(one, "state");
        uint64_t started_us = view_figure(one, "started_us");
        g_autofree char *time =
            started_us == UNKNOWN_FACT ? text_clean(NULL) : text_time((int64_t)started_us, FALSE);
        fprintf(cli->out, "%s  %s, by %s: %s\n", time, state, who, text);
    }
    return CLI_OK;
}

const CliVerb verb_operations = {
    .name = "operations",
    .operands = "[SERVER]",
    .least = 0,
    .most = 1,
    .summary = "what was done to servers, and what is under way",
    .text =
        "The latest first: starts, stops, restarts, creations, reinstallations, by whom, and what became of\n"
        "each.\n\n"
        "Example:\n"
        "  aerostat operations web-1",
    .run = run_operations,
};
