#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# prefix_test.sh - `hash: connection-id` for servers that copy a prefix of the client's
# first Connection ID: with nothing remembered and nobody asked, connections keep their
# backend, also when clients migrate.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

clients=8
topology_up 4
mkdir "$topology_dir/www"
head -c 2M /dev/urandom >"$topology_dir/www/file"
config=$topology_dir/ringway.yaml
topology_config "$config"
sed -i -e '/mode: nat/a\    hash: connection-id\n    discovery: no' \
	-e '1i limits: { connections: 0 }' "$config"
make_certificate
servers=()
for i in 1 2 3 4; do
	start "backend$i" "$topology_dir/server$i.log" "$BUILD/tests/peers/quic_server" \
		--cid=client-prefix '*' "$backend_port" "$topology_dir/key.pem" \
		"$topology_dir/cert.pem" "$topology_dir/www"
	servers+=("$started_pid")
	wait_for 10 "quic_server $i" grep -q 'is ready' "$topology_dir/server$i.log"
done
start_ringwayd "$config"

declare -i survived=0
pids=()
for ((i = 0; i < clients; i++)); do
	mkdir "$topology_dir/$i"
	start client "$topology_dir/$i/log" timeout 60 gtlsclient -q --no-quic-dump --no-http-dump \
		--exit-on-all-streams-close --change-local-addr=500ms --delay-stream=1500ms \
		--download="$topology_dir/$i" "$service_ipv4" "$service_port" \
		"https://ringway.example/file"
	pids+=("$started_pid")
done
for i in "${!pids[@]}"; do
	download_wait "${pids[i]}" file "$topology_dir/$i" 2>/dev/null &&
		same_content "$topology_dir/www/file" "$topology_dir/$i/file" && survived+=1
done
check_equal 'clients that migrated and got everything' "$clients" "$survived"
ringwayctl stats --json >"$topology_dir/stats.json"
check_true 'nothing was remembered' "$topology_dir/stats.json" \
	'd["totals"]["decided"]["connection_id"] == d["totals"]["decided"]["four_tuple"] == 0'
for server in "${servers[@]}"; do
	stop "$server" || true
done
check_migrated $clients "$topology_dir"/server[1-4].log
stop_ringwayd
