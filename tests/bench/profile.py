#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""profile.py RATE BUILD <PERF_SCRIPT: where a worker's time goes, as JSON, in ns a datagram.

Reads what `perf script -F comm,ip,sym,symoff,dso` has of samples with their callers, for a worker
that has forwarded RATE datagrams a second. Each sample belongs to one group: in the kernel
by the first of its callers that says what is done, in our own programs by the folder of the
function that is running, in the core by the stage: that of what is inlined into forward_burst()
is known by its lines. The last line is `window SECONDS HZ`."""
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
FOLDERS = {"core": "ours: decide", "io": "ours: rings and system calls",
           "dataplane": "ours: the worker's loop", "util": "ours: the worker's loop",
           "bench": "ours: the worker's loop"}
# Objects, and functions that are inlined into forward_burst(), that do not decide.
OBJECTS = {"core/forward.o": "ours: rewrite", "core/table.o": "ours: parse"}
INLINED = {"packets_parse": "ours: parse", "packets_end": "ours: rewrite"}
OTHERS = "kernel: other", "libraries and clock"


def functions(build):
    """Which group a function of ours belongs to."""
    group_of = {}
    for folder, of_folder in FOLDERS.items():
        for path in glob(f"{build}/user/{folder}/*.o") or [f"{build}/tests/bench/l2fwd.o"]:
            symbols = subprocess.run(["nm", "--defined-only", path], check=True, text=True,
                                     capture_output=True).stdout
            of_object = OBJECTS.get(path.removeprefix(f"{build}/user/"), of_folder)
            for name in re.findall(r"^[0-9a-f]+ [tT] (\S+)$", symbols, re.MULTILINE):
                group_of[name] = of_object
    return group_of


def stages(program, offsets):
    """The group of each offset into forward_burst(), by what is inlined there."""
    symbols = subprocess.run(["nm", program], check=True, text=True, capture_output=True).stdout
    start = int(re.search(r"^([0-9a-f]+) T forward_burst$", symbols, re.MULTILINE)[1], 16)
    places = subprocess.run(["addr2line", "-aife", program], check=True, text=True,
                            input="\n".join(hex(start + int(o, 16)) for o in offsets),
                            capture_output=True).stdout
    chains = re.split(r"^0x[0-9a-f]+\n", places, flags=re.MULTILINE)[1:]
    stage_of = {}
    for offset, chain in zip(offsets, chains, strict=True):
        known = [INLINED[name] for name in chain.split() if name in INLINED]
        stage_of["forward_burst", offset] = known[0] if known else "ours: decide"
    return stage_of


def group(frames, group_of, stage_of):
    symbol, offset, dso = frames[0]
    if dso.startswith("[kernel") or dso.startswith("bpf_prog"):
        for caller, _, _ in frames:
            for name, of in KERNEL:
                if caller in of:
                    return name
        return OTHERS[0]
    return stage_of.get((symbol, offset)) or group_of.get(symbol, OTHERS[1])


def samples_of(lines):
    """The frames of each sample, the one that is running first."""
    for block in "".join(lines).split("\n\n"):
        frames = re.findall(r"^\s+[0-9a-f]+ (\S+?)(?:\+0x([0-9a-f]+))?(?: .*)? \((.*)\)$", block,
                            re.MULTILINE)
        if frames:
            yield frames


def main(rate, build):
    lines = sys.stdin.readlines()
    _, seconds, hertz = lines.pop().split()
    each_ns = 1e9 / float(hertz) / (float(rate) * float(seconds))
    samples, groups = list(samples_of(lines)), {}
    group_of = functions(build)
    stage_of = stages(f"{build}/ringwayd", sorted({frames[0][1] for frames in samples
                                                   if frames[0][0] == "forward_burst"}))
    for frames in samples:
        name = group(frames, group_of, stage_of)
        groups[name] = groups.get(name, 0) + each_ns
    print(json.dumps(groups))


if __name__ == "__main__":
    main(*sys.argv[1:])
