# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# drops.sh - datagrams that are lost on purpose, and whether `ringwayctl drops` says
# where: as many as were lost, and nothing before that place is called a loss. To be
# sourced behind lib.sh.
#
# Each case has a daemon of its own, so that nothing was lost before.

count=20

# mac_of NAME INTERFACE
mac_of() {
	run_in "$1" ip -o link show dev "$2" | sed 's/.*ether \([^ ]*\).*/\1/'
}

# know NAME INTERFACE IPV4 IPV6 MAC: whose MAC address nobody has to ask for.
know() {
	run_in "$1" ip neighbour replace "$3" lladdr "$5" dev "$2" nud permanent
	run_in "$1" ip neighbour replace "$4" lladdr "$5" dev "$2" nud permanent
}

# drops_up: hosts that know each other, and an echo server on backend1, $echo_pid.
drops_up() {
	topology_up 2
	drops=$topology_dir/drops.json
	start_echo backend1
	echo_pid=$started_pid
	client_mac=$(mac_of client wan)
	wan_mac=$(mac_of forwarder wan)
	lan1_mac=$(mac_of forwarder lan1)
	know client wan 198.51.100.1 2001:db8:ff::1 "$wan_mac"
	know forwarder wan 198.51.100.2 2001:db8:ff::2 "$client_mac"
	know backend1 lan 10.0.1.1 2001:db8:1::1 "$lan1_mac"
	know forwarder lan1 10.0.1.2 2001:db8:1::2 "$(mac_of backend1 lan)"
}

# begin TITLE [SED_EXPRESSION]: a daemon that serves by backend1, and has lost nothing.
begin() {
	local config=$topology_dir/ringway.yaml

	echo "--- $1"
	topology_config "$config" udp
	sed -i -e '/name: backend2/,/port:/d' -e '/name: lan2/d' "$config"
	# Rings that are full soon.
	[[ $topology_engine == socket ]] || echo 'limits: { ring_size: 64 }' >>"$config"
	sed -i "${2:-}" "$config"
	start_ringwayd "$config"
}

# served: a datagram is answered; so everything is in its place.
served() {
	echo_flows $service_ipv4 1 1 >/dev/null
}

look() {
	ringwayctl drops --json >"$drops"
}

count_of() {
	json "$drops" "[p['count'] for p in d['places'] if p['place'] == '$1'][0]"
}

# lost PLACE [COUNT]: it is the first, and what has come there is the end of it.
lost() {
	wait_for 10 "$1 to be the first" is_first "$1" "${2:-}" || {
		cat "$drops"
		fail "$1 is not the first with ${2:-any}: $(json "$drops" 'd["first"]'), $(count_of "$1")"
	}
	echo "first: $1, $(count_of "$1")"
	stop_ringwayd || fail "exit status $? after SIGTERM"
}

is_first() {
	look
	[[ $(json "$drops" 'd["first"] and d["first"]["place"]') == "$1" ]] &&
		[[ -z $2 || $(count_of "$1") == "$2" ]]
}

# send COUNT [SIZE [TTL [ADDRESS]]]: from a client's socket, no answer awaited.
send() {
	run_in client python3 -c 'import socket, sys
count, size, ttl, address, port = sys.argv[1:]
v6 = ":" in address
sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(ttl))
for _ in range(int(count)):
    sock.sendto(bytes(int(size)), (address, int(port)))' \
		"$1" "${2:-100}" "${3:-64}" "${4:-$service_ipv4}" "$service_port"
}

# frames NAME KIND [SIZE]: as no socket would make them, from the client or the backend.
frames() {
	local interface=lan target=$lan1_mac

	[[ $1 != client ]] || { interface=wan target=$wan_mac; }
	run_in "$1" python3 "$tests_dir/drops_frames.py" $interface "$(mac_of "$1" $interface)" \
		"$target" "$2" "${3:-100}" $count
}

# not_lost: nothing is, and nothing was.
not_lost() {
	look
	check_equal 'first' None "$(json "$drops" 'd["first"]')"
	ringwayctl drops | grep -q '^Nothing is lost, and nothing was since ringwayd started' ||
		fail 'the screen does not say so'
}
