/* Operation: begins something that takes a while, and shows how it goes until it has ended. */
#pragma once
#include "cli/cli.h"

/* cli_operation: @params: (transfer full). The verb may have a switch "no-wait". Returns the exit status. */
int cli_operation(Cli *cli, const char *method, json_t *params);
