/* SPDX-License-Identifier: GPL-2.0-only */
/* ctl_table_test.c - what ringwayctl prints, to the last blank. */
#include "ctl/ctl_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

/* before NULL: no rates. */
static void assert_printed(const char *command, const char *now, const char *before, double seconds,
			   const char *want)
{
	json_t *now_json = json_of(now), *before_json = before ? json_of(before) : NULL;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(ctl_table_print(out, command, now_json, before_json, seconds), 0);
	(void)fclose(out);
	assert_string_equal(text, want);
	free(text);
	json_decref(now_json);
	json_decref(before_json);
}

static void status(void **state)
{
	static const char answer[] =
		"{'version':'0.1.0','engine':'af_xdp','uptime_s':93784,'generation':4,'pid':4711,'workers':2,"
		"'interfaces':["
		"{'interface':'ext','ifindex':11,'driver':'ice','mtu':1500,'queues':["
		"{'queue':0,'worker':0,'cpu':2,'mode':'zero-copy'},"
		"{'queue':1,'worker':1,'cpu':null,'mode':'zero-copy'}]},"
		"{'interface':'int','ifindex':12,'driver':'virtio_net','mtu':9000,'queues':["
		"{'queue':0,'worker':0,'cpu':2,'mode':'copy'},"
		"{'queue':1,'worker':1,'cpu':null,'mode':'copy'}]}],"
		"'services':2,'backends':3,'backends_resolved':1}";

	(void)state;
	assert_printed("status", answer, NULL, 0,
		       "ringway 0.1.0, engine af_xdp, PID 4711, up for 1 d 02:03:04\n"
		       "generation: 4, workers: 2, services: 2, backends: 3 (resolved: 1)\n"
		       "\n"
		       "INTERFACE  IFINDEX  DRIVER       MTU  QUEUE  WORKER  CPU  MODE\n"
		       "ext             11  ice         1500      0       0    2  zero-copy\n"
		       "ext             11  ice         1500      1       1    -  zero-copy\n"
		       "int             12  virtio_net  9000      0       0    2  copy\n"
		       "int             12  virtio_net  9000      1       1    -  copy\n");
}

static void status_of_sockets(void **state)
{
	static const char answer[] =
		"{'version':'0.1.0','engine':'socket','uptime_s':7,'generation':1,'pid':4711,'workers':2,"
		"'interfaces':[],'socket':{'calls':'mmsg','steering':'four-tuple','decoupled':false,"
		"'flows':12,'flows_max':65536},'services':2,'backends':3,'backends_resolved':3}";

	(void)state;
	assert_printed(
		"status", answer, NULL, 0,
		"ringway 0.1.0, engine socket, PID 4711, up for 00:00:07\n"
		"generation: 1, workers: 2, services: 2, backends: 3 (resolved: 3)\n"
		"sockets: calls mmsg, steering four-tuple, decoupled: no, flows: 12 of 65536\n");
}

#define TRAFFIC(datagrams, bytes) "{'datagrams':" #datagrams ",'bytes':" #bytes "}"

#define WEB(out, back)                                                          \
	"[{'service':'web','addresses':['192.0.2.1','2001:db8::1'],'port':443," \
	"'protocol':'quic','mode':'nat','backends':2,'out':" out ",'back':" back "},"
#define DNS(out, back)                                          \
	"{'service':'dns','addresses':['192.0.2.2'],'port':53," \
	"'protocol':'udp','mode':'nat','backends':1,'out':" out ",'back':" back "}]"

static void services(void **state)
{
	static const char first[] = WEB(TRAFFIC(1000, 1200000), TRAFFIC(500, 100000))
		DNS(TRAFFIC(0, 0), TRAFFIC(9, 900));
	static const char second[] = WEB(TRAFFIC(431000, 517200000), TRAFFIC(700, 300000))
		DNS(TRAFFIC(1, 64), TRAFFIC(9, 900));

	(void)state;
	print_message("case: totals\n");
	assert_printed(
		"services", first, NULL, 0,
		"SERVICE  ADDRESS                PORT  PROTOCOL  MODE  BACKENDS   OUT  OUT BYTES  BACK  BACK BYTES\n"
		"web      192.0.2.1,2001:db8::1   443  quic      nat          2  1000    1200000   500      100000\n"
		"dns      192.0.2.2                53  udp       nat          1     0          0     9         900\n");
	print_message("case: rates over two seconds\n");
	assert_printed(
		"services", second, first, 2,
		"SERVICE  ADDRESS                PORT  PROTOCOL  MODE  BACKENDS     OUT   OUT/s  OUT bit/s  BACK  BACK/s  BACK bit/s\n"
		"web      192.0.2.1,2001:db8::1   443  quic      nat          2  431000  215000      2.06G   700     100        800k\n"
		"dns      192.0.2.2                53  udp       nat          1       1       0        256     9       0           0\n");
}

static void backends(void **state)
{
	static const char answer[] =
		"[{'service':'web','backend':'a','slot':0,'addresses':['10.0.0.1','fd00::1'],"
		"'port':4433,'weight':100,'state':'up','health':[{'family':'ipv4','state':'up',"
		"'for_s':12,'reason':'refused'},{'family':'ipv6','state':'down','for_s':3,"
		"'reason':'no answer in 500 ms'}],'next_hop':["
		"{'family':'ipv4','state':'resolved','interface':'int',"
		"'mac':'02:00:00:ab:cd:ef','gateway':'10.0.0.254'},"
		"{'family':'ipv6','state':'unresolved','interface':'int','mac':null,"
		"'gateway':'fe80::1'}],"
		"'out':{'datagrams':1040,'bytes':1042},'back':{'datagrams':1044,'bytes':1046}},"
		"{'service':'web','backend':'backend-b','slot':1,'addresses':['10.0.0.2'],"
		"'port':4433,'weight':0,'state':'drained','next_hop':["
		"{'family':'ipv4','state':'no-route','interface':null,'mac':null,"
		"'gateway':null}],"
		"'out':{'datagrams':0,'bytes':0},'back':{'datagrams':0,'bytes':0}}]";

	(void)state;
	assert_printed(
		"backends", answer, NULL, 0,
		"SERVICE  BACKEND    ADDRESS           PORT  WEIGHT  STATE    HEALTH                                 NEXT HOP                               OUT  OUT BYTES  BACK  BACK BYTES\n"
		"web      a          10.0.0.1,fd00::1  4433     100  up       up 12 s,down 3 s: no answer in 500 ms  int 02:00:00:ab:cd:ef,int unresolved  1040       1042  1044        1046\n"
		"web      backend-b  10.0.0.2          4433       0  drained  -                                      no-route                                 0          0     0           0\n");
}

static void changes(void **state)
{
	static const char answer[] = "{'service':'web','backend':'a','state':'drained',"
				     "'generation':5}";

	(void)state;
	assert_printed("reload", "{'generation':4,'services':2,'backends':3}", NULL, 0,
		       "reloaded: generation 4, 2 services, 3 backends\n");
	assert_printed("reload", "{'generation':4,'services':1,'backends':1}", NULL, 0,
		       "reloaded: generation 4, 1 service, 1 backend\n");
	assert_printed("drain", answer, NULL, 0, "web/a: drained\n");
	assert_printed("undrain", answer, NULL, 0, "web/a: drained\n");
	assert_printed("flush", answer, NULL, 0, "web/a: drained\nits connections are cut\n");
}

#define PORT(name, mode, n, lost)                                                          \
	"{'interface':'" name "','mode':'" mode "','received':" #n ",'sent':" #n           \
	",'completed':" #n ",'posted':64,'kicks':7,'kick_errors':{'again':0,'busy':" #lost \
	",'no_buffers':0,'link_down':0,'other':0},'rx_ring_full':" #lost                   \
	",'rx_fill_empty':0,'rx_dropped':0,'rx_invalid':0,'tx_invalid':0}"
#define WORKER(index, cpu, n, drops, busy_ns, lost)                                          \
	"{'index':" #index ",'cpu':" #cpu ",'received':" #n ",'sent':" #n ",'forwarded':" #n \
	",'dropped':{'malformed':" #drops ",'not_ours':0,'tx_full':" #drops "},"             \
	"'checksums_completed':0,'new_connections':5,'rounds':9,'empty_rounds':1,"           \
	"'busy_ns':" #busy_ns ",'waits':3,'frames':{'all':4096,'free':3968,'held':0,"        \
	"'posted':128,'outstanding':0},'ports':[" PORT("ext", "zero-copy", n,                \
						       lost) "," PORT("int", "copy", n, 0) "]}"

#define TABLES                                                                        \
	"'tables':{'tuples':{'places':1000,'bytes':8000,'entries':123,'fill':0.123}," \
	"'cids':{'places':2000,'bytes':16000,'entries':null,'fill':null}}"
#define ROUTED                                                                             \
	"'decided':{'quic_lb':0,'connection_id':7,'of_tomorrow':1},'routing':{'copies':3," \
	"'rationed':0},'tuples':{'inserted':130,'evicted':1,'refused':2},"                 \
	"'cids':{'inserted':99,'evicted':0,'refused':0},"

#define STATS(workers, xdp, n, drops)                                                            \
	"{'workers':[" workers "],'xdp':{" xdp "}," TABLES ",'totals':{" ROUTED "'received':" #n \
	",'sent':" #n ",'forwarded':" #n ",'dropped':{'malformed':" #drops                       \
	",'not_ours':0,'tx_full':" #drops "}}}"

static const char quiet_stats[] =
	STATS(WORKER(0, 1, 10, 0, 1000000000, 0), "'xdp_service':0,'xdp_pass_not_ip':0", 10, 0);

static const char first_stats[] =
	STATS(WORKER(0, 1, 1000, 1, 1000000000, 0) "," WORKER(1, null, 20, 2, 5000000, 3),
	      "'xdp_service':1010,'xdp_pass_not_ip':0,'xdp_of_tomorrow':4", 1020, 3);

static const char second_stats[] =
	STATS(WORKER(0, 1, 501000, 6, 1250000000, 0) "," WORKER(1, null, 10, 7, 5000000, 8),
	      "'xdp_service':501010,'xdp_pass_not_ip':2,'xdp_of_tomorrow':4", 501020, 13);

static void stats(void **state)
{
	(void)state;
	print_message("case: one worker, no trouble\n");
	assert_printed(
		"stats", quiet_stats, NULL, 0,
		"Queues\n"
		"INTERFACE  QUEUE  WORKER  MODE       RECEIVED  SENT  COMPLETED  POSTED  KICKS\n"
		"ext            0       0  zero-copy        10    10         10      64      7\n"
		"int            0       0  copy             10    10         10      64      7\n"
		"\n"
		"Workers, and where their frames are\n"
		"WORKER  CPU  RECEIVED  SENT  DROPPED  CONNECTIONS  FRAMES  FREE  HELD  POSTED  OUTSTANDING\n"
		"     0    1        10    10        0            5    4096  3968     0     128            0\n"
		"\n"
		"XDP has seen no frame.\n"
		"\n"
		"The workers have dropped nothing.\n"
		"\n"
		"Why clients' datagrams got their backends\n"
		"NAME           COUNT  MEANING\n"
		"connection_id      7  the Connection ID is known\n"
		"of_tomorrow        1\n"
		"\n"
		"What was learned and asked\n"
		"NAME    COUNT  MEANING\n"
		"copies      3  copies of datagrams, to ask who owns a connection\n"
		"\n"
		"What is remembered\n"
		"TABLE           ENTRIES  PLACES  FILL           BYTES  INSERTED  EVICTED  REFUSED\n"
		"4-tuples            123    1000  12.3%           8000       130        1        2\n"
		"Connection IDs        -    2000  not yet known  16000        99        0        0\n"
		"\n"
		"No trouble between kernel and workers.\n");
	print_message("case: two workers, totals\n");
	assert_printed(
		"stats", first_stats, NULL, 0,
		"Queues\n"
		"INTERFACE  QUEUE  WORKER  MODE       RECEIVED  SENT  COMPLETED  POSTED  KICKS\n"
		"ext            0       0  zero-copy      1000  1000       1000      64      7\n"
		"ext            1       1  zero-copy        20    20         20      64      7\n"
		"int            0       0  copy           1000  1000       1000      64      7\n"
		"int            1       1  copy             20    20         20      64      7\n"
		"\n"
		"Workers, and where their frames are\n"
		"WORKER  CPU  RECEIVED  SENT  DROPPED  CONNECTIONS  FRAMES  FREE  HELD  POSTED  OUTSTANDING\n"
		"     0    1      1000  1000        2            5    4096  3968     0     128            0\n"
		"     1    -        20    20        4            5    4096  3968     0     128            0\n"
		"   all           1020  1020        6\n"
		"\n"
		"What XDP did with frames\n"
		"NAME             COUNT  MEANING\n"
		"xdp_service       1010  service traffic, to a worker\n"
		"xdp_of_tomorrow      4\n"
		"\n"
		"Dropped by the workers\n"
		"NAME       COUNT  MEANING\n"
		"malformed      3  headers that contradict each other\n"
		"tx_full        3  not sent: the transmit ring is full, or its socket refused\n"
		"\n"
		"Why clients' datagrams got their backends\n"
		"NAME           COUNT  MEANING\n"
		"connection_id      7  the Connection ID is known\n"
		"of_tomorrow        1\n"
		"\n"
		"What was learned and asked\n"
		"NAME    COUNT  MEANING\n"
		"copies      3  copies of datagrams, to ask who owns a connection\n"
		"\n"
		"What is remembered\n"
		"TABLE           ENTRIES  PLACES  FILL           BYTES  INSERTED  EVICTED  REFUSED\n"
		"4-tuples            123    1000  12.3%           8000       130        1        2\n"
		"Connection IDs        -    2000  not yet known  16000        99        0        0\n"
		"\n"
		"Trouble between kernel and workers\n"
		"INTERFACE  QUEUE  NAME              COUNT  MEANING\n"
		"ext            1  rx_ring_full          3  lost: the worker did not keep up, its receive ring was full\n"
		"ext            1  kick_errors.busy      3  a wake-up to send while the driver was busy\n");
	print_message("case: rates over half a second; a counter went back\n");
	assert_printed(
		"stats", second_stats, first_stats, 0.5,
		"Queues\n"
		"INTERFACE  QUEUE  WORKER  MODE       RECEIVED  RECEIVED/s    SENT   SENT/s  COMPLETED  POSTED  KICKS  KICKS/s\n"
		"ext            0       0  zero-copy    501000     1000000  501000  1000000     501000      64      7        0\n"
		"ext            1       1  zero-copy        10           -      10        -         10      64      7        0\n"
		"int            0       0  copy         501000     1000000  501000  1000000     501000      64      7        0\n"
		"int            1       1  copy             10           -      10        -         10      64      7        0\n"
		"\n"
		"Workers, and where their frames are\n"
		"WORKER  CPU  RECEIVED  RECEIVED/s    SENT   SENT/s  DROPPED  DROPPED/s  CONNECTIONS  CONNECTIONS/s  BUSY  FRAMES  FREE  HELD  POSTED  OUTSTANDING\n"
		"     0    1    501000     1000000  501000  1000000       12         20            5              0   50%    4096  3968     0     128            0\n"
		"     1    -        10           -      10        -       14         20            5              0    0%    4096  3968     0     128            0\n"
		"   all         501020     1000000  501020  1000000       26         40\n"
		"\n"
		"What XDP did with frames\n"
		"NAME              COUNT  COUNT/s  MEANING\n"
		"xdp_service      501010  1000000  service traffic, to a worker\n"
		"xdp_pass_not_ip       2        4  neither IPv4 nor IPv6, such as ARP\n"
		"xdp_of_tomorrow       4        0\n"
		"\n"
		"Dropped by the workers\n"
		"NAME       COUNT  COUNT/s  MEANING\n"
		"malformed     13       20  headers that contradict each other\n"
		"tx_full       13       20  not sent: the transmit ring is full, or its socket refused\n"
		"\n"
		"Why clients' datagrams got their backends\n"
		"NAME           COUNT  COUNT/s  MEANING\n"
		"connection_id      7        0  the Connection ID is known\n"
		"of_tomorrow        1        0\n"
		"\n"
		"What was learned and asked\n"
		"NAME    COUNT  COUNT/s  MEANING\n"
		"copies      3        0  copies of datagrams, to ask who owns a connection\n"
		"\n"
		"What is remembered\n"
		"TABLE           ENTRIES  PLACES  FILL           BYTES  INSERTED  INSERTED/s  EVICTED  EVICTED/s  REFUSED  REFUSED/s\n"
		"4-tuples            123    1000  12.3%           8000       130           0        1          0        2          0\n"
		"Connection IDs        -    2000  not yet known  16000        99           0        0          0        0          0\n"
		"\n"
		"Trouble between kernel and workers\n"
		"INTERFACE  QUEUE  NAME              COUNT  COUNT/s  MEANING\n"
		"ext            1  rx_ring_full          8       10  lost: the worker did not keep up, its receive ring was full\n"
		"ext            1  kick_errors.busy      8       10  a wake-up to send while the driver was busy\n");
}

/* Nothing is said of XDP, and counters that are zero are not shown. */
static void stats_of_sockets(void **state)
{
	static const char answer[] =
		"{'workers':[],'xdp':{},'sockets':{'flows':2,'flows_opened':5,'ring_full':0,"
		"'of_tomorrow':1,'dropped_service':3}}";
	static const char want[] =
		"Sockets towards backends, and what was lost in any\n"
		"NAME             COUNT  MEANING\n"
		"flows                2  clients at their backends now, an upstream socket each\n"
		"flows_opened         5  upstream sockets opened\n"
		"of_tomorrow          1\n"
		"dropped_service      3  lost: no room in a service's socket, see "
		"socket.receive_buffer\n"
		"\n";
	json_t *json = json_of(answer);
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_non_null(out);
	assert_int_equal(ctl_table_print(out, "stats", json, NULL, 0), 0);
	(void)fclose(out);
	assert_non_null(strstr(text, want));
	assert_null(strstr(text, "XDP"));
	free(text);
	json_decref(json);
}

/* Three digits that count, rounded before the prefix is chosen. */
static void bits_get_a_prefix(void **state)
{
	static const struct {
		const char *bytes, *want;
	} cases[] = {
		{ "0", "0" },	       { "1", "8" },
		{ "124", "992" },      { "125", "1.00k" },
		{ "1249", "9.99k" },   { "1250", "10.0k" },
		{ "12499", "100k" },   { "124900", "999k" },
		{ "124999", "1.00M" }, { "1562500000", "12.5G" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char now[128], want[512], *line;
		json_t *before_json, *now_json;
		size_t size;
		FILE *out = open_memstream(&line, &size);

		print_message("case: %s bytes\n", cases[i].bytes);
		(void)snprintf(now, sizeof(now), "[{'out':{'bytes':%s},'back':{'bytes':0}}]",
			       cases[i].bytes);
		now_json = json_of(now);
		before_json = json_of("[{'out':{'bytes':0},'back':{'bytes':0}}]");
		assert_int_equal(ctl_table_print(out, "services", now_json, before_json, 1), 0);
		(void)fclose(out);
		(void)snprintf(want, sizeof(want), " %s", cases[i].want);
		assert_non_null(strstr(strchr(line, '\n'), want));
		free(line);
		json_decref(now_json);
		json_decref(before_json);
	}
}

/* An answer of another version: never a crash, never a wrong number. */
static void what_is_missing_is_blank_or_refused(void **state)
{
	static const struct {
		const char *name, *command, *answer;
		int want;
	} cases[] = {
		{ "status of nothing", "status", "{}", 0 },
		{ "services of another kind", "services", "{}", 0 },
		{ "services without members", "services", "[{},{'out':7}]", 0 },
		{ "backends without members", "backends", "[{},{'next_hop':[{}]}]", 0 },
		{ "stats of nothing", "stats", "{}", 0 },
		{ "workers without members", "stats", "{'workers':[{}],'totals':{}}", 0 },
		{ "workers without totals", "stats", "{'workers':[{},{}]}", -EPROTO },
		{ "workers that are numbers", "stats", "{'workers':[1]}", -EPROTO },
		{ "backends that are numbers", "backends", "[1]", -EPROTO },
		{ "a worker short of a port", "stats",
		  "{'workers':[{'ports':[{},{}]},{'ports':[{}]}],'totals':{}}", -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *answer = json_of(cases[i].answer);
		char *text;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		print_message("case: %s\n", cases[i].name);
		assert_int_equal(ctl_table_print(out, cases[i].command, answer, NULL, 0),
				 cases[i].want);
		assert_int_equal(ctl_table_print(out, cases[i].command, answer, answer, 1),
				 cases[i].want);
		(void)fclose(out);
		free(text);
		json_decref(answer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status),
		cmocka_unit_test(status_of_sockets),
		cmocka_unit_test(stats_of_sockets),
		cmocka_unit_test(services),
		cmocka_unit_test(backends),
		cmocka_unit_test(changes),
		cmocka_unit_test(stats),
		cmocka_unit_test(bits_get_a_prefix),
		cmocka_unit_test(what_is_missing_is_blank_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
