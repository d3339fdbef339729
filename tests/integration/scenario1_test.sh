#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# scenario1_test.sh - the short form of the benchmark of scenario 1 runs through, its JSON
# and plots are complete, and where far more comes than one thread can take, `ringwayctl
# drops` names the socket's buffer first. What else it measures is not looked at.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

cd "$topology_root"
((EUID == 0)) || { echo 'network namespaces need root'; exit 77; }
command -v gnuplot >/dev/null || { echo 'no gnuplot: scripts/setup.sh'; exit 77; }
export QUICK=1
out=$BUILD/bench/quick
result=$out/scenario1.json
rm -f "$out"/scenario1*
tests/bench/scenario1

check_true 'all parts' "$result" 'set(d) == {"scenario", "host", "rising", "buffers", "drops",
	"forms", "steering", "connections", "not_allowed"}'
check_true 'host' "$result" 'all(d["host"][k] for k in
	("command", "driver", "mode", "size", "seconds", "kernel", "cpus", "date"))'
check_true 'rising load' "$result" 'set(d["rising"]) == {"socket_epoll"} and all(
	len(c) == 2 and all(p["offered"] > 0 and p["received"] > 0 for p in c)
	for c in d["rising"].values())'
check_true 'buffers' "$result" '[b["buffer"] >> 20 for b in d["buffers"]] == [2, 25, 2] and all(
	b["udp"] and b["sink"] and b["forwarded"] > 0 for b in d["buffers"])'
check_true 'the place that loses' "$result" 'd["drops"] == {"place": "udp_receive_buffer",
	"first": "udp_receive_buffer", "holds": True}'
check_true 'it is what the kernel counts' "$result" 'all(
	sum(u["RcvbufErrors"] for u in b["udp"]) <=
	sum(p["count"] for p in b["drops"]["places"] if p["place"] == "udp_receive_buffer")
	for b in d["buffers"])'
check_true 'forms' "$result" 'set(d["forms"]) == {"socket_epoll", "ringwayd"} and all(
	f["saturation"] > 0 and f["sink"] for f in d["forms"].values())'
check_true 'a connection that moves keeps its worker by Connection ID, not by 4-tuple' "$result" \
	'[bool(s["moved"]) for s in d["steering"]] == [True, False] and
	not any(s["incomplete"] for s in d["steering"])'
check_true 'many connections' "$result" '[(c["subject"], c["connections"]) for c in
	d["connections"]] == [("socket_epoll", 2000), ("ringwayd", 2000)] and
	all(c["rate"] > 0 and c["sink"] and c["loss_free"] > 0 and c["known"] == c["connections"]
		for c in d["connections"])'
for plot in load time time_2000 buffer; do
	grep -q '</svg>' "$out/scenario1_$plot.svg" || fail "no plot of the $plot"
done
[[ $(tests/bench/scenario1 --readme | grep -c '^| .*thread |') == 4 ]] ||
	fail "not two tables of two: $(tests/bench/scenario1 --readme)"
