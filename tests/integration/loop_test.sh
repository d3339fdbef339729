#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# loop_test.sh - a datagram that claims to come from a backend does not set two
# backends that answer everything talking to each other for ever.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

topology_up 2
start_echo backend1
start_echo backend2
topology_config "$topology_dir/ringway.yaml" udp
start_ringwayd "$topology_dir/ringway.yaml"
stats=$topology_dir/stats.json
received='d["totals"]["received"]'

echo_flows $service_ipv4 4 5 # so that every neighbour is known
echo_flows $service_ipv6 4 5
stats_at_rest "$stats"
before=$(json "$stats" "$received")

# The client takes the backends' addresses beside its own, and sends from their port.
for backend in 1 2; do
	run_in client ip address add "10.0.$backend.2/32" dev lo
	run_in client ip address add "2001:db8:$backend::2/128" dev lo nodad
	run_in client python3 "$tests_dir/peer.py" udp-send "10.0.$backend.2" "$backend_port" \
		$service_ipv4 $service_port
	run_in client python3 "$tests_dir/peer.py" udp-send "2001:db8:$backend::2" \
		"$backend_port" $service_ipv6 $service_port
done
run_in client python3 "$tests_dir/peer.py" udp-send 198.51.100.2 "$backend_port" \
	$service_ipv4 $service_port

dropped() {
	ringwayctl stats --json >"$stats"
	[[ $(json "$stats" 'd["xdp"]["xdp_drop_source_ours"]') == 4 ]]
}
wait_for 10 'four datagrams to be dropped' dropped || fail "$(<"$stats")"
stats_at_rest "$stats"
check_equal 'dropped by XDP' 4 "$(json "$stats" 'd["xdp"]["xdp_drop_source_ours"]')"
# That of the client's own address went there and back.
check_equal 'received by workers' $((before + 2)) "$(json "$stats" "$received")"
check_conservation "$stats"
stop_ringwayd || fail "exit status $? after SIGTERM"
