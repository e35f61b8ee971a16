/* What the host's own kernel says: memory, pressure, ZFS cache, and the residency of one process. Parsers are pure. */
#pragma once
#include <stdint.h>
#include <time.h>
#include <glib.h>

typedef struct {
    uint64_t memory_bytes;    /* MemTotal */
    uint64_t available_bytes; /* MemAvailable + what ZFS ARC would give above its minimum */
    uint64_t arc_reclaimable_bytes;
    double pressure_some_avg10; /* percent; negative when the kernel has no PSI */
} HostMemory;

/* hostinfo_read: @proc is "/proc" (tests pass a folder of their own). AEROSTAT_ERROR_FAILED names the file. */
gboolean hostinfo_read(const char *proc, HostMemory *ret, GError **error);

/* Parsers of outside text; any bytes are safe. FALSE when the wanted fields are not there. */
gboolean hostinfo_parse_meminfo(const char *text, HostMemory *ret);
gboolean hostinfo_parse_pressure(const char *text, double *ret_some_avg10);
gboolean hostinfo_parse_arcstats(const char *text, uint64_t *ret_reclaimable_bytes);
gboolean hostinfo_parse_statm(const char *text, uint64_t page_bytes, uint64_t *ret_resident_bytes);

/* process_resident: RSS of @pid from statm; FALSE when it is gone. About 10 us. */
gboolean process_resident(const char *proc, int pid, uint64_t *ret_bytes);

/* process_open_statm, process_read_statm: the same for many looks at one process, about 1 us each. The descriptor (-1 when
 * there is none; the caller closes it) stays with that very process: reading fails when it is gone, whoever has its pid. */
int process_open_statm(const char *proc, int pid);
gboolean process_read_statm(int fd, uint64_t *ret_bytes);

/* process_open_stat, process_read_processor: in the same way, what all of its threads have used of the processors so far,
 * usually in steps of 10 ms; about 5 us each. FALSE for a zombie, too. */
int process_open_stat(const char *proc, int pid);
gboolean process_read_processor(int fd, uint64_t *ret_us);

/* process_find_clock, process_read_clock: the same by the kernel's own clock of that process, to the microsecond and in half of
 * one. FALSE where @proc is not this kernel's /proc, or there is no such process. The clock is @pid's, whoever has that. */
gboolean process_find_clock(const char *proc, int pid, clockid_t *ret_clock);
gboolean process_read_clock(clockid_t clock, uint64_t *ret_us);

/* process_overhead: RSS outside guest RAM, from smaps: RSS of all mappings but the one that holds guest RAM (the
 * mapping, or run of adjacent mappings of the same backing, as large as @guest_bytes). Milliseconds: on a worker only. */
gboolean process_overhead(const char *proc, int pid, uint64_t guest_bytes, uint64_t *ret_bytes);
gboolean hostinfo_parse_smaps(const char *text, uint64_t guest_bytes, uint64_t *ret_overhead_bytes);

/* process_find_qemu: the QEMU process whose command line has `-uuid UUID`, owned by us, root or the user that
 * hypervisors run under (libvirt-qemu, qemu); 0 when there is none. Walks /proc: on a worker only. */
int process_find_qemu(const char *proc, const char *uuid);
