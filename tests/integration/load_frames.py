#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Load datagrams, read and written without any of ringway's code.

read IF JSON   captures {"count"} frames and checks each against what JSON says
               the source was told: every byte that a receiver may rely on.
write IF JSON  sends one frame for each sequence of each of {"frames"}, the checksums
               off by "damage" and "ip_damage".
"""
import ipaddress
import json
import socket
import struct
import sys
import time

MASK = (1 << 64) - 1
TRAILER = 32
ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
PACKET_OUTGOING = 4


def internet_sum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def connection_id(number, length):
    out = b""
    for word in range(3):
        x = (number * 3 + word + 0x9E3779B97F4A7C15) & MASK
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
        out += struct.pack("!Q", x ^ (x >> 31))
    return out[:length]


def payload_hash(data, sequence):
    """Each word of eight bytes, mixed with its place, and the sequence at a place of its own."""
    total = len(data)
    data += bytes(-len(data) % 8)
    words = [*enumerate(struct.unpack(f"!{len(data) // 8}Q", data)), (0xFFFFFFFF, sequence)]
    for place, word in words:
        x = word ^ (place * 0x9E3779B97F4A7C15 & MASK)
        x = ((x ^ (x >> 32)) * 0xBF58476D1CE4E5B9) & MASK
        total += x ^ (x >> 32)
    return total & MASK


class Refused(Exception):
    pass


def equal(name, want, got):
    if want != got:
        raise Refused(f"{name}: {got!r} instead of {want!r}")


def parse_ip(frame):
    """Returns source, destination, the pseudo-header and the UDP datagram."""
    kind, = struct.unpack_from("!H", frame, 12)
    if kind == 0x0800:
        total, fragment = struct.unpack_from("!2xH2xH", frame, 14)
        equal("version and header length", 0x45, frame[14])
        equal("fragment field", 0x4000, fragment)
        equal("protocol", 17, frame[23])
        equal("IP header checksum", 0xFFFF, internet_sum(frame[14:34]))
        equal("IP length", len(frame) - 14, total)
        src, dst, udp = frame[26:30], frame[30:34], frame[34:]
    elif kind == 0x86DD:
        payload, = struct.unpack_from("!H", frame, 18)
        equal("version", 0x60, frame[14])
        equal("next header", 17, frame[20])
        equal("IP length", len(frame) - 54, payload)
        src, dst, udp = frame[22:38], frame[38:54], frame[54:]
    else:
        raise Refused("not IP")
    pseudo = src + dst + struct.pack("!HH", 17, len(udp))
    return ipaddress.ip_address(src), ipaddress.ip_address(dst), pseudo, udp


def check_header(want, number, payload):
    """The bytes before the filler; returns how many there are."""
    cid = connection_id(want.get("first_cid", 0) + number, want["cid_len"])
    if want["kind"] == "quic-short":
        equal("QUIC short header", b"\x40" + cid, payload[: 1 + len(cid)])
        return 1 + len(cid)
    if want["kind"] == "quic-initial":
        cid = bytes(byte ^ 0xFF for byte in cid)
        start = b"\xc0\0\0\0\1" + bytes([len(cid)]) + cid + b"\0\0"
        start += struct.pack("!H", 0x4000 | (len(payload) - len(start) - 2))
        equal("QUIC Initial header", start, payload[: len(start)])
        return len(start)
    if want["kind"] == "quic-handshake":
        start = b"\xe0\0\0\0\1\0" + bytes([len(cid)]) + cid
        start += struct.pack("!H", 0x4000 | (len(payload) - len(start) - 2))
        equal("QUIC Handshake header", start, payload[: len(start)])
        return len(start)
    return 0


def check_frame(want, sequence, frame):
    src, dst, pseudo, udp = parse_ip(frame)
    flow = sequence % want["flows"]
    ports = min(want.get("ports", 60000), 65536 - want["first_port"])
    sport, dport, length, checksum = struct.unpack_from("!4H", udp)
    payload = udp[8:]

    equal("MAC addresses", bytes.fromhex(want["macs"].replace(":", "")), frame[:12])
    address = ipaddress.ip_address(want["from"]) + flow // ports * want.get("step", 1)
    equal("source", address, src)
    equal("source port", want["first_port"] + flow % ports, sport)
    equal("destination", ipaddress.ip_address(want["to"]), dst)
    equal("destination port", want["port"], dport)
    equal("UDP length", 8 + want["size"], length)
    equal("UDP length of the frame", len(udp), length)
    if checksum == 0:
        raise Refused("no UDP checksum")
    equal("UDP checksum", 0xFFFF, internet_sum(pseudo + udp))
    header = check_header(want, sequence % want["cids"], payload)
    filler = bytes(i & 0xFF for i in range(header, want["size"] - TRAILER))
    equal("filler", filler, payload[header:-TRAILER])
    trailer = struct.pack("!Q4sIQ", payload_hash(payload[:-TRAILER], sequence), b"RWLD",
                          want["stream"], sequence)
    equal("trailer", trailer, payload[8 - TRAILER:])
    sent, = struct.unpack_from("!Q", payload, len(payload) - TRAILER)
    if not 0 <= time.monotonic_ns() - sent < 60 * 10**9:
        raise Refused(f"sent at {sent}, now {time.monotonic_ns()}")


def read(interface, want):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
    sock.bind((interface, 0))
    sock.settimeout(15)
    print("ready", flush=True)
    for sequence in range(want["count"]):
        while True:
            frame, address = sock.recvfrom(4096)
            if address[2] != PACKET_OUTGOING and frame[-16:-12] == b"RWLD":
                break
        try:
            check_frame(want, sequence, frame)
        except Refused as refused:
            sys.exit(f"frame {sequence}: {refused}\n{frame.hex()}")


def udp_datagram(what, sequence, src, dst):
    filler = bytes(what.get("filler", 7))
    trailer = struct.pack("!QQ4sIQ", 0, payload_hash(filler, sequence),
                          what.get("magic", "RWLD").encode(), what["stream"], sequence)
    payload = filler + trailer
    header = struct.pack("!3H", 5000, what["port"], 8 + len(payload))
    pseudo = src + dst + struct.pack("!HH", 17, 8 + len(payload))
    checksum = ~internet_sum(pseudo + header + b"\0\0" + payload) & 0xFFFF or 0xFFFF
    checksum = 0 if what.get("none") else checksum ^ what.get("damage", 0)
    return header + struct.pack("!H", checksum) + payload


def ip_packet(what, sequence):
    src = ipaddress.ip_address(what["from"]).packed
    dst = ipaddress.ip_address(what["to"]).packed
    udp = udp_datagram(what, sequence, src, dst)
    if len(src) == 16:
        head = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64)
        return b"\x86\xdd" + head + src + dst + udp
    head = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(udp), 0, 0, 64, 17)
    checksum = ~internet_sum(head + src + dst) & 0xFFFF ^ what.get("ip_damage", 0)
    return b"\x08\x00" + head + struct.pack("!H", checksum) + src + dst + udp


def write(interface, what):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind((interface, 0))
    macs = bytes.fromhex(what["macs"].replace(":", ""))
    for frame in what["frames"]:
        for sequence in frame["sequences"]:
            sock.send(macs + ip_packet(what | frame, sequence))


if __name__ == "__main__":
    {"read": read, "write": write}[sys.argv[1]](sys.argv[2], json.loads(sys.argv[3]))
