#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# configs/ringway.nft loads, replaces itself, and keeps the kernel from answering for
# its services and for nothing else. In a network namespace that ends with the script.
set -euo pipefail

if [ "${1:-}" != inside ]; then
	exec unshare --net "$0" inside
fi
cd "$(dirname "$0")/../.."

# Over loopback a datagram is delivered, or refused, before the sender goes on.
datagram_send() { # address port
	(exec 3>"/dev/udp/$1/$2" && echo x >&3) 2>/dev/null || true
}
refused4() { awk '/^Icmp:/ && !names { names = $0; split(names, name); next }
	/^Icmp:/ { for (i in name) if (name[i] == "OutDestUnreachs") print $i }' /proc/net/snmp; }
refused6() { awk '$1 == "Icmp6OutDestUnreachs" { print $2 }' /proc/net/snmp6; }

failed=0
expect() { # what, is, should be
	echo "case: $1"
	[ "$2" = "$3" ] && return
	echo "  is $2, should be $3"
	failed=1
}

ip link set lo up
ip addr add 192.0.2.1/32 dev lo
ip addr add 2001:db8::1/128 dev lo nodad
for round in first again; do
	echo "case: load, $round"
	nft -f configs/ringway.nft
done

datagram_send 192.0.2.1 443
expect "IPv4 service: no answer" "$(refused4)" 0
datagram_send 192.0.2.1 444
expect "IPv4, other port: refused" "$(refused4)" 1
datagram_send 2001:db8::1 443
expect "IPv6 service: no answer" "$(refused6)" 0
datagram_send 2001:db8::1 444
expect "IPv6, other port: refused" "$(refused6)" 1
nft delete table inet ringway
datagram_send 192.0.2.1 443
expect "without the rules: refused" "$(refused4)" 2
exit "$failed"
