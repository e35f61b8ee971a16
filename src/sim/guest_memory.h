/* Memory of a modelled guest, step by step. Private to the guest. */
#pragma once
#include "sim/guest.h"

uint64_t guest_watermark(uint64_t maximum_bytes);
/* What it holds at the very beginning: its first phase, as far as that fits. */
void guest_memory_begin(Guest *guest);
/* After a reset or a kill nothing is in use. */
void guest_memory_forget(Guest *guest);
/* Moves along the phases; returns when the next one begins. */
int64_t guest_memory_want(Guest *guest, int64_t now_us, double seconds);
void guest_memory_balloon(Guest *guest, double seconds);
/* Touches, reads, evicts, swaps, is killed. */
void guest_memory_use(Guest *guest, int64_t now_us, double seconds);
void guest_memory_reside(Guest *guest, int64_t now_us, double seconds);
/* Rate of work with what is in RAM: 1 = nothing is missing. */
double guest_memory_rate(const Guest *guest);
bool guest_memory_still(const Guest *guest);
