#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Which backend saw which connection, from the files of `ringway-load sink --output`.

    connections.py missing COUNT FILE...
        how many of COUNT connections are in no file
    connections.py compare DIR BEFORE AFTER HOST...
        the connections of phase AFTER against those of phase BEFORE, as JSON. A phase
        is the files DIR/PHASE.SWEEP.HOST of all its sweeps: a connection that several
        sweeps show to several backends is torn
    connections.py forge PORT FIRST_ADDRESS PORTS COUNT FIRST_CID
        from UDP port PORT, one Handshake packet for each of COUNT connections, which
        names the Connection ID of the next one
"""
import glob
import ipaddress
import json
import socket
import sys

from load_frames import connection_id

CID_LEN = 8
FIRST_PORT = 4096


def seen(*paths):
    """A set of connections as a number: a byte of 1 for each that is in a file."""
    union = 0
    for path in paths:
        with open(path, "rb") as file:
            union |= int.from_bytes(file.read(), "little")
    return union


def missing(count, *paths):
    print(int(count) - seen(*paths).bit_count())


def phase(directory, name, host):
    return seen(*glob.glob(f"{glob.escape(directory)}/{name}.*.{host}"))


def compare(directory, before_name, after_name, *hosts):
    everyone = moved = torn = before_all = 0
    for host in hosts:
        before = phase(directory, before_name, host)
        after = phase(directory, after_name, host)
        torn |= everyone & after
        everyone |= after
        before_all |= before
        moved |= after & ~before
    moved |= torn
    print(json.dumps({
        "before": before_all.bit_count(),
        "after": everyone.bit_count(),
        "missing": (before_all & ~everyone).bit_count(),
        "moved": (before_all & moved).bit_count(),
        "kept": (before_all & everyone & ~moved).bit_count(),
        "backends": {host: phase(directory, after_name, host).bit_count() for host in hosts},
    }))


def forge(port, first_address, ports, count, first_cid):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", int(port)))
    for number in range(int(count)):
        address = ipaddress.ip_address(first_address) + number // int(ports) * 256
        scid = connection_id(int(first_cid) + (number + 1) % int(count), CID_LEN)
        header = b"\xe0\0\0\0\1\0" + bytes([CID_LEN]) + scid
        sock.sendto(header + bytes(80), (str(address), FIRST_PORT + number % int(ports)))


if __name__ == "__main__":
    {"missing": missing, "compare": compare, "forge": forge}[sys.argv[1]](*sys.argv[2:])
