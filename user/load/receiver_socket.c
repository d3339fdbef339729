/* SPDX-License-Identifier: GPL-2.0-only */
/* Receives like any program does: after the network stack, which has verified checksums
 * and reassembled fragments. Takes no privileges. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load/receiver.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/number.h"

#define WAIT_MS	     10
#define BATCH	     64
#define BATCHES_MAX  64		       /* before a look at the clock and the signals */
#define PAYLOAD_MAX  2048	       /* longer ones never come from the source */
#define BUFFER_BYTES (8 * 1024 * 1024) /* what the limit of the system makes of it */

struct message {
	uint8_t payload[PAYLOAD_MAX];
	uint8_t control[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint32_t))];
};

/* What a message's control data say. */
struct arrival {
	uint8_t to[16];	  /* as in match_key */
	uint32_t overrun; /* datagrams that the buffer had no room for, from the beginning */
};

struct load_receiver {
	const struct load_sink_config *config;
	int fd;
	uint64_t counters[LOAD_SINK_COUNTER_COUNT];
	struct load_sink_destination destinations[LOAD_SOCKET_DESTINATION_COUNT_MAX];
	size_t destination_count;
	struct load_stream *streams[LOAD_STREAM_COUNT_MAX];
	uint32_t numbers[LOAD_STREAM_COUNT_MAX]; /* of the streams */
	size_t stream_count;
	struct load_span span;
	struct load_histogram latency;
	uint8_t connections[LOAD_CONNECTION_COUNT_MAX];
	struct message messages[BATCH];
};

/* An IPv6 socket takes IPv4 too. The buffer's size is a wish, with privileges more. */
static int socket_set_up(int fd, const struct load_sink_config *config)
{
	const struct sockaddr_in6 any = { .sin6_family = AF_INET6,
					  .sin6_port = htons(config->port) };
	const int on = 1, off = 0, size = BUFFER_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, config->ifname,
		       (socklen_t)strlen(config->ifname) + 1) ||
	    bind(fd, (const struct sockaddr *)&any, sizeof(any)))
		return -errno;
	return 0;
}

static void control_read(struct msghdr *header, struct arrival *ret_arrival)
{
	struct arrival arrival = { .overrun = 0 };

	for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
		struct in6_pktinfo info;

		if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SO_RXQ_OVFL)
			memcpy(&arrival.overrun, CMSG_DATA(part), sizeof(arrival.overrun));
		if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
			memcpy(&info, CMSG_DATA(part), sizeof(info));
			memcpy(arrival.to, &info.ipi6_addr, sizeof(arrival.to));
		}
	}
	*ret_arrival = arrival;
}

static bool destination_note(struct load_receiver *receiver, const uint8_t to[16], size_t len)
{
	struct load_sink_destination *destination = receiver->destinations;
	const struct load_sink_destination *end = destination + receiver->destination_count;

	while (destination < end && memcmp(destination->endpoint.addr, to, 16) != 0)
		destination++;
	if (destination == end) {
		if (receiver->destination_count == LOAD_SOCKET_DESTINATION_COUNT_MAX)
			return false;
		memcpy(destination->endpoint.addr, to, 16);
		destination->endpoint.port = receiver->config->port;
		receiver->destination_count++;
	}
	destination->tally.datagrams++;
	destination->tally.bytes += len;
	return true;
}

static struct load_stream *stream_get(struct load_receiver *receiver, uint32_t number)
{
	size_t i = 0;

	while (i < receiver->stream_count && receiver->numbers[i] != number)
		i++;
	if (i < receiver->stream_count)
		return receiver->streams[i];
	if (i == LOAD_STREAM_COUNT_MAX)
		return NULL;
	receiver->streams[i] = calloc(1, sizeof(*receiver->streams[i]));
	if (!receiver->streams[i])
		return NULL; /* counted as untracked */
	receiver->numbers[i] = number;
	receiver->stream_count++;
	return receiver->streams[i];
}

static void latency_note(struct load_receiver *receiver, uint64_t sent_ns, uint64_t now_ns)
{
	if (!sent_ns)
		receiver->counters[LOAD_SINK_UNSTAMPED]++;
	else if (sent_ns > now_ns)
		receiver->counters[LOAD_SINK_STAMPED_LATER]++;
	else
		load_histogram_add(&receiver->latency, now_ns - sent_ns);
}

/* Of a datagram with the right hash; false if its stream has no room. */
static bool good_note(struct load_receiver *receiver, const struct load_trailer *trailer,
		      uint64_t now_ns)
{
	uint32_t number = wire_be32(trailer->stream_be), wanted = receiver->config->stream;
	uint64_t sequence = load_be64(trailer->sequence_be);
	struct load_stream *stream = stream_get(receiver, number);

	latency_note(receiver, load_be64(trailer->sent_ns_be), now_ns);
	if (receiver->config->connections && (!wanted || wanted == number))
		receiver->connections[sequence % receiver->config->connections] = 1;
	if (!stream)
		return false;
	load_stream_note(stream, &stream->seen[sequence % LOAD_WINDOW], sequence);
	return true;
}

static void datagram_note(struct load_receiver *receiver, const uint8_t *payload, size_t len,
			  const uint8_t to[16], uint64_t now_ns)
{
	struct load_trailer trailer;
	bool tracked;

	if (len < sizeof(trailer))
		return;
	memcpy(&trailer, payload + len - sizeof(trailer), sizeof(trailer));
	if (trailer.magic_be != wire_be32(LOAD_MAGIC))
		return;
	receiver->counters[LOAD_SINK_RECEIVED]++;
	receiver->counters[LOAD_SINK_BYTES] += len;
	if (!receiver->span.first_ns)
		receiver->span.first_ns = now_ns;
	receiver->span.last_ns = now_ns;
	tracked = destination_note(receiver, to, len);
	if (load_hash(payload, (uint32_t)(len - sizeof(trailer)), load_be64(trailer.sequence_be)) ==
	    load_be64(trailer.hash_be))
		tracked &= good_note(receiver, &trailer, now_ns);
	else
		receiver->counters[LOAD_SINK_BAD_HASH]++;
	if (!tracked)
		receiver->counters[LOAD_SINK_UNTRACKED]++;
}

/* How many there were. */
static int batch_take(struct load_receiver *receiver)
{
	struct mmsghdr headers[BATCH];
	struct iovec places[BATCH];
	uint64_t now_ns;
	int count;

	for (int i = 0; i < BATCH; i++) {
		struct message *message = &receiver->messages[i];

		places[i] = (struct iovec){ message->payload, sizeof(message->payload) };
		headers[i] = (struct mmsghdr){
			.msg_hdr = { .msg_iov = &places[i],
				     .msg_iovlen = 1,
				     .msg_control = message->control,
				     .msg_controllen = sizeof(message->control) },
		};
	}
	count = recvmmsg(receiver->fd, headers, BATCH, MSG_DONTWAIT, NULL);
	now_ns = clock_ns();
	for (int i = 0; i < count; i++) {
		struct arrival arrival;

		control_read(&headers[i].msg_hdr, &arrival);
		if (arrival.overrun > receiver->counters[LOAD_SINK_OVERRUN])
			receiver->counters[LOAD_SINK_OVERRUN] = arrival.overrun;
		if (!(headers[i].msg_hdr.msg_flags & MSG_TRUNC))
			datagram_note(receiver, receiver->messages[i].payload, headers[i].msg_len,
				      arrival.to, now_ns);
	}
	return count;
}

static void batches_take(struct load_receiver *receiver)
{
	for (int i = 0; i < BATCHES_MAX && batch_take(receiver) == BATCH; i++)
		;
}

static void receiver_stop(struct load_receiver *receiver)
{
	if (receiver->fd < 0)
		return;
	batches_take(receiver); /* what had come by now */
	(void)close(receiver->fd);
	receiver->fd = -1;
}

static void receiver_close(struct load_receiver *receiver)
{
	if (!receiver)
		return;
	receiver_stop(receiver);
	for (size_t i = 0; i < receiver->stream_count; i++)
		free(receiver->streams[i]);
	free(receiver);
}

static int receiver_open(const struct load_sink_config *config, struct load_receiver **ret_receiver,
			 char *error, size_t error_size)
{
	struct load_receiver *receiver = calloc(1, sizeof(*receiver));
	int err;

	if (!receiver)
		return fail(-ENOMEM, error, error_size, "out of memory");
	receiver->config = config;
	receiver->fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	err = receiver->fd < 0 ? -errno : socket_set_up(receiver->fd, config);
	if (err) {
		receiver_close(receiver);
		return fail(err, error, error_size, "a socket on %s for UDP port %u: %s",
			    config->ifname, config->port, strerror(-err));
	}
	log_info("counting on %s (a socket, UDP port %u)", config->ifname, config->port);
	*ret_receiver = receiver;
	return 0;
}

static int receiver_wait(struct load_receiver *receiver, const sigset_t *signals)
{
	static const struct timespec at_once;
	struct pollfd ready = { .fd = receiver->fd, .events = POLLIN };

	if (poll(&ready, 1, WAIT_MS) > 0)
		batches_take(receiver);
	return sigtimedwait(signals, NULL, &at_once) > 0;
}

static int counters_read(const struct load_receiver *receiver, struct load_sink_result *result)
{
	memcpy(result->counters, receiver->counters, sizeof(result->counters));
	return 0;
}

static int tallies_read(const struct load_receiver *receiver, struct load_sink_result *result)
{
	for (size_t i = 0; i < receiver->stream_count; i++)
		load_receiver_stream_set(&result->streams[i], receiver->numbers[i],
					 receiver->streams[i]);
	result->stream_count = receiver->stream_count;
	load_receiver_streams_sort(result);
	return counters_read(receiver, result);
}

static int details_read(const struct load_receiver *receiver, struct load_sink_result *result)
{
	result->destinations =
		calloc(LOAD_SOCKET_DESTINATION_COUNT_MAX, sizeof(*result->destinations));
	if (!result->destinations)
		return -ENOMEM;
	memcpy(result->destinations, receiver->destinations, sizeof(receiver->destinations));
	result->destination_count = receiver->destination_count;
	load_receiver_destinations_sort(result);
	result->latency = receiver->latency;
	result->span = receiver->span;
	return 0;
}

static const uint8_t *connections(const struct load_receiver *receiver)
{
	return receiver->connections;
}

const struct load_receiver_ops load_receiver_socket = {
	.open = receiver_open,
	.wait = receiver_wait,
	.counters_read = counters_read,
	.tallies_read = tallies_read,
	.details_read = details_read,
	.connections = connections,
	.stop = receiver_stop,
	.close = receiver_close,
};
