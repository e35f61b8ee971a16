/* What the kernel and a container's config say of control groups. */
#include <string.h>
#include "backend/lxc_cgroup.h"
#include "base/size.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    CgroupMounts mounts;
    CgroupMemory memory = {0};
    uint64_t bytes = 7;
    cgroup_parse_mounts(text, &mounts);
    cgroup_mounts_clear(&mounts);
    if (cgroup_parse_stat(text, &memory))
        g_assert_cmpuint(memory.inactive_file_bytes, <=, SIZE_MAX_BYTES);
    if (!cgroup_parse_limit(text, &bytes))
        g_assert_cmpuint(bytes, ==, 7);
    for (int v1 = 0; v1 < 2; v1++) {
        g_autofree char *path = cgroup_parse_membership(text, v1);
        if (!path)
            continue;
        g_assert_cmpint(path[0], ==, '/');
        /* The text stands for the name and the folder as well. */
        g_autofree char *payload = cgroup_payload_path(path, text, path + 1);
        g_assert_true(payload[0] == '\0' || payload[0] == '/');
        g_assert_cmpuint(strlen(payload), <=, strlen(path));
    }
    return 0;
}
