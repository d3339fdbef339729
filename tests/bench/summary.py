#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""From the rows of tests/bench/run to a table and JSON: medians, ratios, bars."""
import json
import os
import platform
import statistics
import sys


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

    time = "time a datagram"
    few = value("forward_burst IPv4 service, 1000 connections", time)
    many = value("forward_burst IPv4 service, 1000000 connections, 1 x 100", time)
    back = value("forward_burst IPv4 return, 1000000 connections, 1 x 100", time)
    return {"suite": "forward", "rows": rows,
            "ratios": {"1000000 connections to 1000": many / few},
            "bars": {"forward_burst() out, ns a datagram": bar(many, "<= 40", many <= 40),
                     "forward_burst() back, ns a datagram": bar(back, "<= 40", back <= 40)}}


def path_suite(measurements):
    rows, ratios, bars, rates, own = [], {}, {}, {}, {}
    for m in measurements:
        key = (m["subject"], m["direction"])
        rates.setdefault(key, []).append(m["path"]["sunk"] / m["path"]["seconds"])
        own.setdefault(key, []).append(
            m["counts"]["forward_ns"] / max(m["counts"]["received"], 1))
    for (subject, direction), runs in rates.items():
        rows.append(row(f"{subject}, {direction}", "rate into the sink", "datagrams/s", runs))
        rows.append(row(f"{subject}, {direction}", "own time a datagram", "ns",
                        own[subject, direction]))
    for direction in ("out", "back"):
        ceiling = rates["l2fwd", direction]
        for subject in ("ringwayd", "l2fwd again"):
            ratios[f"{subject} to l2fwd, {direction}"] = statistics.median(
                ours / theirs for ours, theirs in zip(rates[subject, direction], ceiling))
        ratio = ratios[f"ringwayd to l2fwd, {direction}"]
        bars[f"rate to l2fwd's, {direction}"] = bar(ratio, ">= 0.95", ratio >= 0.95)
        more = statistics.median(own["ringwayd", direction]) - statistics.median(
            own["l2fwd", direction])
        bars[f"own time more than l2fwd's, {direction}, ns"] = bar(more, "<= 45", more <= 45)
    return {"suite": "path", "rows": rows, "ratios": ratios, "bars": bars}


def show(suite):
    for r in suite["rows"]:
        spread = f"{min(r['runs']):12.1f} .. {max(r['runs']):.1f}" if r["runs"] else ""
        print(f"{r['subject']:58} {r['metric']:24} {r['value']:12.1f} {r['unit']:12}{spread}")
    for name, ratio in suite["ratios"].items():
        print(f"{name:58} {'ratio':24} {ratio:12.3f}")
    for name, b in suite["bars"].items():
        print(f"{name:58} bar {b['bar']:20} {b['value']:12.3f} {'pass' if b['pass'] else 'MISS'}")
    print()


def main(out):
    print(f"\nLinux {platform.release()}, {os.cpu_count()} CPUs, veth, native XDP, copy mode; "
          "medians, then the spread of the runs\n")
    for suite in (forward_suite(rows_of(f"{out}/forward.rows")),
                  path_suite(rows_of(f"{out}/path.rows"))):
        with open(f"{out}/{suite['suite']}.json", "w", encoding="utf-8") as file:
            json.dump(suite, file, indent=1)
        show(suite)


main(sys.argv[1])
