#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# drops_test.sh - `ringwayctl drops` names the place that loses: datagrams are lost at one
# place after the other, from the end of the way to its beginning, and each time that place
# is the first.
#
# Elsewhere, because no network brings the daemon there:
#   rx_fill_empty, tx_invalid, kick_link_down, kick_other: the engine alone, on the kernel
#     (tests/bpf/af_xdp_test.c): a worker never keeps as many frames, and sends no others
#   rx_invalid, kick_again: a kernel that errs, or sends in small portions, as before 6.16 it
#     did (tests/unit/af_xdp_test.c)
#   xdp_drop_fib_error: for what kernels of the future may answer; each answer that this one has
#     to what XDP asks has a place of its own (tests/bpf/ingress_test.c)
#   softnet_squeezed: net.core.netdev_budget is the machine's, no namespace's
#   nic_rx_damaged, nic_rx_missed, nic_tx_errors: it takes a card (tests/unit/nic_stats_test.c)
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/drops.sh
. "$(dirname "$0")/drops.sh"

drops_up
# Longer than on the other side, and than a frame of 2048 bytes can be.
set_mtu forwarder wan 2000
set_mtu client wan 2000

# Rings that are full soon, and a service for each kind of loss that takes its own.
configure <<END
  - name: ghost
    addresses: [$service_ipv4]
    port: 444
    protocol: udp
    mode: nat
    backends: [{ name: nobody, addresses: [10.0.1.99], port: 4433 }]
  - name: asking
    addresses: [$service_ipv4]
    port: 445
    protocol: quic
    mode: nat
    backends:
      - { name: one, addresses: [10.0.1.2], port: 4451 }
      - { name: two, addresses: [10.0.1.2], port: 4452 }
  - name: leaving
    addresses: [$service_ipv4]
    port: 446
    protocol: udp
    mode: nat
    on_remove: drop
    backends: [{ name: old, addresses: [10.0.1.2], port: 4461 }]
  - name: direct
    addresses: [$service_ipv4]
    port: 447
    protocol: udp
    mode: nat
    return_path: xdp
    backends: [{ name: direct, addresses: [10.0.1.2], port: 4471 }]
limits: { ring_size: 64, frame_size: 2048 }
END
begin 'from the end of the way to its beginning'
not_lost

# --- the way out ---

echo '--- the other end of the link does not take it'
set_mtu backend1 lan 1300
loses nic_tx_dropped $count send $count 1400
signs kick_busy $count
set_mtu backend1 lan 1500

echo '--- the kernel has no memory to send, so what is to be sent stays in the ring'
# Without poll, which sends too in copy mode.
pause_s=0.002 loses tx_full $count refused sendto,poll ENOBUFS send $((count + 64))
signs kick_no_buffers -

# --- routing ---

echo '--- longer than the MTU to the backend'
loses too_big $count send $count 1700

echo '--- the TTL runs out'
loses ttl_expired $count send $count 100 1

echo '--- an answer while it is asked who owns the connection'
ask() {
	frames client client 200 445
	frames backend1 answer 100 4451
}
loses discovery_answer $count ask

echo '--- a backend that nobody has'
loses no_neighbour $count send $count 100 64 $service_ipv4 444

echo '--- the backend of a connection is removed'
loses backend_gone $count leave

echo '--- no backend that takes connections'
ringwayctl drain web/backend1
loses no_backend $count strangers
ringwayctl undrain web/backend1

echo "--- a backend's address from the clients' side, of which XDP thinks nothing"
loses return_spoofed $count careless frames client spoofed

echo "--- likewise a source of ringway's own"
loses source_ours $count careless frames client ours

echo '--- XDP knows of a service that the worker does not, as during a reload'
loses not_ours $count service_smuggle 9999

# --- parse ---

echo '--- UDP over IPv6 without a checksum'
loses no_checksum $count frames client no_checksum

echo '--- lengths that contradict each other, of which XDP thinks nothing'
loses malformed $count careless frames client malformed

# --- what XDP leaves to the kernel ---

echo '--- no route to the client'
run_in forwarder ip route delete 198.51.100.0/24 dev wan
loses ip_in_no_route $count frames backend1 answer
run_in forwarder ip route add 198.51.100.0/24 dev wan src 198.51.100.1

# --- the rings ---

# has_line PATTERN: does the screen that was saved?
has_line() {
	grep -q "$1" "$topology_dir/drops.txt" || fail "no $1 in $(<"$topology_dir/drops.txt")"
}

# screen_has PATTERN: does it now?
screen_has() {
	ringwayctl drops >"$topology_dir/drops.txt"
	grep -q "$1" "$topology_dir/drops.txt"
}

echo '--- a worker that stands still'
loses rx_ring_full - stopped send 500
check_true 'as many as did not fit' "$drops" '[p["count"] for p in d["places"]
	if p["place"] == "rx_ring_full"] == [s["count"] for p in d["places"]
	if p["place"] == "rx_ring_full" for s in p["sources"]]'
wait_for 10 'no loss now' screen_has '^\*  AF_XDP receive  *rx_ring_full  *loss .* wan queue 0$' ||
	fail "$(<"$topology_dir/drops.txt")"
has_line '^Nothing is lost now'

echo '--- what loses now is marked, though it is further on'
start client "$topology_dir/send.log" timeout 60 python3 -c 'import socket, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
while True:
    sock.sendto(bytes(100), ("192.0.2.1", 443))
    time.sleep(0.01)'
sender=$started_pid
wait_for 10 'ttl_expired to be marked' screen_has '^>  routing  *ttl_expired ' ||
	fail "$(<"$topology_dir/drops.txt")"
has_line '^   AF_XDP receive  *rx_ring_full '
has_line '^Lost now, first of all at ttl_expired (routing)'
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

echo '--- longer than a frame'
loses rx_dropped $count send $count 1900

# --- XDP ---

echo '--- a socket that is bound to another interface'
misplaced() {
	python3 "$tests_dir/drops_socket.py" "$ringwayd_pid" "$(map_id xsks)"
	send $count
}
loses xdp_redirect_lost $count misplaced


echo '--- answers on a queue without a worker'
queue_forsake 1
loses xdp_drop_no_socket $count frames backend1 answer

echo '--- the route leaves by an interface that is not ours'
run_in forwarder ip neighbour replace 10.0.2.2 lladdr 02:00:00:00:00:42 dev lan2 nud permanent
run_in forwarder ip route add 198.51.100.2/32 via 10.0.2.2 dev lan2
loses xdp_drop_foreign_interface $count frames backend1 answer
run_in forwarder ip route delete 198.51.100.2/32

echo '--- longer than the MTU to the client'
run_in forwarder ip route change 198.51.100.0/24 dev wan src 198.51.100.1 mtu lock 1300
loses xdp_drop_too_big $count frames backend1 answer 1400
run_in forwarder ip route change 198.51.100.0/24 dev wan src 198.51.100.1

echo '--- no MAC address of the client'
run_in client ip link set wan arp off
run_in forwarder ip neighbour delete 198.51.100.2 dev wan
loses xdp_drop_no_neighbour $count frames backend1 answer
run_in client ip link set wan arp on
know_all

echo '--- the route to the client encapsulates'
run_in forwarder ip route add 198.51.100.2/32 encap ip id 1 dst 10.0.2.2 via 10.0.2.2 dev lan2
loses xdp_drop_route_encapsulates $count frames backend1 answer
run_in forwarder ip route delete 198.51.100.2/32

echo '--- forwarding is switched off'
run_in forwarder sysctl -qw net.ipv4.conf.lan1.forwarding=0
loses xdp_drop_forwarding_off $count frames backend1 answer
run_in forwarder sysctl -qw net.ipv4.conf.lan1.forwarding=1

echo '--- the route to the client forbids it'
forbidden() {
	local type

	for type in blackhole unreachable prohibit; do
		run_in forwarder ip route add $type 198.51.100.2/32
		frames backend1 answer
		run_in forwarder ip route delete $type 198.51.100.2/32
	done
}
loses xdp_drop_no_route $((3 * count)) forbidden

echo "--- a backend's address from the clients' side"
loses xdp_drop_return_spoofed $count frames client spoofed

echo '--- clients on a queue without a worker'
queue_forsake 0
loses xdp_pass_no_socket $count send $count

echo "--- a source of ringway's own"
loses xdp_drop_source_ours $count frames client ours

echo '--- a martian source'
loses xdp_drop_source_martian $count frames client martian

echo '--- fragments from a backend'
loses xdp_drop_return_unparsed $count frames backend1 answer_fragment

echo '--- what is left to the kernel'
frames client malformed
frames client first_fragment
frames client options
other_mac=02:00:00:00:00:42 frames client client
lost xdp_drop_return_unparsed $count
signs xdp_pass_malformed $count xdp_pass_fragment $count xdp_pass_options - \
	xdp_pass_other_mac $count

# --- before XDP ---

echo '--- the other end of the link takes nothing from XDP'
run_in client ethtool -K wan gro off
loses nic_rx_dropped $count frames backend1 answer 100 4471
run_in client ethtool -K wan gro on
end

# Generic XDP is behind the backlog of the CPU that RPS chooses. That one has 3000 rules to
# ask for each datagram, and so takes them slower than they come.
sed -i 's/name: wan/&\n    mode: generic/' "$config"
begin "a CPU's backlog is full"
ip netns exec "$topology_prefix-forwarder" \
	sh -c 'for queue in /sys/class/net/wan/queues/rx-*; do echo 2 >$queue/rps_cpus; done'
{
	echo 'table ip slow { chain in { type filter hook prerouting priority raw;'
	seq -f 'ip saddr 203.0.113.1 udp sport %.0f drop' 1 3000
	echo 'udp dport 5000 drop'
	echo '}'
	echo '}'
} | run_in forwarder nft -f -
# A socket may have some 270 datagrams on their way, the backlog 1000.
flood() {
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
}
loses softnet_dropped - flood
end
