/* Trim: what only the start of a long-running program needed stops counting as its memory. */
#pragma once
#include <stdint.h>

/*
 * trim_memory: gives free heap back, and unmaps the pages of program and library files that are clean copies of those
 * files; whatever is needed again comes back from the page cache at its next use. Pages that this process has changed stay.
 * Does nothing once there is a second thread: that could map something else in the very place.
 * @smaps: "/proc/self/smaps" (tests pass a file of their own). Returns the bytes that were unmapped.
 */
uint64_t trim_memory(const char *smaps);
