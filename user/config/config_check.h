/* SPDX-License-Identifier: GPL-2.0-only */
/* config_check.h - what the values of a configuration must be to each other. */
#ifndef RINGWAY_CONFIG_CONFIG_CHECK_H
#define RINGWAY_CONFIG_CONFIG_CHECK_H

#include "config/config.h"
#include "config/schema.h"

/* Fill the defaults that depend on other values, then add a mistake to the reader
 * for whatever does not fit together. Values that are mistaken by themselves are
 * left out, so that one slip is one message. 0 or -ENOMEM. Control. */
int config_check(struct config *config, struct schema_reader *reader);

/* Parts of it. What the engine needs, and what it cannot use. */
void config_check_engine(const struct config *config, struct schema_reader *reader);

/* Names, addresses and ports that are there twice. 0 or -ENOMEM. */
int config_check_twice(const struct config *config, struct schema_reader *reader);

/* What the mode and protocol of a service allow, and its QUIC-LB ids; fills in
 * whether it discovers. 0 or -ENOMEM. */
int config_check_services(struct config *config, struct schema_reader *reader);

#endif
