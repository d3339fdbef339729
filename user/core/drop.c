/* SPDX-License-Identifier: GPL-2.0-only */
#include "drop.h"

static const struct {
	const char *name, *meaning;
} reasons[DROP_REASON_COUNT] = {
#define X(constant, name, meaning) [DROP_##constant] = { name, meaning },
	DROP_REASONS(X)
#undef X
};

const char *drop_reason_name(enum drop_reason reason)
{
	return reasons[reason].name;
}

const char *drop_reason_meaning(enum drop_reason reason)
{
	return reasons[reason].meaning;
}
