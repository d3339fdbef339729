#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# queues_test.sh - two queues, two workers: each carries its own queue's traffic and
# the counters add up; an interface with more queues than workers is refused.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

topology_up 2 2
start_echo backend1
start_echo backend2
topology_config "$topology_dir/ringway.yaml" udp
start_ringwayd "$topology_dir/ringway.yaml"
stats=$topology_dir/stats.json

# 64 flows: that all of them hash to one queue happens once in 2^63.
echo_flows $service_ipv4 64 5
echo_flows $service_ipv6 64 5
stats_at_rest "$stats"
check_equal 'workers' 2 "$(json "$stats" 'len(d["workers"])')"
check_true 'both workers work' "$stats" 'all(w["received"] > 0 for w in d["workers"])'
check_true 'each on its queue' "$stats" \
	'all(p["received"] > 0 for w in d["workers"] for p in w["ports"] if p["interface"] == "wan")'
check_true 'there and back' "$stats" 'd["totals"]["received"] >= 2 * 2 * 64 * 5'
check_conservation "$stats"

# Both backends get a share, and each datagram is counted both ways.
ringwayctl backends --json >"$topology_dir/backends.json"
check_true 'both backends' "$topology_dir/backends.json" \
	'all(b["out"]["datagrams"] > 0 and b["back"]["datagrams"] > 0 for b in d)'
stop_ringwayd || fail "exit status $? after SIGTERM"

# lan1 with one queue allows one worker; wan's second queue would have none. The kernel lets
# go of a queue a moment after its AF_XDP socket is closed.
wait_for 10 'the second queue to be free' run_in forwarder ethtool -L lan1 rx 1 tx 1
start forwarder "$topology_dir/refusal.log" "$BUILD/ringwayd" -c "$topology_dir/ringway.yaml"
status=0
await "$started_pid" || status=$?
cat "$topology_dir/refusal.log"
check_equal 'exit status with unequal queues' 1 $status
check_equal 'refusal' 'error: wan receives on 2 queues, but there can be only 1 worker, because'\
' lan1 has 1 RX queue: `ethtool -L wan rx 1 tx 1`' "$(cat "$topology_dir/refusal.log")"
