#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# opponents_test.sh - the benchmark's comparison with others runs through in its short
# form, and its JSON is complete, and so do how costs grow, with a plot an axis, and the profile
# of where time goes. Where what they take is not installed they are not run.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

cd "$topology_root"
((EUID == 0)) || { echo 'network namespaces need root'; exit 77; }
command -v nginx >/dev/null || { echo "no nginx: scripts/setup.sh bench"; exit 77; }
out=$BUILD/bench/quick
result=$out/opponents.json
rm -f "$out"/opponents*
OPPONENTS="${QUICK:+ringwayd xdp_nat nginx}" QUICK=1 tests/bench/run opponents

check_true 'opponents' "$result" 'set(d) == {"suite", "rows", "ratios", "bars", "host"}'
check_true 'ringwayd beside all others' "$result" '{r["subject"] for r in d["rows"]} >=
	{"ringwayd", "xdp_nat", "nginx"}'
check_true 'something arrived' "$result" 'all(r["value"] > 0 for r in d["rows"]
	if r["metric"] == "rate at saturation")'

[[ -z ${QUICK:-} ]] || exit 0
rm -f "$out"/growth*
QUICK=1 tests/bench/run growth
check_true 'bars of growth' "$out/growth.json" 'len(d["bars"]) >= 8'
check_equal 'plots of growth' 7 "$(find "$out" -name 'growth-*.svg' -size +2k | wc -l)"
command -v perf >/dev/null || { echo 'no perf: scripts/setup.sh bench'; exit 77; }
QUICK=1 tests/bench/run profile
for stage in parse decide rewrite; do
	check_true "the profile has ringwayd's time to $stage, and none of l2fwd" "$out/profile.json" '
		{r["subject"] for r in d["rows"] if r["metric"] == "ours: '$stage'"
			and r["value"] > 0} == {"ringwayd, out", "ringwayd, back", "epoll, one thread, out"}'
done
check_true 'and the kernel that sends, of each' "$out/profile.json" '
	{r["subject"] for r in d["rows"] if r["metric"].startswith("kernel: sends")
		and r["value"] > 0} == {r["subject"] for r in d["rows"] if r["metric"] == "all"}'
