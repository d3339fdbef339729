/* SPDX-License-Identifier: GPL-2.0-only */
/* health.c - when each backend is probed, and who is told what came of it.
 *
 * A watch is idle until its probe is due, then in the queue if too many probes are on
 * their way, then has a probe with a socket. The schedule holds the next time of each
 * watch that has one: idle, when it is due; probing, when its time is over. */
#include "health/health.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "health/health_probe.h"
#include "health/health_schedule.h"
#include "health/health_state.h"
#include "util/log.h"
#include "util/number.h"

#define MS_NS	1000000ull
#define WARN_NS (60000 * MS_NS) /* between two complaints: they may concern every backend */
#define TIMER	UINT32_MAX	/* what epoll knows the timer by; all else are ids */

enum phase {
	PHASE_REST, /* HEALTH_NONE */
	PHASE_IDLE,
	PHASE_QUEUED,
	PHASE_PROBING,
};

struct watch {
	uint32_t id;
	uint8_t addr[16];
	uint16_t port_be;
	struct health_settings settings;
	struct health_rules rules;
	struct health_state state;
	enum phase phase;
	uint64_t due_ns; /* idle: of the next probe; else of this one */
	struct health_probe probe;
	int result; /* the last failure; 0: none yet */
	TAILQ_ENTRY(watch) queued;
	uint8_t bytes[]; /* what payload and expected point to */
};

TAILQ_HEAD(watch_queue, watch);

struct health {
	health_fn *changed;
	void *arg;
	int epoll, timer;
	uint64_t timer_ns; /* what the timer is set to; 0: not set */
	struct watch *watches[HEALTH_WATCH_COUNT_MAX];
	struct health_schedule schedule;
	struct watch_queue queue;
	uint32_t probing_count;
	uint32_t spread;  /* the next watch's place in its interval, in parts of 2^32 */
	uint64_t warn_ns; /* from when a complaint may be logged again */
};

/* --- telling --------------------------------------------------------------- */

static bool warn_is_due(struct health *health, uint64_t now_ns)
{
	if (now_ns < health->warn_ns)
		return false;
	health->warn_ns = now_ns + WARN_NS;
	return true;
}

static void warn_local(struct health *health, const struct watch *watch, int err, uint64_t now_ns)
{
	char text[ADDRESS_TEXT_SIZE];

	if (warn_is_due(health, now_ns))
		log_warn("cannot probe the health of %s port %u: %s; it stays %s meanwhile",
			 address_format(watch->addr, text), ntohs(watch->port_be), strerror(-err),
			 watch->state.is_up ? "up" : "down");
}

static void warn_late(struct health *health, uint64_t now_ns)
{
	const struct watch *watch = TAILQ_FIRST(&health->queue);

	if (!watch || health->probing_count < HEALTH_PROBE_COUNT_MAX)
		return;
	if (now_ns - watch->due_ns >= watch->settings.interval_ms * MS_NS &&
	    warn_is_due(health, now_ns))
		log_warn("health probes are late by more than their interval, as %d wait for an "
			 "answer: give them a shorter timeout or a longer interval",
			 HEALTH_PROBE_COUNT_MAX);
}

/* --- one probe --------------------------------------------------------------- */

/* The first time after now at which the watch is due in its own rhythm. */
static void rest_until_due(struct health *health, struct watch *watch, uint64_t now_ns)
{
	uint64_t interval_ns = watch->settings.interval_ms * MS_NS;
	uint64_t late_ns = now_ns > watch->due_ns ? now_ns - watch->due_ns : 0;

	watch->due_ns += (late_ns / interval_ns + 1) * interval_ns;
	watch->phase = PHASE_IDLE;
	health_schedule_set(&health->schedule, watch->id, watch->due_ns);
}

static void take_result(struct health *health, struct watch *watch, int result, uint64_t now_ns)
{
	rest_until_due(health, watch, now_ns);
	if (result)
		watch->result = result;
	if (health_probe_is_local(result))
		warn_local(health, watch, result, now_ns);
	else if (health_state_result(&watch->state, &watch->rules, !result, now_ns))
		health->changed(health->arg, watch->id, watch->state.is_up);
}

/* Closing the socket takes it out of the epoll. */
static void probe_close(struct health *health, struct watch *watch)
{
	health_probe_close(&watch->probe);
	health->probing_count--;
}

static void probe_end(struct health *health, struct watch *watch, int result, uint64_t now_ns)
{
	probe_close(health, watch);
	take_result(health, watch, result, now_ns);
}

static void probe_start(struct health *health, struct watch *watch, uint64_t now_ns)
{
	struct epoll_event registration = { .events = health_probe_events(&watch->settings),
					    .data.u32 = watch->id };
	int result =
		health_probe_open(&watch->probe, &watch->settings, watch->addr, watch->port_be);

	if (result != -EINPROGRESS) {
		take_result(health, watch, result, now_ns);
		return;
	}
	health->probing_count++;
	if (epoll_ctl(health->epoll, EPOLL_CTL_ADD, watch->probe.fd, &registration)) {
		probe_end(health, watch, -errno, now_ns);
		return;
	}
	watch->phase = PHASE_PROBING;
	health_schedule_set(&health->schedule, watch->id,
			    now_ns + watch->settings.timeout_ms * MS_NS);
}

/* --- serving ----------------------------------------------------------------- */

static void timer_set(struct health *health, uint64_t now_ns)
{
	struct itimerspec when = { 0 };
	uint64_t next_ns = 0;
	uint32_t id;

	(void)health_schedule_next(&health->schedule, &id, &next_ns);
	/* What health_serve() had to leave for the next time. */
	if (!TAILQ_EMPTY(&health->queue) && health->probing_count < HEALTH_PROBE_COUNT_MAX)
		next_ns = now_ns;
	if (next_ns == health->timer_ns)
		return;
	health->timer_ns = next_ns;
	when.it_value.tv_sec = (time_t)(next_ns / (1000 * MS_NS));
	when.it_value.tv_nsec = (long)(next_ns % (1000 * MS_NS));
	(void)timerfd_settime(health->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Before the times are looked at: an answer counts however late it is read. */
static void answers_read(struct health *health, uint64_t now_ns)
{
	struct epoll_event ready[HEALTH_PROBE_COUNT_MAX + 1];
	int count = epoll_wait(health->epoll, ready, HEALTH_PROBE_COUNT_MAX + 1, 0);
	uint64_t expirations;

	for (int i = 0; i < count; i++) {
		struct watch *watch;
		int result;

		if (ready[i].data.u32 == TIMER) {
			(void)!read(health->timer, &expirations, sizeof(expirations));
			health->timer_ns = 0;
			continue;
		}
		watch = health->watches[ready[i].data.u32];
		assert(watch && watch->phase == PHASE_PROBING);
		result = health_probe_read(&watch->probe, &watch->settings);
		if (result != -EINPROGRESS)
			probe_end(health, watch, result, now_ns);
	}
}

static void due_serve(struct health *health, uint64_t now_ns)
{
	uint64_t due_ns;
	uint32_t id;

	while (health_schedule_next(&health->schedule, &id, &due_ns) && due_ns <= now_ns) {
		struct watch *watch = health->watches[id];

		if (watch->phase == PHASE_PROBING) {
			probe_end(health, watch,
				  health_probe_expire(&watch->probe, &watch->settings), now_ns);
			continue;
		}
		health_schedule_clear(&health->schedule, id);
		watch->phase = PHASE_QUEUED;
		TAILQ_INSERT_TAIL(&health->queue, watch, queued);
	}
}

/* Bounded, as probes that fail at once make room for all of the queue. */
static void queue_start(struct health *health, uint64_t now_ns)
{
	for (int i = 0; i < HEALTH_PROBE_COUNT_MAX; i++) {
		struct watch *watch = TAILQ_FIRST(&health->queue);

		if (!watch || health->probing_count == HEALTH_PROBE_COUNT_MAX)
			break;
		TAILQ_REMOVE(&health->queue, watch, queued);
		probe_start(health, watch, now_ns);
	}
	warn_late(health, now_ns);
}

int health_fd(const struct health *health)
{
	return health->epoll;
}

void health_serve(struct health *health, uint64_t now_ns)
{
	answers_read(health, now_ns);
	due_serve(health, now_ns);
	queue_start(health, now_ns);
	timer_set(health, now_ns);
}

/* --- watching ------------------------------------------------------------------ */

static bool is_within(uint64_t value, uint64_t minimum, uint64_t maximum)
{
	return minimum <= value && value <= maximum;
}

static bool settings_are_valid(const struct health_settings *settings)
{
	if (settings->kind == HEALTH_NONE)
		return true;
	return is_within(settings->interval_ms, HEALTH_INTERVAL_MIN_MS, HEALTH_INTERVAL_MAX_MS) &&
	       is_within(settings->timeout_ms, HEALTH_TIMEOUT_MIN_MS, settings->interval_ms) &&
	       is_within(settings->rise, 1, HEALTH_STREAK_MAX) &&
	       is_within(settings->fall, 1, HEALTH_STREAK_MAX) &&
	       settings->flap_changes <= HEALTH_FLAP_CHANGES_MAX &&
	       settings->flap_intervals <= HEALTH_FLAP_INTERVALS_MAX &&
	       settings->payload_len <= HEALTH_PAYLOAD_LEN_MAX &&
	       settings->expected_len <= HEALTH_PAYLOAD_LEN_MAX;
}

static bool bytes_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	return a_len == b_len && (!a_len || !memcmp(a, b, a_len));
}

static bool settings_equal(const struct health_settings *a, const struct health_settings *b)
{
	return a->kind == b->kind && a->interval_ms == b->interval_ms &&
	       a->timeout_ms == b->timeout_ms && a->rise == b->rise && a->fall == b->fall &&
	       a->flap_changes == b->flap_changes && a->flap_intervals == b->flap_intervals &&
	       bytes_equal(a->payload, a->payload_len, b->payload, b->payload_len) &&
	       bytes_equal(a->expected, a->expected_len, b->expected, b->expected_len);
}

static const uint8_t *bytes_copy(uint8_t *to, const uint8_t *from, size_t len)
{
	return len ? memcpy(to, from, len) : NULL;
}

/* NULL: out of memory. */
static struct watch *watch_new(uint32_t id, const uint8_t addr[16], uint16_t port_be,
			       const struct health_settings *settings)
{
	struct watch *watch =
		calloc(1, sizeof(*watch) + settings->payload_len + settings->expected_len);

	if (!watch)
		return NULL;
	watch->id = id;
	memcpy(watch->addr, addr, sizeof(watch->addr));
	watch->port_be = port_be;
	watch->settings = *settings;
	watch->settings.payload =
		bytes_copy(watch->bytes, settings->payload, settings->payload_len);
	watch->settings.expected = bytes_copy(watch->bytes + settings->payload_len,
					      settings->expected, settings->expected_len);
	watch->rules = (struct health_rules){
		.rise = settings->rise,
		.fall = settings->fall,
		.flap_changes = settings->flap_changes,
		.flap_window_ns = settings->interval_ms * MS_NS * settings->flap_intervals,
	};
	return watch;
}

static void watch_free(struct health *health, struct watch *watch)
{
	if (watch->phase == PHASE_PROBING)
		probe_close(health, watch);
	if (watch->phase == PHASE_QUEUED)
		TAILQ_REMOVE(&health->queue, watch, queued);
	health_schedule_clear(&health->schedule, watch->id);
	health->watches[watch->id] = NULL;
	free(watch);
}

/* Multiples of the golden ratio lie evenly between 0 and 1, however many there are. */
static void first_probe_schedule(struct health *health, struct watch *watch, uint64_t now_ns)
{
	uint64_t interval_us = watch->settings.interval_ms * 1000ull;

	watch->due_ns = now_ns + (interval_us * health->spread >> 32) * 1000;
	health->spread += 0x9e3779b9;
	watch->phase = PHASE_IDLE;
	health_schedule_set(&health->schedule, watch->id, watch->due_ns);
}

static void watch_start(struct health *health, struct watch *watch, uint64_t now_ns)
{
	health->watches[watch->id] = watch;
	if (watch->settings.kind != HEALTH_NONE) {
		first_probe_schedule(health, watch, now_ns);
	} else if (!watch->state.is_up) {
		health_state_init(&watch->state, true, now_ns);
		health->changed(health->arg, watch->id, true);
	}
	timer_set(health, now_ns);
}

int health_watch(struct health *health, uint64_t now_ns, uint32_t id, const uint8_t addr[16],
		 uint16_t port_be, const struct health_settings *settings, bool is_up)
{
	static const struct health_settings none = { .kind = HEALTH_NONE };
	struct watch *old, *watch;
	bool is_same;

	if (id >= HEALTH_WATCH_COUNT_MAX || !settings_are_valid(settings))
		return -EINVAL;
	if (settings->kind == HEALTH_NONE)
		settings = &none;
	old = health->watches[id];
	is_same = old && old->port_be == port_be && !memcmp(old->addr, addr, sizeof(old->addr));
	if (is_same && settings_equal(&old->settings, settings))
		return 0;
	watch = watch_new(id, addr, port_be, settings);
	if (!watch)
		return -ENOMEM;
	health_state_init(&watch->state, is_up, now_ns);
	if (is_same) {
		watch->state = old->state;
		watch->state.streak = 0; /* counted by other rules */
	}
	if (old)
		watch_free(health, old);
	watch_start(health, watch, now_ns);
	return 0;
}

void health_unwatch(struct health *health, uint32_t id)
{
	if (id < HEALTH_WATCH_COUNT_MAX && health->watches[id])
		watch_free(health, health->watches[id]);
}

int health_status(const struct health *health, uint32_t id, struct health_status *ret_status)
{
	const struct watch *watch = id < HEALTH_WATCH_COUNT_MAX ? health->watches[id] : NULL;
	struct health_status status = { 0 };

	if (!watch)
		return -ENOENT;
	status.is_up = watch->state.is_up;
	status.since_ns = watch->state.since_ns;
	if (!watch->state.is_up)
		status.held_until_ns = watch->state.held_until_ns;
	if (watch->result)
		health_probe_reason(watch->result, &watch->settings, status.reason,
				    sizeof(status.reason));
	*ret_status = status;
	return 0;
}

/* --- coming and going ------------------------------------------------------------ */

static int fds_open(struct health *health)
{
	struct epoll_event registration = { .events = EPOLLIN, .data.u32 = TIMER };

	health->epoll = epoll_create1(EPOLL_CLOEXEC);
	health->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (health->epoll < 0 || health->timer < 0)
		return -errno;
	return epoll_ctl(health->epoll, EPOLL_CTL_ADD, health->timer, &registration) ? -errno : 0;
}

int health_open(health_fn *changed, void *arg, struct health **ret_health, char *error,
		size_t error_size)
{
	struct health *health = calloc(1, sizeof(*health));
	int err;

	if (!health)
		return fail(-ENOMEM, error, error_size, "health of backends: %s", strerror(ENOMEM));
	health->changed = changed;
	health->arg = arg;
	TAILQ_INIT(&health->queue);
	err = fds_open(health);
	if (err) {
		health_close(health);
		return fail(err, error, error_size, "cannot create the timer for health probes: %s",
			    strerror(-err));
	}
	*ret_health = health;
	return 0;
}

void health_close(struct health *health)
{
	if (!health)
		return;
	for (uint32_t id = 0; id < HEALTH_WATCH_COUNT_MAX; id++)
		health_unwatch(health, id);
	if (health->timer >= 0)
		(void)close(health->timer);
	if (health->epoll >= 0)
		(void)close(health->epoll);
	free(health);
}
