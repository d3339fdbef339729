#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# drops_test.sh - `ringwayctl drops` names the place that loses: datagrams are lost at one
# place after the other, and each time that place is the first, with as many as were
# lost, and nothing before it is called a loss.
#
# Each case has a daemon of its own, so that nothing was lost before.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

count=20

topology_up 2
drops=$topology_dir/drops.json
start_echo backend1

# mac_of NAME INTERFACE
mac_of() {
	run_in "$1" ip -o link show dev "$2" | sed 's/.*ether \([^ ]*\).*/\1/'
}

# know NAME INTERFACE IPV4 IPV6 MAC: whose MAC address nobody has to ask for.
know() {
	run_in "$1" ip neighbour replace "$3" lladdr "$5" dev "$2" nud permanent
	run_in "$1" ip neighbour replace "$4" lladdr "$5" dev "$2" nud permanent
}
client_mac=$(mac_of client wan)
wan_mac=$(mac_of forwarder wan)
lan1_mac=$(mac_of forwarder lan1)
know client wan 198.51.100.1 2001:db8:ff::1 "$wan_mac"
know forwarder wan 198.51.100.2 2001:db8:ff::2 "$client_mac"
know backend1 lan 10.0.1.1 2001:db8:1::1 "$lan1_mac"
know forwarder lan1 10.0.1.2 2001:db8:1::2 "$(mac_of backend1 lan)"

# begin TITLE [SED_EXPRESSION]: a daemon that serves by backend1, and has lost nothing.
begin() {
	local config=$topology_dir/ringway.yaml

	echo "--- $1"
	# By one backend, and with rings that are full soon.
	topology_config "$config" udp
	sed -i -e '/name: backend2/,/port:/d' -e '/name: lan2/d' "$config"
	echo 'limits: { ring_size: 64 }' >>"$config"
	sed -i "${2:-}" "$config"
	start_ringwayd "$config"
}

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

# --- before XDP ---

# Generic XDP is behind the backlog of the CPU that RPS chooses. That one has 3000 rules to
# ask for each datagram, and so takes them slower than they come.
begin "a CPU's backlog is full" 's/name: wan/&\n    mode: generic/'
served
ip netns exec "$topology_prefix-forwarder" \
	sh -c 'echo 2 >/sys/class/net/wan/queues/rx-0/rps_cpus'
{
	echo 'table ip slow { chain in { type filter hook prerouting priority raw;'
	seq -f 'ip saddr 203.0.113.1 udp sport %.0f drop' 1 3000
	echo 'udp dport 5000 drop'
	echo '}'
	echo '}'
} | run_in forwarder nft -f -
# A socket may have some 270 datagrams on their way, the backlog 1000.
run_in client taskset -c 0 python3 -c 'import socket
socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
for sock in socks:
    sock.connect(("198.51.100.1", 5000))
    sock.setblocking(False)
for _ in range(500):
    for sock in socks:
        try:
            sock.send(b"x")
        except BlockingIOError:
            pass'
lost softnet_dropped
run_in forwarder nft delete table ip slow
ip netns exec "$topology_prefix-forwarder" \
	sh -c 'echo 0 >/sys/class/net/wan/queues/rx-0/rps_cpus'

# --- XDP ---

begin 'nothing is lost'
served
look
check_equal 'first' None "$(json "$drops" 'd["first"]')"
ringwayctl drops | grep -q '^Nothing is lost, and nothing was since ringwayd started' ||
	fail 'the screen does not say so'
stop_ringwayd || fail "exit status $? after SIGTERM"

begin 'a martian source'
served
frames client martian
lost xdp_drop_source_martian $count

begin "a source of ringway's own"
served
frames client ours
lost xdp_drop_source_ours $count

begin "a backend's address from the clients' side"
served
frames client answer
lost xdp_drop_return_spoofed $count

begin 'lengths that contradict each other'
served
frames client malformed
is_passed() {
	look
	[[ $(count_of xdp_pass_malformed) == "$count" ]]
}
wait_for 10 'the malformed to be counted' is_passed
check_equal 'left to the kernel, a sign' None "$(json "$drops" 'd["first"]')"
stop_ringwayd || fail "exit status $?"

begin 'fragments from a backend'
served
frames backend1 fragment
lost xdp_drop_return_unparsed $count

begin 'no MAC address of the client'
served
run_in client ip link set wan arp off
run_in forwarder ip neighbour delete 198.51.100.2 dev wan
frames backend1 answer
lost xdp_drop_no_neighbour $count
run_in client ip link set wan arp on
know forwarder wan 198.51.100.2 2001:db8:ff::2 "$client_mac"

begin 'no route to the client'
served
run_in forwarder ip route add blackhole 198.51.100.2/32
frames backend1 answer
lost xdp_drop_no_route $count
run_in forwarder ip route delete blackhole 198.51.100.2/32

begin 'the route leaves by an interface that is not ours'
served
run_in forwarder ip neighbour replace 10.0.2.2 lladdr 02:00:00:00:00:42 dev lan2 nud permanent
run_in forwarder ip route add 198.51.100.2/32 via 10.0.2.2 dev lan2
frames backend1 answer
lost xdp_drop_foreign_interface $count
run_in forwarder ip route delete 198.51.100.2/32
run_in forwarder ip neighbour delete 10.0.2.2 dev lan2

begin 'forwarding is switched off'
served
run_in forwarder sysctl -qw net.ipv4.conf.lan1.forwarding=0
frames backend1 answer
lost xdp_drop_forwarding_off $count
run_in forwarder sysctl -qw net.ipv4.conf.lan1.forwarding=1

begin "longer than the MTU to the client"
served
run_in forwarder ip route change 198.51.100.0/24 dev wan src 198.51.100.1 mtu lock 1300
frames backend1 answer 1400
lost xdp_drop_too_big $count
run_in forwarder ip route change 198.51.100.0/24 dev wan src 198.51.100.1

# --- the rings ---

begin 'a worker that stands still'
served
kill -STOP "$ringwayd_pid"
send 500
kill -CONT "$ringwayd_pid"
wait_for 10 'rx_ring_full to be the first' is_first rx_ring_full '' || fail "$(<"$drops")"
check_true 'as many as did not fit' "$drops" '[p["count"] for p in d["places"]
	if p["place"] == "rx_ring_full"] == [s["count"] for p in d["places"]
	if p["place"] == "rx_ring_full" for s in p["sources"]] and not d["first"]["now"]'
ringwayctl drops >"$topology_dir/drops.txt"
grep -q '^\*  AF_XDP receive  *rx_ring_full  *loss .* wan queue 0$' "$topology_dir/drops.txt" &&
	grep -q '^Nothing is lost now' "$topology_dir/drops.txt" || fail "$(<"$topology_dir/drops.txt")"

# What loses now is marked, though it is further on.
start client "$topology_dir/send.log" timeout 60 python3 -c 'import socket, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
while True:
    sock.sendto(bytes(100), ("192.0.2.1", 443))
    time.sleep(0.01)'
sender=$started_pid
is_marked() {
	ringwayctl drops >"$topology_dir/drops.txt"
	grep -q '^>  routing  *ttl_expired ' "$topology_dir/drops.txt"
}
wait_for 10 'ttl_expired to be marked' is_marked || fail "$(<"$topology_dir/drops.txt")"
grep -q '^   AF_XDP receive  *rx_ring_full ' "$topology_dir/drops.txt" &&
	grep -q '^Lost now, first of all at ttl_expired (routing)' "$topology_dir/drops.txt" ||
	fail "$(<"$topology_dir/drops.txt")"
echo 'marked: what loses now'
is_watched() {
	(($(wc -l <"$topology_dir/watch.json") >= 2))
}
start forwarder "$topology_dir/watch.json" "$BUILD/ringwayctl" -s "$topology_dir/ringway.sock" \
	drops --watch --json
wait_for 10 'two answers' is_watched
stop "$started_pid" || true
python3 -c 'import json, sys
looks = [json.loads(line) for line in open(sys.argv[1])]
assert all(look["first"] == {"place": "ttl_expired", "now": True} for look in looks), looks
assert all(0.5 < look["seconds"] < 20 for look in looks), looks' "$topology_dir/watch.json" ||
	fail 'the watch'
stop "$sender" || true
stop_ringwayd || fail "exit status $? after SIGTERM"

run_in forwarder ip link set wan mtu 2000
run_in client ip link set wan mtu 2000
begin 'longer than a frame' 's/ring_size: 64/&, frame_size: 2048/'
served
send $count 1900
lost rx_dropped $count
run_in forwarder ip link set wan mtu 1500
run_in client ip link set wan mtu 1500

# --- routing ---

begin 'the TTL runs out'
served
send $count 100 1
lost ttl_expired $count

begin 'UDP over IPv6 without a checksum'
served
frames client no_checksum
lost no_checksum $count

begin 'a backend that nobody has' 's/10.0.1.2,/10.0.1.99,/'
send $count
lost no_neighbour $count

begin 'no backend that takes connections'
served
ringwayctl drain web/backend1
send $count
lost no_backend $count

run_in forwarder ip link set lan1 mtu 1300
begin 'longer than the MTU to the backend'
served
send $count 1400
lost too_big $count
run_in forwarder ip link set lan1 mtu 1500

# --- the way out ---

begin 'the other end of the link does not take it'
served
run_in backend1 ip link set lan mtu 1300
send $count 1400
wait_for 10 'nic_tx_dropped' is_first nic_tx_dropped $count || fail "$(<"$drops")"
check_equal 'each a kick that found the driver busy, a sign' $count "$(count_of kick_busy)"
lost nic_tx_dropped $count
run_in backend1 ip link set lan mtu 1500
