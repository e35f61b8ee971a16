/* Web: aerostat-web as a whole: each HTTP request becomes a call of the daemon's with the caller's own credential. */
#pragma once
#include <glib.h>
#include "base/config.h"

typedef struct Web Web;

/* web_new: listens and begins to connect to the daemon. Errors: those of http_server_new(), naming the config's keys. */
Web *web_new(const Config *config, GError **error);
void web_free(Web *web);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Web, web_free)

/* web_port: the port it listens on. */
guint web_port(const Web *web);

/* web_run: until SIGTERM or SIGINT. */
void web_run(Web *web);
