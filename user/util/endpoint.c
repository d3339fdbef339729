/* SPDX-License-Identifier: GPL-2.0-only */
#include "util/endpoint.h"

#include <stdio.h>
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

bool endpoint_parse(const char *text, struct endpoint *ret_endpoint)
{
	const char *first_colon = strchr(text, ':');
	struct endpoint endpoint = { .port = 0 };
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

const char *endpoint_format(const uint8_t addr[16], uint16_t port, char *text)
{
	bool is_ipv4 = address_is_ipv4(addr);
	char address[ADDRESS_TEXT_SIZE];

	(void)snprintf(text, ENDPOINT_TEXT_SIZE, "%s%s%s:%u", is_ipv4 ? "" : "[",
		       address_format(addr, address), is_ipv4 ? "" : "]", port);
	return text;
}
