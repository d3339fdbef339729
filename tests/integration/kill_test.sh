#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kill_test.sh - ringwayd is killed with SIGKILL: the host's own TCP connection goes
# on before, during and after; a new ringwayd starts at once and forwards.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

topology_up 2
mkdir "$topology_dir/www" "$topology_dir/got"
head -c 5M /dev/urandom >"$topology_dir/www/file"
start_server backend1 "$backend_port" "$topology_dir/www"
start_server backend2 "$backend_port" "$topology_dir/www"

# One connection to the service's own address, on a TCP port, for the whole test.
start forwarder "$topology_dir/tcp_server.log" python3 "$tests_dir/peer.py" tcp-server 22
wait_for 10 'the TCP server' run_in forwarder grep -q ':0016 ' /proc/net/tcp6
echo 0 >"$topology_dir/lines"
start client "$topology_dir/tcp_client.log" python3 "$tests_dir/peer.py" tcp-client \
	$service_ipv4 22 "$topology_dir/lines"
tcp_client=$started_pid

# tcp_goes_on WHEN: three more lines are answered.
tcp_goes_on() {
	local before

	before=$(<"$topology_dir/lines")
	is_running "$tcp_client" || fail "TCP $1: $(<"$topology_dir/tcp_client.log")"
	wait_for 5 "TCP $1" tcp_has_passed $((before + 3))
	echo "TCP $1: line $(<"$topology_dir/lines")"
}

tcp_has_passed() {
	(($(<"$topology_dir/lines") >= $1))
}

download_works() {
	download $service_ipv4 "$service_port" file "$topology_dir/got"
	same_content "$topology_dir/www/file" "$topology_dir/got/file" || fail "$1: other content"
	rm "$topology_dir/got/file"
	echo "download $1: byte-identical"
}

topology_config "$topology_dir/ringway.yaml"
tcp_goes_on 'before the start'
for life in first second third; do
	start_ringwayd "$topology_dir/ringway.yaml"
	tcp_goes_on "in the $life life"
	download_works "in the $life life"
	[[ $life != third ]] || break
	stop_ringwayd KILL || true
	! xdp_is_attached wan || fail "XDP outlived the $life ringwayd on wan"
	! xdp_is_attached lan1 || fail "XDP outlived the $life ringwayd on lan1"
	[[ $life == first ]] || tcp_goes_on "after the $life SIGKILL"
done
stop_ringwayd || fail "exit status $? after SIGTERM"
tcp_goes_on 'at the end'
