/* SPDX-License-Identifier: GPL-2.0-only */
/* udp.h - one UDP socket for both families, that knows to which of the host's
 * addresses a datagram came and from which one it leaves: the path that QUIC
 * validates. IPv4 addresses are mapped ones (::ffff:192.0.2.1) throughout. */
#ifndef PEERS_QUIC_UDP_H
#define PEERS_QUIC_UDP_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct udp_path {
	struct sockaddr_in6 local, remote;
};

/* Bind to address, where all zeros is every address of both families. The socket, or
 * -errno and a sentence in error. */
int udp_open(const uint8_t address[16], uint16_t port, char *error, size_t error_size);

/* The next datagram into buffer; its length, -EAGAIN if there is none, or -errno. */
ssize_t udp_receive(int fd, uint16_t port, uint8_t *buffer, size_t size, struct udp_path *ret_path);

/* 0 or -errno. Never waits; a datagram that was not sent is lost, as any may be. */
int udp_send(int fd, const struct sockaddr_in6 *local, const struct sockaddr_in6 *remote,
	     const uint8_t *bytes, size_t len);

#endif
