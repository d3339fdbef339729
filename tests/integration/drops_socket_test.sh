#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# drops_socket_test.sh - with engine socket, too, `ringwayctl drops` names the place that
# loses: the kernel's IP and UDP, sockets, and what workers and sockets cannot send.
#
# Not here:
#   udp_memory: net.ipv4.udp_mem is the machine's, no namespace's
#   softnet_dropped, nic_*: as with AF_XDP (drops_test.sh)
#   service_socket, ip_out_discarded, tx_full: never the first, they tell more of what is lost
#     before, and are counted beside it
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
		limits: { frame_size: 2048 }
	END
}

# from_port PORT COUNT [SIZE]: from one socket of the client's, so of one flow.
from_port() {
	run_in client python3 -c 'import socket, sys
port, count, size = map(int, sys.argv[1:])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("198.51.100.2", port))
for _ in range(count):
    sock.sendto(bytes(size), ("192.0.2.1", 443))' "$1" "$2" "${3:-100}"
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

# check_calls SEND_CALL: what each way to call the kernel does by itself.
check_calls() {
	echo '--- the firewall forbids it'
	run_in forwarder nft -f - <<-END
		table ip forbid {
			chain out {
				type filter hook output priority 0;
				udp dport $backend_port drop
			}
		}
	END
	loses send_other $count send $count
	also ip_out_discarded $((count + discarded))
	run_in forwarder nft delete table ip forbid

	echo '--- longer than the MTU to the backend, and not to be fragmented'
	loses send_other $((2 * count)) send $count 1700 64 $service_ipv4 445

	[[ $calls == io_uring ]] || check_retries

	echo '--- longer than a frame'
	loses truncated $count send $count 2100

	echo '--- a worker that stands still'
	loses udp_receive_buffer - stopped send 2000 1000
	also service_socket "$(count_of udp_receive_buffer)" udp_other 0
}

# What is tried once more, as an earlier datagram's error may have come between.
check_retries() {
	echo '--- the route of a flow is gone'
	from_port 5003 1
	no_route
	loses send_other $((3 * count)) from_port 5003 $count
	also tx_full $((3 * count + not_taken)) unreachable 0
	a_route

	echo '--- backends whose port is closed'
	is_unreachable() {
		send 2 100 64 $service_ipv4 445
		look
		(($(count_of unreachable) > 0))
	}
	wait_for 10 'an answer that nobody listens' is_unreachable || fail "$(<"$drops")"
	signs unreachable -
	check_equal 'losses of ours' $((3 * count)) "$(count_of send_other)"
}

for calls in epoll io_uring mmsg; do
	topology_sockets="calls: $calls"
	configure < <(services)
	begin "$calls"
	not_lost
	discarded=0
	not_taken=0
	[[ $calls != mmsg ]] || break
	check_calls
	end
done

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

echo '--- the queue of the interface is full'
slow_link 4kb
loses udp_send_buffer - from_port 5001 $count 1400
discarded=$(count_of udp_send_buffer)
also ip_out_discarded "$discarded"
fast_link

check_calls

end
