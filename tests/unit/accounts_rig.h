/* House: the daemon's methods over a real socket, a real store and guests in memory, with a client's connection to it. */
#pragma once
#include "base/json.h"
#include "control/login.h"
#include "control/method.h"
#include "control/refusals.h"
#include "engine_rig.h"

#define MINE     "web-1"
#define FOREIGN  "secret-db"
#define PASSWORD "correct horse"

typedef struct {
    Rig rig;
    char *folder, *path, *state;
    Store *store;
    Login *login;
    Refusals *refusals, *changes;
    ControlServer *server;
    MethodsPublisher *publisher;
    MethodsContext context;
    int fd;
    GString *in;
} House;

void house_begin(House *house, gconstpointer data);
void house_end(House *house, gconstpointer data);
/* dial: one more connection. say: a line to it. hear_one: its next line that is there, kept together in @in; NULL when
 * none is. hear: the next line of the house's own connection. */
int dial(const House *house);
void say(int fd, const char *line);
json_t *hear_one(GString *in, int fd);
json_t *hear(House *house);

/* ask: @auth: (nullable) as in "token=..." or "session=...", empty for nobody in particular; @params: JSON. ask_well: the
 * result; ask_badly: refused with this kind and these words. */
json_t *ask(House *house, const char *auth, const char *method, const char *params);
json_t *ask_well(House *house, const char *auth, const char *method, const char *params);
void ask_badly(House *house, const char *auth, const char *method, const char *params, const char *kind,
               const char *words);
const char *kind_of(json_t *answer);
const char *message_of(json_t *answer);
/* word: a member that is a string. */
const char *word(json_t *object, const char *name);

void add_user(House *house, const char *name, const char *role);
/* log_in, owner_token: (transfer full) "session=...", and a "token=..." of alice, who owns MINE. */
char *log_in(House *house, const char *user);
char *owner_token(House *house);
