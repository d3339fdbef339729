/* SPDX-License-Identifier: GPL-2.0-only */
/* ringway_load.c - the command line of ringway-load(8). */
#include <bpf/libbpf.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "load/summary.h"
#include "ringway/limits.h"
#include "util/number.h"
#include "util/options.h"

#define FROM_TO(least, most) .minimum = (least), .maximum = (most)
#define COUNT_OF(entries)    (sizeof(entries) / sizeof((entries)[0]))

#define RATE_NONE    UINT64_MAX
#define RATE_DEFAULT 10000

#define CID_LEN_NONE	UINT64_MAX
#define CID_LEN_DEFAULT 8

/* Numbers that were not given are 0, where that is no number to give, or the
 * default. */
static struct {
	const char *ifname, *output;
	struct endpoint to, from;
	struct mac {
		uint8_t bytes[6];
		bool is_set;
	} mac;
	enum load_kind kind;
	struct transport {
		enum load_transport by;
		bool is_set;
	} transport;
	const char *capture;
	bool is_echo, is_handshake, is_count_only, is_json, is_told;
	uint64_t initials, migrations, train;
	uint64_t count, rate, seconds, size, flows, ports, step, cids, first_cid, cid_len;
	uint64_t stream, cpu, queues, first_queue, port, connections;
	uint64_t interval_ms;
	bool is_progress, by_socket;
	const char *sink_ifname, *sink_netns;
	uint64_t minimum, maximum, resolution, confirmations;
	uint32_t tolerated_ppm;
} arguments = { .interval_ms = 1000,
		.minimum = 1000,
		.maximum = 1000000,
		.confirmations = 1,
		.rate = RATE_NONE,
		.train = 1,
		.ports = LOAD_PORTS_MAX,
		.step = 1,
		.cid_len = CID_LEN_NONE };

static bool transport_parse(const char *text, void *ret_parsed)
{
	for (int i = 0; i < LOAD_TRANSPORT_COUNT; i++)
		if (strcmp(text, load_transport_name((enum load_transport)i)) == 0) {
			*(struct transport *)ret_parsed =
				(struct transport){ (enum load_transport)i, true };
			return true;
		}
	return false;
}

static bool address_option_parse(const char *text, void *ret_parsed)
{
	return endpoint_parse(text, ret_parsed);
}

static bool mac_parse(const char *text, void *ret_parsed)
{
	struct mac *ret_mac = ret_parsed;
	char digits[13];

	if (strlen(text) != 17)
		return false;
	for (int i = 0; i < 6; i++) {
		if (i < 5 && text[3 * i + 2] != ':')
			return false;
		memcpy(digits + 2 * i, text + 3 * i, 2);
	}
	digits[12] = 0;
	ret_mac->is_set = number_hex_parse(digits, ret_mac->bytes, sizeof(ret_mac->bytes));
	return ret_mac->is_set;
}

static bool by_parse(const char *text, void *ret_parsed)
{
	*(bool *)ret_parsed = strcmp(text, "socket") == 0;
	return strcmp(text, "socket") == 0 || strcmp(text, "xdp") == 0;
}

static bool kind_parse(const char *text, void *ret_parsed)
{
	for (int i = 0; i < LOAD_KIND_COUNT; i++)
		if (strcmp(text, load_kind_name((enum load_kind)i)) == 0) {
			*(enum load_kind *)ret_parsed = (enum load_kind)i;
			return true;
		}
	return false;
}

/* A percentage of at most 100, in parts per million: "0.0001" is 1. */
static bool percent_parse(const char *text, void *ret_parsed)
{
	uint32_t ppm = 0, unit = 1000000;
	bool is_fraction = false;

	for (const char *pos = text; *pos; pos++) {
		if (*pos == '.' && !is_fraction && pos > text && pos[1]) {
			is_fraction = true;
			unit = 10000;
			continue;
		}
		if (*pos < '0' || *pos > '9' || unit == 1 || ppm > 100000000)
			return false;
		unit /= is_fraction ? 10 : 1;
		ppm = is_fraction ? ppm + (uint32_t)(*pos - '0') * unit
				  : ppm * 10 + (uint32_t)(*pos - '0') * 10000;
	}
	if (!*text || ppm > 1000000)
		return false;
	*(uint32_t *)ret_parsed = ppm;
	return true;
}

static const struct option_entry send_entries[] = {
	{ 0, "interface", "IF", "send out of IF", .value = &arguments.ifname },
	{ 0, "to", "ADDR:PORT", "destination; [ADDR]:PORT for IPv6", .parse = address_option_parse,
	  .parsed = &arguments.to },
	{ 0, "from", "ADDR[:PORT]", "first source (default: the kernel's, port 4096)",
	  .parse = address_option_parse, .parsed = &arguments.from },
	{ 0, "mac", "MAC", "next hop (default: the kernel's neighbour)", .parse = mac_parse,
	  .parsed = &arguments.mac },
	{ 0, "by", "TRANSPORT", "live (BPF frames, default), af_xdp or sendmmsg (sockets)",
	  .parse = transport_parse, .parsed = &arguments.transport },
	{ 0, "kind", "KIND",
	  "quic-short, quic-initial, quic-handshake, quic (a mix) or udp (default)",
	  .parse = kind_parse, .parsed = &arguments.kind },
	{ 0, "initials", "PERCENT", "of quic: open new connections (default: 0)",
	  .number = &arguments.initials, FROM_TO(0, 100) },
	{ 0, "migrations", "N", "of quic: connections change their 4-tuple, N a second",
	  .number = &arguments.migrations, FROM_TO(1, 10000000) },
	{ 0, "pcap", "FILE", "send the UDP datagrams of FILE instead, at its own times",
	  .value = &arguments.capture },
	{ 0, "size", "BYTES", "UDP payload (default: 1200 for Initials, else 100)",
	  .number = &arguments.size, FROM_TO(1, LOAD_FRAME_LEN_MAX) },
	{ 0, "flows", "N", "source ports and, beyond --ports, addresses (default: 1)",
	  .number = &arguments.flows, FROM_TO(1, 100000000) },
	{ 0, "train", "N", "datagrams in a row of one flow (default: 1)",
	  .number = &arguments.train, FROM_TO(1, 1000000) },
	{ 0, "ports", "N", "source ports of an address (default: 60000)",
	  .number = &arguments.ports, FROM_TO(1, LOAD_PORTS_MAX) },
	{ 0, "step", "N", "from one source address to the next (default: 1)",
	  .number = &arguments.step, FROM_TO(1, 1 << 24) },
	{ 0, "cids", "N", "Connection IDs in turn (default: one a flow)", .number = &arguments.cids,
	  FROM_TO(1, 1000000000) },
	{ 0, "first-cid", "N", "number of the first Connection ID (default: 0)",
	  .number = &arguments.first_cid, FROM_TO(0, UINT32_MAX) },
	{ 0, "cid-len", "BYTES", "length of the Connection IDs (default: 8)",
	  .number = &arguments.cid_len, FROM_TO(0, QUIC_CID_LEN_MAX) },
	{ 0, "stream", "N", "number of this run's sequence (default: random)",
	  .number = &arguments.stream, FROM_TO(1, UINT32_MAX) },
	{ 0, "rate", "PPS", "frames a second, 0 for all it can (default: 10000)",
	  .number = &arguments.rate, FROM_TO(0, 100000000) },
	{ 0, "cpu", "N", "run on CPU N (default: 0)", .number = &arguments.cpu,
	  FROM_TO(0, CPU_SETSIZE - 1) },
	{ 0, "queues", "N", "transmit by AF_XDP, from N queues in turn",
	  .number = &arguments.queues, FROM_TO(1, QUEUE_COUNT_MAX) },
	{ 0, "first-queue", "N", "queue of the first 64 frames, with --queues (default: 0)",
	  .number = &arguments.first_queue, FROM_TO(0, QUEUE_COUNT_MAX - 1) },
	{ 0, "count", "N", "end after N frames (default: 1000000)", .number = &arguments.count,
	  FROM_TO(1, UINT32_MAX) },
	{ 0, "seconds", "S", "end after S seconds (default: 10)", .number = &arguments.seconds,
	  FROM_TO(1, 86400) },
	{ 0, "progress", NULL, "tell on stderr once a second (default: if it is a terminal)",
	  .flag = &arguments.is_told },
	{ 0, "json", NULL, "print the result as JSON", .flag = &arguments.is_json },
};

static const struct option_entry sink_entries[] = {
	{ 0, "interface", "IF", "count on IF", .value = &arguments.ifname },
	{ 0, "port", "P", "count this destination port only", .number = &arguments.port,
	  FROM_TO(1, UINT16_MAX) },
	{ 0, "by", "WAY", "xdp (default), or socket: without root, with --port, slower",
	  .parse = by_parse, .parsed = &arguments.by_socket },
	{ 0, "echo", NULL, "send datagrams back instead of dropping them",
	  .flag = &arguments.is_echo },
	{ 0, "handshake", NULL, "answer Initials with a Handshake",
	  .flag = &arguments.is_handshake },
	{ 0, "count-only", NULL, "count datagrams and bytes, check nothing: takes the least CPU",
	  .flag = &arguments.is_count_only },
	{ 0, "connections", "N", "note which of N connections there were",
	  .number = &arguments.connections, FROM_TO(1, LOAD_CONNECTION_COUNT_MAX) },
	{ 0, "output", "FILE", "write to FILE a byte for each: 1 if there was",
	  .value = &arguments.output },
	{ 0, "stream", "N", "note those of this run only (default: every one)",
	  .number = &arguments.stream, FROM_TO(1, UINT32_MAX) },
	{ 0, "count", "N", "end after N datagrams", .number = &arguments.count,
	  FROM_TO(1, UINT32_MAX) },
	{ 0, "seconds", "S", "end after S seconds", .number = &arguments.seconds,
	  FROM_TO(1, 86400) },
	{ 0, "interval", "MS",
	  "what a row of the result and of the progress covers (default: 1000)",
	  .number = &arguments.interval_ms, FROM_TO(10, 3600000) },
	{ 0, "progress", NULL, "say on stderr what each interval brought (default: on a terminal)",
	  .flag = &arguments.is_progress },
	{ 0, "json", NULL, "print the result as JSON", .flag = &arguments.is_json },
};

static const struct option_entry search_own_entries[] = {
	{ 0, "sink-interface", "IF", "count on IF", .value = &arguments.sink_ifname },
	{ 0, "sink-netns", "NETNS", "which is in this network namespace: a name or a path",
	  .value = &arguments.sink_netns },
	{ 0, "minimum", "PPS", "frames a second, at least (default: 1000)",
	  .number = &arguments.minimum, FROM_TO(1, 100000000) },
	{ 0, "maximum", "PPS", "frames a second, at most (default: 1000000)",
	  .number = &arguments.maximum, FROM_TO(1, 100000000) },
	{ 0, "resolution", "PPS", "how exact the result is to be (default: 1 % of the maximum)",
	  .number = &arguments.resolution, FROM_TO(1, 100000000) },
	{ 0, "loss", "PERCENT", "that a trial may have (default: 0)", .parse = percent_parse,
	  .parsed = &arguments.tolerated_ppm },
	{ 0, "confirm", "N", "how often the winner must pass again (default: 1)",
	  .number = &arguments.confirmations, FROM_TO(0, 10) },
	{ 0, "seconds", "S", "length of a trial (default: 10)", .number = &arguments.seconds,
	  FROM_TO(1, 3600) },
	{ 0, "progress", NULL, "say on stderr how each trial ended (default: on a terminal)",
	  .flag = &arguments.is_progress },
	{ 0, "json", NULL, "print the result as JSON", .flag = &arguments.is_json },
};

static const struct options options = {
	.usage = "ringway-load send|sink|search [OPTION]...",
	.summary = "Send numbered UDP or QUIC datagrams, count and check what arrives of them.",
	.footer =
		"`ringway-load send --help` and so on list the options.\n\n"
		"A million datagrams, then what came of them:\n"
		"  ringway-load sink --interface=eth1 --seconds=30 &\n"
		"  ringway-load send --interface=eth2 --to=192.0.2.1:443 --rate=100000\n"
		"The rate up to which nothing is lost:\n"
		"  ringway-load search --interface=eth2 --to=192.0.2.1:443 --sink-interface=eth1\n\n"
		"Exit status: 0 success, 1 failure, 2 bad usage.",
};

/* A connection of a mix has a flow of its own, unless both numbers are given. */
static struct load_shape shape_make(uint64_t rate)
{
	uint64_t flows = arguments.flows, cids = arguments.cids;
	uint64_t cid_len = arguments.cid_len == CID_LEN_NONE ? CID_LEN_DEFAULT : arguments.cid_len;
	bool is_mix = arguments.kind == LOAD_QUIC_MIX;

	if (!flows)
		flows = is_mix && cids ? cids : 1;
	return (struct load_shape){
		.kind = arguments.kind,
		.to = arguments.to,
		.first_port = arguments.from.port ? arguments.from.port : LOAD_FIRST_PORT,
		.size = (uint32_t)arguments.size,
		.flows = (uint32_t)flows,
		.train = (uint32_t)arguments.train,
		.ports = (uint32_t)arguments.ports,
		.step = (uint32_t)arguments.step,
		.first_cid = arguments.first_cid,
		.cids = (uint32_t)(cids ? cids : flows),
		.cid_len = arguments.kind == LOAD_UDP ? 0 : (uint32_t)cid_len,
		.stream = (uint32_t)arguments.stream,
		.initials = (uint32_t)arguments.initials,
		.migrations = (uint32_t)arguments.migrations,
		.rate = rate,
	};
}

/* Not said, a transport follows from what only one has, or which has it first. */
static enum load_transport transport_choose(void)
{
	if (arguments.transport.is_set)
		return arguments.transport.by;
	return arguments.queues || arguments.capture ? LOAD_BY_AF_XDP : LOAD_BY_LIVE;
}

/* What the load options say. */
static int source_config_make(struct load_source_config *ret_config, char *error, size_t error_size)
{
	static const uint8_t no_address[16];
	bool has_from = memcmp(arguments.from.addr, no_address, sizeof(no_address)) != 0;
	bool has_rate = arguments.rate != RATE_NONE;
	uint64_t rate = has_rate ? arguments.rate : arguments.capture ? 0 : RATE_DEFAULT;
	struct load_source_config config = {
		.ifname = arguments.ifname,
		.shape = shape_make(rate),
		.capture = arguments.capture,
		.by = transport_choose(),
		.from = has_from ? arguments.from.addr : NULL,
		.mac = arguments.mac.is_set ? arguments.mac.bytes : NULL,
		.count = arguments.count || arguments.capture ? arguments.count : 1000000,
		.rate = rate,
		.seconds = (uint32_t)(arguments.seconds ? arguments.seconds : 10),
		.cpu = (uint32_t)arguments.cpu,
		.queues = (uint32_t)(arguments.queues ? arguments.queues : 1),
		.first_queue = (uint32_t)arguments.first_queue,
		.is_as_captured = arguments.capture && !has_rate,
		.is_told = arguments.is_told || isatty(STDERR_FILENO),
	};

	if (!config.shape.stream &&
	    getrandom(&config.shape.stream, sizeof(config.shape.stream), 0) < 0)
		return fail(-1, error, error_size,
			    "no random number for the stream: give --stream");
	*ret_config = config;
	return 0;
}

static int send_run(char *error, size_t error_size)
{
	struct load_source_config config;
	struct load_source_result result;
	int err = source_config_make(&config, error, error_size);

	if (!err)
		err = load_source_run(&config, &result, error, error_size);
	if (err)
		return err;
	if (load_summary_source(&config, &result, arguments.is_json))
		return fail(-1, error, error_size, "cannot write the result to stdout");
	return 0;
}

static int sink_run(char *error, size_t error_size)
{
	const struct load_sink_config config = {
		.ifname = arguments.ifname,
		.port = (uint16_t)arguments.port,
		.seconds = (uint32_t)arguments.seconds,
		.count = arguments.count,
		.connections = (uint32_t)arguments.connections,
		.stream = (uint32_t)arguments.stream,
		.output = arguments.output,
		.echo = arguments.is_echo,
		.handshake = arguments.is_handshake,
		.count_only = arguments.is_count_only,
		.by_socket = arguments.by_socket,
		.interval_ms = (uint32_t)arguments.interval_ms,
		.is_progress = arguments.is_progress || isatty(STDERR_FILENO),
	};
	struct load_sink_result result;
	int err = load_sink_run(&config, &result, error, error_size);

	if (err)
		return err;
	if (load_summary_sink(&result, arguments.is_json))
		err = fail(-1, error, error_size, "cannot write the result to stdout");
	load_sink_result_free(&result);
	return err;
}

static int search_run(char *error, size_t error_size)
{
	struct load_search_config config = {
		.sink_ifname = arguments.sink_ifname,
		.sink_netns = arguments.sink_netns,
		.minimum = arguments.minimum,
		.maximum = arguments.maximum,
		.resolution = arguments.resolution ? arguments.resolution
						   : (arguments.maximum + 99) / 100,
		.confirmations = (uint32_t)arguments.confirmations,
		.seconds = (uint32_t)(arguments.seconds ? arguments.seconds : 10),
		.tolerated_ppm = arguments.tolerated_ppm,
		.is_progress = arguments.is_progress || isatty(STDERR_FILENO),
	};
	struct load_search_result result;
	int err = source_config_make(&config.source, error, error_size);

	config.source.is_told = false; /* the trials are */
	config.stream = config.source.shape.stream;
	if (!err)
		err = load_search_run(&config, &result, error, error_size);
	if (err)
		return err;
	if (load_summary_search(&result, arguments.is_json))
		err = fail(-1, error, error_size, "cannot write the result to stdout");
	load_search_result_free(&result);
	return err;
}

/* The load of a search is described as for send; how much of it, is the search's matter. */
static size_t search_entries_build(struct option_entry *ret_entries)
{
	size_t count = COUNT_OF(search_own_entries);

	memcpy(ret_entries, search_own_entries, sizeof(search_own_entries));
	for (size_t i = 0; i < COUNT_OF(send_entries); i++) {
		bool is_own = strcmp(send_entries[i].name, "rate") == 0 ||
			      strcmp(send_entries[i].name, "pcap") == 0 ||
			      strcmp(send_entries[i].name, "count") == 0;

		for (size_t j = 0; j < COUNT_OF(search_own_entries); j++)
			is_own |= strcmp(send_entries[i].name, search_own_entries[j].name) == 0;
		if (!is_own)
			ret_entries[count++] = send_entries[i];
	}
	return count;
}

static const char send_footer[] =
	"Every run ends: after --count, --seconds, or at SIGINT. Nothing leaves but by IF, and only\n"
	"if the route to ADDR goes by it, or with --mac. Examples:\n"
	"  100000 connections, 2 % of the datagrams open new ones, 500 migrations a second:\n"
	"    ringway-load send --interface=eth1 --to=192.0.2.1:443 --kind=quic --cids=100000 \\\n"
	"        --initials=2 --migrations=500 --rate=200000 --count=4000000 --seconds=30\n"
	"  without root, over the loopback:\n"
	"    ringway-load send --interface=lo --to=127.0.0.1:4433 --by=sendmmsg --flows=16 --train=8\n"
	"  what was captured, over and over, as fast as it goes:\n"
	"    ringway-load send --interface=eth1 --to=192.0.2.1:443 --pcap=a.pcap --rate=0 --count=100000";

/* What it does. */
static const struct command {
	const char *name;
	struct options options;
	int (*run)(char *error, size_t error_size);
} commands[] = {
	{ "send",
	  { .usage = "ringway-load send --interface=IF --to=ADDR:PORT [OPTION]...",
	    .summary = "Send numbered UDP or QUIC datagrams, each when it is due.",
	    .entries = send_entries,
	    .count = COUNT_OF(send_entries),
	    .footer = send_footer },
	  send_run },
	{ "sink",
	  { .usage = "ringway-load sink --interface=IF [OPTION]...",
	    .summary = "Count and check what arrives, until the first of --count, --seconds, "
		       "SIGINT, SIGTERM.",
	    .entries = sink_entries,
	    .count = COUNT_OF(sink_entries),
	    .footer = "For 30 s, with the loss of every tenth of a second:\n"
		      "  ringway-load sink --interface=eth1 --seconds=30 --interval=100 --json" },
	  sink_run },
	{ "search",
	  { .usage = "ringway-load search --interface=IF --to=ADDR:PORT --sink-interface=IF "
		     "[OPTION]...",
	    .summary = "Find the highest rate at which all that is sent arrives.",
	    .footer =
		    "To within 1000 a second, up to half a million; eth1 is in namespace \"far\":\n"
		    "  ringway-load search --interface=eth2 --to=192.0.2.1:443 --size=1200 \\\n"
		    "    --sink-interface=eth1 --sink-netns=far --maximum=500000 --resolution=1000" },
	  search_run },
};

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* Options of sending that contradict each other; NULL: none. */
static const char *send_mistake(void)
{
	enum load_transport by = transport_choose();

	if (arguments.kind != LOAD_QUIC_MIX && (arguments.initials || arguments.migrations))
		return "--initials and --migrations are for --kind=quic";
	if (arguments.migrations && !arguments.rate)
		return "--migrations needs a --rate: frames tell the time";
	if (arguments.queues && by != LOAD_BY_AF_XDP)
		return "--queues is for --by=af_xdp";
	if (arguments.first_queue && arguments.first_queue >= arguments.queues)
		return "--first-queue must be less than --queues, which is 1 if it is not given";
	if (arguments.mac.is_set && by == LOAD_BY_SENDMMSG)
		return "--mac is not for --by=sendmmsg, which goes where the kernel's routes go";
	if (arguments.capture && by == LOAD_BY_LIVE)
		return "--pcap takes --by=af_xdp or --by=sendmmsg";
	if (arguments.capture &&
	    (arguments.kind || arguments.size || arguments.flows || arguments.cids ||
	     arguments.train > 1 || arguments.first_cid || arguments.cid_len != CID_LEN_NONE))
		return "with --pcap, the file says what is sent: no --kind, --size, --flows, "
		       "--cids, --first-cid, --cid-len, --train";
	if (arguments.kind == LOAD_UDP &&
	    (arguments.cids || arguments.first_cid ||
	     (arguments.cid_len && arguments.cid_len != CID_LEN_NONE)))
		return "--cids, --first-cid and --cid-len are for --kind=quic and its like: plain "
		       "UDP has no Connection ID";
	return NULL;
}

/* Likewise of counting. */
static const char *sink_mistake(void)
{
	bool is_answering = arguments.is_echo || arguments.is_handshake;

	if (arguments.by_socket && (!arguments.port || is_answering))
		return "--by=socket takes --port, and neither --echo nor --handshake";
	if (arguments.is_echo && arguments.is_handshake)
		return "--echo and --handshake exclude each other";
	if (arguments.is_count_only &&
	    (arguments.by_socket || is_answering || arguments.connections || arguments.stream))
		return "--count-only goes without --by=socket, --echo, --handshake, "
		       "--connections and --stream";
	if (!arguments.connections != !arguments.output)
		return "--connections and --output go together";
	return NULL;
}

/* -1, or the exit status to end with. argv[0] is the program, the command is gone. */
static int command_parse(const struct command *command, int argc, char **argv)
{
	struct option_entry entries[COUNT_OF(search_own_entries) + COUNT_OF(send_entries)];
	struct options table = command->options;
	const char *mistake;
	int operands, status;

	if (!table.entries) {
		table.count = search_entries_build(entries);
		table.entries = entries;
	}
	status = options_parse(&table, argc, argv, &operands);
	if (status >= 0)
		return status;
	if (operands < argc)
		return options_misuse(argv, "too many arguments: %s", argv[operands]);
	if (!arguments.ifname || !*arguments.ifname)
		return options_misuse(argv, "--interface is missing");
	if (command->run != sink_run && !arguments.to.port)
		return options_misuse(argv, "--to=ADDR:PORT is missing");
	if (command->run == search_run && (!arguments.sink_ifname || !*arguments.sink_ifname))
		return options_misuse(argv, "--sink-interface is missing");
	if (command->run == search_run && arguments.minimum > arguments.maximum)
		return options_misuse(argv, "--minimum is more than --maximum");
	mistake = command->run == sink_run ? sink_mistake() : send_mistake();
	return mistake ? options_misuse(argv, "%s", mistake) : -1;
}

int main(int argc, char **argv)
{
	/* What stands before the command is the program's own. */
	int operand, status = options_parse(&options, argc < 2 ? argc : 2, argv, &operand);
	const struct command *command;
	char error[512];

	if (status >= 0)
		return status;
	if (argc < 2)
		return options_misuse(argv, "what to do: send, sink or search?");
	command = command_find(argv[1]);
	if (!command)
		return options_misuse(argv, "no such command: %s", argv[1]);

	argv[1] = argv[0]; /* for getopt's own messages */
	status = command_parse(command, argc - 1, argv + 1);
	if (status >= 0)
		return status;
	(void)libbpf_set_print(NULL); /* the sentence below says what matters */
	if (command->run(error, sizeof(error))) {
		(void)fprintf(stderr, "ringway-load: %s\n", error);
		return 1;
	}
	return 0;
}
