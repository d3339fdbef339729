#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""From the rows of tests/bench/run to tables, plots and JSON: medians, ratios, bars."""
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
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


# What forward_burst() may take at a million connections, in ns a datagram.
BURST_TIMES = (("service", "cid", 45), ("service", "tuple", 45), ("service", "quic-lb", 45),
               ("service", "quic-lb-encrypted", 70), ("return", "tuple", 45))


def forward_suite(rows):
    def value(start, metric):
        return next(r["value"] for r in rows
                    if r["subject"].startswith(start) and r["metric"] == metric)

    time = "time a datagram, 10th percentile"
    def burst(direction, known, connections):
        return value(f"forward_burst IPv4 {direction}, known {known}, {connections} connections, "
                     "1 x 100", time)

    bars = {}
    for direction, known, limit in BURST_TIMES:
        took = burst(direction, known, 1000000)
        bars[f"forward_burst() {direction}, known {known}, ns a datagram"] = bar(
            took, f"<= {limit}", took <= limit)
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
    ("CPU time", "s"): lambda m: m["cpu_s"],
    ("dropped, tx_full", "datagrams"): lambda m: m["counts"]["tx_full"],
    ("dropped, rx_ring_full", "datagrams"): lambda m: m["counts"]["rx_ring_full"],
}


def interval(runs):
    """Between which runs the median lies, at least nine times out of ten: by their order
    alone, each run being as likely below the median as above. Fewer than 5 runs cannot
    say so much: of them it is the lowest and the highest."""
    ordered, count = sorted(runs), len(runs)
    out, outside = 0, 2 / 2 ** count
    while outside + 2 * math.comb(count, out + 1) / 2 ** count <= 0.1:
        out += 1
        outside += 2 * math.comb(count, out) / 2 ** count
    return ordered[out], ordered[count - 1 - out]


def pair_bar(runs, limit, is_least, doubt=None):
    """Passed or missed only if the whole interval is on one side."""
    low, high = interval(runs)
    passes = low >= limit if is_least else high <= limit
    misses = high < limit if is_least else low > limit
    verdict = bar(statistics.median(runs), f"{'>=' if is_least else '<='} {limit}", passes) | {
        "interval": [low, high], "pairs": len(runs)}
    if doubt:
        return verdict | {"pass": None, "undecided": doubt}
    if not passes and not misses:
        return verdict | {"pass": None, "undecided": "the interval has the bar in it"}
    return verdict


# What hardly comes by its workers has no time there.
IN_XDP = "ringwayd, return in XDP"
OF_WORKERS = ("own time a datagram", "busy time a datagram")
# Of ringwayd's own time beyond l2fwd's, in % of l2fwd's whole time a datagram.
OWN_TIME = {("ringwayd", "out"): 3, ("ringwayd", "back"): 3, ("ringwayd, encrypted IDs", "out"): 5}


# Of a core, in %, when there is nothing to do.
IDLE = 1


def path_suite(measurements):
    rows, ratios, bars, runs = [], {}, {}, {}
    idle = [100 * (m["cpu_s"][1] - m["cpu_s"][0]) / m["idle_s"]
            for m in measurements if "idle_s" in m]
    measurements = [m for m in measurements if "idle_s" not in m]
    if idle:
        rows.append(row("ringwayd, idle", "share of a core", "%", idle))
        bars["ringwayd, idle, % of a core"] = pair_bar(idle, IDLE, False)
    for m in measurements:
        for (metric, _), measure in MEASURES.items():
            runs.setdefault((m["subject"], m["direction"]), {}).setdefault(
                metric, []).append(measure(m))
    for (subject, direction), of_metric in runs.items():
        for metric, unit in MEASURES:
            if subject != IN_XDP or metric not in OF_WORKERS:
                rows.append(row(f"{subject}, {direction}", metric, unit, of_metric[metric]))

    def pairs(subject, direction, metric, figure):
        """A figure of each pair: of the subject, and of l2fwd a moment before or after."""
        return [figure(ours, theirs) for ours, theirs in zip(
            runs[subject, direction][metric], runs["l2fwd", direction][metric])]

    def ratio(ours, theirs):
        return ours / theirs

    for direction in ("out", "back"):
        rate = pairs("ringwayd", direction, "rate into the sink", ratio)
        itself = statistics.median(pairs("l2fwd again", direction, "rate into the sink", ratio))
        ratios[f"ringwayd to l2fwd, {direction}"] = statistics.median(rate)
        ratios[f"l2fwd again to l2fwd, {direction}"] = itself
        doubt = abs(itself - 1) > SAME and (
            f"the same program differs by {abs(itself - 1) * 100:.0f} % from itself in this run")
        bars[f"rate to l2fwd's, {direction}"] = pair_bar(rate, 0.97, True, doubt)
        bars[f"machine busy a datagram to l2fwd's, {direction}"] = pair_bar(
            pairs("ringwayd", direction, "machine busy a datagram", ratio), 1.10, False, doubt)
    for metric in ("rate into the sink", "machine busy a datagram"):
        ratios[f"return_path xdp to userspace, {metric}"] = statistics.median(
            map(ratio, runs[IN_XDP, "back"][metric], runs["ringwayd", "back"][metric]))
    for (subject, direction), limit in OWN_TIME.items():
        more = pairs(subject, direction, "own time a datagram", float.__sub__)
        whole = runs["l2fwd", direction]["busy time a datagram"]
        rows.append(row(f"{subject} less l2fwd, {direction}", "own time a datagram", "ns", more))
        bars[f"{subject}, {direction}: own time less l2fwd's, % of l2fwd's whole"] = pair_bar(
            [100 * part / all for part, all in zip(more, whole)], limit, False)
    return {"suite": "path", "rows": rows, "ratios": ratios, "bars": bars}


# What must be that many times what another reaches, in the rate at saturation.
TIMES = {"nginx": 5, "socket_epoll": 4, "socket_mmsg": 3, "testpmd": 1}
# Who must not be faster at the median and the 90th percentile, at one rate for all.
SLOWER = ("nginx", "socket_epoll", "socket_mmsg", "socket_io_uring", "socket_two_workers",
          "socket_decoupled")


def runs_of(rows, figure):
    """A figure of every round, by subject."""
    runs = {}
    for r in rows:
        runs.setdefault(r["subject"], []).append(figure(r))
    return runs


def to_each(runs):
    """ringwayd's to everybody else's, by round."""
    ours = runs.get("ringwayd", [])
    return {subject: [mine / (other or 1) for mine, other in zip(ours, others)]
            for subject, others in runs.items() if subject != "ringwayd"}


def opponents_suite(rows):
    loads = [r for r in rows if "path" in r]
    latencies = [r for r in rows if "latency" in r]
    rates = runs_of(loads, lambda m: m["path"]["sunk"] / m["path"]["seconds"])
    loss_free = runs_of([r for r in rows if "search" in r], lambda r: r["search"]["offered"])
    table, ratios, bars = [], {}, {}

    def put(runs, metric, unit):
        table.extend(row(subject, metric, unit, of) for subject, of in runs.items())

    put(rates, "rate at saturation", "datagrams/s")
    put(runs_of(loads, lambda m: m["path"]["busy_s"] * 1e9 / max(m["path"]["sunk"], 1)),
        "machine busy a datagram", "ns")
    put(runs_of([m for m in loads if m["counts"]],
                lambda m: m["counts"]["forward_ns"] / max(m["counts"]["received"], 1)),
        "own time a datagram", "ns")
    put(runs_of(loads, lambda m: m["memory_mib"]), "memory", "MiB")
    put(loss_free, "rate without loss", "datagrams/s")
    for how, runs in (("at saturation", to_each(rates)), ("without loss", to_each(loss_free))):
        ratios |= {f"ringwayd to {subject}, {how}": statistics.median(of)
                   for subject, of in runs.items()}
    for subject, times in TIMES.items():
        if subject in to_each(rates):
            bars[f"rate to {subject}'s"] = pair_bar(to_each(rates)[subject], times, True)
    for percentile in ("p50", "p90", "p99"):
        runs = runs_of(latencies, lambda r, p=percentile: r["latency"][p] / 1000)
        put(runs, f"latency at {latencies[0]['rate']}/s, {percentile}", "us")
        for subject, of in to_each(runs).items():
            if subject in SLOWER and percentile != "p99":
                bars[f"latency {percentile} to {subject}'s"] = pair_bar(of, 1, False)
    return {"suite": "opponents", "ratios": ratios, "bars": bars, "rows": table}


def opponents_plot(suite, out):
    """Bars of the rates, as SVG."""
    rates = {metric: {r["subject"]: r["value"] for r in suite["rows"] if r["metric"] == metric}
             for metric in ("rate at saturation", "rate without loss")}
    subjects = sorted(rates["rate at saturation"], key=rates["rate at saturation"].get)
    lines = [f'"{s}" {rates["rate at saturation"][s] / 1000} '
             f'{rates["rate without loss"].get(s, 0) / 1000}'.replace("_", " ")
             for s in subjects]
    plot = f"""set terminal svg size 800,420 font "sans,12" background "white"
set output "{out}/opponents.svg"
set style data histograms
set style fill solid 0.8 border -1
set ylabel "1000 datagrams a second"
set yrange [0:]
set xtics rotate by -30
set key top left
$rates << END
{chr(10).join(lines)}
END
plot $rates using 2:xtic(1) title "at saturation", "" using 3 title "without loss"
"""
    subprocess.run(["gnuplot"], input=plot, text=True, check=True)


# What grows: its name on a plot, whether its axis is logarithmic, and by how many ns a
# datagram may cost more from one point to another.
AXES = {
    "connections": ("connections", True, ((1000, 1000000, 20), (1000, 10000000, 35))),
    "backends": ("backends of a service", True, ((2, 1000, 3),)),
    "services": ("services, of 1000 backends in all", True, ((1, 100, 3),)),
    "size": ("bytes of the UDP payload", False, ()),
    "burst": ("datagrams a burst", True, ()),
    "initials": ("% of the datagrams open a connection", False, ()),
    "encrypted": ("% of the Connection IDs are encrypted (QUIC-LB)", False, ((0, 100, 60),)),
}
MEMORY_AT, MEMORY_BAR = 10000000, 40


def growth_points(rows):
    """By axis, what is known, and point: times of the rounds, and bytes of both tables.

    A round's time is that of its fastest pass: differences of a few ns are sought, and
    what else the machine does makes a pass slower, never faster."""
    times, memory = {}, {}
    for r in rows:
        known = r["row"]["subject"].split("known ")[1].split(",")[0]
        if r["row"]["unit"] == "bytes":
            memory[r["axis"], known, r["at"]] = r["row"]["value"]
        else:
            times.setdefault((r["axis"], known), {}).setdefault(r["at"], []).append(
                min(r["row"]["runs"]))
    return times, memory


def is_sure(runs):
    """Has another round been as fast as the fastest, but for 5 %?"""
    fastest = sorted(runs)[:2]
    return len(fastest) == 2 and fastest[1] <= (1 + SAME) * fastest[0]


def growth_bar(points, start, end, limit):
    fastest = {at: min(runs) for at, runs in points.items()}
    more = fastest[end] - fastest[start]
    doubt = None
    if not (is_sure(points[start]) and is_sure(points[end])):
        doubt = f"the two fastest rounds of one point are not within {SAME * 100:.0f} %"
    elif min(fastest.values()) < (1 - SAME) * fastest[start]:
        doubt = "what has more to do was faster"
    if doubt:
        return bar(more, f"<= {limit}", None) | {"undecided": doubt}
    return bar(more, f"<= {limit}", more <= limit)


def growth_suite(rows):
    times, memory = growth_points(rows)
    table, ratios, bars, measured = [], {}, {}, "time a datagram, fastest pass"
    for (axis, known), points in times.items():
        lowest = {at: min(runs) for at, runs in points.items()}
        for at, runs in points.items():
            table.append(row(f"{axis} {at}, known {known}", measured, "ns", runs) |
                         {"value": lowest[at]})
        first, last = next(iter(lowest)), list(lowest)[-1]
        ratios[f"{axis} {last} to {first}, known {known}"] = lowest[last] / lowest[first]
        for start, end, limit in AXES[axis][2]:
            if end not in points:  # a quick run ends earlier
                continue
            bars[f"{axis} {end} less {start}, known {known}, ns"] = growth_bar(
                points, start, end, limit)
    for (axis, known, at), value in memory.items():
        if (axis, at) == ("connections", MEMORY_AT):
            table.append(row(f"{axis} {at}, known {known}", "memory of the tables", "bytes each",
                             [value]))
            bars[f"memory of a live connection of {at}, known {known}, bytes"] = bar(
                value, f"<= {MEMORY_BAR}", value <= MEMORY_BAR)
    return {"suite": "growth", "rows": table, "ratios": ratios, "bars": bars}


def growth_plots(rows, out):
    """A curve for each thing known, a plot for each axis, as SVG."""
    times, _ = growth_points(rows)
    for axis, (label, is_log, _) in AXES.items():
        curves = {known: points for (of, known), points in times.items() if of == axis}
        data = "".join("$" + known.replace("-", "_") + " << END\n" +
                       "".join(f"{at} {min(runs)}\n" for at, runs in points.items()) + "END\n"
                       for known, points in curves.items())
        lines = ", ".join(f'${known.replace("-", "_")} with linespoints title "known {known}"'
                          for known in curves)
        plot = f"""set terminal svg size 800,420 font "sans,12" background "white"
set output "{out}/growth-{axis}.svg"
set xlabel "{label}"
set ylabel "ns a datagram in forward_burst()"
set yrange [0:]
{"set logscale x" if is_log else ""}
set key bottom right
{data}plot {lines}
"""
        subprocess.run(["gnuplot"], input=plot, text=True, check=True)


def sharing_suite(rows):
    table, ratios, bars, times = [], {}, {}, {}
    for r in rows:
        known = r["row"]["subject"].split("known ")[1].split(",")[0]
        times.setdefault(known, {}).setdefault(r["form"], []).append(r["row"]["value"])
    for known, of_form in times.items():
        both = of_form["apart"]
        apart = [statistics.mean(both[i:i + 2]) for i in range(0, len(both), 2)]
        metric = "time a datagram, 10th percentile"
        table.append(row(f"two workers, known {known}", metric, "ns", of_form["together"]))
        table.append(row(f"two processes, known {known}", metric, "ns", apart))
        bars[f"two workers to two processes, known {known}"] = pair_bar(
            [ours / theirs for ours, theirs in zip(of_form["together"], apart)], 1.05, False)
    return {"suite": "sharing", "rows": table, "ratios": ratios, "bars": bars}


def profile_suite(rows):
    """Where time goes by perf, and what memory takes of it in any program."""
    shares, lines = {}, {}
    for r in rows:
        if "ns" in r:
            shares.setdefault(r["subject"], []).append(r["ns"])
        else:
            for how in ("chain_ns", "burst_ns"):
                lines.setdefault((r["mebibytes"], how), []).append(r[how])
    table = []
    for subject, runs in shares.items():
        for group in sorted({group for run in runs for group in run}):
            table.append(row(subject, group, "ns", [run.get(group, 0) for run in runs]))
        table.append(row(subject, "all", "ns", [sum(run.values()) for run in runs]))
    for (mebibytes, how), runs in lines.items():
        table.append(row(f"a line of {mebibytes} MiB that is in no cache", {
            "chain_ns": "one after the other", "burst_ns": "asked for in bursts"}[how], "ns", runs))
    return {"suite": "profile", "rows": table, "ratios": {}, "bars": {}}


PLOTS = {"opponents": lambda suite, _, out: opponents_plot(suite, out),
         "growth": lambda _, rows, out: growth_plots(rows, out)}


def show(suite):
    for r in sorted(suite["rows"], key=lambda r: r["metric"]) if suite["suite"] == "opponents" \
            else suite["rows"]:
        print(f"{r['subject']:58} {r['metric']:41} {r['value']:12.1f} {r['unit']:12}"
              f"{min(r['runs']):12.1f} .. {max(r['runs']):.1f}")
    for name, ratio in suite["ratios"].items():
        print(f"{name:58} {'ratio':33} {ratio:12.3f}")
    for name, b in suite["bars"].items():
        verdict = {True: "pass", False: "MISS"}.get(b["pass"]) or f"undecided: {b['undecided']}"
        spread = " {:.3f} .. {:.3f}".format(*b["interval"]) if "interval" in b else ""
        print(f"{name:70} bar {b['bar']:17} {b['value']:12.3f}{spread} {verdict}")
    print()


SUITES = {"forward": forward_suite, "path": path_suite, "opponents": opponents_suite,
          "growth": growth_suite, "sharing": sharing_suite,
          "profile": profile_suite}


def main(out, names):
    with open(f"{out}/host.json", encoding="utf-8") as file:
        host = json.load(file) | {"kernel": platform.release(), "cpus": os.cpu_count()}
    print(f"\n{host['command']}\nLinux {host['kernel']}, {host['cpus']} CPUs, {host['driver']}, "
          f"native XDP, {host['mode']} mode; medians, then the spread of the runs\n")
    for name in names:
        rows = rows_of(f"{out}/{name}.rows")
        suite = SUITES[name](rows)
        with open(f"{out}/{name}.json", "w", encoding="utf-8") as file:
            json.dump(suite | {"host": host}, file, indent=1)
        show(suite)
        if name in PLOTS and shutil.which("gnuplot"):
            PLOTS[name](suite, rows, out)
        elif name in PLOTS:
            print("no plots: gnuplot is missing\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
