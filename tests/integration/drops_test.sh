#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# drops_test.sh - `ringwayctl drops` names the place that loses: datagrams are lost at one
# place after the other, and each time that place is the first.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/drops.sh
. "$(dirname "$0")/drops.sh"

drops_up

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
not_lost
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

# has_line PATTERN: does the screen that was saved?
has_line() {
	grep -q "$1" "$topology_dir/drops.txt" || fail "no $1 in $(<"$topology_dir/drops.txt")"
}

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
has_line '^\*  AF_XDP receive  *rx_ring_full  *loss .* wan queue 0$'
has_line '^Nothing is lost now'

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
has_line '^   AF_XDP receive  *rx_ring_full '
has_line '^Lost now, first of all at ttl_expired (routing)'
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
