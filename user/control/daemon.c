/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/daemon.h"

#include <errno.h>
#include <fcntl.h>
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
#include "control/engine.h"
#include "control/reload.h"
#include "control/report.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/number.h"

/* How often the end of what is finite is looked for. */
#define END_POLL_MS 10

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

/* Everything but the lineup. All of it may be there or not. */
static void engine_stop(struct daemon *daemon)
{
	control_socket_close(daemon->control);
	attach_close(daemon->attach); /* first, so that the workers run dry */
	for (uint32_t i = 0; i < daemon->worker_count; i++)
		worker_stop_ask(daemon->workers[i]);
	for (uint32_t i = 0; i < daemon->worker_count; i++)
		worker_stop(daemon->workers[i]);
	for (uint32_t i = 0; i < daemon->worker_count; i++)
		daemon->engine->io->close(daemon->ios[i]);
	socket_group_close(daemon->sockets);
	tracing_end(daemon);
	lookup_free(daemon->lookup);
	backends_close(daemon);
	link_watch_close(daemon->link_watch);
	health_close(daemon->health);
	drops_close(daemon->drops);
	router_free(daemon->router);
	table_free(daemon->table.table);
	*daemon = (struct daemon){ .config_path = daemon->config_path,
				   .lineup = daemon->lineup,
				   .started = daemon->started };
}

static int engine_start(struct daemon *daemon, const struct engine *engine,
			const struct daemon_options *options, char *error)
{
	int err;

	daemon->engine = engine;
	err = engine->ports(daemon, error);
	if (!err)
		err = table_start(daemon, error);
	if (!err)
		err = engine->start(daemon, options, error);
	if (err)
		engine_stop(daemon);
	return err;
}

/* What one engine had brought up is gone before the other comes. */
static int engine_start_any(struct daemon *daemon, const struct daemon_options *options,
			    char *error)
{
	int err = engine_start(daemon, &engine_af_xdp, options, error);

	if (!err)
		return 0;
	log_warn("engine auto: af_xdp is not to be had: %s; going on with engine socket, which is "
		 "slower",
		 error);
	return engine_start(daemon, &engine_socket, options, error);
}

static int engine_start_configured(struct daemon *daemon, const struct daemon_options *options,
				   char *error)
{
	static const struct engine *const engines[] = {
		[CONFIG_ENGINE_AF_XDP] = &engine_af_xdp,
		[CONFIG_ENGINE_SOCKET] = &engine_socket,
	};
	enum config_engine configured = daemon->lineup->config->engine;

	if (options->engine)
		return engine_start(daemon, options->engine, options, error);
	if (configured == CONFIG_ENGINE_AUTO)
		return engine_start_any(daemon, options, error);
	return engine_start(daemon, engines[configured], options, error);
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
	(void)clock_gettime(CLOCK_MONOTONIC, &daemon->started);
	if (!config->has_hash_key)
		hash_key_choose(config, options->engine == &engine_replay);
	err = lineup_start(daemon, config, error);
	if (!err)
		err = engine_start_configured(daemon, options, error);
	if (err) {
		daemon_stop(daemon);
		goto out;
	}
	/* Privileges are dropped by now. */
	if (faccessat(AT_FDCWD, daemon->config_path, R_OK, AT_EACCESS))
		log_warn("a reload will fail: %s cannot be read now that privileges are dropped: "
			 "%s; give it and its folders to root, or let everybody read it",
			 daemon->config_path, strerror(errno));
	*ret_daemon = daemon;
out:
	if (err)
		log_error("%s", error);
	return err;
}

static bool workers_done(const struct daemon *daemon)
{
	for (uint32_t i = 0; i < daemon->worker_count; i++)
		if (!worker_done(daemon->workers[i]))
			return false;
	return true;
}

static void tick(struct daemon *daemon)
{
	backends_tick(daemon);
	connections_tick(daemon);
	tracing_tick(daemon);
	control_socket_tick(daemon->control);
}

/* 0, or a negative errno and the reason logged: the daemon cannot go on. */
static int event_serve(struct daemon *daemon, enum event event, int fd)
{
	char error[DAEMON_ERROR_SIZE];
	uint64_t expirations;
	int err = 0;

	switch (event) {
	case EVENT_TICK:
		if (read(fd, &expirations, sizeof(expirations)) < 0)
			return 0;
		tick(daemon);
		break;
	case EVENT_HEALTH: health_serve(daemon->health, clock_ns()); return 0;
	case EVENT_CONTROL: control_socket_serve(daemon->control); return 0;
	default: break;
	}
	if (daemon->engine->serve)
		err = daemon->engine->serve(daemon, event, error);
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
		int count = epoll_wait(epoll, ready, EVENT_COUNT,
				       daemon->engine->is_finite ? END_POLL_MS : -1);

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
		if (daemon->engine->is_finite && workers_done(daemon))
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

	daemon->engine->io->stats(daemon->ios[0], &stats);
	return stats.failed;
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

	if (!daemon->engine->is_finite) {
		fds[EVENT_TICK] = ticks_open();
		fds[EVENT_HEALTH] = health_fd(daemon->health);
		fds[EVENT_CONTROL] = control_socket_fd(daemon->control);
	}
	if (daemon->engine->events)
		daemon->engine->events(daemon, fds);
	err = epoll < 0 ? -errno : events_add(epoll, fds);
	if (err) {
		log_error("cannot wait for events: %s", strerror(-err));
	} else {
		ready_log(daemon);
		err = events_serve(daemon, epoll, fds);
	}
	if (daemon->engine->is_finite) {
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
	engine_stop(daemon);
	lineup_free(daemon->lineup);
	free(daemon);
}
