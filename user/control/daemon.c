/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "control/backends.h"
#include "control/drops.h"
#include "control/reload.h"
#include "control/report.h"
#include "control/start.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/number.h"

/* How often the end of a replay is looked for. */
#define REPLAY_POLL_MS 10

/* A replay without a key is the same each time; what faces clients is secret. */
static void hash_key_choose(struct config *config, bool is_replay)
{
	if (is_replay || getrandom(config->hash_key, sizeof(config->hash_key), 0) < 0)
		return;
	log_warn("no hash_key: a random one is used until the next start, and other nodes choose "
		 "other backends; add `hash_key: ` and 32 random hex digits, the same on every "
		 "node");
}

static int lineup_start(struct daemon *daemon, struct config *config, char *error)
{
	int err = lineup_make(config, NULL, clock_ns() / 1000000000u, &daemon->lineup);

	if (!err)
		return 0;
	config_free(config);
	return fail(err, error, DAEMON_ERROR_SIZE, "cannot give each backend a slot: %s",
		    strerror(-err));
}

static int table_start(struct daemon *daemon, char *error)
{
	int err = backends_table(daemon, daemon->lineup, &daemon->table.table);

	if (err)
		return fail(err, error, DAEMON_ERROR_SIZE, "cannot build the forwarding table: %s",
			    strerror(-err));
	daemon->generation = 1;
	return 0;
}

static int everything_start(struct daemon *daemon, const struct daemon_options *options,
			    char *error)
{
	bool is_replay = options->engine == &io_replay;
	int err = 0;

	if (is_replay)
		start_links_invented(daemon);
	else
		err = start_links(daemon, error);
	if (!err)
		err = table_start(daemon, error);
	if (!err)
		err = is_replay ? start_replay(daemon, options, error)
				: start_forwarding(daemon, options, error);
	if (!err && !is_replay)
		start_addresses_check(daemon);
	return err;
}

int daemon_start(struct config *config, const struct daemon_options *options,
		 struct daemon **ret_daemon)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	char error[DAEMON_ERROR_SIZE] = "out of memory";
	int err = -ENOMEM;

	if (!daemon) {
		config_free(config);
		goto out;
	}
	daemon->config_path = options->config_path;
	daemon->engine = options->engine;
	(void)clock_gettime(CLOCK_MONOTONIC, &daemon->started);
	if (!config->has_hash_key)
		hash_key_choose(config, options->engine == &io_replay);
	err = lineup_start(daemon, config, error);
	if (!err)
		err = everything_start(daemon, options, error);
	if (err) {
		daemon_stop(daemon);
		goto out;
	}
	*ret_daemon = daemon;
out:
	if (err)
		log_error("%s", error);
	return err;
}

static void neighbour_solicit(void *arg, const struct neighbour_wanted *wanted)
{
	struct daemon *daemon = arg;
	uint8_t addr[16];

	match_addr_set(addr, wanted->family == AF_INET ? wanted->addr : NULL, wanted->addr);
	(void)next_hops_solicit(daemon->hops, wanted->ifindex, addr);
}

static bool workers_done(const struct daemon *daemon)
{
	for (uint32_t i = 0; i < daemon->worker_count; i++)
		if (!worker_done(daemon->workers[i]))
			return false;
	return true;
}

/* What the loop waits for, by the number that epoll returns. */
enum event {
	EVENT_SIGNAL,
	EVENT_TICK,
	EVENT_NEXT_HOPS,
	EVENT_LINKS,
	EVENT_HEALTH,
	EVENT_WANTED,
	EVENT_CONTROL,
	EVENT_COUNT,
};

/* 0, or a negative errno and the reason logged: the daemon cannot go on. */
static int event_serve(struct daemon *daemon, enum event event, int fd)
{
	char error[DAEMON_ERROR_SIZE];
	uint64_t expirations;
	int err = 0;

	switch (event) {
	case EVENT_TICK:
		if (read(fd, &expirations, sizeof(expirations)) < 0)
			break;
		next_hops_tick(daemon->hops);
		backends_tick(daemon);
		connections_tick(daemon);
		tracing_tick(daemon);
		control_socket_tick(daemon->control);
		err = link_watch_tick(daemon->link_watch, error, sizeof(error));
		break;
	case EVENT_NEXT_HOPS: next_hops_read(daemon->hops); break;
	case EVENT_LINKS: err = link_watch_read(daemon->link_watch, error, sizeof(error)); break;
	case EVENT_HEALTH: health_serve(daemon->health, clock_ns()); break;
	case EVENT_WANTED: attach_wanted_drain(daemon->attach, neighbour_solicit, daemon); break;
	case EVENT_CONTROL: control_socket_serve(daemon->control); break;
	default: break;
	}
	if (err)
		log_error("%s", error);
	return err;
}

static int signals_open(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}

/* false: it was one that ends the daemon. */
static bool signal_serve(struct daemon *daemon, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info) || info.ssi_signo != SIGHUP)
		return false;
	reload_logged(daemon);
	return true;
}

static int ticks_open(void)
{
	const struct itimerspec second = { .it_interval = { 1, 0 }, .it_value = { 1, 0 } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd >= 0 && timerfd_settime(fd, 0, &second, NULL)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int events_add(int epoll, const int *fds)
{
	for (enum event event = 0; event < EVENT_COUNT; event++) {
		struct epoll_event registration = { .events = EPOLLIN, .data.u32 = event };

		if (fds[event] >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fds[event], &registration))
			return -errno;
	}
	return 0;
}

static int events_serve(struct daemon *daemon, int epoll, const int *fds)
{
	for (;;) {
		struct epoll_event ready[EVENT_COUNT];
		int count =
			epoll_wait(epoll, ready, EVENT_COUNT, daemon->attach ? -1 : REPLAY_POLL_MS);

		if (count < 0 && errno != EINTR) {
			int err = -errno;

			log_error("cannot wait for events: %s", strerror(-err));
			return err;
		}
		for (int i = 0; i < count; i++) {
			enum event event = ready[i].data.u32;
			int err = 0;

			if (event != EVENT_SIGNAL)
				err = event_serve(daemon, event, fds[event]);
			else if (!signal_serve(daemon, fds[event]))
				return 0;
			if (err)
				return err;
		}
		if (!daemon->attach && workers_done(daemon))
			return 0;
	}
}

/* What became of a replay's datagrams, to stdout. */
static void report_print(const struct daemon *daemon)
{
	json_t *report = report_stats(daemon);

	(void)json_dumpf(report, stdout, JSON_INDENT(2));
	(void)putchar('\n');
	json_decref(report);
}

/* The engine has said why. */
static bool replay_has_failed(const struct daemon *daemon)
{
	struct io_stats stats;

	daemon->engine->stats(daemon->ios[0], &stats);
	return stats.failed;
}

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

static void ready_log(const struct daemon *daemon)
{
	size_t services = daemon->lineup->config->service_count;
	size_t backends = daemon->lineup->backend_count;

	log_info("ready: %u worker%s, %zu service%s, %zu backend%s", daemon->worker_count,
		 plural(daemon->worker_count), services, plural(services), backends,
		 plural(backends));
}

int daemon_run(struct daemon *daemon)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int fds[EVENT_COUNT] = { signals_open(), -1, -1, -1, -1, -1, -1 };
	int err;

	if (daemon->attach) {
		fds[EVENT_TICK] = ticks_open();
		fds[EVENT_NEXT_HOPS] = next_hops_fd(daemon->hops);
		fds[EVENT_LINKS] = link_watch_fd(daemon->link_watch);
		fds[EVENT_HEALTH] = health_fd(daemon->health);
		fds[EVENT_WANTED] = attach_wanted_fd(daemon->attach);
		fds[EVENT_CONTROL] = control_socket_fd(daemon->control);
	}
	err = epoll < 0 ? -errno : events_add(epoll, fds);
	if (err) {
		log_error("cannot wait for events: %s", strerror(-err));
	} else {
		ready_log(daemon);
		err = events_serve(daemon, epoll, fds);
	}
	if (!daemon->attach) {
		report_print(daemon);
		if (!err && replay_has_failed(daemon))
			err = -EIO;
	}
	close(fds[EVENT_TICK]);
	close(fds[EVENT_SIGNAL]);
	close(epoll);
	return err;
}

void daemon_stop(struct daemon *daemon)
{
	if (!daemon)
		return;
	control_socket_close(daemon->control);
	attach_close(daemon->attach); /* first, so that the workers run dry */
	for (uint32_t i = 0; i < daemon->worker_count; i++)
		worker_stop_ask(daemon->workers[i]);
	for (uint32_t i = 0; i < daemon->worker_count; i++)
		worker_stop(daemon->workers[i]);
	for (uint32_t i = 0; i < daemon->worker_count; i++)
		daemon->engine->close(daemon->ios[i]);
	tracing_end(daemon);
	lookup_free(daemon->lookup);
	next_hops_close(daemon->hops);
	link_watch_close(daemon->link_watch);
	health_close(daemon->health);
	drops_close(daemon->drops);
	router_free(daemon->router);
	table_free(daemon->table.table);
	lineup_free(daemon->lineup);
	free(daemon);
}
