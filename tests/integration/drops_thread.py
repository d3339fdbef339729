#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""drops_thread.py - one thread of a process stands still until this program ends.

    drops_thread.py THREAD_ID
"""
import ctypes
import os
import signal
import sys

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def main():
    thread = int(sys.argv[1])
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if LIBC.ptrace(request, thread, None, None) < 0:
            sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")
    os.waitpid(thread, WALL)
    while True:
        signal.pause()


main()
