#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# drops_socket_test.sh - with engine socket, too, `ringwayctl drops` names the place that
# loses: the kernel's IP and UDP, sockets, and what workers and sockets cannot send.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/drops.sh
. "$(dirname "$0")/drops.sh"

topology_engine=socket
drops_up
# What is not for this host is not routed on.
run_in forwarder sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0

begin 'nothing is lost'
served
not_lost
stop_ringwayd || fail "exit status $? after SIGTERM"

# --- the kernel ---

begin "an address that is not this host's"
served
send $count 100 64 192.0.2.99
lost ip_in_address $count

begin 'a port on which nobody listens'
served
send $count 100 64 198.51.100.1
lost udp_no_port $count

begin 'a wrong checksum'
served
frames client bad_checksum
lost udp_checksum $count

# check_slow_reader: the socket's buffer is full meanwhile. What its error is part of
# (InErrors) is told once.
check_slow_reader() {
	served
	kill -STOP "$ringwayd_pid"
	send 2000 1000
	kill -CONT "$ringwayd_pid"
	wait_for 10 'udp_receive_buffer' is_first udp_receive_buffer '' || fail "$(<"$drops")"
	check_equal "all in the service's socket" "$(count_of udp_receive_buffer)" \
		"$(count_of service_socket)"
	check_equal 'other errors' 0 "$(count_of udp_other)"
	lost udp_receive_buffer
}
for calls in epoll mmsg io_uring; do
	topology_sockets="calls: $calls"
	begin "a worker that stands still, $calls"
	check_slow_reader
done

# --- routing and sending ---

begin 'no backend that takes connections'
served
ringwayctl drain web/backend1
send $count
lost no_backend $count

topology_sockets='flows: 1'
begin 'more flows than are allowed'
served
send $count
lost flows_refused $count
topology_sockets='calls: mmsg'

begin 'no route to the backend'
served
run_in forwarder ip route delete 10.0.1.0/24 dev lan1
send $count
lost flow_errors $count
run_in forwarder ip route add 10.0.1.0/24 dev lan1 src 10.0.1.1

begin 'the backend has closed its port'
stop "$echo_pid" || true
is_unreachable() {
	send 2
	look
	(($(count_of unreachable) > 0))
}
wait_for 20 'an answer that nobody listens' is_unreachable || fail "$(<"$drops")"
check_true 'a sign, no loss of ours' "$drops" '[p["kind"] for p in d["places"]
	if p["place"] == "unreachable"] == ["sign"]'
stop_ringwayd || fail "exit status $? after SIGTERM"
