/* SPDX-License-Identifier: GPL-2.0-only */
/* endpoint.h - an address with a port, as people write it. Pure. */
#ifndef RINGWAY_LOAD_ENDPOINT_H
#define RINGWAY_LOAD_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct load_endpoint {
	uint8_t addr[16]; /* as in match_key */
	uint16_t port;	  /* host order; 0: none was given */
};

/* "192.0.2.1", "192.0.2.1:443", "2001:db8::1" or "[2001:db8::1]:443". false if it is
 * neither, and *ret_endpoint is then untouched. */
bool load_endpoint_parse(const char *text, struct load_endpoint *ret_endpoint);

#endif
