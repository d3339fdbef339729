#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""readme - the tables of figures that the READMEs carry, in Markdown.

    readme.py build/bench

It prints what a `make bench-full` has left there: beside the ceiling, beside others, and
where the time goes. It judges nothing and changes no file.
"""

import json
import pathlib
import sys

NAMES = {
    "xdp_nat": "the same rewriting in XDP, no state",
    "ringwayd": "**ringwayd, AF_XDP**",
    "testpmd": "dpdk-testpmd, plain forwarding",
    "nft_stateful": "nftables, with connection tracking",
    "nft_stateless": "nftables, stateless",
    "socket_io_uring": "ringwayd, `calls: io_uring`",
    "socket_epoll": "ringwayd, `calls: epoll`",
    "socket_mmsg": "ringwayd, `calls: mmsg`",
    "socket_two_workers": "ringwayd, `calls: mmsg`, two workers",
    "socket_decoupled": "ringwayd, `calls: mmsg`, decoupled",
    "nginx": "nginx stream, one worker",
    "an idle core": "an idle core that spins",
}


def values_of(suite):
    """The medians, by subject and metric."""
    values = {}
    for row in suite["rows"]:
        values.setdefault(row["subject"], {})[row["metric"]] = row["value"]
    return values


def number(value, digits=0):
    return "" if value is None else f"{value:,.{digits}f}"


def table(heads, lines):
    print("| " + " | ".join(heads) + " |")
    print("| --- |" + " ---: |" * (len(heads) - 1))
    for line in lines:
        print("| " + " | ".join(line) + " |")
    print()


def path_table(suite):
    values, bars = values_of(suite), suite["bars"]

    def beside(name, direction, metric, bar):
        ratio = bars[f"{bar} to l2fwd's, {direction}"]
        return [name,
                number(values[f"l2fwd, {direction}"][metric]),
                number(values[f"ringwayd, {direction}"][metric]),
                "{:.2f} ({:.2f} to {:.2f})".format(ratio["value"], *ratio["interval"])]

    def own(name, direction, form, metric="own time a datagram", digits=1,
            ratio=""):
        l2fwd = "" if form else number(values[f"l2fwd, {direction}"][metric], digits)
        return [name, l2fwd, number(values[f"ringwayd{form}, {direction}"][metric], digits),
                ratio]

    rate, busy = "rate into the sink", "machine busy a datagram"
    table(["beside the ceiling", "l2fwd", "ringwayd", "ratio, its 90 % interval"],
          [beside("to backends, datagrams/s", "out", rate, "rate"),
           beside("back to clients, datagrams/s", "back", rate, "rate"),
           own("the same, `return_path: xdp`, datagrams/s", "back", ", return in XDP", rate, 0,
               "{:.1f} of ringwayd's".format(
                   suite["ratios"]["return_path xdp to userspace, rate into the sink"])),
           beside("machine busy to backends, ns a datagram", "out", busy, busy),
           beside("machine busy back, ns a datagram", "back", busy, busy),
           own("own time to backends, ns a datagram", "out", ""),
           own("own time by encrypted QUIC-LB IDs", "out", ", encrypted IDs"),
           own("own time back, ns a datagram", "back", "")])
    for name, judged in bars.items():
        if "own time less" in name:
            print("- {}: {:.1f} ({:.1f} to {:.1f})".format(name, judged["value"],
                                                           *judged["interval"]))
    print()


def opponents_table(suite):
    values = values_of(suite)
    latencies = [metric for metric in values["ringwayd"] if metric.startswith("latency")]
    rate = int(latencies[0].split()[2].split("/")[0])
    lines = []
    for subject in sorted(values, key=lambda s: -values[s].get("rate at saturation", 0)):
        of = values[subject]
        times = filter(None, (number(of.get("machine busy a datagram")),
                              number(of.get("own time a datagram"))))
        lines.append([NAMES.get(subject, subject), number(of.get("rate without loss")),
                      number(of.get("rate at saturation")), ", ".join(times),
                      ", ".join(number(of[metric], 1) for metric in latencies if metric in of),
                      number(of.get("memory"), 1)])
    table(["beside others, to backends", "without loss, /s", "at saturation, /s",
           "machine busy, own, ns", f"p50, p90, p99 at {number(rate)}/s, us", "MiB"], lines)


def profile_table(suite):
    values = values_of(suite)
    subjects = [subject for subject in values if "all" in values[subject]]
    metrics = dict.fromkeys(metric for subject in subjects for metric in values[subject]
                            if metric != "all")
    table(["ns a datagram"] + subjects,
          [[metric] + [number(values[subject].get(metric)) for subject in subjects]
           for metric in [*sorted(metrics), "all"]])


def main():
    folder = pathlib.Path(sys.argv[1])
    for name, make in (("path", path_table), ("opponents", opponents_table),
                       ("profile", profile_table)):
        make(json.loads((folder / f"{name}.json").read_text()))


main()
