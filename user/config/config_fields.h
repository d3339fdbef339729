/* SPDX-License-Identifier: GPL-2.0-only */
/* config_fields.h - the table of keys of struct config. */
#ifndef RINGWAY_CONFIG_CONFIG_FIELDS_H
#define RINGWAY_CONFIG_CONFIG_FIELDS_H

#include "config/schema.h"

extern const struct schema_field config_fields[];

#endif
