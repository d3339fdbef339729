/* SPDX-License-Identifier: GPL-2.0-only */
/* icmp_error.h - which errors of a socket tell what became of an earlier datagram. */
#ifndef RINGWAY_UTIL_ICMP_ERROR_H
#define RINGWAY_UTIL_ICMP_ERROR_H

#include <errno.h>
#include <stdbool.h>

/* May this errno be what somebody on the way said, by ICMP, of an earlier datagram? */
static inline bool icmp_error_is(int err)
{
	switch (err) {
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETUNREACH:
	case ENONET:
	case ENOPROTOOPT:
	case EACCES:
	case EPROTO: return true;
	default: return false;
	}
}

#endif
