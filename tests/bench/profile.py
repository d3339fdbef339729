#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""From `perf script -F comm,time,ip,sym,symoff,dso` on stdin to one JSON object: the samples of
each part of the way, and of the source lines of the program's own that have most of them; of one
thread, with what the kernel does in its stead, in the middle of the time, when the load has begun
and has not ended.

  profile.py PROGRAM THREAD
"""
import collections
import json
import re
import subprocess
import sys

MARGIN = 0.15 # of the time, at both ends
ENGINE = re.compile(r"(af_xdp|port|frames?|xsk|metadata|packet_fits|gauge)")


def part_of(symbol, binary, program):
    if binary == program:
        return "engine" if ENGINE.match(symbol) else "own"
    if binary == "[kernel.kallsyms]":
        return "kernel, copying" if symbol.startswith("memcpy") else "kernel, the rest"
    return "XDP programs" if binary.startswith("bpf_prog") else "libraries"


def lines_of(program, places, most=4):
    """The source lines of symbol+offset places that have most samples."""
    symbols, twice = {}, set()
    for address, name in re.findall(r"^([0-9a-f]+) \w (\S+)$", subprocess.run(
            ["nm", program], capture_output=True, text=True, check=True).stdout, re.M):
        if name in symbols:
            twice.add(name)
        symbols[name] = int(address, 16)
    lines = collections.Counter()
    for place, samples in places.most_common(64):
        symbol, _, offset = place.partition("+")
        if symbol not in symbols or symbol in twice:  # a jump to a library; who knows
            continue
        found = subprocess.run(
            ["addr2line", "-e", program, hex(symbols[symbol] + int(offset or "0", 16))],
            capture_output=True, text=True, check=True).stdout.split()[0]
        lines[re.sub(r"^.*/((?:user|include|tests)/.*)$", r"\1", found)] += samples
    return dict(lines.most_common(most))


def main(path, thread):
    program = path.rpartition("/")[2]
    parts, places = collections.Counter(), collections.Counter()
    samples = re.findall(r"^\s*(\S+)\s+([0-9.]+):\s+[0-9a-f]+ (\S+) \((.*)\)$",
                         sys.stdin.read(), re.M)
    times = [float(sample[1]) for sample in samples]
    begin, end = (min(times) * (1 - at) + max(times) * at for at in (MARGIN, 1 - MARGIN))
    for of_thread, at, place, where in samples:
        if of_thread != thread or not begin <= float(at) < end:
            continue
        part = part_of(place, where.rpartition("/")[2], program)
        parts[part] += 1
        if part == "own":
            places[place] += 1
    print(json.dumps({"seconds": end - begin, "parts": parts, "lines": lines_of(path, places)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
