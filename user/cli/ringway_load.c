/* SPDX-License-Identifier: GPL-2.0-only */
/* ringway_load.c - the command line of ringway-load(8). */
#include <bpf/libbpf.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "load/summary.h"
#include "ringway/limits.h"
#include "util/number.h"

#define EXIT_MISUSE 2

enum command {
	COMMAND_SEND = 1 << 0,
	COMMAND_SINK = 1 << 1,
};

/* Numbers that were not given are 0, where that is no number to give, or the
 * default. */
struct options {
	const char *ifname, *output;
	struct load_endpoint to, from;
	uint8_t mac[6];
	enum load_kind kind;
	bool has_mac, is_echo, is_handshake, is_json;
	uint64_t count, rate, seconds, size, flows, ports, step, cids, first_cid, cid_len;
	uint64_t stream, cpu, queues, first_queue, port, connections;
};

static const char *const kind_names[] = {
#define X(constant, name, size, meaning) [LOAD_##constant] = name,
	LOAD_KINDS(X)
#undef X
};

enum value_kind {
	VALUE_NONE,
	VALUE_NUMBER,
	VALUE_NAME,
	VALUE_ENDPOINT,
	VALUE_MAC,
	VALUE_KIND,
};

struct option_row {
	const char *name, *argument;
	enum value_kind kind;
	size_t offset; /* in struct options */
	uint64_t minimum, maximum;
	unsigned int commands;
	const char *help;
};

#define AT(member) offsetof(struct options, member)
#define BOTH	   (COMMAND_SEND | COMMAND_SINK)

static const struct option_row rows[] = {
	{ "interface", "IF", VALUE_NAME, AT(ifname), 0, 0, BOTH, "send out of or count on IF" },
	{ "to", "ADDR:PORT", VALUE_ENDPOINT, AT(to), 0, 0, COMMAND_SEND,
	  "destination; [ADDR]:PORT for IPv6" },
	{ "from", "ADDR[:PORT]", VALUE_ENDPOINT, AT(from), 0, 0, COMMAND_SEND,
	  "first source (default: the kernel's, port 4096)" },
	{ "mac", "MAC", VALUE_MAC, AT(mac), 0, 0, COMMAND_SEND,
	  "next hop (default: the kernel's neighbour)" },
	{ "kind", "KIND", VALUE_KIND, AT(kind), 0, 0, COMMAND_SEND,
	  "quic-short, quic-initial, quic-handshake or udp (default)" },
	{ "size", "BYTES", VALUE_NUMBER, AT(size), 1, LOAD_FRAME_LEN_MAX, COMMAND_SEND,
	  "UDP payload (default: 1200 for quic-initial, else 100)" },
	{ "flows", "N", VALUE_NUMBER, AT(flows), 1, 100000000, COMMAND_SEND,
	  "source ports and, beyond --ports, addresses (default: 1)" },
	{ "ports", "N", VALUE_NUMBER, AT(ports), 1, LOAD_PORTS_MAX, COMMAND_SEND,
	  "source ports of an address (default: 60000)" },
	{ "step", "N", VALUE_NUMBER, AT(step), 1, 1 << 24, COMMAND_SEND,
	  "from one source address to the next (default: 1)" },
	{ "cids", "N", VALUE_NUMBER, AT(cids), 1, 1000000000, COMMAND_SEND,
	  "Connection IDs in turn (default: one a flow)" },
	{ "first-cid", "N", VALUE_NUMBER, AT(first_cid), 0, UINT32_MAX, COMMAND_SEND,
	  "number of the first Connection ID (default: 0)" },
	{ "cid-len", "BYTES", VALUE_NUMBER, AT(cid_len), 0, QUIC_CID_LEN_MAX, COMMAND_SEND,
	  "length of the Connection IDs (default: 8)" },
	{ "stream", "N", VALUE_NUMBER, AT(stream), 1, UINT32_MAX, BOTH,
	  "number of this run's sequence (default: random, every one)" },
	{ "rate", "PPS", VALUE_NUMBER, AT(rate), 0, 100000000, COMMAND_SEND,
	  "frames a second, 0 for all it can (default: 10000)" },
	{ "cpu", "N", VALUE_NUMBER, AT(cpu), 0, CPU_SETSIZE - 1, COMMAND_SEND,
	  "run on CPU N (default: 0)" },
	{ "queues", "N", VALUE_NUMBER, AT(queues), 1, QUEUE_COUNT_MAX, COMMAND_SEND,
	  "transmit by AF_XDP, from N queues in turn" },
	{ "first-queue", "N", VALUE_NUMBER, AT(first_queue), 0, QUEUE_COUNT_MAX - 1, COMMAND_SEND,
	  "queue of the first 64 frames, with --queues (default: 0)" },
	{ "port", "P", VALUE_NUMBER, AT(port), 1, UINT16_MAX, COMMAND_SINK,
	  "count this destination port only" },
	{ "echo", NULL, VALUE_NONE, AT(is_echo), 0, 0, COMMAND_SINK,
	  "send datagrams back instead of dropping them" },
	{ "handshake", NULL, VALUE_NONE, AT(is_handshake), 0, 0, COMMAND_SINK,
	  "answer Initials with a Handshake" },
	{ "connections", "N", VALUE_NUMBER, AT(connections), 1, LOAD_CONNECTION_COUNT_MAX,
	  COMMAND_SINK, "note which of N connections there were" },
	{ "output", "FILE", VALUE_NAME, AT(output), 0, 0, COMMAND_SINK,
	  "write to FILE a byte for each: 1 if there was" },
	{ "count", "N", VALUE_NUMBER, AT(count), 1, UINT32_MAX, BOTH,
	  "end after N datagrams (default to send: 1000000)" },
	{ "seconds", "S", VALUE_NUMBER, AT(seconds), 1, 86400, BOTH,
	  "end after S seconds (default to send: 10)" },
	{ "json", NULL, VALUE_NONE, AT(is_json), 0, 0, BOTH, "print the result as JSON" },
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static void help_command(enum command command)
{
	for (size_t i = 0; i < ROW_COUNT; i++) {
		char left[32];

		if (!(rows[i].commands & command))
			continue;
		(void)snprintf(left, sizeof(left), "--%s%s%s", rows[i].name,
			       rows[i].argument ? "=" : "",
			       rows[i].argument ? rows[i].argument : "");
		printf("      %-20s %s\n", left, rows[i].help);
	}
}

static void help(void)
{
	puts("Usage: ringway-load send --interface=IF --to=ADDR:PORT [OPTION]...\n"
	     "       ringway-load sink --interface=IF [OPTION]...\n"
	     "Send numbered UDP or QUIC datagrams, count and check what arrives of them.\n\n"
	     "  send");
	help_command(COMMAND_SEND);
	puts("\n  sink: until the first of --count, --seconds, SIGINT and SIGTERM");
	help_command(COMMAND_SINK);
	puts("\n  -V, --version            print the version\n"
	     "  -h, --help               print this help\n\n"
	     "Exit status: 0 success, 1 failure, 2 bad usage.");
}

static bool mac_parse(const char *text, uint8_t ret_mac[6])
{
	char digits[13];

	if (strlen(text) != 17)
		return false;
	for (int i = 0; i < 6; i++) {
		if (i < 5 && text[3 * i + 2] != ':')
			return false;
		memcpy(digits + 2 * i, text + 3 * i, 2);
	}
	digits[12] = 0;
	return number_hex_parse(digits, ret_mac, 6);
}

static bool kind_parse(const char *text, enum load_kind *ret_kind)
{
	for (int i = 0; i < LOAD_KIND_COUNT; i++)
		if (strcmp(text, kind_names[i]) == 0) {
			*ret_kind = (enum load_kind)i;
			return true;
		}
	return false;
}

static bool value_parse(const struct option_row *row, const char *text, struct options *options)
{
	void *value = (char *)options + row->offset;

	switch (row->kind) {
	case VALUE_NONE: return *(bool *)value = true;
	case VALUE_NUMBER: return number_parse(text, row->minimum, row->maximum, value);
	case VALUE_NAME: *(const char **)value = text; return *text;
	case VALUE_ENDPOINT: return load_endpoint_parse(text, value);
	case VALUE_MAC: return options->has_mac = mac_parse(text, value);
	case VALUE_KIND: return kind_parse(text, value);
	}
	return false;
}

/* NULL: getopt has said it. */
static int misuse(const char *what, const char *which)
{
	if (what)
		(void)fprintf(stderr, "ringway-load: %s%s\n", what, which);
	(void)fputs("Try 'ringway-load --help'.\n", stderr);
	return EXIT_MISUSE;
}

/* 0 or EXIT_MISUSE, after saying why. argv[0] is the command. */
static int options_parse(int argc, char **argv, enum command command, struct options *options)
{
	struct option long_options[ROW_COUNT + 1] = { { NULL, 0, NULL, 0 } };
	size_t count = 0;
	int index;

	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].commands & command)
			long_options[count++] =
				(struct option){ rows[i].name,
						 rows[i].argument ? required_argument : no_argument,
						 NULL, (int)i };
	while ((index = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (index == '?')
			return misuse(NULL, NULL);
		if (!value_parse(&rows[index], optarg, options))
			return misuse("bad value of --", rows[index].name);
	}
	if (optind < argc)
		return misuse("too many arguments: ", argv[optind]);
	if (!options->ifname)
		return misuse("--interface is missing", "");
	if (command == COMMAND_SEND && !options->to.port)
		return misuse("--to=ADDR:PORT is missing", "");
	if (!options->connections != !options->output)
		return misuse("--connections and --output go together", "");
	return 0;
}

static int send_run(const struct options *options, char *error, size_t error_size)
{
	static const uint8_t no_address[16];
	bool has_from = memcmp(options->from.addr, no_address, sizeof(no_address)) != 0;
	struct load_source_config config = {
		.ifname = options->ifname,
		.shape = {
			.kind = options->kind,
			.to = options->to,
			.first_port = options->from.port ? options->from.port : LOAD_FIRST_PORT,
			.size = (uint32_t)options->size,
			.flows = (uint32_t)options->flows,
			.ports = (uint32_t)options->ports,
			.step = (uint32_t)options->step,
			.first_cid = options->first_cid,
			.cids = (uint32_t)(options->cids ? options->cids : options->flows),
			.cid_len = options->kind == LOAD_UDP ? 0 : (uint32_t)options->cid_len,
			.stream = (uint32_t)options->stream,
		},
		.from = has_from ? options->from.addr : NULL,
		.mac = options->has_mac ? options->mac : NULL,
		.count = options->count ? options->count : 1000000,
		.rate = options->rate,
		.seconds = (uint32_t)(options->seconds ? options->seconds : 10),
		.cpu = (uint32_t)options->cpu,
		.queues = (uint32_t)options->queues,
		.first_queue = (uint32_t)options->first_queue,
	};
	struct load_source_result result;
	int err;

	if (!config.shape.stream &&
	    getrandom(&config.shape.stream, sizeof(config.shape.stream), 0) < 0)
		return fail(-1, error, error_size,
			    "no random number for the stream: give --stream");
	err = load_source_run(&config, &result, error, error_size);
	if (err)
		return err;
	if (load_summary_source(&result, config.shape.stream, options->is_json))
		return fail(-1, error, error_size, "cannot write the result to stdout");
	return 0;
}

static int sink_run(const struct options *options, char *error, size_t error_size)
{
	const struct load_sink_config config = {
		.ifname = options->ifname,
		.port = (uint16_t)options->port,
		.seconds = (uint32_t)options->seconds,
		.count = options->count,
		.connections = (uint32_t)options->connections,
		.stream = (uint32_t)options->stream,
		.output = options->output,
		.echo = options->is_echo,
		.handshake = options->is_handshake,
	};
	struct load_sink_result result;
	int err = load_sink_run(&config, &result, error, error_size);

	if (err)
		return err;
	if (load_summary_sink(&result, options->is_json))
		err = fail(-1, error, error_size, "cannot write the result to stdout");
	load_sink_result_free(&result);
	return err;
}

int main(int argc, char **argv)
{
	struct options options = {
		.rate = 10000,
		.flows = 1,
		.ports = LOAD_PORTS_MAX,
		.step = 1,
		.cid_len = 8,
	};
	const char *word = argc > 1 ? argv[1] : "";
	enum command command;
	char error[512];
	int status;

	if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
		help();
		return 0;
	}
	if (strcmp(word, "-V") == 0 || strcmp(word, "--version") == 0) {
		puts("ringway-load " RINGWAY_VERSION);
		return 0;
	}
	if (strcmp(word, "send") == 0)
		command = COMMAND_SEND;
	else if (strcmp(word, "sink") == 0)
		command = COMMAND_SINK;
	else
		return misuse(*word ? "no such command: " : "what to do: send or sink?", word);

	argv[1] = argv[0]; /* for getopt's own messages */
	status = options_parse(argc - 1, argv + 1, command, &options);
	if (status)
		return status;
	(void)libbpf_set_print(NULL); /* the sentence below says what matters */
	if ((command == COMMAND_SEND ? send_run : sink_run)(&options, error, sizeof(error))) {
		(void)fprintf(stderr, "ringway-load: %s\n", error);
		return 1;
	}
	return 0;
}
