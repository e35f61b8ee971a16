/* Daemon: puts store, backends, engine and control together, and runs until it is told to stop. */
#pragma once
#include <glib.h>

/*
 * daemon_run:
 * @config_path: (nullable): the key file; NULL for the defaults
 * @check_only:  read and check the config against this host, say so, touch nothing
 * Returns FALSE with one clear line when it could not start; TRUE after an orderly stop. Balloons stay as they are.
 */
gboolean daemon_run(const char *config_path, gboolean check_only, GError **error);
