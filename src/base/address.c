#include "base/address.h"
#include <arpa/inet.h>
#include <string.h>

#define NETWORK_BYTES 8

char *address_source(const char *address)
{
    struct in6_addr v6;
    char text[INET6_ADDRSTRLEN];
    if (inet_pton(AF_INET6, address, &v6) != 1)
        return g_strdup(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
        inet_ntop(AF_INET, v6.s6_addr + 12, text, sizeof text);
        return g_strdup(text);
    }
    memset(v6.s6_addr + NETWORK_BYTES, 0, sizeof v6.s6_addr - NETWORK_BYTES);
    inet_ntop(AF_INET6, &v6, text, sizeof text);
    return g_strconcat(text, "/64", NULL);
}
