#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A line between two interfaces that does to load datagrams what it is told to, and
says what a receiver at its end must find.

load_line.py IN OUT PLAN: takes {"count"} load datagrams that arrive on IN and passes
them on to OUT, each as its sequence says:
  "hold_ms"    [[of a hundred, ms], ...]: held for so long, by sequence mod 100
  "drop"       every so manieth is dropped; or "drop_range" [from, to)
  "duplicate"  every so manieth is passed on twice
  "swap"       every so manieth is held until the next one has gone
  "corrupt"    every so manieth has its payload changed, its UDP checksum is right
Prints one object at the end. The lists of latencies are sorted: what each frame had
behind it, since its stamp, before and after it was handed on.
"""
import heapq
import json
import select
import socket
import struct
import sys
import time

from load_frames import ETH_P_ALL, PACKET_OUTGOING, SO_RCVBUFFORCE, TRAILER, parse_ip, internet_sum


def every(plan, what, sequence):
    return what in plan and sequence % plan[what] == plan[what] - 1


def hold_ns(plan, sequence):
    place = sequence % 100
    for share, milliseconds in plan.get("hold_ms", []):
        if place < share:
            return milliseconds * 1_000_000
        place -= share
    return 0


def corrupt(frame, sequence):
    """In one of three ways, none of which the UDP checksum shows."""
    _, _, pseudo, udp = parse_ip(frame)
    frame, start = bytearray(frame), len(frame) - len(udp)
    payload = start + 8
    way = sequence // 7 % 3
    if way == 0:  # words change places: the sum stays
        frame[payload + 40:payload + 44] = (
            frame[payload + 42:payload + 44] + frame[payload + 40:payload + 42])
    elif way == 1:  # one bit
        frame[payload + 50] ^= 4
    else:  # another sequence
        frame[-1] ^= 1
    frame[start + 6:start + 8] = b"\0\0"
    checksum = ~internet_sum(pseudo + bytes(frame[start:])) & 0xFFFF or 0xFFFF
    frame[start + 6:start + 8] = struct.pack("!H", checksum)
    return bytes(frame)


class Receiver:
    """What must be found at the end of the line."""

    def __init__(self):
        self.seen = set()
        self.highest = -1
        self.found = dict.fromkeys(("received", "new", "reordered", "duplicates", "bad_hash"), 0)
        self.before, self.after = [], []

    def note(self, sequence, is_corrupt, before_ns, after_ns):
        found = self.found
        found["received"] += 1
        if is_corrupt:
            found["bad_hash"] += 1
            return
        self.before.append(before_ns)
        self.after.append(after_ns)
        if sequence in self.seen:
            found["duplicates"] += 1
            return
        found["new"] += 1
        found["reordered"] += sequence < self.highest
        self.seen.add(sequence)
        self.highest = max(self.highest, sequence)

    def report(self):
        return self.found | {"highest": self.highest, "lost": self.highest + 1 - self.found["new"],
                             "before_ns": sorted(self.before), "after_ns": sorted(self.after)}


class Line:
    def __init__(self, incoming, outgoing, plan):
        self.plan, self.receiver = plan, Receiver()
        self.incoming = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.incoming.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
        self.incoming.bind((incoming, 0))
        self.outgoing = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.outgoing.bind((outgoing, 0))
        self.held, self.waiting, self.dropped, self.order = [], [], 0, 0

    def send(self, sequence, frame, is_corrupt):
        stamp, = struct.unpack_from("!Q", frame, len(frame) - TRAILER)
        before = time.monotonic_ns() - stamp
        self.outgoing.send(frame)
        self.receiver.note(sequence, is_corrupt, before, time.monotonic_ns() - stamp)

    def hand_on(self, sequence, frame):
        is_corrupt = every(self.plan, "corrupt", sequence)
        frame = corrupt(frame, sequence) if is_corrupt else frame
        for _ in range(1 + every(self.plan, "duplicate", sequence)):
            self.send(sequence, frame, is_corrupt)

    def take(self, frame):
        sequence, = struct.unpack_from("!Q", frame, len(frame) - 8)
        first, last = self.plan.get("drop_range", [0, 0])
        if every(self.plan, "drop", sequence) or first <= sequence < last:
            self.dropped += 1
            return
        due = time.monotonic_ns() + hold_ns(self.plan, sequence)
        if every(self.plan, "swap", sequence):
            self.waiting.append((sequence, frame))
            return
        self.order += 1
        heapq.heappush(self.held, (due, self.order, sequence, frame))

    def release(self):
        while self.held and self.held[0][0] <= time.monotonic_ns():
            _, _, sequence, frame = heapq.heappop(self.held)
            self.hand_on(sequence, frame)
            while self.waiting:
                self.hand_on(*self.waiting.pop())

    def run(self):
        """Never sleeps: who held for a millisecond would wake up late."""
        taken, deadline = 0, time.monotonic() + 20
        while (taken < self.plan["count"] or self.held) and time.monotonic() < deadline:
            if select.select([self.incoming], [], [], 0)[0]:
                frame, address = self.incoming.recvfrom(4096)
                if address[2] != PACKET_OUTGOING and frame[-16:-12] == b"RWLD":
                    self.take(frame)
                    taken += 1
            self.release()
        while self.waiting:
            self.hand_on(*self.waiting.pop())
        return {"taken": taken, "dropped": self.dropped} | self.receiver.report()


if __name__ == "__main__":
    line = Line(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
    print("ready", file=sys.stderr, flush=True)
    json.dump(line.run(), sys.stdout)
