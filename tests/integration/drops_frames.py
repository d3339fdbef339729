#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""drops_frames.py - datagrams that are to be lost at one certain place.

    drops_frames.py INTERFACE SOURCE_MAC TARGET_MAC KIND SIZE COUNT

SIZE bytes of UDP payload. KIND: martian, ours, malformed, bad_checksum or no_checksum, from
a client to the service; answer or fragment, from a backend to a client.
"""
import socket
import struct
import sys

SERVICE = ("192.0.2.1", "2001:db8::1", 443)
CLIENT = ("198.51.100.2", "2001:db8:ff::2", 4000)
BACKEND = ("10.0.1.2", "2001:db8:1::2", 4433)


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


def ipv4(source, target, size, excess=0, flags=0x4000):
    addresses = [socket.inet_pton(socket.AF_INET, end[0]) for end in (source, target)]
    inner = udp(addresses, (source[2], target[2]), bytes(size), excess)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(inner), 0, flags, 64, 17, 0)
    header += b"".join(addresses)
    return b"\x08\x00" + header[:10] + struct.pack("!H", checksum(header)) + header[12:] + inner


def ipv6(source, target, size):
    addresses = [socket.inet_pton(socket.AF_INET6, end[1]) for end in (source, target)]
    inner = udp(addresses, (source[2], target[2]), bytes(size), has_checksum=False)
    return (b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(inner), 17, 64) +
            b"".join(addresses) + inner)


def bad_checksum(size):
    frame = bytearray(ipv4(CLIENT, SERVICE, size))
    frame[-1] ^= 1
    return bytes(frame)


KINDS = {
    "martian": lambda size: ipv4(("127.0.0.1", None, 4000), SERVICE, size),
    "ours": lambda size: ipv4(BACKEND, SERVICE, size),
    "malformed": lambda size: ipv4(CLIENT, SERVICE, size, excess=9),
    "bad_checksum": bad_checksum,
    "no_checksum": lambda size: ipv6(CLIENT, SERVICE, size),
    "answer": lambda size: ipv4(BACKEND, CLIENT, size),
    "fragment": lambda size: ipv4(BACKEND, CLIENT, size, flags=0x2000),
}


def main():
    interface, source, target, kind, size, count = sys.argv[1:]
    macs = b"".join(bytes.fromhex(mac.replace(":", "")) for mac in (target, source))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((interface, 0))
        for _ in range(int(count)):
            sock.send(macs + KINDS[kind](int(size)))


main()
