/* The list of managers, in the order of the tables. */
#include "sim/manager.h"

const ManagerOps *const MANAGERS[] = {
    &MANAGER_AEROSTAT,     &MANAGER_STATIC,  &MANAGER_STATIC_MAXIMUM,
    &MANAGER_PROPORTIONAL, &MANAGER_PROXMOX, &MANAGER_MOM,
};
const guint N_MANAGERS = G_N_ELEMENTS(MANAGERS);

const ManagerOps *manager_find(const char *name)
{
    for (guint i = 0; i < N_MANAGERS; i++)
        if (g_str_equal(MANAGERS[i]->name, name))
            return MANAGERS[i];
    return NULL;
}
