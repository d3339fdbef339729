/* SPDX-License-Identifier: GPL-2.0-only */
#include "health/health_probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/number.h"

enum {
	/* Of one health_probe_read(): a flood of wrong answers must not hold it up. */
	ANSWER_COUNT_MAX = 8,
	/* No more of an answer is looked at. */
	ANSWER_SIZE = 2048,
};

static int sockaddr_connect(int fd, const uint8_t addr[16], uint16_t port_be)
{
	struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6, .sin6_port = port_be };
	struct sockaddr_in ipv4 = { .sin_family = AF_INET, .sin_port = port_be };
	int err;

	if (address_is_ipv4(addr)) {
		memcpy(&ipv4.sin_addr, addr + 12, 4);
		err = connect(fd, (const struct sockaddr *)&ipv4, sizeof(ipv4));
	} else {
		memcpy(&ipv6.sin6_addr, addr, 16);
		err = connect(fd, (const struct sockaddr *)&ipv6, sizeof(ipv6));
	}
	return err ? -errno : 0;
}

static int option_set(int fd, int level, int option, const void *value, socklen_t value_size)
{
	return setsockopt(fd, level, option, value, value_size) ? -errno : 0;
}

static int tcp_ask(int fd, const uint8_t addr[16], uint16_t port_be)
{
	/* close() then resets the connection, and neither side has to remember it. */
	const struct linger reset = { .l_onoff = 1 };
	int err = option_set(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));

	return err ? err : sockaddr_connect(fd, addr, port_be);
}

static int quic_send(struct health_probe *probe)
{
	uint8_t random[20], datagram[HEALTH_QUIC_DATAGRAM_SIZE];

	if (getrandom(random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		return -EAGAIN; /* so early after the boot */
	health_quic_init(&probe->quic, random);
	health_quic_write(&probe->quic, datagram);
	return send(probe->fd, datagram, sizeof(datagram), 0) < 0 ? -errno : 0;
}

static int udp_ask(struct health_probe *probe, const struct health_settings *settings,
		   const uint8_t addr[16], uint16_t port_be)
{
	const int on = 1;
	bool is_ipv4 = address_is_ipv4(addr);
	/* Without it, only ICMP's port unreachable reaches a UDP socket. */
	int err = option_set(probe->fd, is_ipv4 ? IPPROTO_IP : IPPROTO_IPV6,
			     is_ipv4 ? IP_RECVERR : IPV6_RECVERR, &on, sizeof(on));

	if (!err)
		err = sockaddr_connect(probe->fd, addr, port_be);
	if (err)
		return err;
	if (settings->kind == HEALTH_QUIC)
		return quic_send(probe);
	return send(probe->fd, settings->payload, settings->payload_len, 0) < 0 ? -errno : 0;
}

int health_probe_open(struct health_probe *probe, const struct health_settings *settings,
		      const uint8_t addr[16], uint16_t port_be)
{
	bool is_tcp = settings->kind == HEALTH_TCP;
	int err;

	memset(probe, 0, sizeof(*probe));
	probe->fd = socket(address_is_ipv4(addr) ? AF_INET : AF_INET6,
			   (is_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe->fd < 0)
		return -errno;
	err = is_tcp ? tcp_ask(probe->fd, addr, port_be) : udp_ask(probe, settings, addr, port_be);
	if (!err || err == -EINPROGRESS)
		return -EINPROGRESS;
	health_probe_close(probe);
	return err;
}

uint32_t health_probe_events(const struct health_settings *settings)
{
	return settings->kind == HEALTH_TCP ? EPOLLOUT : EPOLLIN;
}

static int tcp_read(const struct health_probe *probe)
{
	struct sockaddr_storage peer;
	socklen_t peer_size = sizeof(peer), err_size = sizeof(int);
	int err;

	if (getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &err, &err_size))
		return -errno;
	if (err)
		return -err;
	return getpeername(probe->fd, (struct sockaddr *)&peer, &peer_size) ? -EINPROGRESS : 0;
}

static bool is_answer(const struct health_probe *probe, const struct health_settings *settings,
		      const uint8_t *datagram, size_t len)
{
	if (settings->kind == HEALTH_QUIC)
		return health_quic_answers(&probe->quic, datagram, len);
	return len >= settings->expected_len &&
	       (!settings->expected_len ||
		!memcmp(datagram, settings->expected, settings->expected_len));
}

/* What is no answer does not end the probe: anyone may have sent it. */
static int udp_read(struct health_probe *probe, const struct health_settings *settings)
{
	uint8_t datagram[ANSWER_SIZE];

	for (int i = 0; i < ANSWER_COUNT_MAX; i++) {
		ssize_t len = recv(probe->fd, datagram, sizeof(datagram), 0);

		if (len < 0)
			return errno == EAGAIN || errno == EINTR ? -EINPROGRESS : -errno;
		if (is_answer(probe, settings, datagram, (size_t)len))
			return 0;
		probe->has_other_answer = true;
	}
	return -EINPROGRESS;
}

int health_probe_read(struct health_probe *probe, const struct health_settings *settings)
{
	return settings->kind == HEALTH_TCP ? tcp_read(probe) : udp_read(probe, settings);
}

int health_probe_expire(const struct health_probe *probe, const struct health_settings *settings)
{
	if (probe->has_other_answer)
		return -EBADMSG;
	return settings->kind == HEALTH_UDP && !settings->expected_len ? 0 : -ETIMEDOUT;
}

void health_probe_close(struct health_probe *probe)
{
	(void)close(probe->fd);
	probe->fd = -1;
}

bool health_probe_is_local(int result)
{
	switch (-result) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case ENOSPC:	    /* of epoll: more than max_user_watches */
	case EAGAIN:	    /* no free port, no room to send, no random numbers yet */
	case EADDRNOTAVAIL: /* no free port, no address of this family */
	case EAFNOSUPPORT:
	case EPERM: return true; /* a packet filter of this host */
	default: return false;
	}
}

void health_probe_reason(int result, const struct health_settings *settings, char *text,
			 size_t text_size)
{
	const char *sentence = strerror(-result);

	switch (-result) {
	case ETIMEDOUT:
		(void)snprintf(text, text_size, "no answer in %u ms", settings->timeout_ms);
		return;
	case EBADMSG: sentence = "answered something else"; break;
	case ECONNREFUSED:
		sentence = settings->kind == HEALTH_TCP ? "connection refused" : "port unreachable";
		break;
	default: break;
	}
	(void)snprintf(text, text_size, "%s%s", health_probe_is_local(result) ? "not probed: " : "",
		       sentence);
}
