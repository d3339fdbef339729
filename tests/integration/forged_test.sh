#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# forged_test.sh - nobody moves a connection that is not theirs: not who claims to be a
# backend, not a backend that answers for another's connections, not a client that
# uses others' Connection IDs.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/connections.sh
. "$(dirname "$0")/connections.sh"

count=1000
rate=10000
forged=2000
topology_up 2 2
clients_route
topology_config "$topology_dir/ringway.yaml"
start_ringwayd "$topology_dir/ringway.yaml"

xdp_counter() {
	ringwayctl stats --json >"$topology_dir/xdp.json"
	json "$topology_dir/xdp.json" "d['xdp']['$1']"
}

# check_unmoved NAME FROM: by Connection ID, by 4-tuple alone, and moved to FROM.
check_unmoved() {
	phase "$1_cid" - 0 $clients_first $count $rate --kind=quic-short
	phase "$1_tuple" - 1 $clients_first $count $rate --kind=quic-initial --cid-len=0
	phase "$1_moved" - 1 "$2" $count $rate --kind=quic-short
	check_kept open "$1_cid" $count
	check_kept open "$1_tuple" $count
	check_kept open "$1_moved" $count
}

phase open --handshake 0 $clients_first $count $rate --kind=quic-initial
phase proven - 0 $clients_first $count $rate --kind=quic-short

# From the client's side, in a backend's name: with the Connection IDs of all.
for backend in 1 2; do
	run_in client "$load" send --json --interface=wan --from=10.0.$backend.2:$backend_port \
		--to=$clients_first:4096 --kind=quic-handshake --cids=$count --count=$forged \
		--rate=5000 >"$topology_dir/sent.json" 2>"$topology_dir/sent.log" ||
		fail "send: $(<"$topology_dir/sent.log")"
done
spoofed_are_dropped() {
	(($(xdp_counter xdp_drop_return_spoofed) == 2 * forged))
}
wait_for 10 "$((2 * forged)) forged answers" spoofed_are_dropped
check_equal 'xdp_drop_return_spoofed' $((2 * forged)) "$(xdp_counter xdp_drop_return_spoofed)"
check_unmoved spoofed $clients_moved

# Each backend answers on every 4-tuple, and names the Connection ID of another
# connection: in the next 30 s, half of both are the other backend's.
answers=$(xdp_counter xdp_return)
for backend in 1 2; do
	run_in backend$backend python3 "$tests_dir/connections.py" forge $backend_port \
		$clients_first $ports_of_address $count 0
done
answers_have_come() {
	(($(xdp_counter xdp_return) == answers + 2 * count))
}
wait_for 10 "the other backends' answers" answers_have_come
check_unmoved claimed 10.129.0.0

# Clients use the Connection IDs of others: from new 4-tuples, and from those of the
# next connection.
phase replayed - 0 $clients_other $count $rate --kind=quic-short
phase exchanged - 1 $clients_first $count $rate --kind=quic-short --first-cid=1 --cids=$((count - 1))
check_kept open replayed $count
check_unmoved replayed 10.130.0.0
check_true 'nothing was given to another' "$topology_dir/stats.json" \
	'd["totals"]["routing"]["replaced"] == 0'
check_conservation "$topology_dir/stats.json"
stop_ringwayd || fail "exit status $? after SIGTERM"
