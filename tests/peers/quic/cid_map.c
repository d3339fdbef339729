/* SPDX-License-Identifier: GPL-2.0-only */
#include "cid_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A power of two; 1000 connections with 8 IDs each make chains of 8. */
#define BUCKET_COUNT 1024

struct entry {
	struct entry *next;
	struct connection *connection;
	ngtcp2_cid cid;
};

struct cid_map {
	struct entry *buckets[BUCKET_COUNT];
};

struct cid_map *cid_map_new(void)
{
	return calloc(1, sizeof(struct cid_map));
}

void cid_map_free(struct cid_map *map)
{
	if (!map)
		return;
	for (size_t i = 0; i < BUCKET_COUNT; i++)
		while (map->buckets[i]) {
			struct entry *entry = map->buckets[i];

			map->buckets[i] = entry->next;
			free(entry);
		}
	free(map);
}

/* FNV-1a: every byte counts, as a prefix may be the same for all. */
static size_t bucket_of(const uint8_t *cid, size_t len)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ cid[i]) * 16777619u;
	return (hash ^ hash >> 16) % BUCKET_COUNT;
}

/* The pointer to the entry, or to the NULL at the end of its chain. */
static struct entry **entry_find(struct cid_map *map, const uint8_t *cid, size_t len)
{
	struct entry **place = &map->buckets[bucket_of(cid, len)];

	while (*place &&
	       ((*place)->cid.datalen != len || memcmp((*place)->cid.data, cid, len) != 0))
		place = &(*place)->next;
	return place;
}

static void entry_remove(struct entry **place)
{
	struct entry *entry = *place;

	*place = entry->next;
	free(entry);
}

int cid_map_add(struct cid_map *map, const ngtcp2_cid *cid, struct connection *connection)
{
	struct entry **place = entry_find(map, cid->data, cid->datalen);

	if (*place)
		return (*place)->connection == connection ? 0 : -EEXIST;
	*place = calloc(1, sizeof(**place));
	if (!*place)
		return -ENOMEM;
	(*place)->cid = *cid;
	(*place)->connection = connection;
	return 0;
}

struct connection *cid_map_find(const struct cid_map *map, const uint8_t *cid, size_t len)
{
	const struct entry *entry = *entry_find((struct cid_map *)map, cid, len);

	return entry ? entry->connection : NULL;
}

void cid_map_remove(struct cid_map *map, const ngtcp2_cid *cid)
{
	struct entry **place = entry_find(map, cid->data, cid->datalen);

	if (*place)
		entry_remove(place);
}

void cid_map_remove_all(struct cid_map *map, const struct connection *connection)
{
	for (size_t i = 0; i < BUCKET_COUNT; i++) {
		struct entry **place = &map->buckets[i];

		while (*place)
			if ((*place)->connection == connection)
				entry_remove(place);
			else
				place = &(*place)->next;
	}
}
