/* SPDX-License-Identifier: GPL-2.0-only */
/* ctl_table.c - what rows and columns each command's answer makes. */
#include "ctl/ctl_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "core/drop.h"
#include "core/route.h"
#include "ctl/text_table.h"
#include "io/socket.h"
#include "ringway/abi.h"
#include "util/json_build.h"
#include "util/number.h"

/* A table to be filled from an answer. */
struct section {
	const char *heading;		 /* NULL: none */
	const char *nothing;		 /* printed when no row is shown; NULL: nothing */
	json_t *(*rows)(json_t *answer); /* a new reference, or NULL */
	const struct column *columns;
	size_t column_count;
	bool hide_zero;	  /* rows whose count is 0 */
	const char *part; /* member of the answer that engines have or have not; NULL: all have */
};

/* value is borrowed; nothing is put where there is none. */
static void member_put(json_t **row, const char *key, json_t *value)
{
	if (value)
		json_build_put(row, key, json_incref(value));
}

/* status */

static json_t *status_rows(json_t *status)
{
	json_t *rows = json_array(), *interface, *queue;
	size_t i, j;

	json_array_foreach (json_object_get(status, "interfaces"), i, interface) {
		json_array_foreach (json_object_get(interface, "queues"), j, queue) {
			json_t *row = json_copy(interface);

			if (json_object_update(row, queue)) {
				json_decref(row);
				row = NULL;
			}
			json_build_append(&rows, row);
		}
	}
	return rows;
}

static const struct column status_columns[] = {
	{ "INTERFACE", CELL_TEXT, "interface" }, { "IFINDEX", CELL_NUMBER, "ifindex" },
	{ "DRIVER", CELL_TEXT, "driver" },	 { "MTU", CELL_NUMBER, "mtu" },
	{ "QUEUE", CELL_NUMBER, "queue" },	 { "WORKER", CELL_NUMBER, "worker" },
	{ "CPU", CELL_NUMBER, "cpu" },		 { "MODE", CELL_TEXT, "mode" },
};

static void sockets_introduce(FILE *out, json_t *sockets)
{
	const char *calls = json_string_value(json_object_get(sockets, "calls"));
	const char *steering = json_string_value(json_object_get(sockets, "steering"));

	(void)fprintf(out, "sockets: calls %s, steering %s, decoupled: %s, ", calls ? calls : "",
		      steering ? steering : "",
		      json_is_true(json_object_get(sockets, "decoupled")) ? "yes" : "no");
	(void)fprintf(out, "flows: %.0f of %.0f\n", text_table_number(sockets, "flows"),
		      text_table_number(sockets, "flows_max"));
}

static void status_introduce(FILE *out, json_t *status)
{
	const char *version = json_string_value(json_object_get(status, "version"));
	const char *engine = json_string_value(json_object_get(status, "engine"));
	uint64_t uptime_s = (uint64_t)text_table_number(status, "uptime_s");

	(void)fprintf(out, "ringway %s, engine %s, PID %.0f, up for ", version ? version : "",
		      engine ? engine : "", text_table_number(status, "pid"));
	if (uptime_s >= 86400)
		(void)fprintf(out, "%" PRIu64 " d ", uptime_s / 86400);
	(void)fprintf(out, "%02u:%02u:%02u\n", (unsigned int)(uptime_s / 3600 % 24),
		      (unsigned int)(uptime_s / 60 % 60), (unsigned int)(uptime_s % 60));
	(void)fprintf(out, "generation: %.0f, ", text_table_number(status, "generation"));
	(void)fprintf(out, "workers: %.0f, services: %.0f, backends: %.0f (resolved: %.0f)\n",
		      text_table_number(status, "workers"), text_table_number(status, "services"),
		      text_table_number(status, "backends"),
		      text_table_number(status, "backends_resolved"));
	if (json_is_object(json_object_get(status, "socket")))
		sockets_introduce(out, json_object_get(status, "socket"));
	else
		(void)fputc('\n', out);
}

/* services, backends */

static json_t *service_rows(json_t *services)
{
	return json_incref(services);
}

static const struct column service_columns[] = {
	{ "SERVICE", CELL_TEXT, "service" },
	{ "ADDRESS", CELL_TEXT, "addresses" },
	{ "PORT", CELL_NUMBER, "port" },
	{ "PROTOCOL", CELL_TEXT, "protocol" },
	{ "MODE", CELL_TEXT, "mode" },
	{ "BACKENDS", CELL_NUMBER, "backends" },
	{ "OUT", CELL_NUMBER, "out.datagrams" },
	{ "OUT BYTES", CELL_BYTES, "out.bytes" },
	{ "OUT/s", CELL_RATE, "out.datagrams" },
	{ "OUT bit/s", CELL_BITS, "out.bytes" },
	{ "BACK", CELL_NUMBER, "back.datagrams" },
	{ "BACK BYTES", CELL_BYTES, "back.bytes" },
	{ "BACK/s", CELL_RATE, "back.datagrams" },
	{ "BACK bit/s", CELL_BITS, "back.bytes" },
};

/* "eth1 02:00:00:00:00:01", "eth1 unresolved" or "no-route", for each family. */
static json_t *next_hops_text(json_t *hops)
{
	char text[TEXT_TABLE_CELL_SIZE_MAX] = "";
	json_t *hop;
	size_t i;

	json_array_foreach (hops, i, hop) {
		const char *ifname = json_string_value(json_object_get(hop, "interface"));
		const char *mac = json_string_value(json_object_get(hop, "mac"));
		const char *state = json_string_value(json_object_get(hop, "state"));
		const char *known = mac ? mac : state;
		char one[128];

		(void)snprintf(one, sizeof(one), "%s%s%s", ifname ? ifname : "", ifname ? " " : "",
			       known ? known : "");
		text_table_append(text, one);
	}
	return json_string(text);
}

/* "up 12 s" or "down 12 s: no answer in 500 ms", for each family. */
static json_t *health_text(json_t *health)
{
	char text[TEXT_TABLE_CELL_SIZE_MAX] = "";
	json_t *probed;
	size_t i;

	json_array_foreach (health, i, probed) {
		const char *state = json_string_value(json_object_get(probed, "state"));
		const char *reason = json_string_value(json_object_get(probed, "reason"));
		bool is_down = state && strcmp(state, "down") == 0;
		char one[160];

		(void)snprintf(one, sizeof(one), "%s %.0f s%s%s", state ? state : "",
			       text_table_number(probed, "for_s"), is_down && reason ? ": " : "",
			       is_down && reason ? reason : "");
		text_table_append(text, one);
	}
	return *text ? json_string(text) : json_null();
}

static json_t *backend_rows(json_t *backends)
{
	json_t *rows = json_array(), *backend;
	size_t i;

	json_array_foreach (backends, i, backend) {
		json_t *row = json_copy(backend);

		json_build_put(&row, "via", next_hops_text(json_object_get(row, "next_hop")));
		json_build_put(&row, "probed", health_text(json_object_get(row, "health")));
		json_build_append(&rows, row);
	}
	return rows;
}

static const struct column backend_columns[] = {
	{ "SERVICE", CELL_TEXT, "service" },	   { "BACKEND", CELL_TEXT, "backend" },
	{ "ADDRESS", CELL_TEXT, "addresses" },	   { "PORT", CELL_NUMBER, "port" },
	{ "WEIGHT", CELL_NUMBER, "weight" },	   { "STATE", CELL_TEXT, "state" },
	{ "HEALTH", CELL_TEXT, "probed" },	   { "NEXT HOP", CELL_TEXT, "via" },
	{ "OUT", CELL_NUMBER, "out.datagrams" },   { "OUT BYTES", CELL_BYTES, "out.bytes" },
	{ "OUT/s", CELL_RATE, "out.datagrams" },   { "OUT bit/s", CELL_BITS, "out.bytes" },
	{ "BACK", CELL_NUMBER, "back.datagrams" }, { "BACK BYTES", CELL_BYTES, "back.bytes" },
	{ "BACK/s", CELL_RATE, "back.datagrams" }, { "BACK bit/s", CELL_BITS, "back.bytes" },
};

/* lookup, reload, drain, undrain, flush */

/* Where the client's address decides, one that was made up says little. */
static bool is_by_address(const char *rule)
{
	return strcmp(rule, route_rule_name(ROUTE_QUIC_LB)) != 0 &&
	       strcmp(rule, route_rule_name(ROUTE_CID)) != 0;
}

static void lookup_introduce(FILE *out, json_t *answer)
{
	const char *service = json_string_value(json_object_get(answer, "service"));
	const char *backend = json_string_value(json_object_get(answer, "backend"));
	const char *rule = json_string_value(json_object_get(answer, "rule"));
	const char *meaning = json_string_value(json_object_get(answer, "meaning"));
	const char *drop = json_string_value(json_object_get(answer, "would_drop"));
	const char *drop_meaning = json_string_value(json_object_get(answer, "drop_meaning"));

	(void)fprintf(out, "%s/%s", service ? service : "", backend ? backend : "-");
	if (rule)
		(void)fprintf(out, ", by rule %s: %s", rule, meaning ? meaning : "");
	(void)fputc('\n', out);
	if (drop)
		(void)fprintf(out, "but dropped, by reason %s: %s\n", drop,
			      drop_meaning ? drop_meaning : "");
	if (rule && is_by_address(rule) && !json_is_string(json_object_get(answer, "from")))
		(void)fputs("this depends on the client's address: give it with --from\n", out);
}

static void reload_introduce(FILE *out, json_t *answer)
{
	uint64_t services = (uint64_t)text_table_number(answer, "services");
	uint64_t backends = (uint64_t)text_table_number(answer, "backends");

	(void)fprintf(out,
		      "reloaded: generation %.0f, %" PRIu64 " service%s, %" PRIu64 " backend%s\n",
		      text_table_number(answer, "generation"), services, plural(services), backends,
		      plural(backends));
}

static void backend_introduce(FILE *out, json_t *answer)
{
	const char *service = json_string_value(json_object_get(answer, "service"));
	const char *backend = json_string_value(json_object_get(answer, "backend"));
	const char *state = json_string_value(json_object_get(answer, "state"));

	(void)fprintf(out, "%s/%s: %s\n", service ? service : "", backend ? backend : "",
		      state ? state : "");
}

static void flush_introduce(FILE *out, json_t *answer)
{
	backend_introduce(out, answer);
	(void)fputs("its connections are cut\n", out);
}

/* stats */

/* By interface, then by queue; worker i has queue i of each. */
static json_t *queue_rows(json_t *stats)
{
	json_t *workers = json_object_get(stats, "workers");
	json_t *rows = json_array(), *worker;
	size_t ports = json_array_size(text_table_member(json_array_get(workers, 0), "ports")), i;

	for (size_t port = 0; port < ports; port++) {
		json_array_foreach (workers, i, worker) {
			json_t *row =
				json_copy(json_array_get(text_table_member(worker, "ports"), port));

			member_put(&row, "worker", text_table_member(worker, "index"));
			json_build_append(&rows, row);
		}
	}
	return rows;
}

static const struct column queue_columns[] = {
	{ "INTERFACE", CELL_TEXT, "interface" },   { "QUEUE", CELL_NUMBER, "worker" },
	{ "WORKER", CELL_NUMBER, "worker" },	   { "MODE", CELL_TEXT, "mode" },
	{ "RECEIVED", CELL_NUMBER, "received" },   { "RECEIVED/s", CELL_RATE, "received" },
	{ "SENT", CELL_NUMBER, "sent" },	   { "SENT/s", CELL_RATE, "sent" },
	{ "COMPLETED", CELL_NUMBER, "completed" }, { "POSTED", CELL_NUMBER, "posted" },
	{ "KICKS", CELL_NUMBER, "kicks" },	   { "KICKS/s", CELL_RATE, "kicks" },
};

static uint64_t dropped_sum(json_t *dropped)
{
	const char *name;
	json_t *count;
	uint64_t sum = 0;

	json_object_foreach (dropped, name, count) {
		sum += (uint64_t)json_integer_value(count);
	}
	return sum;
}

/* Takes a reference to a worker, or to the totals; gives a row. */
static json_t *worker_row(json_t *worker)
{
	json_t *row = json_copy(worker);

	json_build_number(&row, "dropped_sum", dropped_sum(json_object_get(worker, "dropped")));
	return row;
}

static json_t *worker_rows(json_t *stats)
{
	json_t *rows = json_array(), *workers = json_object_get(stats, "workers"), *worker, *all;
	size_t i;

	json_array_foreach (workers, i, worker) {
		json_build_append(&rows, worker_row(worker));
	}
	if (json_array_size(workers) > 1) {
		all = worker_row(json_object_get(stats, "totals"));
		json_build_put(&all, "index", json_string("all"));
		json_build_append(&rows, all);
	}
	return rows;
}

static const struct column worker_columns[] = {
	{ "WORKER", CELL_NUMBER, "index" },
	{ "CPU", CELL_NUMBER, "cpu" },
	{ "RECEIVED", CELL_NUMBER, "received" },
	{ "RECEIVED/s", CELL_RATE, "received" },
	{ "SENT", CELL_NUMBER, "sent" },
	{ "SENT/s", CELL_RATE, "sent" },
	{ "DROPPED", CELL_NUMBER, "dropped_sum" },
	{ "DROPPED/s", CELL_RATE, "dropped_sum" },
	{ "CONNECTIONS", CELL_NUMBER, "new_connections" },
	{ "CONNECTIONS/s", CELL_RATE, "new_connections" },
	{ "BUSY", CELL_BUSY, "busy_ns" },
	{ "FRAMES", CELL_NUMBER, "frames.all" },
	{ "FREE", CELL_NUMBER, "frames.free" },
	{ "HELD", CELL_NUMBER, "frames.held" },
	{ "POSTED", CELL_NUMBER, "frames.posted" },
	{ "OUTSTANDING", CELL_NUMBER, "frames.outstanding" },
};

struct meaning {
	const char *name, *text;
};

static const struct meaning drop_meanings[] = {
#define X(constant, name, meaning) { name, meaning },
	DROP_REASONS(X)
#undef X
		{ NULL, NULL },
};

static const struct meaning rule_meanings[] = {
#define X(constant, name, meaning) { name, meaning },
	ROUTE_RULES(X)
#undef X
		{ NULL, NULL },
};

static const struct meaning routing_meanings[] = {
#define X(constant, name, meaning) { name, meaning },
	ROUTE_COUNTERS(X)
#undef X
		{ NULL, NULL },
};

static const struct meaning xdp_meanings[] = {
#define X(constant, name, meaning) { name, meaning },
	INGRESS_COUNTERS(X)
#undef X
		{ NULL, NULL },
};

static const struct meaning socket_meanings[] = {
	{ "flows", "clients at their backends now, an upstream socket each" },
#define X(constant, name, meaning) { name, meaning },
	SOCKET_COUNTERS(X)
#undef X
		{ "dropped_service",
		  "lost: no room in a service's socket, see socket.receive_buffer" },
	{ "dropped_flow", "lost: no room in an upstream socket, see sysctl net.core.rmem_default" },
	{ NULL, NULL },
};

/* Paths in a queue's row. */
static const struct meaning ring_meanings[] = {
	{ "rx_ring_full", "lost: the worker did not keep up, its receive ring was full" },
	{ "rx_fill_empty", "the kernel found no free frame to receive into" },
	{ "rx_dropped", "lost: no free frame, or longer than a frame" },
	{ "rx_invalid", "the kernel refused a frame that was posted to receive into" },
	{ "tx_invalid", "the kernel refused a frame that was to be sent" },
	{ "kick_errors.again", "a wake-up to send that the kernel cut short" },
	{ "kick_errors.busy", "a wake-up to send while the driver was busy" },
	{ "kick_errors.no_buffers", "a wake-up to send while the kernel had no buffers" },
	{ "kick_errors.link_down", "a wake-up to send while the interface was down" },
	{ "kick_errors.other", "a wake-up to send that failed for another reason" },
	{ NULL, NULL },
};

static json_t *count_row(const char *name, json_t *count, const char *meaning)
{
	json_t *row = json_object();

	json_build_put(&row, "name", json_string(name));
	member_put(&row, "count", count);
	json_build_put(&row, "meaning", json_string(meaning));
	return row;
}

static json_t *count_rows(json_t *counts, const struct meaning *meanings)
{
	json_t *rows = json_array(), *count;
	const char *name;

	json_object_foreach (counts, name, count) {
		const struct meaning *meaning = meanings;

		while (meaning->name && strcmp(meaning->name, name) != 0)
			meaning++;
		json_build_append(&rows,
				  count_row(name, count, meaning->text ? meaning->text : ""));
	}
	return rows;
}

static json_t *drop_rows(json_t *stats)
{
	return count_rows(text_table_member(stats, "totals.dropped"), drop_meanings);
}

static json_t *rule_rows(json_t *stats)
{
	return count_rows(text_table_member(stats, "totals.decided"), rule_meanings);
}

static json_t *routing_rows(json_t *stats)
{
	return count_rows(text_table_member(stats, "totals.routing"), routing_meanings);
}

/* What a table holds is not known before it has been looked through once. */
static json_t *table_row(json_t *table, json_t *stats, const char *title)
{
	json_t *row = json_copy(table), *fill = json_object_get(table, "fill");

	if (json_object_update(row, stats)) {
		json_decref(row);
		return NULL;
	}
	json_build_put(&row, "title", json_string(title));
	json_build_put(&row, "known",
		       json_is_real(fill) ? json_sprintf("%.1f%%", 100 * json_real_value(fill))
					  : json_string("not yet known"));
	return row;
}

static json_t *table_rows(json_t *stats)
{
	static const struct {
		const char *name, *title;
	} tables[] = { { "tuples", "4-tuples" }, { "cids", "Connection IDs" } };
	json_t *rows = json_array();

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		json_t *table = json_object_get(json_object_get(stats, "tables"), tables[i].name);
		json_t *totals = json_object_get(json_object_get(stats, "totals"), tables[i].name);

		if (text_table_number(table, "places") > 0)
			json_build_append(&rows, table_row(table, totals, tables[i].title));
	}
	return rows;
}

static const struct column table_columns[] = {
	{ "TABLE", CELL_TEXT, "title" },	 { "ENTRIES", CELL_NUMBER, "entries" },
	{ "PLACES", CELL_NUMBER, "places" },	 { "FILL", CELL_TEXT, "known" },
	{ "BYTES", CELL_NUMBER, "bytes" },	 { "INSERTED", CELL_NUMBER, "inserted" },
	{ "INSERTED/s", CELL_RATE, "inserted" }, { "EVICTED", CELL_NUMBER, "evicted" },
	{ "EVICTED/s", CELL_RATE, "evicted" },	 { "REFUSED", CELL_NUMBER, "refused" },
	{ "REFUSED/s", CELL_RATE, "refused" },
};

static json_t *xdp_rows(json_t *stats)
{
	return count_rows(text_table_member(stats, "xdp"), xdp_meanings);
}

static json_t *socket_rows(json_t *stats)
{
	return count_rows(text_table_member(stats, "sockets"), socket_meanings);
}

static json_t *ring_rows(json_t *stats)
{
	json_t *rows = json_array(), *queues = queue_rows(stats), *queue;
	size_t i;

	json_array_foreach (queues, i, queue) {
		for (const struct meaning *meaning = ring_meanings; meaning->name; meaning++) {
			json_t *row =
				count_row(meaning->name, text_table_member(queue, meaning->name),
					  meaning->text);

			member_put(&row, "interface", text_table_member(queue, "interface"));
			member_put(&row, "worker", text_table_member(queue, "worker"));
			json_build_append(&rows, row);
		}
	}
	json_decref(queues);
	return rows;
}

static const struct column count_columns[] = {
	{ "NAME", CELL_TEXT, "name" },
	{ "COUNT", CELL_NUMBER, "count" },
	{ "COUNT/s", CELL_RATE, "count" },
	{ "MEANING", CELL_TEXT, "meaning" },
};

static const struct column ring_columns[] = {
	{ "INTERFACE", CELL_TEXT, "interface" }, { "QUEUE", CELL_NUMBER, "worker" },
	{ "NAME", CELL_TEXT, "name" },		 { "COUNT", CELL_NUMBER, "count" },
	{ "COUNT/s", CELL_RATE, "count" },	 { "MEANING", CELL_TEXT, "meaning" },
};

#define COLUMNS(columns) columns, sizeof(columns) / sizeof((columns)[0])

static const struct section status_sections[] = {
	{ NULL, NULL, status_rows, COLUMNS(status_columns), false, NULL },
};

static const struct section service_sections[] = {
	{ NULL, "There are no services.", service_rows, COLUMNS(service_columns), false, NULL },
};

static const struct section backend_sections[] = {
	{ NULL, "There are no backends.", backend_rows, COLUMNS(backend_columns), false, NULL },
};

static const struct section stats_sections[] = {
	{ "Queues", NULL, queue_rows, COLUMNS(queue_columns), false, NULL },
	{ "Workers, and where their frames are", NULL, worker_rows, COLUMNS(worker_columns), false,
	  NULL },
	{ "What XDP did with frames", "XDP has seen no frame.", xdp_rows, COLUMNS(count_columns),
	  true, "xdp" },
	{ "Sockets towards backends, and what was lost in any",
	  "No client has been here, and nothing was lost in sockets.", socket_rows,
	  COLUMNS(count_columns), true, "sockets" },
	{ "Dropped by the workers", "The workers have dropped nothing.", drop_rows,
	  COLUMNS(count_columns), true, NULL },
	{ "Why clients' datagrams got their backends", "No client's datagram got a backend.",
	  rule_rows, COLUMNS(count_columns), true, NULL },
	{ "What was learned and asked", "Nothing had to be rationed, replaced or asked for.",
	  routing_rows, COLUMNS(count_columns), true, NULL },
	{ "What is remembered", "Nothing is remembered.", table_rows, COLUMNS(table_columns), false,
	  NULL },
	{ "Trouble between kernel and workers", "No trouble between kernel and workers.", ring_rows,
	  COLUMNS(ring_columns), true, NULL },
};

static bool section_is_for(const struct section *section, json_t *answer)
{
	return !section->part || json_object_size(json_object_get(answer, section->part)) > 0;
}

static int section_print(FILE *out, const struct section *section, json_t *now, json_t *before,
			 double seconds)
{
	struct text_table table = {
		.columns = section->columns,
		.column_count = section->column_count,
		.rows = section->rows(now),
		.before = before ? section->rows(before) : NULL,
		.seconds = seconds,
		.hide_zero = section->hide_zero,
	};
	int err = !table.rows || (before && !table.before) ? -EPROTO : 0;

	if (!err && text_table_rows_shown(&table)) {
		if (section->heading)
			(void)fprintf(out, "%s\n", section->heading);
		text_table_print(out, &table);
	} else if (!err && section->nothing) {
		(void)fprintf(out, "%s\n", section->nothing);
	}
	json_decref(table.rows);
	json_decref(table.before);
	return err;
}

int ctl_table_print(FILE *out, const char *command, json_t *now, json_t *before, double seconds)
{
	static const struct {
		const char *command;
		void (*introduce)(FILE *out, json_t *answer);
		const struct section *sections;
		size_t count;
	} commands[] = {
		{ "status", status_introduce, COLUMNS(status_sections) },
		{ "stats", NULL, COLUMNS(stats_sections) },
		{ "services", NULL, COLUMNS(service_sections) },
		{ "backends", NULL, COLUMNS(backend_sections) },
		{ "lookup", lookup_introduce, NULL, 0 },
		{ "reload", reload_introduce, NULL, 0 },
		{ "drain", backend_introduce, NULL, 0 },
		{ "undrain", backend_introduce, NULL, 0 },
		{ "flush", flush_introduce, NULL, 0 },
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(command, commands[i].command) != 0)
			continue;
		if (commands[i].introduce)
			commands[i].introduce(out, now);
		for (size_t j = 0; !err && j < commands[i].count; j++) {
			if (!section_is_for(&commands[i].sections[j], now))
				continue;
			if (j)
				(void)fputc('\n', out);
			err = section_print(out, &commands[i].sections[j], now, before, seconds);
		}
	}
	return err;
}
