#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""peer.py - the small clients and servers that the integration tests talk to.

    peer.py udp-server PORT                         send every datagram back
    peer.py udp-client ADDRESS PORT FLOWS COUNT     COUNT datagrams a socket, all answered
    peer.py udp-send SOURCE PORT ADDRESS PORT       one datagram, no answer awaited
    peer.py tcp-server PORT                         send every byte back
    peer.py tcp-client ADDRESS PORT FILE            a line every 20 ms; answers are counted in FILE
"""
import os
import select
import socket
import sys
import time

ANSWER_WAIT_S = 0.2
DEADLINE_S = 20


def udp_server(port):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # The answer leaves from the address that was asked.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        sock.bind(("::", port))
        while True:
            data, ancillary, _, sender = sock.recvmsg(65536, 256)
            sock.sendmsg([data], ancillary, 0, sender)


def udp_exchange(sock, data, deadline):
    """Send data until it comes back; returns how often it had to be sent again."""
    for attempt in range(1000):
        sock.send(data)
        until = min(time.monotonic() + ANSWER_WAIT_S, deadline)
        while select.select([sock], [], [], max(0, until - time.monotonic()))[0]:
            try:
                answer = sock.recv(65536)
            except ConnectionRefusedError:
                break
            if answer == data:
                return attempt
            # The answer to an earlier copy of an earlier datagram is no harm.
            if answer[:8] >= data[:8]:
                sys.exit(f"wanted {data[:32].hex()}, got {answer[:32].hex()}")
        if time.monotonic() >= deadline:
            break
    sys.exit(f"no answer to {data[:16].hex()} in {DEADLINE_S} s")


def udp_client(address, port, flows, count):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    deadline = time.monotonic() + DEADLINE_S
    repeated = 0
    socks = []
    for _ in range(flows):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.connect((address, port))
        socks.append(sock)
    for number in range(count):
        for flow, sock in enumerate(socks):
            # Every length from 16 bytes to nearly an MTU, whatever the flow and number.
            length = 16 + (flow * 131 + number * 37) % 1400
            data = number.to_bytes(8, "big") + flow.to_bytes(8, "big")
            data += bytes(i * 7 & 255 for i in range(length - 16))
            repeated += udp_exchange(sock, data, deadline)
    print(f"{flows * count} datagrams answered, {repeated} sent again")


def udp_send(source, source_port, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((source, source_port))
        sock.sendto(b"one datagram", (address, port))


def tcp_server(port):
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        while True:
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(65536):
                    connection.sendall(data)


def tcp_client(address, port, path):
    with socket.create_connection((address, port), timeout=2) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = sock.makefile("rb")
        for number in range(1, 1_000_000):
            line = b"%d\n" % number
            sock.sendall(line)
            if reader.readline() != line:
                sys.exit(f"line {number} did not come back")
            with open(path + ".new", "w", encoding="ascii") as file:
                file.write(str(number))
            os.replace(path + ".new", path)
            time.sleep(0.02)


def main():
    match sys.argv[1:]:
        case ["udp-server", port]:
            udp_server(int(port))
        case ["udp-client", address, port, flows, count]:
            udp_client(address, int(port), int(flows), int(count))
        case ["udp-send", source, source_port, address, port]:
            udp_send(source, int(source_port), address, int(port))
        case ["tcp-server", port]:
            tcp_server(int(port))
        case ["tcp-client", address, port, path]:
            tcp_client(address, int(port), path)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
