/* SPDX-License-Identifier: GPL-2.0-only */
/* capture.h - the UDP datagrams of a pcap file, in memory, to be sent again and again. */
#ifndef RINGWAY_LOAD_CAPTURE_H
#define RINGWAY_LOAD_CAPTURE_H

#include <stddef.h>
#include <stdint.h>

struct load_capture_packet {
	uint8_t *payload;
	uint64_t time_ns; /* after the first */
	uint32_t flow;	  /* its addresses and ports: the how-manieth they were, from 0 */
	uint16_t len;
	uint16_t sum; /* of the payload, folded */
};

struct load_capture;

/* Read the file, all of it. Left out is what is no whole UDP datagram (fragments, packets
 * cut short, IP options) or has more than size_max bytes of payload. 0 and *ret_capture is
 * the caller's (load_capture_close), or a negative errno and a sentence in error[]: the
 * file cannot be read, is neither Ethernet nor raw IP, holds nothing to send or too much. */
int load_capture_open(const char *path, uint32_t size_max, struct load_capture **ret_capture,
		      char *error, size_t error_size);
void load_capture_close(struct load_capture *capture); /* accepts NULL */

uint32_t load_capture_count(const struct load_capture *capture);
uint32_t load_capture_flows(const struct load_capture *capture);
uint64_t load_capture_left_out(const struct load_capture *capture);
uint64_t load_capture_bytes(const struct load_capture *capture, uint64_t count); /* of so many */

/* Packet n of the file sent over and over, and its time after the first. Between the last
 * and the first again lies the mean distance. */
const struct load_capture_packet *load_capture_packet(const struct load_capture *capture,
						      uint64_t n);
uint64_t load_capture_time(const struct load_capture *capture, uint64_t n);

#endif
