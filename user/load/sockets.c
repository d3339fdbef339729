/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ringway/load_frame.h"
#include "util/clock.h"
#include "util/icmp_error.h"
#include "util/number.h"

/* The kernel's limits on one message (UDP_MAX_SEGMENTS, the length of UDP). */
#define SEGMENTS_MAX	  64
#define MESSAGE_BYTES_MAX 65000

/* A socket buffer that is full for so long: have a look at the clock. */
#define SEND_TIMEOUT_US 50000

#define FDS_SPARE 64

/* More than there are datagrams under way of which the network may have said something. */
#define REFUSAL_COUNT_MAX 1000

_Static_assert(IP_PMTUDISC_DO == IPV6_PMTUDISC_DO, "one number for both");

_Static_assert(LOAD_BURST_MAX <= SEGMENTS_MAX, "a burst may be one message");

struct datagram {
	uint8_t payload[LOAD_FRAME_LEN_MAX];
	uint64_t flow;
	uint32_t len;
};

/* Segments of one flow, all of one size but the last, which may be shorter. */
struct message {
	struct msghdr header;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(uint16_t))];
	} control;
};

struct sockets {
	int *fds; /* by flow */
	uint32_t count;
	uint32_t refusals; /* since a datagram was sent */
	bool has_segments;
	uint64_t calls;
	struct datagram burst[LOAD_BURST_MAX];
	struct iovec parts[LOAD_BURST_MAX];
	struct message messages[LOAD_BURST_MAX];
	struct mmsghdr calls_of[LOAD_BURST_MAX];
};

static void sockets_close(struct sockets *sockets)
{
	if (!sockets)
		return;
	for (uint32_t i = 0; i < sockets->count; i++)
		(void)close(sockets->fds[i]);
	free(sockets->fds);
	free(sockets);
}

/* One family does for both: an IPv4 address is mapped. */
static int socket_open(const struct load_run *run, const struct sockaddr_in6 *from)
{
	const struct endpoint *to = &run->config->shape.to;
	const struct timeval timeout = { .tv_usec = SEND_TIMEOUT_US };
	struct sockaddr_in6 name = { .sin6_family = AF_INET6, .sin6_port = htons(to->port) };
	const char *ifname = run->config->ifname;
	const int no_fragments = IP_PMTUDISC_DO; /* RFC 9000 section 14 */
	int err, fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	memcpy(&name.sin6_addr, to->addr, sizeof(to->addr));
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ifname, (socklen_t)strlen(ifname) + 1) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(fd, SOL_IP, IP_MTU_DISCOVER, &no_fragments, sizeof(no_fragments)) ||
	    setsockopt(fd, SOL_IPV6, IPV6_MTU_DISCOVER, &no_fragments, sizeof(no_fragments)) ||
	    bind(fd, (const struct sockaddr *)from, sizeof(*from)) ||
	    connect(fd, (const struct sockaddr *)&name, sizeof(name))) {
		err = -errno;
		(void)close(fd);
		return err;
	}
	return fd;
}

static void flow_source(const struct load_run *run, uint64_t flow, struct sockaddr_in6 *ret_from)
{
	struct load_varying varying;

	load_vary_source(&run->template->plan, flow, &varying);
	*ret_from = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = varying.port_be };
	memcpy(&ret_from->sin6_addr, run->path->from, 16);
	memcpy((uint8_t *)&ret_from->sin6_addr + 12, &varying.address_be, 4);
}

static int fd_limit_raise(uint64_t flows)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -errno;
	if (limit.rlim_cur >= flows + FDS_SPARE)
		return 0;
	limit.rlim_cur = flows + FDS_SPARE;
	return setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
}

static int sockets_open(const struct load_run *run, struct sockets *sockets, char *error,
			size_t error_size)
{
	uint64_t flows = load_template_flows(&run->template->plan);
	int err;

	if (flows > LOAD_SOCKET_COUNT_MAX)
		return fail(-EINVAL, error, error_size,
			    "%llu flows would take as many sockets, and %u are the most: choose "
			    "fewer --flows, or another --by",
			    (unsigned long long)flows, LOAD_SOCKET_COUNT_MAX);
	err = fd_limit_raise(flows);
	if (err)
		return fail(err, error, error_size, "room for %llu sockets: %s (ulimit -Hn)",
			    (unsigned long long)flows, strerror(-err));
	sockets->fds = calloc(flows, sizeof(*sockets->fds));
	if (!sockets->fds)
		return fail(-ENOMEM, error, error_size, "no memory for sockets");
	for (; sockets->count < flows; sockets->count++) {
		char text[ENDPOINT_TEXT_SIZE];
		struct sockaddr_in6 from;
		int fd;

		flow_source(run, sockets->count, &from);
		fd = socket_open(run, &from);
		if (fd < 0)
			return fail(fd, error, error_size, "a socket for flow %u from %s: %s",
				    sockets->count,
				    endpoint_format((const uint8_t *)&from.sin6_addr,
						    ntohs(from.sin6_port), text),
				    fd == -EADDRNOTAVAIL ? "not an address of this host (see "
							   "--from, --flows and --ports)"
							 : strerror(-fd));
		sockets->fds[sockets->count] = fd;
	}
	return 0;
}

/* How many of the datagrams from `first` on make one message. */
static uint32_t segments_count(const struct sockets *sockets, uint32_t first, uint32_t end)
{
	const struct datagram *burst = sockets->burst;
	uint32_t last = first, size = burst[first].len, bytes = size;

	while (sockets->has_segments && size && last + 1 < end && burst[last].len == size &&
	       burst[last + 1].flow == burst[first].flow && burst[last + 1].len <= size &&
	       burst[last + 1].len && bytes + burst[last + 1].len <= MESSAGE_BYTES_MAX)
		bytes += burst[++last].len;
	return last + 1 - first;
}

static void message_build(struct sockets *sockets, uint32_t first, uint32_t count,
			  struct mmsghdr *ret_call)
{
	struct message *message = &sockets->messages[first];
	struct cmsghdr *control = &message->control.align;
	uint16_t size = (uint16_t)sockets->burst[first].len;

	for (uint32_t i = first; i < first + count; i++)
		sockets->parts[i] =
			(struct iovec){ sockets->burst[i].payload, sockets->burst[i].len };
	message->header = (struct msghdr){ .msg_iov = &sockets->parts[first], .msg_iovlen = count };
	if (count > 1) {
		message->header.msg_control = &message->control;
		message->header.msg_controllen = sizeof(message->control);
		control->cmsg_level = SOL_UDP;
		control->cmsg_type = UDP_SEGMENT;
		control->cmsg_len = CMSG_LEN(sizeof(size));
		memcpy(CMSG_DATA(control), &size, sizeof(size));
	}
	*ret_call = (struct mmsghdr){ .msg_hdr = message->header };
}

/* How many of the datagrams from `first` on went, by one call: those of the first flow.
 * A negative errno, which may pass. */
static int flow_send(struct sockets *sockets, uint32_t first, uint32_t end)
{
	uint64_t flow = sockets->burst[first].flow;
	uint32_t messages = 0, next = first;
	int taken, sent = 0;

	while (next < end && sockets->burst[next].flow == flow) {
		uint32_t count = segments_count(sockets, next, end);

		message_build(sockets, next, count, &sockets->calls_of[messages++]);
		next += count;
	}
	taken = sendmmsg(sockets->fds[flow], sockets->calls_of, messages, 0);
	if (taken < 0)
		return -errno;
	sockets->calls++;
	for (int i = 0; i < taken; i++)
		sent += (int)sockets->calls_of[i].msg_hdr.msg_iovlen;
	return sent;
}

/* 0: try again. What the network says of datagrams before, by ICMP, is not this one's
 * failure; what is said again and again is. */
static int failure_judge(struct sockets *sockets, int err)
{
	if (icmp_error_is(-err))
		return ++sockets->refusals < REFUSAL_COUNT_MAX ? 0 : err;
	switch (err) {
	case -EAGAIN:
	case -EINTR:
	case -ENOBUFS: return 0;
	case -EIO:
	case -EINVAL: /* the interface, or its kernel, cannot segment */
		if (!sockets->has_segments)
			return err;
		sockets->has_segments = false;
		return 0;
	default: return err;
	}
}

static int burst_send(struct load_run *run, struct sockets *sockets, uint32_t count)
{
	uint64_t now = clock_ns();
	uint32_t done = 0;

	for (uint32_t i = 0; i < count; i++)
		sockets->burst[i].len =
			load_run_payload(run, run->sent + i, now, sockets->burst[i].payload,
					 &sockets->burst[i].flow);
	while (done < count && !load_run_is_over(run)) {
		int sent = flow_send(sockets, done, count);

		if (sent < 0) {
			int err = failure_judge(sockets, sent);

			if (err)
				return err;
			continue;
		}
		sockets->refusals = 0;
		load_run_count(run, (uint64_t)sent);
		done += (uint32_t)sent;
	}
	return 0;
}

int load_sockets_send(struct load_run *run, struct load_source_result *ret_result, char *error,
		      size_t error_size)
{
	struct sockets *sockets = calloc(1, sizeof(*sockets));
	uint32_t due;
	int err;

	if (!sockets)
		return fail(-ENOMEM, error, error_size, "no memory for sockets");
	sockets->has_segments = true;
	err = sockets_open(run, sockets, error, error_size);
	if (err)
		goto out;
	load_run_signals_block(run);
	run->progress = &run->sent;
	load_run_begin(run);
	while (!err && (due = load_run_wait(run, LOAD_BURST_MAX)) > 0)
		err = burst_send(run, sockets, due);
	load_run_end(run);
	if (err)
		(void)fail(err, error, error_size, "sending: %s", strerror(-err));
	load_run_result(run, ret_result);
	ret_result->calls = sockets->calls;
out:
	sockets_close(sockets);
	return err;
}
