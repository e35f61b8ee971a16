/* Addresses of hosts, as texts. Pure. */
#pragma once
#include <glib.h>

/*
 * address_source: what to count somebody at @address by, where so much is allowed to each: of IPv6 the /64, since whoever
 * has one address of it has all of them ("2001:db8:0:1::/64"); IPv4 as it is, also where it is written as IPv6
 * ("::ffff:192.0.2.7"). Any other text is returned as it is. (transfer full)
 */
char *address_source(const char *address);
