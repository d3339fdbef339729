#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# http3_test.sh - HTTP/3 downloads through ringwayd arrive byte for byte, in both
# families, whether the end points leave the UDP checksum to their card or not;
# afterwards every datagram and every frame is accounted for.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

size_mb=${QUICK:+20}
size_mb=${size_mb:-100}

topology_up 2
mkdir "$topology_dir/www" "$topology_dir/got"
head -c "${size_mb}M" /dev/urandom >"$topology_dir/www/file"
start_server backend1 "$backend_port" "$topology_dir/www"
start_server backend2 "$backend_port" "$topology_dir/www"
topology_config "$topology_dir/ringway.yaml"
start_ringwayd "$topology_dir/ringway.yaml"
stats=$topology_dir/stats.json

# download_case ADDRESS on|off
download_case() {
	local name="$size_mb MB from $1, checksum offload $2" forwarded completed host

	topology_offload "$2"
	stats_at_rest "$stats"
	forwarded=$(json "$stats" 'd["totals"]["forwarded"]')
	completed=$(json "$stats" 'sum(w["checksums_completed"] for w in d["workers"])')
	download "$1" "$service_port" file "$topology_dir/got"
	same_content "$topology_dir/www/file" "$topology_dir/got/file" || fail "$name: other content"
	rm "$topology_dir/got/file"
	echo "$name: byte-identical"

	stats_at_rest "$stats"
	forwarded=$(json "$stats" "d['totals']['forwarded'] - $forwarded")
	completed=$(json "$stats" "sum(w['checksums_completed'] for w in d['workers']) - $completed")
	((forwarded > size_mb * 1000000 / 1500)) || fail "$name: only $forwarded forwarded"
	check_offload "$name" "$2" "$forwarded" "$completed"
	for host in client backend1 backend2; do
		check_equal "$name: InCsumErrors of $host" 0 "$(udp_counter "$host" InCsumErrors)"
	done
}

# One finished checksum in 65536 looks like an unfinished one, so a few are completed
# though nobody left them.
check_offload() {
	if [[ $2 == on ]]; then
		(($4 == $3)) || fail "$1: $4 of $3 checksums completed"
	else
		(($4 * 1000 < $3)) || fail "$1: $4 of $3 checksums completed though all were there"
	fi
	echo "$1: $3 forwarded, $4 checksums completed"
}

for offload in on off; do
	for address in "$service_ipv4" "$service_ipv6"; do
		download_case "$address" $offload
	done
done

check_conservation "$stats"
check_true 'modes' "$stats" 'all(p["mode"] in ("copy", "zero-copy")
	for w in d["workers"] for p in w["ports"])'
check_true 'interfaces' "$stats" '[p["interface"] for p in d["workers"][0]["ports"]] ==
	["wan", "lan1", "lan2"]'

# What backends were sent and what workers say they forwarded is the same traffic.
ringwayctl backends --json >"$topology_dir/backends.json"
check_equal 'datagrams of all backends' "$(json "$stats" 'd["totals"]["forwarded"]')" \
	"$(json "$topology_dir/backends.json" \
		'sum(b[way]["datagrams"] for b in d for way in ("out", "back"))')"
stop_ringwayd || fail "exit status $? after SIGTERM"
