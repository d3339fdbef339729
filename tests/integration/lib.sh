# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# lib.sh - what the integration tests share: assertions, and traffic to assert on.
# The hosts and programs come from scripts/topology.sh.
set -euo pipefail

tests_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/topology.sh
. "$tests_dir/../../scripts/topology.sh"

# Tests of a sanitizer's ringwayd are given an ordinary one: see the Makefile.
load=${LOAD:-$BUILD/ringway-load}

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# check_equal WHAT WANTED GOT
check_equal() {
	[[ $3 == "$2" ]] || fail "$1: wanted $2, got $3"
	echo "$1: $3"
}

# check_true WHAT FILE EXPRESSION: Python on the JSON document `d`.
check_true() {
	[[ $(json "$2" "$3") == True ]] || fail "$1: not $3 in $(cat "$2")"
	echo "$1: $3"
}

# stats_at_rest FILE: `ringwayctl stats` once two readings agree on every counter of
# datagrams, so that nothing is in flight.
stats_at_rest() {
	wait_for 20 'the counters to rest' stats_rest "$1"
}

stats_rest() {
	ringwayctl stats --json >"$1.before"
	sleep 0.1
	ringwayctl stats --json >"$1"
	python3 - "$1" "$1.before" <<-'PYTHON'
		import json, sys
		now, before = ([[w["received"], w["copies"], w["sent"], w["dropped"],
		    [p["completed"] for p in w["ports"]]] for w in json.load(open(name))["workers"]]
		    for name in sys.argv[1:])
		sys.exit(now != before)
	PYTHON
}

# check_conservation FILE: no datagram and no frame is unaccounted for. The numbers
# are of a time at rest.
check_conservation() {
	check_true 'datagrams' "$1" \
		'all(w["received"] + w["copies"] == w["sent"] + sum(w["dropped"].values())
		for w in d["workers"])'
	check_true 'decisions' "$1" 'all(w["received"] + w["copies"] == w["forwarded"] +
		sum(v for k, v in w["dropped"].items() if k != "tx_full") for w in d["workers"])'
	check_true 'ports' "$1" 'all(w[k] == sum(p[k] for p in w["ports"])
		for w in d["workers"] for k in ("received", "sent"))'
	check_true 'frames' "$1" 'all(f["all"] == f["free"] + f["held"] + f["posted"] +
		f["outstanding"] for f in (w["frames"] for w in d["workers"]))'
	check_true 'totals' "$1" 'all(d["totals"][k] == sum(w[k] for w in d["workers"])
		for k in ("received", "copies", "sent", "forwarded"))'
	check_true 'from XDP to the workers' "$1" \
		'not d["xdp"] or d["xdp"]["xdp_service"] + d["xdp"]["xdp_return"] ==
		d["totals"]["received"] +
		sum(p["rx_ring_full"] + p["rx_dropped"] for w in d["workers"] for p in w["ports"])'
}

# start_echo NAME: answer UDP on the backend's port with what came.
start_echo() {
	start "$1" "$topology_dir/$1.log" python3 "$tests_dir/peer.py" udp-server "$backend_port"
	wait_for 10 "the echo server on $1" udp_is_bound "$1" "$backend_port" udp6
}

# echo_flows ADDRESS FLOWS DATAGRAMS: so many sockets of the client each have so
# many datagrams answered, byte for byte. What is lost is sent again, for 20 s.
echo_flows() {
	run_in client python3 "$tests_dir/peer.py" udp-client "$1" "$service_port" "$2" "$3"
}

# check_migrated LEAST LOG...: so many new paths have tests/peers/quic_server, which have
# ended, validated in all.
check_migrated() {
	local paths

	paths=$(awk -F '[:,]' '/"paths_validated"/ { sum += $2 } END { print sum + 0 }' "${@:2}")
	echo "new paths that servers have validated: $paths"
	((paths >= $1)) || fail "at least $1 new paths were wanted"
}

# xdp_is_attached INTERFACE
xdp_is_attached() {
	run_in forwarder ip link show dev "$1" | grep -q xdp
}

# check_idle SECONDS: without traffic ringwayd uses at most 1 % of a core, all its threads
# together, for so long, at the third time at last: what else a machine does makes the same
# work longer, but who is not idle never is. A sanitizer's own threads are not.
check_idle() {
	local before used_us

	[[ -z ${SANITIZE:-} ]] || return 0
	for _ in 1 2 3; do
		before=$(cpu_ns "$ringwayd_pid")
		sleep "$1"
		used_us=$((($(cpu_ns "$ringwayd_pid") - before) / 1000))
		echo "idle for $1 s: $used_us microseconds of CPU"
		((used_us > $1 * 10000)) || return 0
	done
	fail "idle ringwayd used $used_us microseconds of $1 s"
}

# Nanoseconds on a CPU of all threads of a process.
cpu_ns() {
	cat "/proc/$1/task/"*/schedstat | awk '{ sum += $1 } END { printf "%d\n", sum }'
}
