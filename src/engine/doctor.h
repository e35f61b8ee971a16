/* Doctor: what keeps this host or a server from sharing memory well, and the one line that mends it. */
#pragma once
#include "backend/hostsettings.h"
#include "engine/engine.h"

/* NOTE: worth knowing; WARNING: works, but worse than it could; PROBLEM: does not work as it should. */
typedef enum { SEVERITY_OK, SEVERITY_NOTE, SEVERITY_WARNING, SEVERITY_PROBLEM, SEVERITY_N } Severity;

const char *severity_name(Severity severity); /* "ok", "note", "warning", "problem" */

typedef struct {
    char *name; /* (nullable): of the server; NULL: the host */
    Severity severity;
    char *what; /* one sentence */
    char *fix;  /* (nullable): one line */
} Finding;

/* doctor_server: (transfer full) (element-type Finding): of one server, worst first; OK alone when there is nothing. */
GPtrArray *doctor_server(Engine *engine, const Tracked *tracked);
/* doctor_host: the same of the host and all its servers that run; the host's own come first among equals. */
GPtrArray *doctor_host(Engine *engine, const HostSettings *settings);
/* doctor_settings: the host's, from where the engine reads its memory. */
void doctor_settings(Engine *engine, HostSettings *ret);
