/* SPDX-License-Identifier: GPL-2.0-only */
#include "discovery.h"

#include <string.h>

/* RFC 9000 section 14: what carries a PATH_CHALLENGE or a PATH_RESPONSE is padded
 * to this, and no reset is. */
#define PATH_VALIDATION_LEN 1200

#define RESET_TOKEN_LEN 16

enum {
	WAVE_FIRST = 1,
	WAVE_OTHERS,
	WAVE_DONE,
};

static bool entry_hold(struct discovery_entry *entry)
{
	/* Pairs with the release in entry_release(). */
	return !__atomic_exchange_n(&entry->held, 1, __ATOMIC_ACQUIRE);
}

static void entry_release(struct discovery_entry *entry)
{
	__atomic_store_n(&entry->held, 0, __ATOMIC_RELEASE);
}

static struct discovery_entry *entry_of(struct discovery *discovery, uint64_t key)
{
	return &discovery->entries[key & (DISCOVERY_COUNT - 1)];
}

static uint32_t entry_age_ms(const struct discovery_entry *entry, uint64_t now_ms)
{
	return (uint32_t)now_ms - entry->started_ms;
}

/* A question of somebody else may not be cut short. */
static bool entry_is_free(const struct discovery_entry *entry, uint64_t key, uint64_t now_ms)
{
	uint32_t wanted_ms = entry->key == key ? DISCOVERY_PAUSE_MS : DISCOVERY_TIME_MS;

	return !entry->key || entry_age_ms(entry, now_ms) >= wanted_ms;
}

static enum discovery_step entry_go_on(struct discovery_entry *entry, uint16_t len, uint64_t now_ms,
				       uint16_t *slot)
{
	if (entry->wave == WAVE_DONE || entry_age_ms(entry, now_ms) >= DISCOVERY_TIME_MS)
		return DISCOVERY_REFUSED;
	*slot = entry->first_slot;
	if (entry->asked_len < len)
		entry->asked_len = len;
	if (entry->wave == WAVE_OTHERS)
		return DISCOVERY_WAITING;
	entry->wave = WAVE_OTHERS;
	return DISCOVERY_OTHERS;
}

static enum discovery_step entry_start(struct discovery *discovery, struct discovery_entry *entry,
				       uint64_t key, uint16_t len, uint64_t now_ms, uint16_t slot)
{
	__atomic_store_n(&discovery->newest_ms, (uint32_t)now_ms, __ATOMIC_RELAXED);
	memset(entry->answers, 0, sizeof(entry->answers));
	__atomic_store_n(&entry->key, key, __ATOMIC_RELAXED);
	entry->started_ms = (uint32_t)now_ms;
	entry->first_slot = slot;
	entry->asked_len = len;
	entry->wave = WAVE_FIRST;
	return DISCOVERY_FIRST;
}

enum discovery_step discovery_ask(struct discovery *discovery, uint64_t key, uint16_t len,
				  bool may_start, uint64_t now_ms, uint16_t *slot)
{
	struct discovery_entry *entry = entry_of(discovery, key);
	enum discovery_step step = DISCOVERY_REFUSED;

	if (!entry_hold(entry))
		return DISCOVERY_REFUSED;
	if (entry_is_free(entry, key, now_ms)) {
		if (may_start)
			step = entry_start(discovery, entry, key, len, now_ms, *slot);
	} else if (entry->key == key) {
		step = entry_go_on(entry, len, now_ms, slot);
	}
	entry_release(entry);
	return step;
}

static uint64_t answer_tail(const uint8_t *answer, uint16_t len)
{
	uint64_t halves[2] = { 0 };
	uint16_t tail_len = len < RESET_TOKEN_LEN ? len : RESET_TOKEN_LEN;

	memcpy(halves, answer + len - tail_len, tail_len);
	return halves[0] ^ (halves[1] * 0x9e3779b97f4a7c15ull);
}

/* Does this backend, and no other, answer with different ends? */
static bool answer_stands_out(struct discovery_entry *entry, uint16_t slot, uint64_t tail)
{
	struct discovery_answer *own = NULL;
	bool is_alone = true;

	for (int i = 0; i < DISCOVERY_ANSWERS; i++) {
		struct discovery_answer *answer = &entry->answers[i];

		if (!own && (!answer->present || answer->slot == slot))
			own = answer;
		else if (answer->present && answer->repeated)
			is_alone = false;
	}
	if (!own)
		return false;
	if (own->present && own->tail != tail)
		own->repeated = true;
	own->present = true;
	own->slot = slot;
	own->tail = tail;
	return own->repeated && is_alone;
}

/* Could be a stateless reset of a datagram that was asked about. */
static bool answer_is_short(const struct discovery_entry *entry, uint16_t len)
{
	return len < entry->asked_len && len < PATH_VALIDATION_LEN;
}

static enum discovery_verdict entry_judge(struct discovery_entry *entry, uint64_t key,
					  uint16_t slot, const uint8_t *answer, uint16_t len,
					  uint64_t now_ms)
{
	uint32_t age_ms = entry_age_ms(entry, now_ms);

	if (entry->key != key)
		return DISCOVERY_NOT_SOUGHT;
	if (entry->wave == WAVE_DONE) /* what the others still have to say */
		return slot != entry->first_slot && age_ms < DISCOVERY_PAUSE_MS &&
				       answer_is_short(entry, len)
			       ? DISCOVERY_UNCLEAR
			       : DISCOVERY_NOT_SOUGHT;
	if (age_ms >= DISCOVERY_TIME_MS)
		return DISCOVERY_NOT_SOUGHT;
	if (answer_is_short(entry, len) &&
	    !answer_stands_out(entry, slot, answer_tail(answer, len)))
		return DISCOVERY_UNCLEAR;
	entry->wave = WAVE_DONE;
	entry->first_slot = slot;
	return DISCOVERY_OWNER;
}

enum discovery_verdict discovery_answer(struct discovery *discovery, uint64_t key, uint16_t slot,
					const uint8_t *answer, uint16_t len, uint64_t now_ms)
{
	struct discovery_entry *entry = entry_of(discovery, key);
	enum discovery_verdict verdict;

	/* The usual case costs one line, read only. */
	if (__atomic_load_n(&entry->key, __ATOMIC_RELAXED) != key)
		return DISCOVERY_NOT_SOUGHT;
	if (!entry_hold(entry))
		return DISCOVERY_UNCLEAR;
	verdict = entry_judge(entry, key, slot, answer, len, now_ms);
	entry_release(entry);
	return verdict;
}
