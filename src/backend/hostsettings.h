/* How the host is set up, as far as it matters to sharing memory; for the doctor. Parsers are pure. */
#pragma once
#include <stdint.h>
#include <glib.h>

/* UNKNOWN and -1 where nobody could say. */
typedef struct {
    gboolean pressure; /* the kernel tells memory pressure (PSI) */
    uint64_t swap_total_bytes, swap_free_bytes;
    uint64_t huge_total_bytes, huge_free_bytes; /* of the default size: reserved, whoever uses them */
    int overcommit_memory; /* vm.overcommit_memory: 2 counts what is promised, not what is used */
    int ksm_run;           /* 1: equal pages of guests are merged */
    int session_groups;    /* 1: whoever has been put into no group for processor time shares it by session */
    uint64_t arc_bytes, arc_minimum_bytes; /* ZFS's cache; 0 without ZFS */
} HostSettings;

/* hostsettings_read: @proc: "/proc", @sys: "/sys" (tests have folders of their own). A few small files; cannot fail. */
void hostsettings_read(const char *proc, const char *sys, HostSettings *ret);

/* hostsettings_by_session: whether process @pid is in no group for processor time, so that session_groups is about it; FALSE
 * where nobody can say. */
gboolean hostsettings_by_session(const char *proc, const char *sys, int pid);

/* Parsers of outside text; any bytes are safe. What is not in it stays as it was. */
void hostsettings_parse_meminfo(const char *text, HostSettings *ret);
void hostsettings_parse_arcstats(const char *text, HostSettings *ret);
/* -1 for anything but one small number. */
int hostsettings_parse_number(const char *text);
/* (nullable) (transfer full): the group for processor time in a /proc/PID/cgroup. @ret_unified: it is of the second version, where
 * only a group with that controller counts. */
char *hostsettings_parse_cgroup(const char *text, gboolean *ret_unified);
