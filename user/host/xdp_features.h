/* SPDX-License-Identifier: GPL-2.0-only */
/* xdp_features.h - what an interface can do with frames of XDP, as far as the kernel
 * tells: since Linux 6.3. Control. */
#ifndef RINGWAY_HOST_XDP_FEATURES_H
#define RINGWAY_HOST_XDP_FEATURES_H

#include "host/host.h"

/* Does the interface take frames that XDP redirects to it? Some do only while they have
 * an XDP program of their own: ask afterwards. 0, also where the kernel does not say, or
 * -EOPNOTSUPP or another negative errno and a sentence in error[]. */
int xdp_features_check_redirect(const char *ifname, const struct host_link *link, char *error,
				size_t error_size);

#endif
