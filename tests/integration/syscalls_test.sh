#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# syscalls_test.sh - at saturation the workers make at most one system call for 32
# datagrams, by ringwayd's own counters and by the kernel's, and only to move datagrams.
#
# At saturation only: a burst of few datagrams takes as many calls as a full one. And
# where Linux sends no more than 32 datagrams a call in copy mode, as it does unless
# XDP_MAX_TX_SKB_BUDGET raises that, this fails by what bursts are not full.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

per_call=32
flows=1000

# send KIND OPTION...: from the client, which does not spare the forwarder.
send() {
	run_in client "$load" send --interface=wan --to=$service_ipv4:$service_port \
		--from=198.51.100.2 --mac="$wan_mac" --cpu=0 --kind="$1" --flows=$flows --json \
		"${@:2}" >"$topology_dir/send.json" || fail "$(<"$topology_dir/send.json")"
}

sink_is_attached() {
	run_in backend1 ip link show lan | grep -q 'prog/xdp'
}

# worker_sum KEY: over all workers.
worker_sum() {
	json "$stats" "sum(w['$1'] for w in d['workers'])"
}

kicks() {
	json "$stats" 'sum(p["kicks"] for w in d["workers"] for p in w["ports"])'
}

topology_up 1
stats=$topology_dir/stats.json
topology_config "$topology_dir/ringway.yaml"
echo "cpus: [$(($(nproc) - 1))]" >>"$topology_dir/ringway.yaml"
start_ringwayd "$topology_dir/ringway.yaml"
wan_mac=$(run_in forwarder ip -j link show wan | python3 -c 'import json, sys
print(json.load(sys.stdin)[0]["address"])')
start backend1 "$topology_dir/sink.log" "$load" sink --interface=lan --handshake
wait_for 10 'the sink' sink_is_attached
run_in forwarder bash -c 'echo >/dev/udp/10.0.1.2/9; echo >/dev/udp/198.51.100.2/9'
send quic-initial --rate=5000 --count=2000
stats_at_rest "$stats"
received=$(worker_sum received) sent=$(worker_sum sent) kicks=$(kicks)

start forwarder "$topology_dir/calls.json" "$BUILD/tests/bench/syscalls" --pid="$ringwayd_pid"
counter=$started_pid
wait_for 10 'the counting' grep -q counting "$topology_dir/calls.json"
send quic-short --rate=0 --count=100000000 --seconds=2
stats_at_rest "$stats"
stop "$counter" || fail "counting: $(<"$topology_dir/calls.json")"
sed -i '/^counting$/d' "$topology_dir/calls.json"

received=$(($(worker_sum received) - received)) sent=$(($(worker_sum sent) - sent))
kicks=$(($(kicks) - kicks))
calls=$(json "$topology_dir/calls.json" 'sum(d.values())')
echo "$received datagrams received, $sent sent; $kicks calls to send by ringwayd's counters," \
	"$calls calls by the kernel's: $(<"$topology_dir/calls.json")"
((sent > 10000)) || fail 'that is no load'
((kicks > 0 && calls >= kicks)) || fail 'the kernel has seen fewer calls than ringwayd has made'
((kicks * per_call <= sent)) || fail "more than one call for $per_call datagrams, as it says itself"
((calls * per_call <= received)) || fail "more than one call for $per_call datagrams"
# poll, sendto and recvfrom, which wake the kernel; so no memory, lock, clock or file.
check_true 'which calls' "$topology_dir/calls.json" 'set(d) <= {"7", "44", "45"}'
check_conservation "$stats"
stop_ringwayd || fail "exit status $? after SIGTERM"
