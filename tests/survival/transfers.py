#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""transfers.py - HTTP/3 transfers by gtlsclient, all at a time, behind a NAT.

The NAT is here too: a client sends to a socket on loopback, and this program
sends it on from a socket of its own. So it knows how much a transfer has moved,
and gives a client another port or address in the very moment that it is told to.

A transfer that has moved HOLD_BYTES is slowed down to a trickle until it is
released: whatever happens in between happens to a running transfer.

Reads commands, a line each, from the FIFO --commands:
  port, address   with its next datagram, each client gets another port or address
  settle          wait until the server has validated each client's path
  count NAME...   only transfers that began on these backends count, and those that
                  never got to one
  release         end of the trickle
Prints `under way` when all are held (or silent, with --quiet), `rebound` when all
have changed, `settled` when all are; the result goes to --result when all have ended.
"""
import argparse
import hashlib
import heapq
import itertools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time

RATE = 2_000_000  # bytes a second of one client, in one direction
TRICKLE = 25_000
QUEUE_S = 0.15  # what would wait longer is lost
DELAY_S = 0.005
HOLD_BYTES = 150_000
FEW_BYTES = 20_000  # a handshake and a request are less
HEARD_ANSWERS = 3  # datagrams from the server
HEARD_S = 3  # whoever has none by then will hardly have one
# RFC 9000 section 8.2.4: a server gives a new path up after three times the PTO of an
# unknown one, 333 + 4 * 166.5 ms (RFC 9002) and at most 25 ms of delayed ACKs. What it
# sends there later says that the path is validated.
VALIDATION_S = 3 * (0.333 + 4 * 0.1665 + 0.025)
SETTLED_REPLIES = 3
REACH_S = 15  # for what a command wants
START_S = 30
END_S = 45  # from the release
IDLE_TIMEOUT_S = 20  # who gets no answer doubles its silence: twice an outage, and again
BURST = 32
ID_BYTES = 12  # of a Connection ID; no server's are shorter


class Link:
    """One direction of a client's line: a rate and a short queue."""

    def __init__(self):
        self.free_at = 0.0

    def departure(self, now, size, rate):
        start = max(now, self.free_at)
        if start - now > QUEUE_S:
            return None
        self.free_at = start + size / rate
        return self.free_at + DELAY_S


class Mapping:
    """What a NAT keeps: a client's address, and the socket that stands for it outside."""

    def __init__(self, transfer, client):
        self.transfer = transfer
        self.client = client
        self.host = 0  # which of the NAT's addresses
        self.rebind_to = None
        self.rebindings = 0
        self.ids = set()  # beginnings of the Connection IDs that the client has used
        self.outside = None
        self.open()

    def open(self):
        transfer = self.transfer
        self.outside = socket.socket(transfer.family, socket.SOCK_DGRAM)
        self.outside.setblocking(False)
        self.outside.bind((transfer.hosts[self.host], 0))
        transfer.selector.register(self.outside, selectors.EVENT_READ, self.receive)
        self.opened_at = time.monotonic()
        self.answers = self.late_answers = 0

    def rebind(self):
        """The old socket stays open, unread: nobody hears what comes to it, and the
        port is not used again."""
        self.transfer.selector.unregister(self.outside)
        self.transfer.forgotten.append(self.outside)
        self.host = self.rebind_to
        self.rebind_to = None
        self.rebindings += 1
        self.open()

    def heard(self, now):
        return self.answers >= HEARD_ANSWERS or now - self.opened_at > HEARD_S

    def settled(self):
        return self.late_answers >= SETTLED_REPLIES

    def receive(self):
        for data, source in datagrams(self.outside):
            if source[:2] == self.transfer.service:
                self.answers += 1
                self.late_answers += time.monotonic() - self.opened_at > VALIDATION_S
                self.transfer.down(self, data)


class Transfer:
    """A client with its process, its line and its part of the NAT."""

    def __init__(self, number, options, selector, later):
        way = number % len(options.to)
        self.number = number
        self.options = options
        self.selector = selector
        self.later = later
        self.service = (options.to[way], options.port)
        self.hosts = options.source[way].split(",")
        self.family = socket.AF_INET6 if ":" in options.to[way] else socket.AF_INET
        self.dir = os.path.join(options.dir, str(number))
        self.mappings = {}
        self.forgotten = []
        self.connections = set()
        self.links = {"up": Link(), "down": Link()}
        self.moved = {"up": 0, "down": 0}
        self.moved_at_release = None
        self.way = "up" if options.upload else "down"
        self.held = True
        self.rebinding_wanted = False
        self.ended_early = False
        self.last_at = time.monotonic()
        self.inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.inside.setblocking(False)
        self.inside.bind(("127.0.0.1", 0))
        selector.register(self.inside, selectors.EVENT_READ, self.receive)
        self.client = self.start()

    def start(self):
        options = self.options
        os.makedirs(self.dir)
        command = ["gtlsclient", "-q", "--no-quic-dump", "--no-http-dump",
                   "--exit-on-all-streams-close", "--handshake-timeout=5s",
                   f"--timeout={options.quiet + IDLE_TIMEOUT_S}s", f"--download={self.dir}"]
        names = ["whoami", "file"]
        if options.migrate:
            command.append("--change-local-addr=1s")
        if options.quiet:
            command.append(f"--delay-stream={options.quiet + HEARD_S}s")
        if options.upload:
            command += ["-m", "POST", f"--data={options.file}"]
            names = ["whoami"]
        command += ["127.0.0.1", str(self.inside.getsockname()[1])]
        command += [f"https://ringway.example/{name}" for name in names]
        with open(os.path.join(self.dir, "gtlsclient.log"), "wb") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    # --- Datagrams ---

    def rate(self, way):
        return TRICKLE if self.held and way == self.way and self.moved[way] > HOLD_BYTES else RATE

    def forward(self, way, data, send):
        now = time.monotonic()
        departure = self.links[way].departure(now, len(data), self.rate(way))
        self.last_at = now
        if departure is not None:
            self.moved[way] += len(data)
            self.later(departure, send)

    def receive(self):
        for data, client in datagrams(self.inside):
            mapping = self.mappings.get(client)
            if not mapping:
                mapping = self.mappings[client] = Mapping(self, client)
            self.look_at(mapping, data)
            self.forward("up", data, lambda m=mapping, d=data: self.send_up(m, d))

    def send_up(self, mapping, data):
        if mapping.rebind_to is not None:
            mapping.rebind()
        mapping.outside.sendto(data, self.service)

    def down(self, mapping, data):
        self.forward("down", data, lambda: self.inside.sendto(data, mapping.client))

    def look_at(self, mapping, data):
        """A client's own Connection ID in its long headers is its connection's."""
        if data[0] & 0x80:
            start = 6 + data[5]
            self.connections.add(data[start + 1 : start + 1 + data[start]])
        else:
            mapping.ids.add(data[1 : 1 + ID_BYTES])

    # --- Where it stands ---

    def newest(self):
        return next(reversed(self.mappings.values()), None)

    def running(self):
        return self.client.poll() is None

    def under_way(self, now):
        if self.options.quiet:
            return bool(self.mappings) and now - self.last_at > self.options.quiet
        if self.options.migrate and not (len(self.mappings) > 1 and self.newest().heard(now)):
            return False
        return self.moved[self.way] > HOLD_BYTES and (self.options.upload or bool(self.answer()))

    def rebind(self, host):
        self.rebinding_wanted = True
        if self.mappings:
            self.newest().rebind_to = host

    def rebound(self, now):
        mapping = self.newest()
        return not mapping or (mapping.rebind_to is None and mapping.heard(now))

    def settled(self):
        mapping = self.newest()
        return not mapping or mapping.settled()

    def release(self):
        self.held = False
        self.moved_at_release = self.moved[self.way]
        self.ended_early = self.client.poll() == 0 and self.complete()

    def answer(self):
        """To the request for whoami: the backend's name, if that was a download."""
        try:
            with open(os.path.join(self.dir, "whoami"), encoding="ascii") as file:
                return file.read().strip()
        except FileNotFoundError:
            return ""

    def complete(self):
        """When it has read all of an upload, gtlsserver answers with the file, our
        own server with the length and the hash of what it read."""
        wanted = content(self.options.file)
        if not self.options.upload:
            return content(os.path.join(self.dir, "file")) == wanted
        answer = self.answer().split()
        return len(answer) == 1 or answer == [str(os.path.getsize(self.options.file)), wanted]

    def changed_id(self):
        """Nothing that the newest mapping's datagrams are for was ever used by an older one."""
        *before, newest = self.mappings.values()
        return not any(newest.ids & mapping.ids for mapping in before)

    def missed(self):
        """It never met what was to happen to it, so that its survival says nothing."""
        if self.rebinding_wanted and not any(m.rebindings for m in self.mappings.values()):
            return True
        if self.options.migrate and not (len(self.mappings) > 1 and self.changed_id()):
            return True
        return self.ended_early

    def result(self):
        status = self.client.returncode
        survived = status == 0 and self.complete() and len(self.connections) == 1
        return {
            "transfer": self.number,
            "to": self.service[0],
            "answer": self.answer(),
            "survived": survived,
            "missed": survived and self.missed(),
            "connections": len(self.connections),
            "moved": self.moved[self.way],
            "moved_at_release": self.moved_at_release,
            "status": status,
        }


class Run:
    """All transfers of a cell, the timers of their datagrams, and the commands."""

    def __init__(self, options):
        self.options = options
        self.selector = selectors.DefaultSelector()
        self.timers = []
        self.order = itertools.count()
        self.counted = self.reach_until = None
        self.waits_for = "under way"
        self.deadline = time.monotonic() + START_S + options.quiet
        # Also for writing, so that the end of one writer is not the end of the file.
        self.commands = os.open(options.commands, os.O_RDWR | os.O_NONBLOCK)
        self.selector.register(self.commands, selectors.EVENT_READ, self.command)
        self.transfers = []

    def later(self, when, function):
        heapq.heappush(self.timers, (when, next(self.order), function))

    def start(self):
        for number in range(self.options.transfers):
            self.transfers.append(Transfer(number, self.options, self.selector, self.later))

    def running(self):
        return [transfer for transfer in self.transfers if transfer.running()]

    def command(self):
        for line in os.read(self.commands, 4096).decode().splitlines():
            verb, *names = line.split()
            if verb == "release":
                self.deadline = time.monotonic() + END_S
                for transfer in self.transfers:
                    transfer.release()
            elif verb == "count":
                self.counted = names
            elif verb == "settle":
                self.wait("settled")
            else:
                self.wait("rebound")
                for transfer in self.running():
                    transfer.rebind(1 if verb == "address" else 0)

    def wait(self, state):
        self.waits_for = state
        self.reach_until = time.monotonic() + REACH_S
        self.deadline = self.reach_until + START_S

    def reached(self, now):
        if self.waits_for == "under way":
            return all(transfer.under_way(now) for transfer in self.running())
        if now > self.reach_until:
            return True
        if self.waits_for == "rebound":
            return all(transfer.rebound(now) for transfer in self.running())
        return all(transfer.settled() for transfer in self.running())

    def loop(self):
        looked_at = 0.0
        while True:
            now = time.monotonic()
            wait = min(self.timers[0][0] - now, 0.02) if self.timers else 0.02
            for key, _ in self.selector.select(max(wait, 0)):
                key.data()
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                heapq.heappop(self.timers)[2]()
            if now - looked_at < 0.02:
                continue
            looked_at = now
            if self.waits_for and self.reached(now):
                print(self.waits_for, flush=True)
                self.waits_for = None
            if now > self.deadline or not self.running():
                return

    def finish(self):
        for transfer in self.running():
            transfer.client.kill()
        for transfer in self.transfers:
            transfer.client.wait()

    def result(self):
        results = [transfer.result() for transfer in self.transfers]
        # Whoever never heard of a backend is lost, and might have been any backend's.
        counted = [result for result in results
                   if self.counted is None or result["answer"] in ("", *self.counted)]
        return {
            "transfers": len(counted),
            "survived": sum(result["survived"] for result in counted),
            "missed": sum(result["missed"] for result in counted),
            "all": results,
        }


def datagrams(sock):
    """What has arrived, but not more than a burst of it."""
    for _ in range(BURST):
        try:
            yield sock.recvfrom(65536)
        except BlockingIOError:
            return


def content(path):
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transfers", type=int, required=True)
    parser.add_argument("--to", action="append", required=True, metavar="ADDRESS",
                        help="of the service; transfers take turns")
    parser.add_argument("--from", dest="source", action="append", required=True,
                        metavar="ADDRESS,ADDRESS", help="of the NAT, for each --to")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", required=True, help="what is downloaded or uploaded")
    parser.add_argument("--dir", required=True, help="for what the clients write; not there yet")
    parser.add_argument("--commands", required=True, metavar="FIFO")
    parser.add_argument("--result", required=True, metavar="FILE")
    parser.add_argument("--upload", action="store_true")
    parser.add_argument("--migrate", action="store_true", help="each client does, after 1 s")
    parser.add_argument("--quiet", type=int, default=0, metavar="SECONDS",
                        help="between handshake and request")
    options = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    run = Run(options)
    try:
        run.start()
        run.loop()
    finally:
        run.finish()
    with open(options.result, "w", encoding="ascii") as file:
        json.dump(run.result(), file, indent=1)


if __name__ == "__main__":
    main()
