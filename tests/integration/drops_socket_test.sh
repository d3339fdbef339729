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

# from_port PORT COUNT [SIZE]: from one socket of a client's, so of one flow.
from_port() {
	pause_s=${pause_s:-0} run_in client python3 -c 'import os, socket, sys, time
port, count, size = map(int, sys.argv[1:])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("198.51.100.2", port))
for _ in range(count):
    sock.sendto(bytes(size), ("192.0.2.1", 443))
    time.sleep(float(os.environ["pause_s"]))' "$1" "$2" "${3:-100}"
}

# slow_link RATE LIMIT: to the backend, with a queue as long as that.
slow_link() {
	run_in forwarder tc qdisc replace dev lan1 root tbf rate "$1" burst 3000 limit "$2"
}

fast_link() {
	run_in forwarder tc qdisc delete dev lan1 root
}

for calls in epoll mmsg io_uring; do
	topology_sockets="calls: $calls"
	configure < <(services)
	begin "$calls"
	not_lost

	# --- the way out ---

	echo '--- the other end of the link does not take it'
	set_mtu backend1 lan 1300
	loses nic_tx_dropped $count send $count 1400
	set_mtu backend1 lan 1500

	if [[ $calls == mmsg ]]; then
		echo "--- what this host routes, and is too long for it, or has no route"
		loses ip_fragmentation $count frames client to_backend 1700
	fi

	echo '--- the queue of the interface is full'
	slow_link 8kbit 4kb
	loses udp_send_buffer - from_port 5001 $count 1400
	fast_link

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
	look
	run_in forwarder nft delete table ip forbid

	end
	json "$drops" '[(p["place"], p["count"]) for p in d["places"] if p["count"]]'
done
