/* SPDX-License-Identifier: GPL-2.0-only */
/* cid_map.h - which connection a Connection ID belongs to. */
#ifndef PEERS_QUIC_CID_MAP_H
#define PEERS_QUIC_CID_MAP_H

#include <ngtcp2/ngtcp2.h>

struct cid_map;
struct connection;

struct cid_map *cid_map_new(void);	/* NULL: out of memory */
void cid_map_free(struct cid_map *map); /* NULL is a no-op */

/* 0, also if it is there already; -EEXIST if it is another's; -ENOMEM. */
int cid_map_add(struct cid_map *map, const ngtcp2_cid *cid, struct connection *connection);

/* NULL: nobody has it. */
struct connection *cid_map_find(const struct cid_map *map, const uint8_t *cid, size_t len);

void cid_map_remove(struct cid_map *map, const ngtcp2_cid *cid);
void cid_map_remove_all(struct cid_map *map, const struct connection *connection);

#endif
