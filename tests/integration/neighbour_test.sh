#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# neighbour_test.sh - traffic follows the neighbours: a backend gets another MAC
# address, its link goes down and up, the forwarder forgets its client.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

topology_up 1
run_in backend1 sysctl -qw net.ipv6.conf.all.keep_addr_on_down=1 \
	net.ipv4.conf.lan.arp_notify=1 net.ipv6.conf.lan.ndisc_notify=1
start_echo backend1
topology_config "$topology_dir/ringway.yaml" udp
start_ringwayd "$topology_dir/ringway.yaml"
stats=$topology_dir/stats.json

both_families() {
	local address

	for address in $service_ipv4 $service_ipv6; do
		echo_flows "$address" 4 5 || fail "$1, $address"
	done
	echo "$1: answered"
}

wanted() {
	ringwayctl stats --json >"$stats"
	json "$stats" 'd["xdp"]["xdp_drop_no_neighbour"]'
}

both_families 'at the start'

# As a gateway that fails over: the new address announces itself.
run_in backend1 ip link set lan address 02:00:00:00:00:42
both_families 'another MAC address'
ringwayctl backends --json >"$topology_dir/backends.json"
grep -q 02:00:00:00:00:42 "$topology_dir/backends.json" ||
	fail "not the new MAC address: $(<"$topology_dir/backends.json")"

run_in backend1 ip link set lan down
run_in backend1 ip link set lan up
topology_default_route backend1 lan 10.0.1 2001:db8:1:
both_families 'the link down and up'

# A backend that does not answer is said once, and that it does again.
logged() {
	grep -q "$1" "$topology_dir/ringwayd.log"
}
run_in backend1 ip link set lan arp off
run_in forwarder ip neighbour flush dev lan1
wait_for 20 'a warning of the silent backend' logged '10.0.1.2 does not answer'
sleep 2
check_equal 'warnings' 1 "$(grep -c '10.0.1.2 does not answer' "$topology_dir/ringwayd.log")"
run_in backend1 ip link set lan arp on
wait_for 20 'the backend to be back' logged 'the next hop to 10.0.1.2 answers'
both_families 'a backend that fell silent'

# XDP finds the route to the client but no MAC address: it drops, and the control
# thread asks, so that a later datagram passes. The client itself is not to ask
# first, which would teach the forwarder.
gateway_mac=$(run_in forwarder ip -o link show dev wan | sed 's/.*ether \([^ ]*\).*/\1/')
run_in client ip neighbour replace 198.51.100.1 lladdr "$gateway_mac" dev wan nud permanent
run_in client ip neighbour replace 2001:db8:ff::1 lladdr "$gateway_mac" dev wan nud permanent
before=$(wanted)
run_in forwarder ip neighbour flush dev wan
both_families 'a client that the forwarder forgot'
after=$(wanted)
((after >= before + 2)) || fail "xdp_drop_no_neighbour went from $before to $after only"
echo "xdp_drop_no_neighbour: $before, then $after"
stop_ringwayd || fail "exit status $? after SIGTERM"
