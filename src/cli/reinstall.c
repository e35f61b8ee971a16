/* A server made anew, and the end of what it was before. */
#include "base/json.h"
#include "base/size.h"
#include "cli/cli.h"
#include "cli/operation.h"

static const CliOption reinstall_options[] = {
    {"image", 'i', "IMAGE", "what to make it from; `aerostat images` lists them"},
    {"confirm", 'c', "SERVER", "the server's name, once more"},
    {"memory", 'm', "SIZE", "what it books from then on; default: what it booked before"},
    {"no-wait", 'n', NULL, "return at once; `aerostat operations` shows what became of it"},
    {0},
};

static gboolean add_text(Cli *cli, json_t *params, const char *name)
{
    const char *text = cli_value(cli, name);
    if (text == NULL) {
        cli_complain(cli, "give --%s", name);
        return FALSE;
    }
    if (json_object_set_new(params, name, json_string(text)) == 0)
        return TRUE;
    cli_complain(cli, "--%s: that is not valid UTF-8", name);
    return FALSE;
}

static int run_reinstall(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    uint64_t bytes;
    const char *memory = cli_value(cli, "memory");
    g_autoptr(json_t) params = cli_name_params(cli);
    if (params == NULL || !add_text(cli, params, "image") || !add_text(cli, params, "confirm"))
        return CLI_USAGE;
    if (memory != NULL && !size_parse(memory, 0, &bytes, &error)) {
        cli_complain(cli, "--memory: %s", error->message);
        return CLI_USAGE;
    }
    if (memory != NULL)
        json_object_set_new(params, "memory_bytes", json_bytes(bytes));
    return cli_operation(cli, "reinstall", json_incref(params));
}

const CliVerb verb_reinstall = {
    .name = "reinstall",
    .operands = "SERVER",
    .least = 1,
    .most = 1,
    .options = reinstall_options,
    .summary = "make a server anew on KVM, from an image",
    .text =
        "The new server has the same name, memory, weight, minimum and owner, and ballooning. It begins "
        "with\n"
        "the image's disk: nothing of the old one is on it. The old server, container or virtual machine, "
        "is\n"
        "kept, switched off, until `aerostat purge`. A failure at any step leaves it as it was, running if\n"
        "it ran. What cannot work out is refused before anything is stopped.\n\n"
        "Example:\n"
        "  aerostat reinstall old-1 --image debian-12 --confirm old-1",
    .run = run_reinstall,
};

static const CliOption purge_options[] = {
    {"confirm", 'c', "SERVER", "the server's name, once more"},
    {"no-wait", 'n', NULL, "return at once; `aerostat operations` shows what became of it"},
    {0},
};

static int run_purge(Cli *cli)
{
    g_autoptr(json_t) params = cli_name_params(cli);
    if (params == NULL || !add_text(cli, params, "confirm"))
        return CLI_USAGE;
    return cli_operation(cli, "purge", json_incref(params));
}

const CliVerb verb_purge = {
    .name = "purge",
    .operands = "SERVER",
    .least = 1,
    .most = 1,
    .options = purge_options,
    .summary = "remove what a server was before its reinstallation",
    .text =
        "Its definition and its disks, or its root file system, for good. The server that runs now is not\n"
        "touched.\n\n"
        "Example:\n"
        "  aerostat purge old-1 --confirm old-1",
    .run = run_purge,
};
