#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""udp_intervals.py PID: what UDP of that process's network namespace took and lost, every
100 ms until SIGTERM; then all of it as JSON. Counts begin with the first datagram."""
import json
import signal
import sys
import time

INTERVAL_S = 0.1
COUNTERS = ("InDatagrams", "InErrors", "RcvbufErrors")


def counters(path):
    with open(path, encoding="ascii") as file:
        names, values = (line.split()[1:] for line in file if line.startswith("Udp:"))
    of_name = dict(zip(names, map(int, values)))
    return [of_name[name] for name in COUNTERS]


def main(path):
    # Blocked, so that none is lost between two looks.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    rows, before, due = [], counters(path), time.monotonic()
    begin = None
    print("counting", flush=True)
    while True:
        due += INTERVAL_S
        ended = signal.sigtimedwait({signal.SIGTERM}, max(0, due - time.monotonic()))
        now, at = counters(path), time.monotonic()
        grown = [new - old for new, old in zip(now, before)]
        if begin is None and any(grown):
            begin = at - INTERVAL_S
        if begin is not None:
            rows.append({"to": round(at - begin, 3)} | dict(zip(COUNTERS, grown)))
        before = now
        if ended:
            break
    print(json.dumps(rows))


if __name__ == "__main__":
    main(f"/proc/{sys.argv[1]}/net/snmp")
