/* What every fuzz target defines, in libFuzzer's own words. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Any bytes; returns 0. A broken promise is an assertion, and memory is the sanitizers' to watch. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
