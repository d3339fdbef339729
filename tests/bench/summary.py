#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""From the rows of tests/bench/run to a table and JSON: medians, ratios, bars."""
import json
import os
import platform
import statistics
import sys

# Two runs of one program that differ by less than this are the same.
SAME = 0.05


def rows_of(path):
    with open(path, encoding="utf-8") as rows:
        return [json.loads(row) for row in rows]


def row(subject, metric, unit, runs):
    return {"subject": subject, "metric": metric, "unit": unit,
            "value": statistics.median(runs), "runs": runs}


def bar(value, limit, passes):
    return {"value": value, "bar": limit, "pass": passes}


def forward_suite(rows):
    def value(start, metric):
        return next(r["value"] for r in rows
                    if r["subject"].startswith(start) and r["metric"] == metric)

    time = "time a datagram, 10th percentile"
    def burst(direction, known, connections):
        return value(f"forward_burst IPv4 {direction}, known {known}, {connections} connections, "
                     "1 x 100", time)

    bars = {}
    for known in ("nothing", "cid", "tuple"):
        out = burst("service", known, 1000000)
        bars[f"forward_burst() out, known {known}, ns a datagram"] = bar(out, "<= 40", out <= 40)
    back = burst("return", "tuple", 1000000)
    bars["forward_burst() back, known tuple, ns a datagram"] = bar(back, "<= 40", back <= 40)
    for known in ("cid", "tuple"):
        more = burst("service", known, 1000000) - burst("service", known, 1000)
        bars[f"1000000 connections less 1000, known {known}, ns"] = bar(more, "<= 20", more <= 20)
    return {"suite": "forward", "rows": rows, "ratios": {}, "bars": bars}


# What a run says of itself, by metric and unit.
MEASURES = {
    ("rate into the sink", "datagrams/s"): lambda m: m["path"]["sunk"] / m["path"]["seconds"],
    ("own time a datagram", "ns"):
        lambda m: m["counts"]["forward_ns"] / max(m["counts"]["received"], 1),
    ("busy time a datagram", "ns"):
        lambda m: m["counts"]["busy_ns"] / max(m["counts"]["received"], 1),
    ("machine busy a datagram", "ns"):
        lambda m: m["path"]["busy_s"] * 1e9 / max(m["path"]["sunk"], 1),
    ("CPU time", "s"): lambda m: m["process"]["cpu_s"],
    ("dropped, tx_full", "datagrams"): lambda m: m["counts"]["tx_full"],
    ("dropped, rx_ring_full", "datagrams"): lambda m: m["counts"]["rx_ring_full"],
}


def rate_bar(ratio, itself):
    """A run in which a program differs from itself decides nothing."""
    if abs(itself - 1) <= SAME:
        return bar(ratio, ">= 0.95", ratio >= 0.95)
    return bar(ratio, ">= 0.95", None) | {
        "undecided": f"the same program differs by {abs(itself - 1) * 100:.0f} % "
                     "from itself in this run"}


def path_suite(measurements):
    rows, ratios, bars, runs = [], {}, {}, {}
    for m in measurements:
        for (metric, _), measure in MEASURES.items():
            runs.setdefault((m["subject"], m["direction"]), {}).setdefault(
                metric, []).append(measure(m))
    for (subject, direction), of_metric in runs.items():
        for metric, unit in MEASURES:
            rows.append(row(f"{subject}, {direction}", metric, unit, of_metric[metric]))
    for direction in ("out", "back"):
        def ratio_to_ceiling(subject):
            pairs = zip(runs[subject, direction]["rate into the sink"],
                        runs["l2fwd", direction]["rate into the sink"])
            return statistics.median(ours / theirs for ours, theirs in pairs)

        ours, itself = ratio_to_ceiling("ringwayd"), ratio_to_ceiling("l2fwd again")
        ratios[f"ringwayd to l2fwd, {direction}"] = ours
        ratios[f"l2fwd again to l2fwd, {direction}"] = itself
        bars[f"rate to l2fwd's, {direction}"] = rate_bar(ours, itself)
        own = [statistics.median(runs[subject, direction]["own time a datagram"])
               for subject in ("ringwayd", "l2fwd")]
        rows.append(row(f"ringwayd less l2fwd, {direction}", "own time a datagram", "ns",
                        [own[0] - own[1]]))
    return {"suite": "path", "rows": rows, "ratios": ratios, "bars": bars}


def show(suite):
    for r in suite["rows"]:
        print(f"{r['subject']:58} {r['metric']:33} {r['value']:12.1f} {r['unit']:12}"
              f"{min(r['runs']):12.1f} .. {max(r['runs']):.1f}")
    for name, ratio in suite["ratios"].items():
        print(f"{name:58} {'ratio':33} {ratio:12.3f}")
    for name, b in suite["bars"].items():
        verdict = {True: "pass", False: "MISS"}.get(b["pass"]) or f"undecided: {b['undecided']}"
        print(f"{name:58} bar {b['bar']:29} {b['value']:12.3f} {verdict}")
    print()


def main(out):
    with open(f"{out}/host.json", encoding="utf-8") as file:
        host = json.load(file) | {"kernel": platform.release(), "cpus": os.cpu_count()}
    print(f"\n{host['command']}\nLinux {host['kernel']}, {host['cpus']} CPUs, {host['driver']}, "
          f"native XDP, {host['mode']} mode; medians, then the spread of the runs\n")
    for suite in (forward_suite(rows_of(f"{out}/forward.rows")),
                  path_suite(rows_of(f"{out}/path.rows"))):
        with open(f"{out}/{suite['suite']}.json", "w", encoding="utf-8") as file:
            json.dump(suite | {"host": host}, file, indent=1)
        show(suite)


if __name__ == "__main__":
    main(sys.argv[1])
