#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# demo.sh - what ringway does, in half a minute (`sudo make demo`): HTTP/3 downloads
# through ringwayd between network namespaces. Leaves nothing behind.
set -euo pipefail

# shellcheck source=scripts/topology.sh
. "$(dirname "$0")/topology.sh"

connections=8
size_mb=10

say() {
	printf '\n%s\n' "$*"
}

# show COMMAND...: as it would be typed, then what it prints.
show() {
	printf '\n$ %s\n' "$*"
	"$@"
}

ringwayd_here() {
	say "\$ ringwayd -c ringway.yaml"
	start_ringwayd "$topology_dir/ringway.yaml"
	sed 's/^/  /' "$topology_dir/ringwayd.log"
}

# All at a time: each is one QUIC connection, and each is hashed to a backend.
download_all() {
	local number address pids=()

	for ((number = 1; number <= connections; number++)); do
		address=$service_ipv4
		((number % 2)) || address=$service_ipv6
		mkdir "$topology_dir/got$number"
		download_start "$address" "$service_port" file "$topology_dir/got$number"
		pids+=("$started_pid")
	done
	wait_for 20 'the first megabyte' first_megabyte
	show ringwayctl stats
	for ((number = 1; number <= connections; number++)); do
		download_wait "${pids[number - 1]}" file "$topology_dir/got$number"
	done
}

first_megabyte() {
	(($(stat -c %s "$topology_dir/got1/file") > 1000000))
}

compare_all() {
	local number sum

	sum=$(sha256sum <"$topology_dir/www/file")
	say "SHA-256 at the servers: ${sum%% *}"
	for ((number = 1; number <= connections; number++)); do
		sum=$(sha256sum <"$topology_dir/got$number/file")
		echo "      connection $number got: ${sum%% *}"
		same_content "$topology_dir/www/file" "$topology_dir/got$number/file"
	done
}

say "ringway forwards QUIC from one address to many backends. Here: a client, ringwayd
and two HTTP/3 servers, each in a network namespace of its own, joined by veth pairs.

  client 198.51.100.2 --- wan [ ringwayd, 192.0.2.1 port 443 ] lan1 --- backend1 10.0.1.2
                          (2001:db8::1)                        lan2 --- backend2 10.0.2.2"
topology_up 2
mkdir "$topology_dir/www"
head -c ${size_mb}M /dev/urandom >"$topology_dir/www/file"
start_server backend1 "$backend_port" "$topology_dir/www"
start_server backend2 "$backend_port" "$topology_dir/www"
topology_config "$topology_dir/ringway.yaml"
say "ringway.yaml:"
sed 's/^/  /' "$topology_dir/ringway.yaml"

ringwayd_here
show ringwayctl backends

say "$connections HTTP/3 downloads of $size_mb MB from the service's address, half of them by IPv6 ..."
download_all
compare_all

say "All $connections downloads are identical. Who served them:"
show ringwayctl backends
show ringwayctl stats
stop_ringwayd
say "ringwayd has ended; XDP is detached, and the namespaces go with this script."
