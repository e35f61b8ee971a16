/*
 * Preloaded into a daemon: kills it at the very call that a test names, as a power cut would.
 *   DIE_AT="before rename config.aside"    the call, and a part of its last text argument; "after": once it has been made
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die_at(const char *when, const char *call, const char *argument)
{
    char want_when[16], want_call[64], want_argument[64] = "";
    const char *wish = getenv("DIE_AT");
    if (!wish || sscanf(wish, "%15s %63s %63s", want_when, want_call, want_argument) < 2)
        return;
    if (strcmp(when, want_when) == 0 && strcmp(call, want_call) == 0 && argument &&
        strstr(argument, want_argument))
        raise(SIGKILL);
}

/* The function that would have been called. */
#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

int rename(const char *from, const char *to)
{
    die_at("before", "rename", to);
    int result = NEXT(int (*)(const char *, const char *), "rename")(from, to);
    die_at("after", "rename", to);
    return result;
}

void *virDomainDefineXMLFlags(void *conn, const char *xml, unsigned flags);
void *virDomainDefineXMLFlags(void *conn, const char *xml, unsigned flags)
{
    die_at("before", "define", xml);
    void *domain =
        NEXT(void *(*)(void *, const char *, unsigned), "virDomainDefineXMLFlags")(conn, xml, flags);
    die_at("after", "define", xml);
    return domain;
}

int virDomainCreateWithFlags(void *domain, unsigned flags);
int virDomainCreateWithFlags(void *domain, unsigned flags)
{
    die_at("before", "start", "");
    int result = NEXT(int (*)(void *, unsigned), "virDomainCreateWithFlags")(domain, flags);
    die_at("after", "start", "");
    return result;
}
