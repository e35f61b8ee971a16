/* The one error domain, and the one table from an error code to what each outside interface says of it. */
#pragma once
#include <stdint.h>
#include <glib.h>

#define AEROSTAT_ERROR (aerostat_error_quark())
GQuark aerostat_error_quark(void);

typedef enum {
    AEROSTAT_ERROR_FAILED, /* it was tried and did not work; the message says what and why */
    AEROSTAT_ERROR_INVALID, /* bad input: the message names the value, where it stands, and what would be right */
    AEROSTAT_ERROR_NOT_FOUND,   /* no such server, method, ... (also: not yours to see) */
    AEROSTAT_ERROR_DENIED,      /* the caller may not do this */
    AEROSTAT_ERROR_CONFLICT,    /* not in the present state, or somebody else was faster */
    AEROSTAT_ERROR_UNAVAILABLE, /* daemon, hypervisor or store cannot be reached now; trying again may help */
    AEROSTAT_ERROR_TIMEOUT,     /* no answer within the deadline */
    AEROSTAT_ERROR_NO_ROOM,     /* the pool cannot hold it; the message has the missing bytes */
    AEROSTAT_ERROR_UNAUTHENTICATED, /* nobody knows who the caller is: no login, session or token that counts */
    AEROSTAT_ERROR_FORBIDDEN,       /* the caller is known, and this is not for its role */
    AEROSTAT_ERROR_RATE_LIMITED,    /* too many tries; error_retry_after_s() says how long to wait */
    AEROSTAT_ERROR_BUSY,            /* something else is being done with the same server */
    AEROSTAT_N_ERRORS
} AerostatError;

/* error_code_name: "invalid", "not-found", ...; a static string. */
const char *error_code_name(AerostatError code);
/* The other way round; AEROSTAT_ERROR_FAILED for a name that is not known. */
AerostatError error_code_from_name(const char *name);
/* error_code_jsonrpc: -32602 for INVALID, -32601 for an unknown method is the control's own; others -32000 - code. */
int error_code_jsonrpc(AerostatError code);
/* error_code_http: 400, 401, 403, 404, 409, 429, 503, 504, 507, 500. */
int error_code_http(AerostatError code);

/* Figures that an error carries beside its message; 0: none. Only on errors of AEROSTAT_ERROR. */
void error_set_retry_after(GError *error, int seconds);
int error_retry_after_s(const GError *error);
void error_set_missing(GError *error, uint64_t bytes); /* NO_ROOM: how many bytes are missing */
uint64_t error_missing_bytes(const GError *error);

/*
 * error_printable: at most @max_chars characters of @length bytes at @text, fit to be quoted in a one-line message:
 * valid UTF-8, control characters and broken bytes as \xNN, "..." where it was cut. Any bytes are safe.
 * @length: -1 when @text ends with NUL
 */
char *error_printable(const char *text, gssize length, guint max_chars);
