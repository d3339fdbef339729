#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""profile.py RATE BUILD <PERF_SCRIPT: where a worker's time goes, as JSON, in ns a datagram.

Reads what `perf script -F comm,ip,sym,dso` has of samples with their callers, for a worker
that has forwarded RATE datagrams a second. Each sample belongs to one group: in the kernel
by the first of its callers that says what is done, in our own programs by the folder of the
function that is running. The last line is `window SECONDS HZ`."""
import json
import re
import subprocess
import sys
from glob import glob

# By the callers, whichever is nearest to what runs.
KERNEL = (
    ("kernel: the receiver's side of the link", ("net_rx_action", "handle_softirqs", "__do_softirq")),
    ("kernel: interrupts", ("sysvec_apic_timer_interrupt", "common_interrupt", "sysvec_reschedule_ipi")),
    ("kernel: sends, copying the frame", ("xsk_generic_xmit", "__xsk_generic_xmit", "xsk_sendmsg")),
    ("kernel: receives by a UDP socket", ("udp_recvmsg", "udpv6_recvmsg")),
    ("kernel: sends by a UDP socket", ("udp_sendmsg", "udpv6_sendmsg")),
)
FOLDERS = {"core": "ours: parse, decide, rewrite", "io": "ours: rings and system calls",
           "dataplane": "ours: the worker's loop", "util": "ours: the worker's loop",
           "bench": "ours: the worker's loop"}
OTHERS = "kernel: other", "libraries and clock"


def functions(build):
    """Which folder a function of ours is from."""
    folder_of = {}
    for folder in FOLDERS:
        objects = glob(f"{build}/user/{folder}/*.o") or glob(f"{build}/tests/bench/l2fwd.o")
        symbols = subprocess.run(["nm", "--defined-only", *objects], check=True, text=True,
                                 capture_output=True).stdout
        for name in re.findall(r"^[0-9a-f]+ [tT] (\S+)$", symbols, re.MULTILINE):
            folder_of[name] = folder
    return folder_of


def group(frames, folder_of):
    symbol, dso = frames[0]
    if dso.startswith("[kernel") or dso.startswith("bpf_prog"):
        for caller, _ in frames:
            for name, of in KERNEL:
                if caller in of:
                    return name
        return OTHERS[0]
    return FOLDERS.get(folder_of.get(symbol), OTHERS[1])


def samples_of(lines):
    """The frames of each sample, the one that is running first."""
    for block in "".join(lines).split("\n\n"):
        frames = re.findall(r"^\s+[0-9a-f]+ (\S+).*? \((.*)\)$", block, re.MULTILINE)
        if frames:
            yield frames


def main(rate, build):
    lines = sys.stdin.readlines()
    _, seconds, hertz = lines.pop().split()
    each_ns = 1e9 / float(hertz) / (float(rate) * float(seconds))
    folder_of, groups = functions(build), {}
    for frames in samples_of(lines):
        name = group(frames, folder_of)
        groups[name] = groups.get(name, 0) + each_ns
    print(json.dumps(groups))


if __name__ == "__main__":
    main(*sys.argv[1:])
