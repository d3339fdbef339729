#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# silence_test.sh - configs/ringway.nft loads, replaces itself, and keeps the kernel
# from answering for its services and for nothing else.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

# datagram_send ADDRESS PORT: over loopback it is delivered, or refused, before the
# sender goes on.
datagram_send() {
	run_in host bash -c 'exec 3>"/dev/udp/$0/$1" && echo x >&3' "$@" 2>/dev/null || true
}

# refused COUNTER: how often the kernel said so.
refused() {
	run_in host nstat -asz "$1" | awk -v name="$1" '$1 == name { print $2 }'
}

topology_begin
topology_namespace host
run_in host ip address add $service_ipv4/32 dev lo
run_in host ip address add $service_ipv6/128 dev lo nodad
for round in first again; do
	echo "load, $round"
	run_in host nft -f "$topology_root/configs/ringway.nft"
done

datagram_send $service_ipv4 443
check_equal 'IPv4 service: no answer' 0 "$(refused IcmpOutDestUnreachs)"
datagram_send $service_ipv4 444
check_equal 'IPv4, other port: refused' 1 "$(refused IcmpOutDestUnreachs)"
datagram_send $service_ipv6 443
check_equal 'IPv6 service: no answer' 0 "$(refused Icmp6OutDestUnreachs)"
datagram_send $service_ipv6 444
check_equal 'IPv6, other port: refused' 1 "$(refused Icmp6OutDestUnreachs)"
run_in host nft delete table inet ringway
datagram_send $service_ipv4 443
check_equal 'without the rules: refused' 2 "$(refused IcmpOutDestUnreachs)"
