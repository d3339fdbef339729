/* SPDX-License-Identifier: GPL-2.0-only */
#include "discovery.h"

#include <string.h>

/* RFC 9000 section 14: what carries a PATH_CHALLENGE or a PATH_RESPONSE is padded
 * to this, and no reset is. */
#define PATH_VALIDATION_LEN 1200

#define RESET_TOKEN_LEN 16

/* A worker's time is that of its burst: another's may be behind. */
#define TIME_BEHIND_MS 1000

static bool set_hold(struct discovery_set *set)
{
	/* Pairs with the release in set_release(). */
	return !__atomic_exchange_n(&set->held, 1, __ATOMIC_ACQUIRE);
}

static void set_release(struct discovery_set *set)
{
	__atomic_store_n(&set->held, 0, __ATOMIC_RELEASE);
}

/* Not by the lowest bits: key_tuple() | 1 has no even ones. */
static struct discovery_set *set_of(struct discovery *discovery, uint64_t key)
{
	return &discovery->sets[key >> 32 & (DISCOVERY_SET_COUNT - 1)];
}

static uint32_t way_age_ms(const struct discovery_set *set, int way, uint64_t now_ms)
{
	uint32_t age_ms =
		(uint32_t)now_ms - __atomic_load_n(&set->started_ms[way], __ATOMIC_RELAXED);

	return age_ms > UINT32_MAX - TIME_BEHIND_MS ? 0 : age_ms;
}

/* Where the 4-tuple asks, or has asked not long ago; -1: nowhere. */
static int way_find(const struct discovery_set *set, uint64_t key, uint64_t now_ms)
{
	for (int way = 0; way < DISCOVERY_WAYS; way++)
		if (__atomic_load_n(&set->keys[way], __ATOMIC_RELAXED) == key)
			return way_age_ms(set, way, now_ms) < DISCOVERY_PAUSE_MS ? way : -1;
	return -1;
}

/* The older one; -1 is none. */
static int way_older(const uint32_t ages_ms[DISCOVERY_WAYS], int a, int b)
{
	return a < 0 || ages_ms[b] > ages_ms[a] ? b : a;
}

/* The place of a new question, -1: none. A prefix that has its share gives up one of
 * its own. */
static int way_claim(const struct discovery_set *set, uint16_t prefix, uint64_t now_ms)
{
	uint32_t ages_ms[DISCOVERY_WAYS];
	int oldest = -1, oldest_peer = -1, peers = 0;

	for (int way = 0; way < DISCOVERY_WAYS; way++) {
		bool is_peer;

		ages_ms[way] = set->keys[way] ? way_age_ms(set, way, now_ms) : UINT32_MAX;
		is_peer = set->prefixes[way] == prefix && ages_ms[way] < DISCOVERY_PAUSE_MS;
		peers += is_peer;
		if (ages_ms[way] < DISCOVERY_KEEP_MS)
			continue;
		oldest = way_older(ages_ms, oldest, way);
		if (is_peer)
			oldest_peer = way_older(ages_ms, oldest_peer, way);
	}
	return peers < DISCOVERY_WAYS_PER_PREFIX ? oldest : oldest_peer;
}

static enum discovery_step question_go_on(struct discovery_question *question, uint16_t len,
					  uint32_t age_ms, uint16_t *ret_slot)
{
	if (question->is_known || age_ms >= DISCOVERY_TIME_MS ||
	    question->asked == DISCOVERY_DATAGRAMS_MAX)
		return DISCOVERY_REFUSED;
	*ret_slot = question->slot;
	if (question->asked_len < len)
		question->asked_len = len;
	question->asked++;
	return DISCOVERY_ALL;
}

enum discovery_step discovery_ask(struct discovery *discovery, uint64_t key, uint16_t len,
				  uint64_t now_ms, uint16_t *ret_slot)
{
	struct discovery_set *set = set_of(discovery, key);
	enum discovery_step step = DISCOVERY_NEW;
	int way;

	/* Junk that may not ask writes nothing that is shared. */
	if (way_find(set, key, now_ms) < 0)
		return DISCOVERY_NEW;
	if (!set_hold(set))
		return DISCOVERY_REFUSED;
	way = way_find(set, key, now_ms);
	if (way >= 0)
		step = question_go_on(&set->questions[way], len, way_age_ms(set, way, now_ms),
				      ret_slot);
	set_release(set);
	return step;
}

static void way_fill(struct discovery_set *set, int way, uint64_t key, uint16_t prefix,
		     uint64_t now_ms, const struct discovery_question *question)
{
	__atomic_store_n(&set->keys[way], key, __ATOMIC_RELAXED);
	__atomic_store_n(&set->started_ms[way], (uint32_t)now_ms, __ATOMIC_RELAXED);
	set->prefixes[way] = prefix;
	set->questions[way] = *question;
}

/* Where the 4-tuple has asked long ago is free, so that it has no two places. */
static void ways_forget(struct discovery_set *set, uint64_t key)
{
	for (int way = 0; way < DISCOVERY_WAYS; way++)
		if (set->keys[way] == key)
			__atomic_store_n(&set->keys[way], 0, __ATOMIC_RELAXED);
}

bool discovery_start(struct discovery *discovery, uint64_t key, uint16_t prefix, uint16_t len,
		     uint64_t now_ms, uint16_t slot)
{
	const struct discovery_question question = { .slot = slot, .asked_len = len, .asked = 1 };
	struct discovery_set *set = set_of(discovery, key);
	int way = -1;

	if (!set_hold(set))
		return false;
	if (way_find(set, key, now_ms) < 0) {
		ways_forget(set, key);
		way = way_claim(set, prefix, now_ms);
	}
	if (way >= 0) {
		__atomic_store_n(&discovery->newest_ms, (uint32_t)now_ms, __ATOMIC_RELAXED);
		way_fill(set, way, key, prefix, now_ms, &question);
	}
	set_release(set);
	return way >= 0;
}

static uint16_t answer_tail(const uint8_t *answer, uint16_t len)
{
	const uint64_t mix = 0x9e3779b97f4a7c15ull;
	uint64_t halves[2] = { 0 };
	uint16_t tail_len = len < RESET_TOKEN_LEN ? len : RESET_TOKEN_LEN;

	memcpy(halves, answer + len - tail_len, tail_len);
	return (uint16_t)(((halves[0] * mix) ^ halves[1]) * mix >> 48);
}

/* From what this backend has answered first? */
static bool answer_differs(struct discovery_question *question, uint16_t slot, uint16_t tail)
{
	for (uint8_t i = 0; i < question->answer_count; i++)
		if (question->answers[i].slot == slot)
			return question->answers[i].tail != tail;
	if (question->answer_count < DISCOVERY_ANSWERS_MAX)
		question->answers[question->answer_count++] =
			(struct discovery_answer){ .slot = slot, .tail = tail };
	return false;
}

/* Could be a stateless reset of a datagram that was asked about. */
static bool answer_is_short(const struct discovery_question *question, uint16_t len)
{
	return len < question->asked_len && len < PATH_VALIDATION_LEN;
}

static enum discovery_verdict question_judge(struct discovery_question *question, uint32_t age_ms,
					     uint16_t slot, const uint8_t *answer, uint16_t len)
{
	if (question->is_known) /* what the others still have to say */
		return slot != question->slot && answer_is_short(question, len)
			       ? DISCOVERY_UNCLEAR
			       : DISCOVERY_NOT_SOUGHT;
	if (age_ms >= DISCOVERY_TIME_MS)
		return DISCOVERY_NOT_SOUGHT;
	if (answer_is_short(question, len) &&
	    !answer_differs(question, slot, answer_tail(answer, len)))
		return DISCOVERY_UNCLEAR;
	question->is_known = true;
	question->slot = slot;
	return DISCOVERY_OWNER;
}

enum discovery_verdict discovery_answer(struct discovery *discovery, uint64_t key, uint16_t slot,
					const uint8_t *answer, uint16_t len, uint64_t now_ms)
{
	struct discovery_set *set = set_of(discovery, key);
	enum discovery_verdict verdict = DISCOVERY_NOT_SOUGHT;
	int way;

	/* The usual case costs one line, read only. */
	if (way_find(set, key, now_ms) < 0)
		return DISCOVERY_NOT_SOUGHT;
	if (!set_hold(set))
		return DISCOVERY_UNCLEAR;
	way = way_find(set, key, now_ms);
	if (way >= 0)
		verdict = question_judge(&set->questions[way], way_age_ms(set, way, now_ms), slot,
					 answer, len);
	set_release(set);
	return verdict;
}
