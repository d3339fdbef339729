#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""drops_frames.py - datagrams that are to be lost at one certain place.

    drops_frames.py INTERFACE SOURCE_MAC TARGET_MAC KIND SIZE COUNT [PORT]

SIZE bytes of UDP payload. From a client to the service, whose port PORT is, the first kinds of
KINDS; from a backend, whose port PORT is, to a client `answer` and those that begin with it.
"""
import socket
import struct
import sys

SERVICE = ("192.0.2.1", "2001:db8::1", 443)
CLIENT = ("198.51.100.2", "2001:db8:ff::2", 4000)
BACKEND = ("10.0.1.2", "2001:db8:1::2", 4433)
FORWARDER = ("10.0.1.1", "2001:db8:1::1")
ELSEWHERE = ("203.0.113.9", None, 443)

DF, MF = 0x4000, 0x2000


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def udp(addresses, ports, payload, excess=0, has_checksum=True):
    """UDP with a length that is `excess` too large."""
    length = 8 + len(payload) + excess
    header = struct.pack("!HHHH", *ports, length, 0)
    if not has_checksum:
        return header + payload
    pseudo = b"".join(addresses) + (struct.pack("!BBH", 0, 17, length) if len(addresses[0]) == 4
                                    else struct.pack("!II", length, 17))
    return header[:6] + struct.pack("!H", checksum(pseudo + header + payload) or 0xffff) + payload


def ipv4(source, target, size, *, excess=0, flags=DF, number=0, options=b"", bad=False, missing=0):
    """`missing` bytes of what the IP header promises are not there; `bad` is its checksum."""
    addresses = [socket.inet_pton(socket.AF_INET, end[0]) for end in (source, target)]
    inner = udp(addresses, (source[2], target[2]), bytes(size), excess)
    length = 20 + len(options)
    header = struct.pack("!BBHHHBBH", 0x40 + length // 4, 0, length + len(inner) + missing, number,
                         flags, 64, 17, 0)
    header += b"".join(addresses) + options
    total = checksum(header) ^ bad
    return b"\x08\x00" + header[:10] + struct.pack("!H", total) + header[12:] + inner


def ipv6(source, target, size, has_checksum=True):
    addresses = [socket.inet_pton(socket.AF_INET6, end[1]) for end in (source, target)]
    inner = udp(addresses, (source[2], target[2]), bytes(size), has_checksum=has_checksum)
    return (b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(inner), 17, 64) +
            b"".join(addresses) + inner)


def bad_checksum(source, target, size):
    frame = bytearray(ipv4(source, target, size))
    frame[-1] ^= 1
    return bytes(frame)


# (client, service, size, number of the frame)
KINDS = {
    "client": lambda c, s, size, i: ipv4(c, s, size),
    "martian": lambda c, s, size, i: ipv4(("127.0.0.1", None, 4000), s, size),
    "class_e": lambda c, s, size, i: ipv4(("240.0.0.1", None, 4000), s, size),
    "no_source": lambda c, s, size, i: ipv4(("10.0.1.77", None, 4000), s, size),
    "ours": lambda c, s, size, i: ipv4(BACKEND, s, size),
    "spoofed": lambda c, s, size, i: ipv4(BACKEND, c, size),
    "malformed": lambda c, s, size, i: ipv4(c, s, size, excess=9),
    "bad_header": lambda c, s, size, i: ipv4(c, s, size, bad=True),
    "truncated": lambda c, s, size, i: ipv4(c, s, size, missing=9),
    "first_fragment": lambda c, s, size, i: ipv4(c, s, size, flags=MF, number=i + 1),
    "options": lambda c, s, size, i: ipv4(c, s, size, options=b"\x01\x01\x01\x00"),
    "elsewhere": lambda c, s, size, i: ipv4(c, ELSEWHERE, size),
    "to_backend": lambda c, s, size, i: ipv4(c, BACKEND, size),
    "bad_checksum": lambda c, s, size, i: bad_checksum(c, s, size),
    "ipv6": lambda c, s, size, i: ipv6(c, s, size),
    "no_checksum": lambda c, s, size, i: ipv6(c, s, size, has_checksum=False),
}
# (backend, client, size, port of the forwarder's own)
ANSWERS = {
    "answer": lambda b, c, size, port: ipv4(b, c, size),
    "answer_fragment": lambda b, c, size, port: ipv4(b, c, size, flags=MF),
    "answer_to_flow": lambda b, c, size, port: ipv4(BACKEND, FORWARDER + (port,), size),
}


def frames_of(kind, size, count, port):
    if kind in ANSWERS:
        backend = BACKEND[:2] + (port or BACKEND[2],)
        return [ANSWERS[kind](backend, CLIENT, size, port)] * count
    service = SERVICE[:2] + (port or SERVICE[2],)
    return [KINDS[kind](CLIENT, service, size, i) for i in range(count)]


def main():
    interface, source, target, kind, size, count = sys.argv[1:7]
    port = int(sys.argv[7]) if sys.argv[7:] else 0
    macs = b"".join(bytes.fromhex(mac.replace(":", "")) for mac in (target, source))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((interface, 0))
        for frame in frames_of(kind, int(size), int(count), port):
            sock.send(macs + frame)


main()
