/* A control server with its clients, for the tests of both. */
#pragma once
#include "base/json.h"
#include "control/server.h"

#define PATIENCE_US (20 * G_USEC_PER_SEC)

typedef struct {
    char *folder, *path;
    ControlServer *server;
    guint calls;
    ControlPeer caller;
} Fixture;

/* dispatch: answers "echo", "large", "fail", "fail-elsewhere", and takes "events". */
json_t *dispatch(ControlRequest *request, gpointer user_data, GError **error);
/* set_up, tear_down: a server of one's own in a folder of its own, of which nothing may be left. */
void set_up(Fixture *fixture, gconstpointer data);
void tear_down(Fixture *fixture, gconstpointer data);
/* raw_connect: a client that may misbehave. say() and hear() turn the server's loop meanwhile. */
int raw_connect(const char *path);
void turn(void);
void say(int fd, const char *text);
/* hear: (transfer full) the next line; NULL when the server has closed. */
char *hear(int fd);
/* hear_json: (transfer full) the next line as an answer. hear_end: the server closes. */
json_t *hear_json(int fd);
void hear_end(int fd);
/* Of an error answer; a failure when it is none. */
json_int_t error_code(json_t *answer);
const char *error_kind(json_t *answer);
/* check_alive: the server is still there, for others and for good requests. */
void check_alive(Fixture *fixture);
