/* SPDX-License-Identifier: GPL-2.0-only */
/* config_value.c - names, paths, addresses and keys, from and to text.
 *
 * Names and paths are printable ASCII, so that logs, metrics and this program's
 * own output need no escaping beyond quotes. */
#include "config/config_value.h"

#include <string.h>

#include "config/config.h"
#include "util/number.h"

#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define HEX_DIGITS	   "0123456789abcdefABCDEF"

static const char *text_store(const struct schema_field *field, const char *text, char *value)
{
	if (strlen(text) >= field->size)
		return "is too long";
	strcpy(value, text);
	return NULL;
}

static bool text_is_printable(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

/* As a plain word where that is one to every reader of YAML, else in quotes. */
static bool text_format(const struct schema_field *field, const void *value, char *text,
			size_t text_size)
{
	const char *from = value;
	size_t len = 0;

	(void)field;
	if (strspn(from, LETTERS_AND_DIGITS "/._-") == strlen(from) && from[0] != '-') {
		(void)snprintf(text, text_size, "%s", from);
		return true;
	}
	text[len++] = '"';
	for (; *from && len + 4 < text_size; from++) {
		if (*from == '"' || *from == '\\')
			text[len++] = '\\';
		text[len++] = *from;
	}
	text[len++] = '"';
	text[len] = 0;
	return true;
}

static const char *name_parse(const struct schema_field *field, const char *text, void *value)
{
	if (!strchr(LETTERS_AND_DIGITS, text[0]))
		return "does not begin with a letter or digit";
	if (strspn(text, LETTERS_AND_DIGITS "._-") != strlen(text))
		return "has other characters";
	return text_store(field, text, value);
}

static void name_describe(const struct schema_field *field, char *text, size_t text_size)
{
	(void)snprintf(text, text_size, "a name of at most %zu letters, digits, '.', '_' and '-'",
		       field->size - 1);
}

const struct schema_scalar config_value_name = {
	.parse = name_parse,
	.format = text_format,
	.describe = name_describe,
};

/* The kernel's rule (dev_valid_name()), within ASCII. */
static const char *interface_parse(const struct schema_field *field, const char *text, void *value)
{
	if (!text_is_printable(text) || strpbrk(text, "/: ") || strcmp(text, ".") == 0 ||
	    strcmp(text, "..") == 0)
		return "cannot be an interface";
	return text_store(field, text, value);
}

static void interface_describe(const struct schema_field *field, char *text, size_t text_size)
{
	(void)snprintf(text, text_size, "an interface's name of at most %zu characters",
		       field->size - 1);
}

const struct schema_scalar config_value_interface = {
	.parse = interface_parse,
	.format = text_format,
	.describe = interface_describe,
};

static const char *path_parse(const struct schema_field *field, const char *text, void *value)
{
	if (text[0] != '/')
		return "does not begin with /";
	if (!text_is_printable(text))
		return "has characters that cannot be printed";
	return text_store(field, text, value);
}

static void path_describe(const struct schema_field *field, char *text, size_t text_size)
{
	(void)snprintf(text, text_size, "an absolute path of at most %zu bytes", field->size - 1);
}

const struct schema_scalar config_value_path = {
	.parse = path_parse,
	.format = text_format,
	.describe = path_describe,
};

/* Addresses that no engine forwards to; bits are those of the 16 bytes. */
static const struct {
	const char *complaint;
	uint8_t prefix[16];
	unsigned int bits;
} unusable[] = {
	{ "is unspecified", { 0 }, 128 },
	{ "is unspecified", { [10] = 0xff, 0xff, 0 }, 104 },
	{ "is multicast", { 0xff }, 8 },
	{ "is multicast", { [10] = 0xff, 0xff, 224 }, 100 },
	{ "is reserved or broadcast", { [10] = 0xff, 0xff, 240 }, 100 },
	{ "is link-local", { 0xfe, 0x80 }, 10 },
};

static bool address_is_in(const uint8_t addr[16], const uint8_t prefix[16], unsigned int bits)
{
	uint8_t mask = (uint8_t)(0xff00 >> bits % 8);

	return memcmp(addr, prefix, bits / 8) == 0 &&
	       (bits % 8 == 0 || ((addr[bits / 8] ^ prefix[bits / 8]) & mask) == 0);
}

bool config_address_is_loopback(const uint8_t addr[16])
{
	static const uint8_t ipv6[16] = { [15] = 1 }, ipv4[16] = { [10] = 0xff, 0xff, 127 };

	return address_is_in(addr, ipv6, 128) || address_is_in(addr, ipv4, 104);
}

static const char *unicast_parse(const char *text, uint8_t addr[16])
{
	if (!address_parse(text, addr))
		return "is not an address";
	if (address_is_ipv4(addr) && strchr(text, ':'))
		return "is IPv4 written as IPv6";
	for (size_t i = 0; i < sizeof(unusable) / sizeof(unusable[0]); i++)
		if (address_is_in(addr, unusable[i].prefix, unusable[i].bits))
			return unusable[i].complaint;
	return NULL;
}

static const char *addresses_parse(const struct schema_field *field, const char *text, void *value)
{
	struct table_endpoint *endpoint = value;
	enum family family;
	uint8_t addr[16];
	const char *complaint = unicast_parse(text, addr);

	(void)field;
	if (complaint)
		return complaint;
	family = address_is_ipv4(addr) ? FAMILY_IPV4 : FAMILY_IPV6;
	if (endpoint->present[family])
		return "is a second one of its family";
	endpoint->present[family] = true;
	memcpy(endpoint->addr[family], addr, sizeof(addr));
	return NULL;
}

/* All items at once. IPv6 is quoted because a colon means much in YAML. */
static bool addresses_format(const struct schema_field *field, const void *value, char *text,
			     size_t text_size)
{
	const struct table_endpoint *endpoint = value;
	char address[ADDRESS_TEXT_SIZE];
	size_t len = 0;

	(void)field;
	text[0] = 0;
	if (endpoint->present[FAMILY_IPV4])
		len += (size_t)snprintf(text, text_size, "%s%s",
					address_format(endpoint->addr[FAMILY_IPV4], address),
					endpoint->present[FAMILY_IPV6] ? ", " : "");
	if (endpoint->present[FAMILY_IPV6])
		(void)snprintf(text + len, text_size - len, "\"%s\"",
			       address_format(endpoint->addr[FAMILY_IPV6], address));
	return true;
}

static void addresses_describe(const struct schema_field *field, char *text, size_t text_size)
{
	(void)field;
	(void)snprintf(text, text_size, "a unicast address, at most one of IPv4 and one of IPv6");
}

const struct schema_scalar config_value_addresses = {
	.parse = addresses_parse,
	.format = addresses_format,
	.describe = addresses_describe,
};

static const char *source_parse(const struct schema_field *field, const char *text, void *value)
{
	struct socket_source source;
	const char *complaint = unicast_parse(text, source.addr);

	(void)field;
	if (!complaint)
		*(struct socket_source *)value = source;
	return complaint;
}

static bool source_format(const struct schema_field *field, const void *value, char *text,
			  size_t text_size)
{
	const struct socket_source *source = value;
	char address[ADDRESS_TEXT_SIZE];

	(void)field;
	(void)snprintf(text, text_size, "\"%s\"", address_format(source->addr, address));
	return true;
}

static void source_describe(const struct schema_field *field, char *text, size_t text_size)
{
	(void)field;
	(void)snprintf(text, text_size, "a unicast address");
}

const struct schema_scalar config_value_source = {
	.parse = source_parse,
	.format = source_format,
	.describe = source_describe,
};

static const char *key_parse(const char *text, uint8_t *key, size_t size, bool *ret_present)
{
	if (!number_hex_parse(text, key, size))
		return strspn(text, HEX_DIGITS) == strlen(text) ? "has the wrong length"
								: "is not hexadecimal";
	*ret_present = true;
	return NULL;
}

static void hex_format(const uint8_t *bytes, size_t count, char *text, size_t text_size)
{
	size_t len = 0;

	text[0] = 0;
	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(text + len, text_size - len, "%02x", bytes[i]);
}

static void key_describe(const struct schema_field *field, char *text, size_t text_size)
{
	(void)snprintf(text, text_size, "%zu hexadecimal digits", 2 * field->size);
}

static const char *hash_key_parse(const struct schema_field *field, const char *text, void *value)
{
	struct config *config = (struct config *)((char *)value - field->offset);

	return key_parse(text, config->hash_key, sizeof(config->hash_key), &config->has_hash_key);
}

static bool hash_key_format(const struct schema_field *field, const void *value, char *text,
			    size_t text_size)
{
	const struct config *config = (const struct config *)((const char *)value - field->offset);

	hex_format(config->hash_key, sizeof(config->hash_key), text, text_size);
	return config->has_hash_key;
}

const struct schema_scalar config_value_hash_key = {
	.parse = hash_key_parse,
	.format = hash_key_format,
	.describe = key_describe,
};

static const char *quic_lb_key_parse(const struct schema_field *field, const char *text,
				     void *value)
{
	struct config_quic_lb *quic_lb = (struct config_quic_lb *)((char *)value - field->offset);

	return key_parse(text, quic_lb->codec.key, sizeof(quic_lb->codec.key),
			 &quic_lb->codec.has_key);
}

static bool quic_lb_key_format(const struct schema_field *field, const void *value, char *text,
			       size_t text_size)
{
	const struct config_quic_lb *quic_lb =
		(const struct config_quic_lb *)((const char *)value - field->offset);

	hex_format(quic_lb->codec.key, sizeof(quic_lb->codec.key), text, text_size);
	return quic_lb->codec.has_key;
}

const struct schema_scalar config_value_quic_lb_key = {
	.parse = quic_lb_key_parse,
	.format = quic_lb_key_format,
	.describe = key_describe,
};

/* 1 to size_max bytes of hex digits. */
static const char *hex_parse(const char *text, uint8_t *bytes, size_t size_max, uint8_t *ret_len)
{
	size_t len = strlen(text);

	if (strspn(text, HEX_DIGITS) != len)
		return "is not hexadecimal";
	if (len % 2)
		return "has half a byte at its end";
	if (len / 2 > size_max)
		return "is too long";
	(void)number_hex_parse(text, bytes, len / 2);
	*ret_len = (uint8_t)(len / 2);
	return NULL;
}

static const char *server_id_parse(const struct schema_field *field, const char *text, void *value)
{
	struct config_server_id *id = (struct config_server_id *)((char *)value - field->offset);

	return hex_parse(text, id->id, sizeof(id->id), &id->len);
}

static bool server_id_format(const struct schema_field *field, const void *value, char *text,
			     size_t text_size)
{
	const struct config_server_id *id =
		(const struct config_server_id *)((const char *)value - field->offset);

	hex_format(id->id, id->len, text, text_size);
	return id->len > 0;
}

static void server_id_describe(const struct schema_field *field, char *text, size_t text_size)
{
	(void)snprintf(text, text_size, "2 to %zu hexadecimal digits, two a byte", 2 * field->size);
}

const struct schema_scalar config_value_server_id = {
	.parse = server_id_parse,
	.format = server_id_format,
	.describe = server_id_describe,
};

static const char *bytes_parse(const struct schema_field *field, const char *text, void *value)
{
	struct config_bytes *bytes = value;

	(void)field;
	return hex_parse(text, bytes->bytes, sizeof(bytes->bytes), &bytes->len);
}

static bool bytes_format(const struct schema_field *field, const void *value, char *text,
			 size_t text_size)
{
	const struct config_bytes *bytes = value;

	(void)field;
	hex_format(bytes->bytes, bytes->len, text, text_size);
	return bytes->len > 0;
}

static void bytes_describe(const struct schema_field *field, char *text, size_t text_size)
{
	(void)field;
	(void)snprintf(text, text_size, "2 to %zu hexadecimal digits, two a byte",
		       2 * sizeof(((struct config_bytes *)0)->bytes));
}

const struct schema_scalar config_value_bytes = {
	.parse = bytes_parse,
	.format = bytes_format,
	.describe = bytes_describe,
};
