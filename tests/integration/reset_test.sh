#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# reset_test.sh - clients migrate while four servers that share one stateless reset
# key answer every Connection ID that is not theirs with a reset: none of these
# reaches a client, which would end its connection. Junk from another prefix does
# not keep them from being found.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

clients=${QUICK:+6}
clients=${clients:-20}
junk_rate=${LOAD:+4000} # what a sanitizer's ringwayd keeps up with
junk_rate=${junk_rate:-20000}
reset_key=00112233445566778899aabbccddeeff

topology_up 4 2
www=$topology_dir/www
mkdir "$www"
head -c 2M /dev/urandom >"$www/file"
topology_config "$topology_dir/ringway.yaml"
make_certificate

declare -A servers
for i in 1 2 3 4; do
	start "backend$i" "$topology_dir/server$i.log" "$BUILD/tests/peers/quic_server" \
		--stateless-reset-key=$reset_key '*' "$backend_port" "$topology_dir/key.pem" \
		"$topology_dir/cert.pem" "$www"
	servers[$i]=$started_pid
	wait_for 10 "quic_server $i" grep -q 'is ready' "$topology_dir/server$i.log"
done
start_ringwayd "$topology_dir/ringway.yaml"
ringwayctl backends >/dev/null

# Half of the clients by IPv6, each with a request that waits until it has moved.
clients_run() {
	local i host pids=()

	for ((i = 1; i <= clients; i++)); do
		host=$service_ipv4
		((i % 2)) || host=$service_ipv6
		mkdir -p "$topology_dir/$1.$i"
		start client "$topology_dir/$1.$i/log" timeout 60 gtlsclient -q --no-quic-dump \
			--no-http-dump --exit-on-all-streams-close --change-local-addr=500ms \
			--delay-stream=1500ms --download="$topology_dir/$1.$i" "$host" \
			"$service_port" "https://ringway.example/file"
		pids+=("$started_pid")
	done
	for i in "${!pids[@]}"; do
		download_wait "${pids[i]}" file "$topology_dir/$1.$((i + 1))" 2>/dev/null &&
			same_content "$www/file" "$topology_dir/$1.$((i + 1))/file" && survived+=1
	done
	return 0
}

# The junk's Connection IDs are nobody's, its sources are of a prefix of its own.
junk_start() {
	start client "$topology_dir/junk.log" "$load" send --interface=wan \
		--to=$service_ipv4:$service_port --from=203.0.113.1 --mac="$1" \
		--kind=quic-short --flows=5000 --rate=$junk_rate --count=$((120 * junk_rate)) \
		--seconds=120
	junk_pid=$started_pid
	wait_for 20 'junk that may not ask any more' has_refused_more_than "$(refused)"
}

refused() {
	total '["routing"]["discovery_refused"]'
}

has_refused_more_than() {
	(($(refused) > $1))
}

# total MEMBER: of all workers.
total() {
	ringwayctl stats --json >"$topology_dir/total.json"
	json "$topology_dir/total.json" "d['totals']$1"
}

# phase_run NAME: all clients migrate, their owners are found, and resets are kept from
# them. Without the owners' answers, clients would have been with them by chance.
phase_run() {
	local found kept

	found=$(total '["routing"]["discovered"]') kept=$(total '["dropped"]["discovery_answer"]')
	survived=0
	clients_run "$1"
	check_equal "$1: clients that migrated and got everything" "$clients" "$survived"
	found=$(($(total '["routing"]["discovered"]') - found))
	kept=$(($(total '["dropped"]["discovery_answer"]') - kept))
	echo "$1: owners found: $found, answers that were kept from clients: $kept"
	((found >= clients)) || fail "$1: owners of only $found of $clients clients were found"
	((kept > 0)) || fail "$1: no reset was kept from a client"
}

declare -i survived=0
phase_run alone
mac=$(run_in forwarder ip -o link show wan | sed 's/.*link\/ether \([0-9a-f:]*\).*/\1/')
junk_start "$mac"
phase_run junk
is_running "$junk_pid" || fail "the junk has ended too early: $(<"$topology_dir/junk.log")"
stop "$junk_pid" >/dev/null || true

resets=0
for i in 1 2 3 4; do
	stop "${servers[$i]}" || true
	sed -n '/^{/,$p' "$topology_dir/server$i.log" >"$topology_dir/server$i.json"
	resets=$((resets + $(json "$topology_dir/server$i.json" 'd["resets_sent"]')))
done
echo "resets that servers sent: $resets"
((resets > 0)) || fail 'no server sent a reset: nothing was shown'
stop_ringwayd
