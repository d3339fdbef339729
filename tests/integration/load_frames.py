#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Load datagrams, read and written without any of ringway's code.

read IF JSON   captures {"count"} frames and checks each against what JSON says
               the source was told: every byte that a receiver may rely on.
               See pick() for a mix of new and old connections.
pcap FILE JSON       writes a capture of link type {"link"}
replayed IF JSON     checks that the datagrams of such a capture arrive
write IF JSON  sends one frame for each sequence of each of {"frames"}, the checksums
               off by "damage", "ip_damage" and "hash_damage", UDP's of the
               pseudo-header alone if "partial".
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


def pick(want, sequence):
    """Kind, size, number of the Connection ID and flow of a datagram."""
    flows, cids, first = want["flows"], want["cids"], want.get("first_cid", 0)
    train = want.get("train", 1)
    if want["kind"] != "quic":
        turn = sequence // train
        return want["kind"], want["size"], first + turn % cids, turn % flows
    before = sequence * want["initials"] // 100
    if (sequence + 1) * want["initials"] // 100 > before:
        return "quic-initial", want["initial_size"], first + cids + before, 4 * flows + before % flows
    connection = (sequence - before) // train % cids
    all_migrations = sequence * want["migrations"] // want["rate"]
    own = sum(1 for turn in range(all_migrations) if turn % cids == connection)
    return "quic-short", want["size"], first + connection, own % 4 * flows + connection % flows


def check_header(kind, cid, payload):
    """The bytes before the filler; returns how many there are."""
    if kind == "quic-short":
        equal("QUIC short header", b"\x40" + cid, payload[: 1 + len(cid)])
        return 1 + len(cid)
    if kind == "quic-initial":
        cid = bytes(byte ^ 0xFF for byte in cid)
        start = b"\xc0\0\0\0\1" + bytes([len(cid)]) + cid + b"\0\0"
        start += struct.pack("!H", 0x4000 | (len(payload) - len(start) - 2))
        equal("QUIC Initial header", start, payload[: len(start)])
        return len(start)
    if kind == "quic-handshake":
        start = b"\xe0\0\0\0\1\0" + bytes([len(cid)]) + cid
        start += struct.pack("!H", 0x4000 | (len(payload) - len(start) - 2))
        equal("QUIC Handshake header", start, payload[: len(start)])
        return len(start)
    return 0


def check_udp(want, flow, size, frame):
    """Headers and checksums; returns the payload."""
    src, dst, pseudo, udp = parse_ip(frame)
    ports = min(want.get("ports", 60000), 65536 - want["first_port"])
    sport, dport, length, checksum = struct.unpack_from("!4H", udp)

    equal("MAC addresses", bytes.fromhex(want["macs"].replace(":", "")), frame[:12])
    address = ipaddress.ip_address(want["from"]) + flow // ports * want.get("step", 1)
    equal("source", address, src)
    equal("source port", want["first_port"] + flow % ports, sport)
    equal("destination", ipaddress.ip_address(want["to"]), dst)
    equal("destination port", want["port"], dport)
    equal("UDP length", 8 + size, length)
    equal("UDP length of the frame", len(udp), length)
    if checksum == 0:
        raise Refused("no UDP checksum")
    equal("UDP checksum", 0xFFFF, internet_sum(pseudo + udp))
    return udp[8:]


def check_frame(want, sequence, frame):
    """Returns when it was made."""
    kind, size, number, flow = pick(want, sequence)
    payload = check_udp(want, flow, size, frame)
    header = check_header(kind, connection_id(number, want["cid_len"]), payload)
    if want.get("answered"):  # an Initial, the header of which had a byte more
        equal("the byte that is left", 0, payload[header])
        header += 1
    filler = bytes(i & 0xFF for i in range(header, size - TRAILER))
    equal("filler", filler, payload[header:-TRAILER])
    trailer = struct.pack("!Q4sIQ", payload_hash(payload[:-TRAILER], sequence), b"RWLD",
                          want["stream"], sequence)
    equal("trailer", trailer, payload[8 - TRAILER:])
    sent, = struct.unpack_from("!Q", payload, len(payload) - TRAILER)
    if not 0 <= time.monotonic_ns() - sent < 60 * 10**9:
        raise Refused(f"sent at {sent}, now {time.monotonic_ns()}")
    return sent


def read(interface, want):
    """Prints by how many nanoseconds the first and the last were made apart."""
    sent = []
    for number, frame in captured(interface, want, lambda frame: frame[-16:-12] == b"RWLD"):
        try:
            sent.append(check_frame(want, number, frame))
        except Refused as refused:
            raise Refused(f"frame {number}: {refused}\n{frame.hex()}") from None
    print(sent[-1] - sent[0])


def captured(interface, want, is_ours):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
    sock.bind((interface, 0))
    sock.settimeout(15)
    print("ready", flush=True)
    for number in range(want["count"]):
        while True:
            frame, address = sock.recvfrom(65536)
            if address[2] != PACKET_OUTGOING and is_ours(frame):
                break
        yield number, frame


# Six datagrams of four flows, two of them the ends of one connection, and what is
# none: a fragment, TCP, one cut short, one too long. Times of 4 ms, sender, destination, bytes.
CLIENTS = [("10.1.2.3", 5000), ("10.1.2.3", 5001), ("2001:db8::7", 5000)]
SERVER4, SERVER6 = ("10.3.3.3", 443), ("2001:db8::3", 443)
TRAFFIC = [
    (0, CLIENTS[0], SERVER4, 1, "whole", 0),
    (2, CLIENTS[0], SERVER4, 700, "fragment", None),
    (5, CLIENTS[2], SERVER6, 1232, "whole", 1),
    (5, CLIENTS[1], SERVER4, 77, "whole", 2),
    (6, CLIENTS[1], SERVER4, 77, "tcp", None),
    (7, SERVER4, CLIENTS[0], 1400, "whole", 3),
    (8, CLIENTS[1], SERVER4, 90, "cut", None),
    (9, CLIENTS[0], SERVER4, 1473, "whole", None),
    (20, CLIENTS[0], SERVER4, 1401, "whole", 0),
    (50, CLIENTS[2], SERVER6, 8, "whole", 1),
]
SENT = [(when, size, flow, number) for number, (when, _, _, size, _, flow) in enumerate(TRAFFIC)
        if flow is not None]


def traffic_payload(number, size):
    return bytes((number * 31 + i * 7) & 0xFF for i in range(size))


def traffic_packet(number):
    _, (src, sport), (dst, dport), size, what, _ = TRAFFIC[number]
    src, dst = ipaddress.ip_address(src).packed, ipaddress.ip_address(dst).packed
    udp = struct.pack("!4H", sport, dport, 8 + size, 1) + traffic_payload(number, size)
    protocol = 6 if what == "tcp" else 17
    if len(src) == 16:
        return struct.pack("!IHBB", 6 << 28, len(udp), protocol, 64) + src + dst + udp
    fragment = 0x2000 if what == "fragment" else 0
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, fragment, 64, protocol, 0) + src + dst + udp


def pcap(path, what):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, what["link"]))
        for number, (when, _, _, _, kind, _) in enumerate(TRAFFIC):
            packet = traffic_packet(number)
            if what["link"] == 1:
                packet = bytes(12) + (b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\0") + packet
            kept = packet[:-1] if kind == "cut" else packet
            file.write(struct.pack("<IIII", 1000, when * 4000, len(kept), len(packet)) + kept)


def replayed(interface, want):
    port = struct.pack("!H", want["port"])
    is_ours = lambda frame: frame[36:38] == port if frame[12:14] == b"\x08\0" else frame[56:58] == port
    for number, frame in captured(interface, want, is_ours):
        _, size, flow, source = SENT[number % len(SENT)]
        try:
            equal("payload", traffic_payload(source, size), check_udp(want, flow, size, frame))
        except Refused as refused:
            raise Refused(f"frame {number}: {refused}\n{frame.hex()}") from None


def udp_datagram(what, sequence, src, dst):
    filler = bytes(what.get("filler", 7))
    trailer = struct.pack("!QQ4sIQ", 0, payload_hash(filler, sequence) ^ what.get("hash_damage", 0),
                          what.get("magic", "RWLD").encode(), what["stream"], sequence)
    payload = filler + trailer
    header = struct.pack("!3H", 5000, what["port"], 8 + len(payload))
    pseudo = src + dst + struct.pack("!HH", 17, 8 + len(payload))
    checksum = ~internet_sum(pseudo + header + b"\0\0" + payload) & 0xFFFF or 0xFFFF
    if what.get("partial"):
        checksum = internet_sum(pseudo)
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
    commands = {"read": read, "write": write, "pcap": pcap, "replayed": replayed}
    try:
        commands[sys.argv[1]](sys.argv[2], json.loads(sys.argv[3]))
    except Refused as refused:
        sys.exit(str(refused))
