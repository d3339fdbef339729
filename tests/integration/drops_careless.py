#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""drops_careless.py - another XDP program takes the place of ringwayd's until this program ends.

    drops_careless.py OBJECT LINK_ID PROGRAM_ID MAP=MAP_ID...

OBJECT's one program, with these maps of ringwayd's, where LINK_ID has PROGRAM_ID attached. Prints
a line when it is there.
"""
import ctypes
import os
import signal
import sys

BPF = ctypes.CDLL("libbpf.so.1", use_errno=True)
for name in ("open", "next_program", "find_map_by_name"):
    getattr(BPF, f"bpf_object__{name}").restype = ctypes.c_void_p


def checked(what, result):
    if result is None or result < 0:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def program_load(path, maps):
    """Its file descriptor."""
    loaded = ctypes.c_void_p(checked(path, BPF.bpf_object__open(path.encode())))
    for name, number in maps:
        place = ctypes.c_void_p(checked(name, BPF.bpf_object__find_map_by_name(loaded,
                                                                               name.encode())))
        fd = checked(name, BPF.bpf_map_get_fd_by_id(int(number)))
        checked(name, BPF.bpf_map__reuse_fd(place, fd))
    checked(path, BPF.bpf_object__load(loaded))
    return BPF.bpf_program__fd(ctypes.c_void_p(BPF.bpf_object__next_program(loaded, None)))


def main():
    path, link_id, program_id = sys.argv[1:4]
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    link = checked("link", BPF.bpf_link_get_fd_by_id(int(link_id)))
    before = checked("program", BPF.bpf_prog_get_fd_by_id(int(program_id)))
    program = program_load(path, [argument.split("=") for argument in sys.argv[4:]])
    checked("update", BPF.bpf_link_update(link, program, None))
    print("attached", flush=True)
    signal.sigwait([signal.SIGTERM])
    checked("update", BPF.bpf_link_update(link, before, None))


main()
