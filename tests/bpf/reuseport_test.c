/* SPDX-License-Identifier: GPL-2.0-only */
/* reuseport_test.c - which of several sockets gets a datagram, over loopback, as the
 * kernel does not run such programs otherwise. Root; a namespace of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "io/socket_steer.h"
#include "ringway/limits.h"

/* Last: it has a macro fail(). */
#include <cmocka.h>

#include "netns.h"

#define ARRAY_LEN(a)	 (sizeof(a) / sizeof((a)[0]))
#define WORKER_COUNT	 4
#define CLIENT_COUNT	 64 /* sockets, a 4-tuple each */
#define CONNECTION_COUNT 100000
#define BATCH		 100 /* datagrams on their way at one time: fewer than buffers hold */
#define PORT		 443
#define CID_LEN		 8
#define DATAGRAM_SIZE	 40

static int workers[WORKER_COUNT], clients[CLIENT_COUNT];
static struct socket_steer *steer;

static void address_of(struct sockaddr_storage *name, bool is_ipv6, uint16_t port)
{
	memset(name, 0, sizeof(*name));
	if (is_ipv6)
		*(struct sockaddr_in6 *)name =
			(struct sockaddr_in6){ .sin6_family = AF_INET6,
					       .sin6_port = htons(port),
					       .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	else
		*(struct sockaddr_in *)name =
			(struct sockaddr_in){ .sin_family = AF_INET,
					      .sin_port = htons(port),
					      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void sockets_open(bool is_ipv6, bool steers)
{
	struct sockaddr_storage name;
	char error[256] = "";
	const int on = 1;

	address_of(&name, is_ipv6, PORT);
	for (int i = 0; i < WORKER_COUNT; i++) {
		workers[i] = socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_int_equal(setsockopt(workers[i], SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)),
				 0);
		assert_int_equal(bind(workers[i], (struct sockaddr *)&name, sizeof(name)), 0);
	}
	for (int i = 0; i < CLIENT_COUNT; i++) {
		clients[i] = socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(clients[i], (struct sockaddr *)&name, sizeof(name)), 0);
	}
	steer = NULL;
	if (steers && socket_steer_open(workers, WORKER_COUNT, &steer, error, sizeof(error)))
		fail_msg("%s", error);
	socket_steer_set(steer, CID_LEN);
}

static void sockets_close(void)
{
	for (int i = 0; i < WORKER_COUNT; i++)
		(void)close(workers[i]);
	for (int i = 0; i < CLIENT_COUNT; i++)
		(void)close(clients[i]);
	socket_steer_close(steer);
}

/* Made-up, and different for every number. */
static void connection_id_fill(uint8_t *cid, uint64_t number)
{
	number = (number + 1) * 0x9e3779b97f4a7c15ull;
	number ^= number >> 29;
	memcpy(cid, &number, CID_LEN);
}

/* A short header with that Connection ID; the number again at the end. */
static void short_send(int client, uint32_t number)
{
	uint8_t datagram[DATAGRAM_SIZE] = { 0x40 };

	connection_id_fill(datagram + 1, number);
	memcpy(datagram + DATAGRAM_SIZE - sizeof(number), &number, sizeof(number));
	assert_int_equal(send(client, datagram, sizeof(datagram), 0), sizeof(datagram));
}

/* All count that are on their way: which worker got which number, from first on. */
static void batch_take(uint32_t first, uint32_t count, uint8_t *ret_workers)
{
	uint32_t taken = 0;

	while (taken < count) {
		struct pollfd fds[WORKER_COUNT];

		for (int i = 0; i < WORKER_COUNT; i++)
			fds[i] = (struct pollfd){ .fd = workers[i], .events = POLLIN };
		assert_true(poll(fds, WORKER_COUNT, 20000) > 0);
		for (uint8_t i = 0; i < WORKER_COUNT; i++) {
			uint8_t datagram[DATAGRAM_SIZE];
			uint32_t number;

			while (recv(workers[i], datagram, sizeof(datagram), MSG_DONTWAIT) > 0) {
				memcpy(&number, datagram + DATAGRAM_SIZE - sizeof(number),
				       sizeof(number));
				assert_in_range(number, first, first + count - 1);
				ret_workers[number - first] = i;
				taken++;
			}
		}
	}
}

/* Every connection from one 4-tuple, then from another: how many kept their worker.
 * Also whether every worker got its share. */
static uint32_t connections_kept(void)
{
	uint32_t kept = 0, share[WORKER_COUNT] = { 0 };

	for (uint32_t first = 0; first < CONNECTION_COUNT; first += BATCH) {
		uint8_t before[BATCH], after[BATCH];

		for (uint32_t i = 0; i < BATCH; i++)
			short_send(clients[(first + i) % CLIENT_COUNT], first + i);
		batch_take(first, BATCH, before);
		for (uint32_t i = 0; i < BATCH; i++)
			short_send(clients[(first + i + 1 + first / BATCH % (CLIENT_COUNT - 1)) %
					   CLIENT_COUNT],
				   first + i);
		batch_take(first, BATCH, after);
		for (uint32_t i = 0; i < BATCH; i++) {
			kept += before[i] == after[i];
			share[before[i]]++;
		}
	}
	for (int i = 0; i < WORKER_COUNT; i++)
		assert_in_range(share[i], CONNECTION_COUNT / WORKER_COUNT / 2,
				2 * CONNECTION_COUNT / WORKER_COUNT);
	return kept;
}

static void keeps_the_worker_of_a_connection_id(void **state)
{
	(void)state;
	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		uint32_t kept;

		sockets_open(is_ipv6, true);
		kept = connections_kept();
		print_message("IPv%d: %u of %u kept their worker by Connection ID\n",
			      is_ipv6 ? 6 : 4, kept, CONNECTION_COUNT);
		assert_int_equal(kept, CONNECTION_COUNT);
		sockets_close();
	}
}

/* What it is worth; and that the test would see it if the program did nothing. */
static void four_tuples_do_not(void **state)
{
	uint32_t kept;

	(void)state;
	sockets_open(false, false);
	kept = connections_kept();
	print_message("%u of %u kept their worker by 4-tuple\n", kept, CONNECTION_COUNT);
	assert_true(kept < CONNECTION_COUNT / 2);
	sockets_close();
}

/* The worker that gets it. */
static int worker_of(int client, const uint8_t *datagram, size_t len)
{
	struct pollfd fds[WORKER_COUNT];
	uint8_t taken[DATAGRAM_SIZE];

	assert_int_equal(send(client, datagram, len, 0), len);
	for (int i = 0; i < WORKER_COUNT; i++)
		fds[i] = (struct pollfd){ .fd = workers[i], .events = POLLIN };
	assert_int_equal(poll(fds, WORKER_COUNT, 20000), 1);
	for (int i = 0; i < WORKER_COUNT; i++)
		if (fds[i].revents) {
			assert_int_equal(recv(workers[i], taken, sizeof(taken), 0), len);
			return i;
		}
	return -1;
}

/* Do all clients' datagrams go to one worker? Then it is not the 4-tuple that decides. */
static bool is_steered(const uint8_t *datagram, size_t len)
{
	int first = worker_of(clients[0], datagram, len);
	bool is_one = true;

	for (int i = 1; i < CLIENT_COUNT; i++)
		is_one &= worker_of(clients[i], datagram, len) == first;
	return is_one;
}

static const struct {
	const char *name;
	uint8_t datagram[DATAGRAM_SIZE];
	size_t len;
	uint32_t connection_id_len; /* hashed */
	bool is_steered;
} rows[] = {
	{ "short header", { 0x40, 1, 2, 3, 4, 5, 6, 7, 8 }, 30, 8, true },
	{ "short header, fixed bit 0", { 0x00, 1, 2, 3, 4, 5, 6, 7, 8 }, 30, 8, true },
	{ "short header, just long enough", { 0x40, 1, 2, 3, 4, 5, 6, 7, 8 }, 9, 8, true },
	{ "short header, a byte short", { 0x40, 1, 2, 3, 4, 5, 6, 7 }, 8, 8, false },
	{ "longest Connection ID", { 0x40, 1, 2, 3 }, 21, 20, true },
	{ "longest Connection ID, a byte short", { 0x40, 1, 2, 3 }, 20, 20, false },
	{ "shortest", { 0x40, 1 }, 2, 1, true },
	{ "long header", { 0xc0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0 }, 40, 8, true },
	{ "long header, unknown version",
	  { 0xc0, 9, 9, 9, 9, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9 },
	  40,
	  8,
	  true },
	{ "long header, longer Connection ID", { 0xc0, 0, 0, 0, 1, 20, 1, 2 }, 40, 8, true },
	{ "long header, shorter Connection ID", { 0xc0, 0, 0, 0, 1, 7, 1, 2 }, 40, 8, false },
	{ "long header, cut in its version", { 0xc0, 0, 0 }, 3, 8, false },
	{ "long header, cut in its Connection ID", { 0xc0, 0, 0, 0, 1, 8, 1, 2 }, 13, 8, false },
	{ "nothing at all", { 0 }, 0, 8, false },
	{ "not QUIC", { 0x40, 1, 2, 3, 4, 5, 6, 7, 8 }, 30, 0, false },
	{ "an impossible length", { 0x40, 1, 2, 3 }, 40, 21, false },
};

static void decides_row_by_row(void **state)
{
	(void)state;
	sockets_open(false, true);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("row: %s\n", rows[i].name);
		socket_steer_set(steer, rows[i].connection_id_len);
		assert_int_equal(is_steered(rows[i].datagram, rows[i].len), rows[i].is_steered);
	}
	sockets_close();
}

/* Of one connection, as the client has it after the handshake. */
static void long_and_short_headers_meet(void **state)
{
	uint8_t longer[DATAGRAM_SIZE] = { 0xe0, 0, 0, 0, 1, CID_LEN },
		shorter[DATAGRAM_SIZE] = { 0x40 };

	(void)state;
	sockets_open(false, true);
	for (uint64_t number = 0; number < 100; number++) {
		connection_id_fill(longer + 6, number);
		connection_id_fill(shorter + 1, number);
		assert_int_equal(worker_of(clients[0], longer, sizeof(longer)),
				 worker_of(clients[1], shorter, sizeof(shorter)));
	}
	sockets_close();
}

static void goes_on_when_a_socket_is_gone(void **state)
{
	uint8_t datagram[DATAGRAM_SIZE] = { 0x40, 1, 2, 3, 4, 5, 6, 7, 8 };
	int gone;

	(void)state;
	sockets_open(false, true);
	gone = worker_of(clients[0], datagram, sizeof(datagram));
	(void)close(workers[gone]);
	workers[gone] = -1; /* poll() passes over it */
	assert_int_not_equal(worker_of(clients[0], datagram, sizeof(datagram)), gone);
	sockets_close();
}

static int set_up(void **state)
{
	(void)state;
	return unshare(CLONE_NEWNET) || system("ip link set lo up");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decides_row_by_row),
		cmocka_unit_test(long_and_short_headers_meet),
		cmocka_unit_test(goes_on_when_a_socket_is_gone),
		cmocka_unit_test(keeps_the_worker_of_a_connection_id),
		cmocka_unit_test(four_tuples_do_not),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
