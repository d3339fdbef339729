/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/endpoint.h"

#include <string.h>

#include "util/number.h"

static bool port_parse(const char *text, uint16_t *ret_port)
{
	uint64_t port;

	if (!number_parse(text, 1, UINT16_MAX, &port))
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

bool load_endpoint_parse(const char *text, struct load_endpoint *ret_endpoint)
{
	const char *first_colon = strchr(text, ':');
	struct load_endpoint endpoint = { .port = 0 };
	char address[ADDRESS_TEXT_SIZE];
	const char *end, *port = NULL;

	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
		port = end[1] ? end + 2 : NULL;
	} else if (first_colon && first_colon == strrchr(text, ':')) {
		end = first_colon;
		port = end + 1;
	} else {
		end = text + strlen(text);
	}

	if ((size_t)(end - text) >= sizeof(address))
		return false;
	memcpy(address, text, (size_t)(end - text));
	address[end - text] = 0;
	if (!address_parse(address, endpoint.addr) || (port && !port_parse(port, &endpoint.port)))
		return false;
	*ret_endpoint = endpoint;
	return true;
}
