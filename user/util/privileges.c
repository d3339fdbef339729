/* SPDX-License-Identifier: GPL-2.0-only */
#include "util/privileges.h"

#include <assert.h>
#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <sys/prctl.h>

int privileges_drop(const unsigned int *kept, size_t kept_count)
{
	/* Without it (under the unit) the bounding set is the supervisor's to narrow. */
	const bool may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	bool have[CAP_LAST_CAP + 1];

	assert(kept_count <= CAP_LAST_CAP);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	for (size_t i = 0; i < kept_count; i++)
		have[i] = capng_have_capability(CAPNG_PERMITTED, kept[i]);
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < kept_count; i++)
		if (have[i])
			(void)capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, kept[i]);
	return capng_apply(may_bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) ? -EPERM : 0;
}
