/* SPDX-License-Identifier: GPL-2.0-only */
/* endpoint.h - an address with a port, as people write it. Pure. */
#ifndef RINGWAY_UTIL_ENDPOINT_H
#define RINGWAY_UTIL_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct endpoint {
	uint8_t addr[16]; /* as in match_key */
	uint16_t port;	  /* host order; 0: none was given */
};

/* "192.0.2.1", "192.0.2.1:443", "2001:db8::1" or "[2001:db8::1]:443". false if it is
 * neither, and *ret_endpoint is then untouched. */
bool endpoint_parse(const char *text, struct endpoint *ret_endpoint);

/* The same with a port, the other way; returns text, of ENDPOINT_TEXT_SIZE bytes. */
#define ENDPOINT_TEXT_SIZE 56
const char *endpoint_format(const uint8_t addr[16], uint16_t port, char *text);

#endif
