/* Control client: the other end of the control socket, for the command line. Blocking, with a deadline. */
#pragma once
#include <stdint.h>
#include <glib.h>
#include <jansson.h>

typedef struct ControlClient ControlClient;

/* control_client_open: AEROSTAT_ERROR_UNAVAILABLE with what to do ("no daemon answers on PATH: is aerostatd running?
 * systemctl status aerostatd"), AEROSTAT_ERROR_DENIED when the socket may not be opened ("join the group aerostat"). */
ControlClient *control_client_open(const char *socket_path, GError **error);
void control_client_free(ControlClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ControlClient, control_client_free)

/* control_client_set_token: every call from now on is asked in the name of this token's account. */
void control_client_set_token(ControlClient *client, const char *token);

/* control_client_call: @params (transfer full, nullable). Returns (transfer full) the result, or NULL with the error the
 * daemon sent (code from error_code_from_name()), or AEROSTAT_ERROR_TIMEOUT after @timeout_ms. */
json_t *control_client_call(ControlClient *client, const char *method, json_t *params, int timeout_ms,
                            GError **error);

/* control_client_fd / control_client_next_event: for `top`: after calling "events", poll the descriptor and take
 * notifications one by one; NULL without error when none is complete yet; NULL with error when the daemon has gone. */
int control_client_fd(const ControlClient *client);
json_t *control_client_next_event(ControlClient *client, GError **error);
