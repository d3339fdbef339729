/* SPDX-License-Identifier: GPL-2.0-only */
/* config_value.h - the kinds of value that only ringway's configuration has. */
#ifndef RINGWAY_CONFIG_CONFIG_VALUE_H
#define RINGWAY_CONFIG_CONFIG_VALUE_H

#include "config/schema.h"

extern const struct schema_scalar config_value_name;	    /* of a service or backend: char[] */
extern const struct schema_scalar config_value_interface;   /* char[IFNAMSIZ] */
extern const struct schema_scalar config_value_path;	    /* char[] */
extern const struct schema_scalar config_value_addresses;   /* items of a table_endpoint */
extern const struct schema_scalar config_value_source;	    /* a struct socket_source */
extern const struct schema_scalar config_value_hash_key;    /* of a struct config */
extern const struct schema_scalar config_value_quic_lb_key; /* of a struct config_quic_lb */
extern const struct schema_scalar config_value_server_id;   /* of a struct config_server_id */
extern const struct schema_scalar config_value_bytes;	    /* a struct config_bytes */

/* 127.0.0.0/8 or ::1: what no interface receives, and only sockets may use. */
bool config_address_is_loopback(const uint8_t addr[16]);

#endif
