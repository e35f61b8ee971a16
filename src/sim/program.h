/* The program aerostat-sim, as a function, so that tests run the real one. */
#pragma once
#include <stdio.h>

/* sim_main: 0 ok, 1 failed, 2 wrong usage. */
int sim_main(int argc, char **argv, FILE *out, FILE *err);
