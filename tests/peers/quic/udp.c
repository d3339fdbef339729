/* SPDX-License-Identifier: GPL-2.0-only */
#include "udp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/number.h"

/* A burst of 200 clients' datagrams must fit while one of them is being answered. */
#define SOCKET_BUFFER_BYTES (4 << 20)

union pktinfo_buffer {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

static int option_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

/* QUIC wants datagrams that are never cut (RFC 9000 section 14). */
static int options_set(int fd)
{
	(void)option_set(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER_BYTES);
	(void)option_set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER_BYTES);
	if (option_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) ||
	    option_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) ||
	    option_set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO) ||
	    option_set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO))
		return -errno;
	return 0;
}

int udp_open(const uint8_t address[16], uint16_t port, char *error, size_t error_size)
{
	struct sockaddr_in6 local = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	char text[ADDRESS_TEXT_SIZE];
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return fail(-errno, error, error_size, "no UDP socket: %s", strerror(errno));
	memcpy(&local.sin6_addr, address, sizeof(local.sin6_addr));
	err = options_set(fd);
	if (!err && bind(fd, (struct sockaddr *)&local, sizeof(local)))
		err = -errno;
	if (!err)
		return fd;
	(void)close(fd);
	return fail(err, error, error_size, "cannot receive on %s port %u: %s",
		    address_format(address, text), port, strerror(-err));
}

static void local_address(struct msghdr *message, struct in6_addr *ret_address)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			*ret_address = info.ipi6_addr;
		}
}

ssize_t udp_receive(int fd, uint16_t port, uint8_t *buffer, size_t size, struct udp_path *ret_path)
{
	union pktinfo_buffer control;
	struct udp_path path = {
		.local = { .sin6_family = AF_INET6, .sin6_port = htons(port) },
	};
	struct iovec iovec = { buffer, size };
	struct msghdr message = {
		.msg_name = &path.remote,
		.msg_namelen = sizeof(path.remote),
		.msg_iov = &iovec,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t len = recvmsg(fd, &message, MSG_DONTWAIT);

	if (len < 0)
		return -errno;
	local_address(&message, &path.local.sin6_addr);
	*ret_path = path;
	return len;
}

/* The interface is left to the route: only the source address is ours to say. */
int udp_send(int fd, const struct sockaddr_in6 *local, const struct sockaddr_in6 *remote,
	     const uint8_t *bytes, size_t len)
{
	union pktinfo_buffer control = { 0 };
	struct in6_pktinfo info = { .ipi6_addr = local->sin6_addr };
	struct iovec iovec = { (void *)bytes, len };
	struct msghdr message = {
		.msg_name = (void *)remote,
		.msg_namelen = sizeof(*remote),
		.msg_iov = &iovec,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = IPPROTO_IPV6;
	header->cmsg_type = IPV6_PKTINFO;
	header->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(header), &info, sizeof(info));
	return sendmsg(fd, &message, MSG_DONTWAIT) < 0 ? -errno : 0;
}
