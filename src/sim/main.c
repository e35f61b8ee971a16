/* aerostat-sim: the policy in virtual time. */
#include <stdio.h>
#include "sim/program.h"

int main(int argc, char **argv)
{
    return sim_main(argc, argv, stdout, stderr);
}
