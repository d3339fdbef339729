/* SPDX-License-Identifier: GPL-2.0-only */
#include "host/proc_net.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/number.h"

/* softnet_stat of 1024 CPUs is 130 KB; the others have 10. */
#define FILE_SIZE_MAX_BYTES (256 << 10)

/* Of digits in that base, up to a blank or the end; 0 if it is something else. */
static uint64_t number_of(const char *word, size_t len, int base)
{
	char text[24], *end;
	unsigned long long number;

	if (!len || len >= sizeof(text))
		return 0;
	memcpy(text, word, len);
	text[len] = '\0';
	number = strtoull(text, &end, base);
	return *end || text[0] == '-' ? 0 : number;
}

/* The next word before the end of the line; its length, 0 at the end. *rest is moved
 * behind it. */
static size_t word_next(const char **rest, const char **ret_word)
{
	*rest += strspn(*rest, " \t");
	*ret_word = *rest;
	*rest += strcspn(*rest, " \t\n");
	return (size_t)(*rest - *ret_word);
}

static const char *line_next(const char *line)
{
	line += strcspn(line, "\n");
	return *line ? line + 1 : line;
}

static bool word_is(const char *word, size_t len, const char *text)
{
	return strlen(text) == len && strncmp(word, text, len) == 0;
}

/* The text behind "TABLE:", or NULL. */
static const char *table_row(const char *line, const char *table)
{
	size_t len = strlen(table);

	return strncmp(line, table, len) == 0 && line[len] == ':' ? line + len + 1 : NULL;
}

uint64_t proc_net_table_value(const char *text, const char *table, const char *name)
{
	const char *names = NULL, *values = NULL, *word, *value;
	size_t len;

	for (; *text && !names; text = line_next(text))
		names = table_row(text, table);
	values = names ? table_row(text, table) : NULL;
	if (!values)
		return 0;
	while ((len = word_next(&names, &word))) {
		size_t value_len = word_next(&values, &value);

		if (word_is(word, len, name))
			return number_of(value, value_len, 10);
	}
	return 0;
}

uint64_t proc_net_line_value(const char *text, const char *name)
{
	for (; *name && *text; text = line_next(text)) {
		const char *rest = text, *word;
		size_t len = word_next(&rest, &word);

		if (!word_is(word, len, name))
			continue;
		len = word_next(&rest, &word);
		return number_of(word, len, 10);
	}
	return 0;
}

uint64_t proc_net_softnet_sum(const char *text, unsigned int column)
{
	uint64_t sum = 0;

	for (; *text; text = line_next(text)) {
		const char *rest = text, *word = NULL;
		size_t len = 0;

		for (unsigned int i = 0; i <= column; i++)
			len = word_next(&rest, &word);
		sum += number_of(word, len, 16);
	}
	return sum;
}

uint64_t proc_net_udp_other(const uint64_t counters[PROC_NET_COUNTER_COUNT])
{
	uint64_t known = counters[PROC_NET_UDP_RECEIVE_BUFFER] + counters[PROC_NET_UDP_CHECKSUM] +
			 counters[PROC_NET_UDP_MEMORY];
	uint64_t all = counters[PROC_NET_UDP_IN_ERRORS];

	/* They are read one after the other, while datagrams go on coming. */
	return all > known ? all - known : 0;
}

/* Never NULL while there is memory; "" if it cannot be read. To be freed. */
static char *file_read(const char *path)
{
	char *text = calloc(1, FILE_SIZE_MAX_BYTES);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t got = 1;

	while (text && fd >= 0 && got > 0 && len < FILE_SIZE_MAX_BYTES - 1) {
		got = read(fd, text + len, FILE_SIZE_MAX_BYTES - 1 - len);
		len += got > 0 ? (size_t)got : 0;
	}
	if (fd >= 0)
		(void)close(fd);
	return text;
}

static uint64_t counter_of(const char *snmp, const char *netstat, const char *table,
			   const char *name)
{
	bool is_extended = strstr(table, "Ext");

	return proc_net_table_value(is_extended ? netstat : snmp, table, name);
}

/* A thread's own directory has the network namespace that it is in. */
#define DIRECTORY "/proc/thread-self/net/"

void proc_net_read(struct proc_net *ret_stats)
{
	char *snmp = file_read(DIRECTORY "snmp"), *snmp6 = file_read(DIRECTORY "snmp6");
	char *netstat = file_read(DIRECTORY "netstat");
	char *softnet = file_read(DIRECTORY "softnet_stat");

	memset(ret_stats, 0, sizeof(*ret_stats));
	if (snmp && snmp6 && netstat && softnet) {
#define X(constant, table, name, name6)                         \
	ret_stats->counters[FAMILY_IPV4][PROC_NET_##constant] = \
		counter_of(snmp, netstat, table, name);         \
	ret_stats->counters[FAMILY_IPV6][PROC_NET_##constant] = proc_net_line_value(snmp6, name6);
		PROC_NET_COUNTERS(X)
#undef X
		ret_stats->softnet_dropped = proc_net_softnet_sum(softnet, 1);
		ret_stats->softnet_squeezed = proc_net_softnet_sum(softnet, 2);
	}
	free(snmp);
	free(snmp6);
	free(netstat);
	free(softnet);
}

void proc_net_since(struct proc_net *stats, const struct proc_net *before)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		for (enum proc_net_counter i = 0; i < PROC_NET_COUNTER_COUNT; i++)
			stats->counters[family][i] = number_since(stats->counters[family][i],
								  before->counters[family][i]);
	stats->softnet_dropped = number_since(stats->softnet_dropped, before->softnet_dropped);
	stats->softnet_squeezed = number_since(stats->softnet_squeezed, before->softnet_squeezed);
}
