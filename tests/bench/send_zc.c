/* SPDX-License-Identifier: GPL-2.0-only */
/* send_zc - does it pay to send UDP datagrams by io_uring without a copy?
 *
 * Bursts of one connected socket, sent by send, by send_zc, and by send_zc from memory
 * that the kernel has pinned before, take turns; a burst ends when the kernel has let go
 * of the last frame. Once over a veth whose other end discards them as they arrive, so
 * that nobody copies what send_zc has not: the best case for it. And once over lo, where
 * whoever delivers them has to. Prints nanoseconds a datagram, as the tenth percentile of
 * the rounds, and the median of their ratios to send in the same round. In a namespace of
 * its own, which takes root. */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ringway/limits.h"
#include "util/clock.h"
#include "util/options.h"

#include "../unit/test.h"

#define FRAME_SIZE	 4096 /* the larger of the engine's two */
#define HEADROOM	 64   /* which the socket engine leaves before a payload */
#define BURSTS_PER_ROUND 16
#define PORT		 4433

/* Since Linux 6.2; not in the headers of Debian 12. */
#define SEND_ZC_REPORT_USAGE  (1u << 3)
#define NOTIF_USAGE_ZC_COPIED (1u << 31)

static uint64_t rounds = 200;

static const struct option_entry entries[] = {
	{ 0, "rounds", "COUNT", "of each way and size; default 200", .number = &rounds,
	  .minimum = 1, .maximum = 100000 },
};

static const struct options options = {
	.usage = "send_zc [OPTION]...",
	.summary = "Time sends of UDP datagrams by io_uring, with a copy and without.",
	.entries = entries,
	.count = sizeof(entries) / sizeof(entries[0]),
};

enum way { SEND, SEND_ZC, SEND_ZC_PINNED, WAY_COUNT };

static const char *const way_names[] = { "send", "send_zc", "send_zc, pinned" };

static const struct {
	const char *name, *to;
} paths[] = { { "veth", "10.9.0.2" }, { "lo", "127.0.0.1" } };

static const uint32_t lens[] = { 100, 1472, FRAME_SIZE - HEADROOM };

static struct io_uring ring;
static uint8_t *frames;
static uint64_t copied; /* of those sent without, by what the kernel said */

__attribute__((noreturn)) static void die(const char *what, int err)
{
	(void)fprintf(stderr, "send_zc: %s: %s\n", what, strerror(err));
	exit(EXIT_FAILURE);
}

/* --- The network --- */

static void network_make(void)
{
	if (unshare(CLONE_NEWNET))
		die("cannot have a network namespace, which takes root", errno);
	if (system("ip link set lo up && "
		   "ip link add near mtu 9000 type veth peer name far mtu 9000 && "
		   "ip address add 10.9.0.1/24 dev near && ip link set far up && "
		   "ip link set near up && "
		   "ip neighbour add 10.9.0.2 lladdr 02:00:00:00:00:01 dev near && "
		   "nft add table netdev discard && "
		   "nft 'add chain netdev discard in { "
		   "type filter hook ingress device far priority 0; policy drop; }'"))
		die("cannot make a veth that discards, by ip and nft", EINVAL);
}

static int socket_to(const char *to)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)inet_pton(AF_INET, to, &name.sin_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)))
		die("cannot connect a socket", errno);
	return fd;
}

/* Whom lo delivers to; he never reads. */
static void receiver_bind(void)
{
	const struct sockaddr_in name = { .sin_family = AF_INET,
					  .sin_port = htons(PORT),
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&name, sizeof(name)))
		die("cannot bind a socket", errno);
}

/* --- Sending --- */

static void ring_make(void)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER |
						   IORING_SETUP_DEFER_TASKRUN };
	struct iovec memory = { .iov_len = (size_t)BURST_MAX * FRAME_SIZE };
	int err;

	frames = aligned_alloc(FRAME_SIZE, memory.iov_len);
	if (!frames)
		die("no memory", ENOMEM);
	memset(frames, 'x', memory.iov_len);
	memory.iov_base = frames;
	err = io_uring_queue_init_params(2 * BURST_MAX, &ring, &params);
	if (!err)
		err = io_uring_register_buffers(&ring, &memory, 1);
	if (err)
		die("cannot have a ring, which takes Linux 6.2", -err);
}

static void send_prepare(int fd, enum way way, const uint8_t *payload, uint32_t len)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (way == SEND)
		io_uring_prep_send(sqe, fd, payload, len, MSG_DONTWAIT);
	else if (way == SEND_ZC)
		io_uring_prep_send_zc(sqe, fd, payload, len, MSG_DONTWAIT, SEND_ZC_REPORT_USAGE);
	else
		io_uring_prep_send_zc_fixed(sqe, fd, payload, len, MSG_DONTWAIT,
					    SEND_ZC_REPORT_USAGE, 0);
}

/* Until the frames of a burst are free again: without a copy that is told afterwards. */
static void burst_send(int fd, enum way way, uint32_t len)
{
	unsigned int missing = BURST_MAX;

	for (size_t i = 0; i < BURST_MAX; i++)
		send_prepare(fd, way, frames + i * FRAME_SIZE + HEADROOM, len);
	while (missing) {
		struct io_uring_cqe *cqe;
		unsigned int head, seen = 0;

		if (io_uring_submit_and_wait(&ring, missing) < 0)
			die("cannot wait for the ring", errno);
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			seen++;
			if (cqe->flags & IORING_CQE_F_NOTIF)
				copied += ((uint32_t)cqe->res & NOTIF_USAGE_ZC_COPIED) != 0;
			else if (cqe->res != (int)len)
				die("cannot send", cqe->res < 0 ? -cqe->res : EMSGSIZE);
			missing -= !(cqe->flags & IORING_CQE_F_MORE);
		}
		io_uring_cq_advance(&ring, seen);
	}
}

/* --- Measuring --- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of count sorted values the one that a share of them, in percent, is below. */
static double percentile(double *values, uint64_t count, unsigned int percent)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count * percent / 100];
}

static double round_ns(int fd, enum way way, uint32_t len)
{
	uint64_t start_ns = clock_ns();

	for (int i = 0; i < BURSTS_PER_ROUND; i++)
		burst_send(fd, way, len);
	return (double)(clock_ns() - start_ns) / (BURSTS_PER_ROUND * BURST_MAX);
}

static void measure(const char *path, int fd, uint32_t len)
{
	double *ns[WAY_COUNT], *ratios[WAY_COUNT];
	uint64_t copies[WAY_COUNT] = { 0 };

	for (enum way way = 0; way < WAY_COUNT; way++) {
		ns[way] = calloc(rounds, sizeof(**ns));
		ratios[way] = calloc(rounds, sizeof(**ratios));
		if (!ns[way] || !ratios[way])
			die("no memory", ENOMEM);
		(void)round_ns(fd, way, len); /* to have it warm */
	}
	for (uint64_t i = 0; i < rounds; i++) {
		for (enum way way = 0; way < WAY_COUNT; way++) {
			copied = 0;
			ns[way][i] = round_ns(fd, way, len);
			ratios[way][i] = ns[way][i] / ns[SEND][i];
			copies[way] += copied;
		}
	}
	for (enum way way = 0; way < WAY_COUNT; way++) {
		(void)printf("%-5s %5u  %-16s %7.0f %6.2f  %s\n", path, len, way_names[way],
			     percentile(ns[way], rounds, 10), percentile(ratios[way], rounds, 50),
			     way == SEND || copies[way] ? "copied" : "not copied");
		free(ns[way]);
		free(ratios[way]);
	}
}

int main(int argc, char **argv)
{
	int operands, status = options_parse(&options, argc, argv, &operands);

	if (status >= 0)
		return status;
	network_make();
	receiver_bind();
	ring_make();
	(void)printf("%-5s %5s  %-16s %7s %6s\n", "path", "bytes", "way", "ns", "ratio");
	for (size_t p = 0; p < ARRAY_LEN(paths); p++) {
		int fd = socket_to(paths[p].to);

		for (size_t i = 0; i < ARRAY_LEN(lens); i++)
			measure(paths[p].name, fd, lens[i]);
		(void)close(fd);
	}
	io_uring_queue_exit(&ring);
	return options_printed(argv);
}
