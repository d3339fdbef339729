#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""drops_socket.py - puts the AF_XDP socket of another interface in the place of the first's.

    drops_socket.py PID MAP_ID

Of ringwayd's process and its XSKMAP. Neither knows of it.
"""
import ctypes
import os
import socket
import struct
import sys

AF_XDP, SO_DOMAIN = 44, 39
SYS_BPF, SYS_PIDFD_GETFD = 321, 438
BPF_MAP_UPDATE_ELEM, BPF_MAP_GET_FD_BY_ID = 2, 14
LIBC = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    result = LIBC.syscall(number, *arguments)
    if result < 0:
        sys.exit(f"system call {number}: {os.strerror(ctypes.get_errno())}")
    return result


def bpf(command, attributes):
    return call(SYS_BPF, command, attributes, len(attributes))


def sockets_of(pid):
    """Its AF_XDP sockets, in the order in which they were opened."""
    process = os.pidfd_open(pid)
    for number in sorted(map(int, os.listdir(f"/proc/{pid}/fd"))):
        if os.readlink(f"/proc/{pid}/fd/{number}").startswith("socket:"):
            fd = call(SYS_PIDFD_GETFD, process, number, 0)
            # Named, since AF_XDP sockets have no name that Python could ask for.
            sock = socket.socket(AF_XDP, socket.SOCK_RAW, 0, fileno=fd)
            if sock.getsockopt(socket.SOL_SOCKET, SO_DOMAIN) == AF_XDP:
                yield sock


def main():
    pid, map_id = map(int, sys.argv[1:])
    last = list(sockets_of(pid))[-1]
    map_fd = bpf(BPF_MAP_GET_FD_BY_ID, struct.pack("=III", map_id, 0, 0))
    key = ctypes.create_string_buffer(struct.pack("=I", 0))
    value = ctypes.create_string_buffer(struct.pack("=I", last.fileno()))
    bpf(BPF_MAP_UPDATE_ELEM, struct.pack("=IIQQQ", map_fd, 0, ctypes.addressof(key),
                                         ctypes.addressof(value), 0))


main()
