/* SPDX-License-Identifier: GPL-2.0-only */
#include "util/number.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t ipv4_mapped[12] = { [10] = 0xff, [11] = 0xff };

bool number_parse(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *ret_number)
{
	unsigned long long number;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || *end || number < minimum || number > maximum)
		return false;
	*ret_number = number;
	return true;
}

bool number_hex_parse(const char *text, uint8_t *ret_bytes, size_t size)
{
	if (strlen(text) != 2 * size || strspn(text, "0123456789abcdefABCDEF") != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		const char digits[] = { text[2 * i], text[2 * i + 1], 0 };

		ret_bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	return true;
}

bool address_parse(const char *text, uint8_t ret_addr[16])
{
	uint8_t ipv4[4];

	if (inet_pton(AF_INET, text, ipv4) == 1) {
		memcpy(ret_addr, ipv4_mapped, sizeof(ipv4_mapped));
		memcpy(ret_addr + 12, ipv4, sizeof(ipv4));
		return true;
	}
	return inet_pton(AF_INET6, text, ret_addr) == 1;
}

bool address_is_ipv4(const uint8_t addr[16])
{
	return memcmp(addr, ipv4_mapped, sizeof(ipv4_mapped)) == 0;
}

const char *address_format(const uint8_t addr[16], char *text)
{
	if (address_is_ipv4(addr))
		return inet_ntop(AF_INET, addr + 12, text, ADDRESS_TEXT_SIZE);
	return inet_ntop(AF_INET6, addr, text, ADDRESS_TEXT_SIZE);
}

const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

int fail(int err, char *error, size_t error_size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(error, error_size, format, args);
	va_end(args);
	return err;
}
