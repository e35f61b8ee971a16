#include "backend/backend.h"

void backend_server_free(BackendServer *server)
{
    if (!server)
        return;
    g_free(server->id);
    g_free(server->name);
    g_free(server->driver);
    g_free(server->agent_path);
    g_free(server);
}
