/* QEMU processes as /proc shows them: what hostinfo.h promises, and what the backends need besides. */
#pragma once
#include <stdatomic.h>
#include <stdint.h>
#include <glib.h>

/* process_list_qemu: (transfer full) (element-type utf8 int): lower-case UUID -> pid (GINT_TO_POINTER) of
 * every QEMU process that process_find_qemu() would find, in one walk, but those whose pids are in @known (nullable). On a
 * worker only: reading the command line of a process takes its memory-map lock, and waits while that hangs.
 * @ret_at: (nullable): the pid that is being looked at, to be read atomically meanwhile */
GHashTable *process_list_qemu(const char *proc, GHashTable *known, atomic_int *ret_at);

/* process_start_time: clock ticks since the host's boot: with the pid it names one process for good. FALSE
 * when it is gone, or a zombie, which holds no memory any more. Takes no lock of the process. */
gboolean process_start_time(const char *proc, int pid, uint64_t *ret_ticks);
gboolean process_parse_stat(const char *text, uint64_t *ret_start_ticks);

/* process_parse_processor: what all threads of a process have used of the processors, kept in steps of 1/@ticks_per_s s. */
gboolean process_parse_processor(const char *text, uint64_t ticks_per_s, uint64_t *ret_us);

/* process_parse_cmdline: (nullable) (transfer full): the lower-case UUID behind `-uuid` in a command line of
 * @length bytes, arguments separated by NUL. Any bytes are safe. */
char *process_parse_cmdline(const char *text, gsize length);
