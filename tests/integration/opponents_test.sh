#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# opponents_test.sh - the benchmark's comparison with others runs through in its short
# form, and its JSON is complete, and so does the profile of where time goes. Where they are
# not installed it is not run.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

cd "$topology_root"
((EUID == 0)) || { echo 'network namespaces need root'; exit 77; }
command -v nginx >/dev/null || { echo "no nginx: scripts/setup.sh bench"; exit 77; }
result=$BUILD/bench/opponents.json
rm -f "$BUILD"/bench/opponents*
OPPONENTS="${QUICK:+ringwayd xdp_nat nginx}" QUICK=1 tests/bench/run opponents

check_true 'opponents' "$result" 'set(d) == {"suite", "rows", "ratios", "bars", "host"}'
check_true 'ringwayd beside all others' "$result" '{r["subject"] for r in d["rows"]} >=
	{"ringwayd", "xdp_nat", "nginx"}'
check_true 'something arrived' "$result" 'all(r["value"] > 0 for r in d["rows"]
	if r["metric"] == "rate at saturation")'

[[ -z ${QUICK:-} ]] || exit 0
command -v perf >/dev/null || { echo 'no perf: scripts/setup.sh bench'; exit 77; }
QUICK=1 tests/bench/run profile
check_true 'the profile has the core of ringwayd, and none of l2fwd' "$BUILD/bench/profile.json" '
	{r["subject"] for r in d["rows"] if r["metric"] == "ours: parse, decide, rewrite"
		and r["value"] > 0} == {"ringwayd, out", "ringwayd, back", "epoll, one thread, out"}'
check_true 'and the kernel that sends, of each' "$BUILD/bench/profile.json" '
	{r["subject"] for r in d["rows"] if r["metric"].startswith("kernel: sends")
		and r["value"] > 0} == {r["subject"] for r in d["rows"] if r["metric"] == "all"}'
