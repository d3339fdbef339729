#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# drops_socket_test.sh - with engine socket, too, `ringwayctl drops` names the place that
# loses: the kernel's IP and UDP, sockets, and what workers and sockets cannot send.
#
# Not here:
#   udp_memory: net.ipv4.udp_mem is the machine's, no namespace's
#   softnet_*, other nic_*: as with AF_XDP (drops_test.sh)
#   service_socket, flow_socket, ip_out_discarded, tx_full: never the first, they tell more of
#     what is lost before, and are counted beside it
#   send_invalid, not_ours: datagrams under way during a reload (tests/unit/socket_test.c,
#     tests/unit/forward_test.c)
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/drops.sh
. "$(dirname "$0")/drops.sh"

topology_engine=socket
drops_up
# Longer than the MTU to the backend, and than a frame of 2048 bytes can be.
set_mtu forwarder wan 4000
set_mtu client wan 4000

services() {
	cat <<-END
		  - name: fixed
		    addresses: [$service_ipv4]
		    port: 445
		    protocol: quic
		    mode: nat
		    backends: [{ name: one, addresses: [10.0.1.2], port: 4451 }]
		  - name: leaving
		    addresses: [$service_ipv4]
		    port: 446
		    protocol: udp
		    mode: nat
		    on_remove: drop
		    backends: [{ name: old, addresses: [10.0.1.2], port: 4461 }]
		  - name: asking
		    addresses: [$service_ipv4]
		    port: 447
		    protocol: quic
		    mode: nat
		    backends:
		      - { name: one, addresses: [10.0.1.2], port: 4471 }
		      - { name: two, addresses: [10.0.1.2], port: 4472 }
		limits: { frame_size: 2048 }
	END
}

# from_port PORT COUNT [SIZE]: from one socket of the client's, so of one flow.
from_port() {
	run_in client python3 -c 'import socket, sys, time
port, count, size = map(int, sys.argv[1:])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("198.51.100.2", port))
for _ in range(count):
    sock.sendto(bytes(size), ("192.0.2.1", 443))
    time.sleep(0.001)' "$1" "$2" "${3:-100}"
}

# slow_link LIMIT: to the backend, with a queue as long as that.
slow_link() {
	run_in forwarder tc qdisc add dev lan1 root tbf rate 8kbit burst 3000 limit "$1"
}

fast_link() {
	run_in forwarder tc qdisc delete dev lan1 root
}

no_route() {
	run_in forwarder ip route delete 10.0.1.0/24 dev lan1
}

a_route() {
	run_in forwarder ip route replace 10.0.1.0/24 dev lan1 src 10.0.1.1
}

# Forbidden by the firewall; longer than the MTU to the backend, and not to be fragmented;
# and the route of a flow is gone.
send_refused() {
	run_in forwarder nft -f - <<-END
		table ip forbid {
			chain out {
				type filter hook output priority 0;
				udp dport $backend_port drop
			}
		}
	END
	send $count
	run_in forwarder nft delete table ip forbid
	send $count 1700 64 $service_ipv4 445
	from_port 5003 1
	no_route
	from_port 5003 $count
	a_route
}

# What each way to call the kernel does by itself.
check_sends() {
	local refused=$((3 * count)) unreachable=0

	# Which it cannot tell from what a backend's host says of an earlier datagram.
	[[ $calls != io_uring ]] || unreachable=$count
	echo '--- what the kernel refuses to send'
	loses send_other $refused send_refused
	also unreachable $unreachable
	[[ $calls == io_uring ]] || also tx_full $refused
}

check_truncated() {
	echo '--- longer than a frame'
	loses truncated $count send $count 2100
}

check_slow_reader() {
	echo '--- a worker that stands still'
	loses udp_receive_buffer - stopped send 2000 1000
	also service_socket "$(($(count_of udp_receive_buffer) - $(count_of flow_socket)))" \
		udp_other $contradictory
	check_equal 'which socket' "['$service_ipv4:$service_port worker 0']" "$(json "$drops" \
		"[s['name'] for p in d['places'] if p['place'] == 'service_socket' for s in p['sources']]")"
}

# --- the other ways to call the kernel ---

contradictory=0
for calls in epoll io_uring; do
	topology_sockets="calls: $calls"
	configure < <(services)
	begin "$calls"
	check_sends
	check_truncated
	check_slow_reader
	end
done

topology_sockets='calls: mmsg, decoupled: yes, flows: 1'
configure < <(services | sed 's/frame_size/ring_size: 64, &/')
begin 'one thread receives, another one forwards'

echo '--- more flows than are allowed'
loses flows_refused $count send $count

echo '--- the thread that forwards stands still'
pause_s=0.001 loses ring_full - worker_stopped send 300
end

# --- all the way ---

topology_sockets='calls: mmsg'
configure < <(services)
begin 'from the end of the way to its beginning'
not_lost

# --- the way out ---

echo '--- what this host routes, and the other end of the link does not take'
set_mtu backend1 lan 1300
loses nic_tx_dropped $count frames client to_backend 1400
set_mtu backend1 lan 1500

echo '--- what another program sends, without a route'
send_nowhere() {
	run_in forwarder python3 -c 'import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(20):
    try:
        sock.sendto(b"x", ("203.0.113.9", 443))
    except OSError:
        pass'
}
loses ip_out_no_route $count send_nowhere

echo '--- what this host routes, and is too long'
loses ip_fragmentation $count frames client to_backend 1700

# --- sockets ---

echo '--- the queue of the interface is full'
slow_link 4kb
loses udp_send_buffer - from_port 5001 $count 1400
also ip_out_discarded "$(count_of udp_send_buffer)"
fast_link

calls=mmsg
check_sends

echo '--- backends whose port is closed'
is_unreachable() {
	send 2 100 64 $service_ipv4 445
	look
	(($(count_of unreachable) > 0))
}
wait_for 10 'an answer that nobody listens' is_unreachable || fail "$(<"$drops")"
signs unreachable -
check_equal 'first, still' send_other "$(json "$drops" 'd["first"]["place"]')"

echo '--- the link goes down, once the way is chosen'
loses send_link_down $count refused sendmmsg ENETDOWN send $count

echo '--- the kernel has no memory'
loses send_no_buffers $count refused sendmmsg ENOBUFS send $count

echo '--- the queue of the interface is so long that a socket may send no more'
taken=$(count_of tx_full)
slow_link 10mb
loses send_again - from_port 5002 200 1000
also tx_full $((taken + $(count_of send_again)))
fast_link

echo '--- no route to the backend'
no_route
loses flow_errors $count send $count
a_route

# --- routing ---

echo '--- answers while it is asked who owns the connection'
start backend1 "$topology_dir/answers.log" python3 -c 'import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("10.0.1.2", 4471))
_, flow = sock.recvfrom(2048)
for _ in range(int(sys.argv[1])):
    sock.sendto(bytes(100), flow)' $count
wait_for 10 'who answers' udp_is_bound backend1 4471 udp
loses discovery_answer $count frames client client 200 447

echo '--- the backend of a connection is removed'
loses backend_gone $count leave

echo '--- no backend that takes connections'
ringwayctl drain web/backend1
loses no_backend $count strangers
ringwayctl undrain web/backend1

echo "--- a source of ringway's own"
loses source_ours $count frames client ours

echo '--- a martian source'
loses source_martian $count frames client class_e

# --- sockets, UDP and IP ---

check_truncated

echo '--- lengths that contradict each other'
loses udp_other $count frames client malformed

contradictory=$count
check_slow_reader

echo '--- answers to a worker that stands still'
flow_port() {
	run_in forwarder awk '$3 == "0201000A:1151" { split($2, end, ":"); print end[2]; exit }' \
		/proc/net/udp
}
to_flow() {
	frames backend1 answer_to_flow 1000 $((16#$(flow_port))) 2000
}
lost_before=$(count_of udp_receive_buffer)
stopped to_flow
flow_has_lost() {
	look
	(($(count_of flow_socket) == $(count_of udp_receive_buffer) - lost_before &&
		$(count_of flow_socket) > 0))
}
wait_for 10 "all in the flow's socket" flow_has_lost || fail "$(<"$drops")"
echo "flow_socket, $(count_of flow_socket)"


echo '--- a wrong checksum'
loses udp_checksum $count frames client bad_checksum

echo '--- a port on which nobody listens'
loses udp_no_port $count send $count 100 64 198.51.100.1

echo '--- fragments of which the others never come'
run_in forwarder sysctl -qw net.ipv4.ipfrag_time=1
loses ip_reassembly $count frames client first_fragment

echo '--- IPv6 is switched off'
run_in forwarder sysctl -qw net.ipv6.conf.wan.disable_ipv6=1
loses ip_in_discarded $count frames client ipv6

echo '--- shorter than the IP header says'
loses ip_in_truncated $count frames client truncated

echo '--- to be routed on, without a route'
loses ip_in_no_route $count frames client elsewhere

echo '--- the way back to the source is another one'
run_in forwarder sysctl -qw net.ipv4.conf.wan.rp_filter=1
loses ip_in_reverse_path $count frames client no_source

echo "--- an address that is not this host's"
run_in forwarder sysctl -qw net.ipv4.conf.wan.rp_filter=0 net.ipv4.ip_forward=0
loses ip_in_address $count send $count 100 64 192.0.2.99

echo '--- a wrong checksum of the IP header'
loses ip_in_header $count frames client bad_header
end
