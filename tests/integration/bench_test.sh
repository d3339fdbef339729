#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# bench_test.sh - the short form of the benchmark, without opponents, runs through, and its
# JSON is complete. What it measures is not looked at: this machine may be busy.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

cd "$topology_root"
((EUID == 0)) || { echo 'network namespaces need root'; exit 77; }
out=$BUILD/bench/quick
rm -f "$out"/*.json
BUILD=$BUILD QUICK=1 PAIRS='' tests/bench/run forward path sharing

for suite in forward path sharing; do
	file=$out/$suite.json
	check_true "$suite" "$file" 'set(d) == {"suite", "rows", "ratios", "bars", "host"}'
	check_true 'rows' "$file" 'len(d["rows"]) >= 4 and all(
		set(r) == {"subject", "metric", "unit", "value", "runs"} and r["runs"] and
		r["metric"] and r["unit"] and r["value"] >= 0 for r in d["rows"]
		if " less " not in r["subject"])'
	check_true 'bars' "$file" 'all({"value", "bar", "pass"} <= set(b) and
		(b["pass"] is not None or b["undecided"]) for b in d["bars"].values())'
	check_true 'host' "$file" 'set(d["host"]) == {"command", "driver", "mode", "kernel", "cpus"}
		and all(d["host"].values())'
done
check_true 'bars of forward_burst()' "$out/forward.json" 'len(d["bars"]) == 7 and
	d["bars"]["forward_burst() service, known quic-lb-encrypted, ns a datagram"]["bar"] == "<= 70"'
check_true 'bars beside the ceiling' "$out/path.json" 'len(d["bars"]) == 8 and
	d["bars"]["ringwayd, idle, % of a core"]["value"] > 0'
check_true 'both programs, both ways, and the ceiling twice' "$out/path.json" \
	'{r["subject"] for r in d["rows"]} >= {f"{s}, {w}" for w in ("out", "back")
		for s in ("ringwayd", "l2fwd", "l2fwd again")} | {"ringwayd, idle"} |
		{"ringwayd, encrypted IDs, out", "ringwayd, return in XDP, back"}'
check_true 'something arrived' "$out/path.json" 'all(r["value"] > 0 for r in d["rows"]
	if r["metric"] == "rate into the sink")'

# Sends of io_uring: three ways of three sizes by two paths, and only over the veth can the
# copy be saved at all.
"$BUILD/tests/bench/send_zc" --rounds=2 | tee "$out/send_zc.txt"
check_equal 'rows, and those without a copy' '18 6' "$(awk '
	/ [0-9]+ +[0-9.]+  (not )?copied$/ { rows++ } /^veth .* not copied$/ { saved++ }
	END { print rows + 0, saved + 0 }' "$out/send_zc.txt")"
