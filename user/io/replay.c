/* SPDX-License-Identifier: GPL-2.0-only */
/* replay.c - the engine for tests and debugging: frames from a pcap file, answers
 * into another. No root, no kernel, no clock.
 *
 * Every frame came in by port 0 and is unclassified; the packets sent, whatever
 * their port, are written in order, each with the time of the record it came from.
 * The same file in gives the same file out. */
#include <assert.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "core/counter.h"
#include "io/frames.h"
#include "io/io_stats.h"
#include "util/log.h"
#include "util/number.h"

/* As in UMEM: room for an outer header in front. */
#define HEADROOM_SIZE 256

/* Of the file written: longer than any frame. */
#define SNAPLEN 65535

#define ETHERNET_HEADER_SIZE 14

struct io {
	struct frames frames;
	uint8_t *memory;
	struct timeval *times; /* by frame number */
	struct timeval now;    /* of the last record read */
	pcap_t *in, *out_format;
	pcap_dumper_t *out;
	char *in_name; /* for the log */
	bool ended;
	struct io_stats stats;
};

static void gauges_publish(struct io *io, uint64_t held)
{
	frames_check(&io->frames);
	__atomic_store_n(&io->stats.held, held, __ATOMIC_RELAXED);
	__atomic_store_n(&io->stats.free, io->frames.free_count, __ATOMIC_RELAXED);
}

/* The next record, or false at the end; a file cut short ends where it is cut. */
static bool record_read(struct io *io, struct pcap_pkthdr **ret_header, const uint8_t **ret_data)
{
	int result = pcap_next_ex(io->in, ret_header, ret_data);

	if (result == 1)
		return true;
	if (result != PCAP_ERROR_BREAK)
		log_error("cannot read the next packet of %s: %s; replaying ends here", io->in_name,
			  pcap_geterr(io->in));
	io->ended = true;
	return false;
}

/* What was captured in part cannot be forwarded whole: counted, not received. */
static bool record_fits(const struct io *io, const struct pcap_pkthdr *header)
{
	return header->caplen == header->len &&
	       header->caplen <= io->frames.frame_size - HEADROOM_SIZE;
}

static size_t replay_rx(struct io *io, struct packet *packets, size_t max)
{
	struct io_port_stats *port = &io->stats.ports[0];
	struct pcap_pkthdr *header;
	const uint8_t *data;
	size_t received = 0;

	assert(max <= BURST_MAX);
	while (received < max && io->frames.free_count && record_read(io, &header, &data)) {
		uint64_t frame;

		if (!record_fits(io, header)) {
			counter_add(&port->rx_invalid, 1);
			continue;
		}
		frame = frames_take(&io->frames, FRAMES_HELD);
		io->now = header->ts;
		io->times[frame >> io->frames.frame_shift] = io->now;
		packets[received] = (struct packet){
			.data = io->memory + frame + HEADROOM_SIZE,
			.frame = frame,
			.len = header->caplen,
			.kind = FRAME_UNCLASSIFIED,
		};
		memcpy(packets[received].data, data, header->caplen);
		received++;
	}
	counter_add(&port->received, received);
	counter_add(&io->stats.rx_calls, 1);
	if (!received)
		counter_add(&io->stats.rx_empty, 1);
	gauges_publish(io, io->stats.held + received);
	return received;
}

/* false, and said once, when the file cannot be written any more. */
static bool out_is_whole(struct io *io, bool flush)
{
	bool failed = (flush && pcap_dump_flush(io->out)) || ferror(pcap_dump_file(io->out));

	if (failed && !__atomic_load_n(&io->stats.failed, __ATOMIC_RELAXED)) {
		__atomic_store_n(&io->stats.failed, true, __ATOMIC_RELAXED);
		log_error("cannot write the packets of a replay: %s; the file is cut",
			  strerror(errno));
	}
	return !failed;
}

static bool packet_fits(const struct io *io, const struct packet *packet)
{
	uint64_t offset = (uintptr_t)packet->data - (uintptr_t)io->memory - packet->frame;

	return packet->tx_port < io->stats.port_count && packet->len >= ETHERNET_HEADER_SIZE &&
	       offset < io->frames.frame_size && packet->len <= io->frames.frame_size - offset;
}

static size_t replay_tx(struct io *io, struct packet *packets, size_t count)
{
	size_t taken = 0;

	for (size_t i = 0; i < count; i++) {
		struct packet packet = packets[i];
		struct pcap_pkthdr header = { .caplen = packet.len, .len = packet.len };

		assert(frames_owned_by(&io->frames, packet.frame, FRAMES_HELD));
		if (!packet_fits(io, &packet)) {
			counter_add(&io->stats.ports[0].tx_invalid, 1);
			continue;
		}
		header.ts = io->times[packet.frame >> io->frames.frame_shift];
		pcap_dump((u_char *)io->out, &header, packet.data);
		counter_add(&io->stats.ports[packet.tx_port].sent, 1);
		counter_add(&io->stats.ports[packet.tx_port].completed, 1);
		frames_give(&io->frames, packet.frame);
		packets[i] = packets[taken];
		packets[taken++] = packet;
	}
	if (taken)
		(void)out_is_whole(io, false);
	gauges_publish(io, io->stats.held - taken);
	return taken;
}

static size_t replay_take(struct io *io, struct packet *packets, size_t count)
{
	size_t taken = frames_lend(&io->frames, io->memory, HEADROOM_SIZE, packets, count);

	for (size_t i = 0; i < taken; i++)
		io->times[packets[i].frame >> io->frames.frame_shift] = io->now;
	gauges_publish(io, io->stats.held + taken);
	return taken;
}

static void replay_release(struct io *io, const struct packet *packets, size_t count)
{
	frames_release(&io->frames, packets, count);
	gauges_publish(io, io->stats.held - count);
}

/* There is nothing to wait for: the file is there, or it has ended. */
static bool replay_wait(struct io *io, int timeout_ms)
{
	(void)timeout_ms;
	counter_add(&io->stats.waits, 1);
	return out_is_whole(io, io->ended) && !io->ended;
}

/* Nobody sleeps, and what is sent is sent at once. */
static void replay_wake(struct io *io)
{
	(void)io;
}

static bool replay_sent_all(const struct io *io)
{
	(void)io;
	return true;
}

static void replay_stats(const struct io *io, struct io_stats *ret_stats)
{
	io_stats_read(&io->stats, ret_stats);
}

static int replay_socket(const struct io *io, uint32_t port)
{
	(void)io;
	(void)port;
	return -1;
}

static void replay_close(struct io *io)
{
	if (!io)
		return;
	if (io->out) {
		(void)out_is_whole(io, true);
		pcap_dump_close(io->out);
	}
	if (io->out_format)
		pcap_close(io->out_format);
	if (io->in)
		pcap_close(io->in);
	frames_close(&io->frames);
	free(io->memory);
	free(io->times);
	free(io->in_name);
	free(io);
}

static int memory_open(struct io *io, const struct io_config *config)
{
	int err = frames_open(&io->frames, config->frame_count, config->frame_size);

	if (err)
		return err;
	io->memory = calloc(config->frame_count, config->frame_size);
	io->times = calloc(config->frame_count, sizeof(*io->times));
	io->in_name = strdup(config->replay_in);
	return io->memory && io->times && io->in_name ? 0 : -ENOMEM;
}

static int files_open(struct io *io, const struct io_config *config, char *error, size_t error_size)
{
	char pcap_error[PCAP_ERRBUF_SIZE] = "";

	io->in = pcap_open_offline(config->replay_in, pcap_error);
	if (!io->in)
		return fail(-EINVAL, error, error_size, "cannot read packets to replay: %s",
			    pcap_error); /* names the file */
	if (pcap_datalink(io->in) != DLT_EN10MB)
		return fail(-EINVAL, error, error_size,
			    "cannot replay %s: its packets are not Ethernet frames; capture on an "
			    "Ethernet interface, not on \"any\"",
			    config->replay_in);
	io->out_format = pcap_open_dead(DLT_EN10MB, SNAPLEN);
	if (!io->out_format)
		return fail(-ENOMEM, error, error_size, "out of memory for a replay");
	io->out = pcap_dump_open(io->out_format, config->replay_out);
	if (!io->out)
		return fail(-EINVAL, error, error_size, "cannot write replayed packets: %s",
			    pcap_geterr(io->out_format)); /* names the file */
	return 0;
}

static int config_check(const struct io_config *config, char *error, size_t error_size)
{
	if (!config->replay_in || !config->replay_out)
		return fail(-EINVAL, error, error_size,
			    "replay needs two files: one to read, one to write");
	if (config->port_count < 1 || config->port_count > PORT_COUNT_MAX)
		return fail(-EINVAL, error, error_size, "%u interfaces: ringway takes 1 to %u",
			    config->port_count, PORT_COUNT_MAX);
	if (config->frame_size != 2048 && config->frame_size != 4096)
		return fail(-EINVAL, error, error_size,
			    "a frame size of %u bytes: take 2048 or 4096", config->frame_size);
	if (config->frame_count < BURST_MAX || config->frame_count > FRAME_COUNT_MAX)
		return fail(-EINVAL, error, error_size, "%u frames: take %u to %u",
			    config->frame_count, BURST_MAX, FRAME_COUNT_MAX);
	return 0;
}

static int replay_open(const struct io_config *config, struct io **ret_io, char *error,
		       size_t error_size)
{
	struct io *io;
	int err = config_check(config, error, error_size);

	if (err)
		return err;
	io = calloc(1, sizeof(*io));
	if (!io)
		return fail(-ENOMEM, error, error_size, "out of memory for a replay");
	io->stats.frames = config->frame_count;
	io->stats.port_count = config->port_count;
	for (uint32_t i = 0; i < config->port_count; i++)
		io->stats.ports[i].mode = IO_MODE_COPY;
	err = memory_open(io, config);
	if (err)
		(void)fail(err, error, error_size, "out of memory for %u frames of %u bytes",
			   config->frame_count, config->frame_size);
	else
		err = files_open(io, config, error, error_size);
	if (err) {
		replay_close(io);
		return err;
	}
	gauges_publish(io, 0);
	*ret_io = io;
	return 0;
}

const struct io_engine io_replay = {
	.name = "replay",
	.open = replay_open,
	.rx = replay_rx,
	.tx = replay_tx,
	.release = replay_release,
	.take = replay_take,
	.wait = replay_wait,
	.wake = replay_wake,
	.sent_all = replay_sent_all,
	.stats = replay_stats,
	.socket = replay_socket,
	.close = replay_close,
};
