#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# link_test.sh - the ports while ringwayd runs: without a carrier it starts, and works
# once that comes; a port that is not any more what it was ends it.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

topology_up 2
config=$topology_dir/ringway.yaml
log=$topology_dir/ringwayd.log
topology_config "$config" udp
start_echo backend1
start_echo backend2

logged() {
	grep -qE "$1" "$log"
}

for backend in backend1 backend2; do
	run_in $backend sysctl -qw net.ipv6.conf.all.keep_addr_on_down=1
done
run_in backend2 ip link set lan down
run_in backend1 ip link set lan down
start_ringwayd "$config"
logged 'lan1 has no carrier' || fail 'no warning about lan1'
run_in backend1 ip link set lan up
run_in backend2 ip link set lan up
topology_default_route backend1 lan 10.0.1 2001:db8:1:
topology_default_route backend2 lan 10.0.2 2001:db8:2:
wait_for 10 'the carrier to be noticed' logged 'lan1 is up and has a carrier'
wait_for 10 'the carrier to be noticed' logged 'lan2 is up and has a carrier'
echo_flows $service_ipv4 8 5
ringwayctl reload
run_in backend1 ip link set lan down
wait_for 10 'the loss to be noticed after a reload' logged 'lan1 has lost its carrier'
run_in forwarder ip link add bridge0 type bridge
run_in forwarder ip link set lan2 master bridge0
run_in forwarder ip link set lan2 nomaster
run_in backend2 ip link set lan down
wait_for 10 'the loss to be noticed after a bridge was left' logged 'lan2 has lost its carrier'
run_in backend2 ip link set lan up
stop_ringwayd || fail "exit status $? after SIGTERM"
run_in backend1 ip link set lan up

# ends_by NAME PATTERN COMMAND...: done while ringwayd runs, it ends with that sentence.
ends_by() {
	local status=0

	start_ringwayd "$config"
	run_in forwarder "${@:3}"
	wait_for 10 "ringwayd to end: $1" ringwayd_has_ended
	await "$ringwayd_pid" || status=$?
	check_equal "$1: exit status" 1 $status
	logged "$2" || fail "$1: nothing like \"$2\" in $(<"$log")"
}

ringwayd_has_ended() {
	! is_running "$ringwayd_pid"
}

ends_by 'another MTU' 'lan1 has got another MTU' ip link set lan1 mtu 1400
ends_by 'another MAC address' 'lan1 has got another MAC address' \
	ip link set lan1 address 02:00:00:00:00:43
ends_by 'deleted' 'lan2 was deleted' ip link delete lan2
echo 'ringwayd ended each time'
