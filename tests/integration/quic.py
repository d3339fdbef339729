#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""quic.py - QUIC as it is on the wire: Connection IDs in captures, datagrams by hand.

    quic.py cids PCAP PORT LENGTH
        a line for the ID that the first client opened to, then one for each that the
        server at PORT has, whose short headers have LENGTH bytes of ID
    quic.py server-ids ROTATION ID_LENGTH KEY|-
        the QUIC-LB server id of every ID on stdin, a line each; `-` where it has none.
        Written from draft-ietf-quic-load-balancers-21 alone, not from ringway's codec
    quic.py ask ADDRESS PORT HEX...
        send the datagrams, print the answers; the end is known by the Version Negotiation
        that a last datagram of its own brings about
"""
import socket
import struct
import subprocess
import sys

ANSWER_WAIT_S = 10
PROBE_VERSION = 0x1A2A3A4A  # of those that are reserved for this (RFC 9000 section 15)


def pcap_frames(path):
    with open(path, "rb") as capture:
        magic, link_type = struct.unpack("<I16xI", capture.read(24))
        assert magic == 0xA1B2C3D4 and link_type == 1, "Ethernet, in this host's byte order"
        while header := capture.read(16):
            yield capture.read(struct.unpack("<8xI4x", header)[0])


def udp_datagrams(path):
    """(source port, destination port, payload) of every datagram; IPv4 and IPv6."""
    for frame in pcap_frames(path):
        packet = frame[14:]
        udp = packet[(packet[0] & 15) * 4:] if packet[0] >> 4 == 4 else packet[40:]
        yield *struct.unpack(">HH", udp[:4]), udp[8:]


def long_header(payload):
    """(version, destination ID, source ID) or None."""
    if not payload[0] & 0x80:
        return None
    destination_end = 6 + payload[5]
    source_end = destination_end + 1 + payload[destination_end]
    return (int.from_bytes(payload[1:5], "big"), payload[6:destination_end],
            payload[destination_end + 1:source_end])


def cids(path, port, length):
    first = None
    servers = {}  # a set that keeps its order
    for source, destination, payload in udp_datagrams(path):
        header = long_header(payload)
        if source == port and header:
            servers[header[2]] = None
        elif destination == port and header:
            first = first or header[1]
        elif destination == port:
            servers[payload[1:1 + length]] = None
    print(first.hex())
    for cid in servers:
        print(cid.hex())


def aes(key, block, *options):
    command = ["openssl", "enc", *options, "-aes-128-ecb", "-nopad", "-K", key]
    return subprocess.run(command, input=block, capture_output=True, check=True).stdout


def four_pass_decrypt(key, text):
    """The halves as numbers, so that an odd length needs no half bytes but on the way into
    the cipher: there the left half's spare bits are its last ones, the right half's the
    first. The right half feeds the even passes."""
    half_bits = len(text) * 4
    size = (len(text) + 1) // 2
    spare_bits = size * 8 - half_bits
    number = int.from_bytes(text, "big")
    left, right = number >> half_bits, number & ((1 << half_bits) - 1)

    def cipher(number_of_pass, half):
        block = half.to_bytes(size, "big").ljust(14, b"\0") + bytes([len(text), number_of_pass])
        return int.from_bytes(aes(key, block)[:size], "big")

    for number_of_pass in (4, 3, 2, 1):
        if number_of_pass % 2 == 0:
            left ^= cipher(number_of_pass, right) >> spare_bits
        else:
            right ^= cipher(number_of_pass, left << spare_bits) & ((1 << half_bits) - 1)
    return (left << half_bits | right).to_bytes(len(text), "big")


def server_id(cid, rotation, id_length, key):
    text = cid[1:]
    if cid[0] >> 5 != rotation or cid[0] & 31 != len(text):
        return None
    if key != "-":
        text = aes(key, text, "-d") if len(text) == 16 else four_pass_decrypt(key, text)
    return text[:id_length]


def server_ids(rotation, id_length, key):
    for line in sys.stdin:
        found = server_id(bytes.fromhex(line), rotation, id_length, key)
        print(found.hex() if found else "-")


def version_probe():
    ids = bytes([8]) + b"RINGWAY1" + bytes([0])
    return (b"\xc0" + PROBE_VERSION.to_bytes(4, "big") + ids).ljust(1200, b"\0")


def ask(address, port, datagrams):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                       socket.SOCK_DGRAM) as sock:
        sock.settimeout(ANSWER_WAIT_S)
        sock.connect((address, port))
        for datagram in datagrams:
            sock.send(bytes.fromhex(datagram))
        sock.send(version_probe())
        # Version Negotiation has the version 0 and returns the IDs the other way round.
        while (answer := sock.recv(65536))[:1] < b"\x80" or \
                long_header(answer) != (0, b"", b"RINGWAY1"):
            print(answer.hex())


def main(command, *arguments):
    if command == "cids":
        cids(arguments[0], int(arguments[1]), int(arguments[2]))
    elif command == "server-ids":
        server_ids(int(arguments[0]), int(arguments[1]), arguments[2])
    elif command == "ask":
        ask(arguments[0], int(arguments[1]), arguments[2:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
