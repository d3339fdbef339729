#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""From the rows of tests/bench/scenario1 to tables, JSON, plots, and README.md's section.

scenario1.py [--readme] DIRECTORY
"""
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys

CLASSIC = "socket_epoll"
NAMES = {
    "socket_epoll": "epoll, one thread",
    "socket_epoll_25": "the same, 25 MiB buffer",
    "socket_mmsg": "mmsg, one thread",
    "socket_io_uring": "io_uring, one thread",
    "socket_two_workers": "mmsg, two workers",
    "socket_decoupled": "mmsg, decoupled",
    "ringwayd": "AF_XDP, one thread",
}
# What must be the first to lose where more comes than the classic thread can take.
PLACE = "udp_receive_buffer"
# Intervals on the terminal; all are in the JSON.
SHOWN = 20


def percent(part, whole):
    return 100 * part / whole if whole else 0.0


def lost_percent(row):
    return percent(row["sent"]["sent"] - row["sunk"]["received"], row["sent"]["sent"])


# --- From rows to results ---

def rising(rows):
    curves = {}
    for r in rows:
        curves.setdefault(r["subject"], []).append({
            "asked": r["rate"], "offered": r["sent"]["rate"], "received": r["sunk"]["rate"],
            "lost_percent": lost_percent(r)})
    return curves


def buffer_result(r):
    size = r["sent"]["bytes"] / max(r["sent"]["sent"], 1)
    seconds, offered = r["sent"]["seconds"], r["sent"]["rate"]
    steady = [u for u in r["udp"] if seconds / 2 < u["to"] <= seconds]
    lost, taken = (sum(u[k] for u in steady) for k in ("RcvbufErrors", "InDatagrams"))
    first = next((u["to"] for u in r["udp"] if u["RcvbufErrors"]), None)
    excess = offered - r["sunk"]["rate"]
    return {
        "buffer": r["buffer"], "asked": r["rate"], "offered": offered,
        "forwarded": r["sunk"]["rate"],
        "bytes_in_a_second": offered * size, "bytes_out_a_second": r["sunk"]["rate"] * size,
        # To the end of the interval in which it was, less what an interval is.
        "loss_begins_s": None if first is None else max(0, first - 0.1),
        "bytes_by_excess_s": r["buffer"] / (excess * size) if excess > 0 else None,
        "lost_percent": lost_percent(r),
        # Of what came out of the buffer, or did not get in.
        "steady_s": seconds / 2, "steady_lost_percent": percent(lost, lost + taken),
        "latency_p50_ms": r["sunk"]["latency_ns"]["p50"] / 1e6,
        "drops": r["drops"], "udp": r["udp"], "sink": r["sunk"]["intervals"]}


def buffers_result(rows):
    """Of the runs with one buffer and one rate, the one in the middle."""
    runs = {}
    for r in rows:
        runs.setdefault((r["rate"], r["buffer"]), []).append(buffer_result(r))
    result = []
    for of_one in runs.values():
        of_one.sort(key=lambda b: b["steady_lost_percent"])
        result.append(of_one[len(of_one) // 2] |
                      {"runs": [b["steady_lost_percent"] for b in of_one]})
    return result


def offer_lacks(b):
    """What the source did not make of the excess that it should have, as a sentence, or None."""
    if not b["asked"] or b["offered"] >= 0.95 * b["asked"]:
        return None
    return (f"{mib(b['buffer'])}: the source made {number(b['offered'])} a second instead of "
            f"{number(b['asked'])}, as something else had its CPU: this decides nothing.")


def first_place(drops):
    """What ringwayctl calls the first; but what softnet lost, others may have lost."""
    if drops["first"] != "softnet_dropped":
        return drops["first"]
    return next((p["place"] for p in drops["places"]
                 if p["kind"] == "loss" and p["place"] != "softnet_dropped"), None)


def forms(saturation):
    runs, result = {}, {}
    for r in saturation:
        runs.setdefault(r["subject"], []).append(r["sunk"])
    for subject, sunk in runs.items():
        rates = [s["rate"] for s in sunk]
        ratios = [ours / max(theirs["rate"], 1) for ours, theirs in zip(rates, runs[CLASSIC])]
        result[subject] = {
            "saturation": statistics.median(rates), "runs": rates,
            "saturation_ratio": statistics.median(ratios), "saturation_ratios": ratios,
            "sink": sunk[-1]["intervals"]}
    return result


def saturation_ratio(form):
    ratios = form["saturation_ratios"]
    return f"{form['saturation_ratio']:.1f} ({min(ratios):.1f} to {max(ratios):.1f})"


def steering(r):
    moves = r["moves"]
    return {"steering": r["steering"], "workers": r["workers"]} | moves | {
        "moved_percent": percent(moves["moved"], moves["connections"] - moves["incomplete"]),
        "migrations": r["sent"]["migrations"], "lost_percent": lost_percent(r),
        "received_by_worker": r["received"]}


def crowds(rows):
    """By connections; ratios are to the classic thread with as many."""
    classic = {r["connections"]: r["search"]["offered"] for r in rows if r["subject"] == CLASSIC}
    return [crowd(r, classic.get(r["connections"]))
            for r in sorted(rows, key=lambda r: r["connections"])]


def crowd(r, classic):
    free = r["search"]["offered"]
    return {"subject": r["subject"], "connections": r["connections"], "known": r["known"],
            "rate": r["sunk"]["rate"], "offered": r["sent"]["rate"],
            "lost_percent": lost_percent(r), "sink": r["sunk"]["intervals"],
            "loss_free": free,
            # The form could take more than the source made.
            "loss_free_is_least": r["search"]["limit"] in ("source", "maximum"),
            "loss_free_ratio": free / classic if classic else None}


def loss_free(of_crowd):
    return ("≥ " if of_crowd["loss_free_is_least"] else "") + number(of_crowd["loss_free"])


def refusal(r):
    return (f"This process may have {r['files']} files, and a connection by sockets has one: "
            f"{r['connections']} connections instead of {r['wanted']}. `ulimit -Hn`, "
            "LimitNOFILE= and sysctl fs.nr_open allow more; to raise it here takes "
            "CAP_SYS_RESOURCE.")


def results(rows, host):
    def of(part):
        return [r for r in rows if r["part"] == part]

    buffers = buffers_result(of("buffer"))
    first = first_place(buffers[-1]["drops"]) if buffers else None
    return {
        "scenario": 1, "host": host, "rising": rising(of("rising")), "buffers": buffers,
        "drops": {"place": PLACE, "first": first, "holds": first == PLACE} if buffers else None,
        "forms": forms(of("saturation")),
        "steering": [steering(r) for r in of("steering")],
        "connections": crowds(of("connections")),
        "not_allowed": [refusal(r) for r in of("not allowed")]}


# --- Tables ---

def table(title, heading, rows):
    cells = [heading] + [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    print(f"\n{title}")
    for row in cells:
        print("  " + "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))))


def number(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def mib(size):
    return f"{size >> 20} MiB"


def rising_show(curves):
    steps = [p["asked"] for p in curves[CLASSIC]]
    heading = ["offered/s", "was"] + [NAMES[s] for s in curves]
    rows = [[number(step), number(statistics.median(c[i]["offered"] for c in curves.values()))] +
            [number(c[i]["lost_percent"], 1) for c in curves.values()]
            for i, step in enumerate(steps)]
    table("Rising load: % lost, a second each step (was: what the generator really made)",
          heading, rows)


def buffers_show(buffers):
    table("What a buffer buys: the classic thread; of several runs the one in the middle", [
        "buffer", "offered/s", "forwarded/s", "MB/s in", "MB/s out", "first loss after s",
        "bytes by excess, s", "% lost", "% in the last half", "runs", "latency p50, ms", "first place"],
        [[mib(b["buffer"]), number(b["offered"]), number(b["forwarded"]),
          number(b["bytes_in_a_second"] / 1e6, 1), number(b["bytes_out_a_second"] / 1e6, 1),
          number(b["loss_begins_s"], 2), number(b["bytes_by_excess_s"], 2),
          number(b["lost_percent"], 1), number(b["steady_lost_percent"], 1),
          f"{min(b['runs']):.1f} .. {max(b['runs']):.1f}", number(b["latency_p50_ms"], 1), b["drops"]["first"] or "nothing lost"]
         for b in buffers])
    pair = buffers[:2]
    for sentence in filter(None, map(offer_lacks, pair)):
        print(f"  {sentence}")
    rows = []
    for i in range(min(SHOWN, max(len(b["udp"]) for b in pair))):
        row = [number((i + 1) / 10, 1)]
        for b in pair:
            udp, sink = (b[k][i] if i < len(b[k]) else {} for k in ("udp", "sink"))
            row += [udp.get("InDatagrams", "-"), udp.get("RcvbufErrors", "-"),
                    sink.get("received", "-"), sink.get("lost", "-")]
        rows.append(row)
    heading = ["to s"]
    for b in pair:
        heading += [f"{mib(b['buffer'])}: taken", "RcvbufErrors", "at backend", "missing there"]
    table("The same in intervals of 100 ms, the first of them (a gap reaches the backend when the "
          "buffer before it is empty)", heading, rows)


def forms_show(of_form):
    table("Ways to receive and send, at saturation: datagrams a second, and ratio to the classic "
          "thread", ["form", "datagrams/s", "ratio", "runs"],
        [[NAMES[s], number(f["saturation"]), saturation_ratio(f),
          f"{number(min(f['runs']))} .. {number(max(f['runs']))}"] for s, f in of_form.items()])


def steering_show(rows):
    table("Each connection moves three times, and keeps its Connection ID: how many come to more "
          "than one worker", [
        "steering", "workers", "connections", "moved", "%", "of moves", "% lost"],
        [[r["steering"], r["workers"], r["connections"] - r["incomplete"], r["moved"],
          number(r["moved_percent"], 1), number(r["migrations"]), number(r["lost_percent"], 3)]
         for r in rows])


def connections_show(rows, refusals):
    table("By live connections: datagrams a second, and ratio to the classic thread with as many", [
        "form", "connections", "open at the end", "without loss (<= 0.1 %)", "ratio",
        "at saturation", "% lost"],
        [[NAMES[r["subject"]], number(r["connections"]), number(r["known"]), loss_free(r),
          number(r["loss_free_ratio"], 2), number(r["rate"]), number(r["lost_percent"], 1)]
         for r in rows])
    for sentence in refusals:
        print(f"  {sentence}")


def show(d):
    host = d["host"]
    print(f"\n{host['command']}\n{described(host)}")
    if host["cpus"] < 3:
        print("One CPU makes the load: the second of two workers, and of decoupled threads, "
              "shares it.")
    if d["rising"]:
        rising_show(d["rising"])
    if d["buffers"]:
        buffers_show(d["buffers"])
        print(f"  Far more than it can take: `ringwayctl drops` names {d['drops']['first']} first"
              + ("." if d["drops"]["holds"] else f", and should name {PLACE}."))
    if d["forms"]:
        forms_show(d["forms"])
    if d["steering"]:
        steering_show(d["steering"])
    if d["connections"]:
        connections_show(d["connections"], d["not_allowed"])


def described(host):
    return (f"{host['date']}, Linux {host['kernel']}, {host['cpus']} CPUs, {host['driver']} in "
            f"{host['mode']} mode, {host['size']} bytes a datagram")


# --- Plots ---

def gnuplot(path, title, x, y, curves):
    """curves: by title, points."""
    blocks = "".join(f"$c{i} << END\n" + "".join(f"{a} {b}\n" for a, b in points) + "END\n"
                     for i, points in enumerate(curves.values()))
    lines = ", ".join(f'$c{i} using 1:2 title "{name}"' for i, name in enumerate(curves))
    script = f"""set terminal svg size 800,420 font "sans,12" background "white"
set output "{path}"
set style data linespoints
set title "{title}"
set xlabel "{x}"
set ylabel "{y}"
set xrange [0:]
set yrange [0:]
set key outside right
{blocks}plot {lines}
"""
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def time_plot(path, title, intervals):
    gnuplot(path, title, "seconds", "% lost in 100 ms",
            {NAMES[s]: [(u["to"], percent(u["lost"], u["lost"] + u["received"])) for u in of_one]
             for s, of_one in intervals.items()})


def plots(d, out):
    if d["rising"]:
        gnuplot(f"{out}/scenario1_load.svg", "Loss over offered load",
                "1000 datagrams a second offered", "% lost",
                {NAMES[s]: [(p["offered"] / 1000, p["lost_percent"]) for p in curve]
                 for s, curve in d["rising"].items()})
    if d["forms"]:
        time_plot(f"{out}/scenario1_time.svg", "Loss over time, at saturation",
                  {s: form["sink"] for s, form in d["forms"].items()})
    for count in {c["connections"] for c in d["connections"]}:
        time_plot(f"{out}/scenario1_time_{count}.svg",
                  f"Loss over time, at saturation, {number(count)} connections",
                  {c["subject"]: c["sink"] for c in d["connections"] if c["connections"] == count})
    if d["buffers"]:
        gnuplot(f"{out}/scenario1_buffer.svg", "The classic thread, a third more than it takes",
                "seconds", "datagrams lost in 100 ms",
                {mib(b["buffer"]).replace("MiB", "MiB buffer"):
                 [(u["to"], u["RcvbufErrors"]) for u in b["udp"]] for b in d["buffers"][:2]})


# --- README.md ---

def readme_crowds(of_count):
    print("\nBy live connections, in datagrams a second, each search over all of them and with a "
          "socket buffer of 2 MiB; the ratio is to the epoll thread with as many:\n\n"
          "| | connections | open at the end | without loss (0.1 % at most) | ratio | "
          "at saturation | % lost |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for c in of_count:
        print(f"| {NAMES[c['subject']]} | {number(c['connections'])} | {number(c['known'])} | "
              f"{loss_free(c)} | {number(c['loss_free_ratio'], 1)} | {number(c['rate'])} | "
              f"{number(c['lost_percent'], 1)} |")
    print()


def readme(d):
    small, large = d["buffers"][:2]
    print("<!-- scenario 1 -->")
    print("| | at saturation, /s | ratio, its rounds |\n| --- | ---: | ---: |")
    for s, f in d["forms"].items():
        print(f"| {NAMES[s]} | {number(f['saturation'])} | {saturation_ratio(f)} |")
    print("\nA third more than the epoll thread takes at saturation, in datagrams a second, for "
          f"{2 * small['steady_s']:.0f} s:\n\n"
          "| receive buffer | offered | forwarded | first loss after | "
          f"% lost in the last {small['steady_s']:.0f} s |\n"
          "| --- | ---: | ---: | ---: | ---: |")
    for b in (small, large):
        begins = "none" if b["loss_begins_s"] is None else number(b["loss_begins_s"], 1) + " s"
        print(f"| {mib(b['buffer'])} | {number(b['offered'])} | {number(b['forwarded'])} | {begins} | "
              f"{number(b['steady_lost_percent'], 1)} |")
    print(f"\nThe first place that lost, by `ringwayctl drops`: `{d['drops']['first']}`.")
    if d["connections"]:
        readme_crowds(d["connections"])
    for sentence in d["not_allowed"]:
        print(sentence)
    print(f"{described(d['host'])}.")
    print("<!-- end of scenario 1 -->")


def main(arguments):
    out = arguments[-1]
    if arguments[0] == "--readme":
        with open(f"{out}/scenario1.json", encoding="utf-8") as file:
            readme(json.load(file))
        return 0
    with open(f"{out}/host1.json", encoding="utf-8") as file:
        host = json.load(file) | {"kernel": platform.release().split("-")[0], "cpus": os.cpu_count(),
                                  "date": datetime.date.today().isoformat()}
    with open(f"{out}/scenario1.rows", encoding="utf-8") as rows:
        d = results([json.loads(row) for row in rows], host)
    with open(f"{out}/scenario1.json", "w", encoding="utf-8") as file:
        json.dump(d, file, indent=1)
    show(d)
    plots(d, out)
    return 0 if not d["drops"] or d["drops"]["holds"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
