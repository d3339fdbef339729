#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""frames.py - named frames, made from their fields without any of ringway's code.

    frames.py seeds DIR       DIR/FUZZER/NAME: inputs for each fuzzer
    frames.py capture PCAP    all frames, the n-th at second n
    frames.py show PCAP       NAME and bytes of each frame of a capture made of these

The service is 192.0.2.1 and 2001:db8::1, port 443, its backend 10.0.0.1 and
fd00::1, port 4433.
"""
import ipaddress
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENT = ("198.51.100.2", "2001:db8:ff::2", 50000)
SERVICE = ("192.0.2.1", "2001:db8::1", 443)
BACKEND = ("10.0.0.1", "fd00::1", 4433)
STRANGER = ("203.0.113.9", "2001:db8:9::9", 443)
MACS = bytes.fromhex("025257000000" "0252570a0b0c")  # to, from
PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)

with open(os.path.join(HERE, "rfc9001-a2-client-initial.bin"), "rb") as file:
    CLIENT_INITIAL = file.read()
CID = bytes(range(0xA0, 0xA8))
SHORT = b"\x40" + CID + bytes(20)

# UDP payloads, RFC 9000 section 17: an unknown version, a negotiation, the types of
# version 1, Connection IDs of no and of too great a length.
PAYLOADS = {
    "initial": CLIENT_INITIAL,
    "short": SHORT,
    "short-without-cid": b"\x40",
    "zero-rtt": b"\xd0\0\0\0\1\x08" + CID + b"\x08" + CID + b"\x40\x20" + bytes(32),
    "handshake": b"\xe0\0\0\0\1\x08" + CID + b"\x08" + CID + b"\x40\x20" + bytes(32),
    "retry": b"\xf0\0\0\0\1\x08" + CID + b"\x08" + CID + bytes(32),
    "version-negotiation": b"\x80\0\0\0\0\x08" + CID + b"\x08" + CID + b"\0\0\0\1",
    "version-2": b"\xd0\x6b\x33\x43\xcf\x08" + CID + b"\0\0" + bytes(32),
    "unknown-version": b"\xc0\x1a\x2a\x3a\x4a\xff" + bytes(255) + b"\0",
    "cid-of-20": b"\xc0\0\0\0\1\x14" + bytes(20) + b"\0\0" + bytes(32),
    "cid-of-21": b"\xc0\0\0\0\1\x15" + bytes(21) + b"\0\0" + bytes(32),
    "cid-of-none": b"\xc0\0\0\0\1\0\0\0" + bytes(32),
    "cid-cut-off": b"\xc0\0\0\0\1\x08" + CID[:7],
    "without-fixed-bit": b"\0" + CID + bytes(20),
}


def internet_sum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def address(host, family):
    return ipaddress.ip_address(host[family]).packed


def udp(src, dst, family, payload, checksum="valid", length=None):
    length = 8 + len(payload) if length is None else length
    pseudo = address(src, family) + address(dst, family) + struct.pack("!HH", 17, length)
    header = struct.pack("!HHH", src[2], dst[2], length)
    total = {"valid": ~internet_sum(pseudo + header + payload) & 0xFFFF or 0xFFFF,
             "partial": internet_sum(pseudo), "none": 0}[checksum]
    return header + struct.pack("!H", total) + payload


def ipv4(src, dst, rest, ttl=64, fragment=0x4000, options=b"", protocol=17):
    header = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0x02,
                         20 + len(options) + len(rest), 0x1234, fragment, ttl, protocol, 0)
    header += address(src, 0) + address(dst, 0) + options
    return header[:10] + struct.pack("!H", ~internet_sum(header) & 0xFFFF) + header[12:] + rest


def ipv6(src, dst, rest, hops=64, following=17):
    return struct.pack("!IHBB", 0x60212345, len(rest), following, hops) + address(
        src, 1) + address(dst, 1) + rest


def ethernet(packet, tags=()):
    out = MACS
    for protocol, tag in tags:
        out += struct.pack("!HH", protocol, tag)
    kind = {4: 0x0800, 6: 0x86DD}[packet[0] >> 4]
    return out + struct.pack("!H", kind) + packet


def ip(src, dst, family, payload=SHORT, **fields):
    of_udp = {key: fields.pop(key) for key in ("checksum", "length") if key in fields}
    if family == 0:
        return ipv4(src, dst, udp(src, dst, 0, payload, **of_udp), **fields)
    if "ttl" in fields:
        fields["hops"] = fields.pop("ttl")
    return ipv6(src, dst, udp(src, dst, 1, payload, **of_udp), **fields)


def frames_of(family):
    """Of one family: names, and frames both ways and in none."""
    yield "initial", ethernet(ip(CLIENT, SERVICE, family, CLIENT_INITIAL))
    for way, src, dst in (("out", CLIENT, SERVICE), ("back", BACKEND, CLIENT)):
        plain = ip(src, dst, family)
        yield way, ethernet(plain)
        yield f"{way}-tagged", ethernet(plain, [(0x8100, 7)])
        yield f"{way}-tagged-twice", ethernet(plain, [(0x88A8, 7), (0x8100, 8)])
        yield f"{way}-tagged-thrice", ethernet(plain, [(0x8100, 7)] * 3)
        yield f"{way}-last-hop", ethernet(ip(src, dst, family, ttl=1))
        yield f"{way}-partial-checksum", ethernet(ip(src, dst, family, checksum="partial"))
        yield f"{way}-no-checksum", ethernet(ip(src, dst, family, checksum="none"))
        yield f"{way}-no-payload", ethernet(ip(src, dst, family, b""))
        yield f"{way}-padded", ethernet(plain) + bytes(9)
        yield f"{way}-cut-off", ethernet(plain)[:-21]
        yield f"{way}-udp-too-long", ethernet(ip(src, dst, family, length=1400))
        yield f"{way}-udp-too-short", ethernet(ip(src, dst, family, length=7))
    yield "other-port", ethernet(ip(CLIENT, SERVICE[:2] + (444,), family))
    yield "stranger", ethernet(ip(CLIENT, STRANGER, family))


def frames_of_ipv4():
    datagram = udp(CLIENT, SERVICE, 0, SHORT)
    yield "options", ethernet(ipv4(CLIENT, SERVICE, datagram, options=b"\x01" * 8))
    yield "first-fragment", ethernet(ipv4(CLIENT, SERVICE, datagram, fragment=0x2000))
    yield "later-fragment", ethernet(ipv4(CLIENT, SERVICE, datagram, fragment=0x0010))
    yield "tcp", ethernet(ipv4(CLIENT, SERVICE, bytes(20), protocol=6))
    yield "icmp-unreachable", ethernet(ipv4(BACKEND, SERVICE, b"\3\3\0\0\0\0\0\0" + ip(
        SERVICE, CLIENT, 0)[:28], protocol=1))


def frames_of_ipv6():
    datagram = udp(CLIENT, SERVICE, 1, SHORT)
    nothing = b"\x11\0\1\4\0\0\0\0"  # 8 bytes of padding options, then UDP
    yield "hop-by-hop", ethernet(ipv6(CLIENT, SERVICE, nothing + datagram, following=0))
    yield "fragment", ethernet(ipv6(CLIENT, SERVICE, b"\x11\0\0\1\0\0\0\1" + datagram,
                                    following=44))


def frames():
    """All of them: {name: frame}."""
    out = {}
    for family, of_family in enumerate((frames_of_ipv4, frames_of_ipv6)):
        for source in (frames_of(family), of_family()):
            out.update({f"{of_family.__name__[-4:]}-{name}": frame for name, frame in source})
    out["arp"] = b"\xff" * 6 + MACS[6:] + bytes.fromhex("0806" "0001080006040001") + bytes(20)
    out["runt"] = MACS[:6]
    out["ethernet-only"] = MACS + b"\x08\0"
    return out


def write(directory, name, data):
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), "wb") as out:
        out.write(data)


def seeds(directory):
    for name, payload in PAYLOADS.items():
        write(f"{directory}/quic_fuzz", name, payload)
    for name, frame in frames().items():
        write(f"{directory}/parse_fuzz", name, frame)
        for kind in range(3):  # unclassified, or as XDP says: forward_fuzz's first byte
            write(f"{directory}/forward_fuzz", f"{name}-{kind}", bytes([kind]) + frame)


def capture(path):
    with open(path, "wb") as out:
        out.write(PCAP_HEADER)
        for second, frame in enumerate(frames().values()):
            out.write(struct.pack("<IIII", second, 0, len(frame), len(frame)) + frame)


def show(path):
    names = list(frames())
    with open(path, "rb") as file:
        data = file.read()
    at = len(PCAP_HEADER)
    while at < len(data):
        second, _, captured, length = struct.unpack_from("<IIII", data, at)
        if captured != length:
            sys.exit(f"{path}: {names[second]} is cut off")
        print(names[second], data[at + 16:at + 16 + captured].hex())
        at += 16 + captured


if __name__ == "__main__":
    COMMANDS = {"seeds": seeds, "capture": capture, "show": show}
    if len(sys.argv) != 3 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](sys.argv[2])
