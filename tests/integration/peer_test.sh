#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# peer_test.sh - the tests' own QUIC server is what other tests take it for: transfers
# are whole, also when the client moves; its Connection IDs, Retry and resets on the
# wire are as configured. Without ringwayd: the forwarder's kernel routes.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

size_mb=${QUICK:+20}
size_mb=${size_mb:-50}
client_count=${QUICK:+50}
client_count=${client_count:-200}
ipv4=10.0.1.2
ipv6=2001:db8:1::2
alias_ipv4=203.0.113.1 # on the backend's lo, as in l2 mode
alias_ipv6=2001:db8:aa::1
reset_key=00112233445566778899aabbccddeeff
lb_key=8f95f09245765f80256934e50c66207f

topology_up 1
www=$topology_dir/www
got=$topology_dir/got
counters=$topology_dir/counters.json
capture=$topology_dir/capture.pcap
mkdir "$www" "$got"
head -c "${size_mb}M" /dev/urandom >"$www/file"
head -c 10M /dev/urandom >"$www/part"
head -c 10000 /dev/urandom >"$www/small"
truncate -s 4G "$topology_dir/endless" # that nobody gets to the end of

# --- The server ---

# server_up [OPTION]...
server_up() {
	make_certificate
	start backend1 "$topology_dir/server.log" "$BUILD/tests/peers/quic_server" "$@" '*' \
		"$backend_port" "$topology_dir/key.pem" "$topology_dir/cert.pem" "$www"
	server_pid=$started_pid
	wait_for 10 'quic_server' grep -q 'is ready' "$topology_dir/server.log"
}

# server_down: its counters are in $counters then.
server_down() {
	stop "$server_pid" || fail "quic_server: exit status $? in $(cat "$topology_dir/server.log")"
	sed -n '/^{/,$p' "$topology_dir/server.log" >"$counters"
	# Nothing here should ever come to these.
	check_true 'no failures' "$counters" 'all(d[k] == 0 for k in ("connections_failed",
		"connections_refused", "paths_failed", "send_failures", "tokens_refused"))'
}

# --- The client ---

# client_start ADDRESS PATH [OPTION]...: a request in the background; $started_pid.
client_start() {
	local host=$1

	[[ $host != *:* ]] || host="[$host]"
	start client "$topology_dir/client.log" timeout 60 gtlsclient -q --no-quic-dump \
		--no-http-dump --download="$got" "${@:3}" "$1" "$backend_port" "https://$host/$2"
}

client_wait() {
	local status=0

	await "$1" || status=$?
	((status == 0)) || fail "gtlsclient: exit status $status, $(cat "$topology_dir/client.log")"
}

# get ADDRESS PATH [OPTION]...: the file arrives as it is.
get() {
	rm -f "$got/$2"
	client_start "$@" --exit-on-all-streams-close
	client_wait "$started_pid"
	same_content "$www/$2" "$got/$2" || fail "get $*: other content"
	echo "get $*: byte-identical"
}

# put ADDRESS FILE [OPTION]...: the server got the file as it is.
put() {
	local sum

	sum=$(sha256sum <"$www/$2")
	rm -f "$got/upload"
	client_start "$1" upload -m PUT -d "$www/$2" "${@:3}" --exit-on-all-streams-close
	client_wait "$started_pid"
	check_equal "put $*" "$(stat -c %s "$www/$2") ${sum%% *}" "$(cat "$got/upload")"
}

# --- What is on the wire ---

capture_start() {
	start backend1 "$topology_dir/tcpdump.log" tcpdump -Z root -U --immediate-mode -s 128 \
		-i lan -w "$capture" udp port $backend_port
	tcpdump_pid=$started_pid
	wait_for 10 'tcpdump' grep -q 'listening on' "$topology_dir/tcpdump.log"
}

# capture_stop LENGTH: $first_cid is the client's choice, $server_cids are the server's.
capture_stop() {
	stop "$tcpdump_pid" || fail "tcpdump: $(cat "$topology_dir/tcpdump.log")"
	mapfile -t server_cids < <(python3 "$tests_dir/quic.py" cids "$capture" $backend_port "$1")
	first_cid=${server_cids[0]}
	server_cids=("${server_cids[@]:1}")
}

ask() {
	run_in client python3 "$tests_dir/quic.py" ask "$1" $backend_port "${@:2}"
}

# junk CID SIZE: a short header of that ID, in hex.
junk() {
	printf '40%s' "$1"
	printf 'a5%.0s' $(seq $(($2 - 1 - ${#1} / 2)))
}

# --- The cases ---

transfers() {
	local address

	ip_alias
	server_up
	for address in $ipv4 $ipv6 $alias_ipv4 $alias_ipv6; do
		get "$address" file
		put "$address" file
	done
	server_down
	check_true 'transfers' "$counters" 'd["connections_finished"] == 8 and d["requests"] == 8 and
		d["connections_established"] == 8 and d["paths_validated"] == 0'
	check_true 'datagrams without a connection' "$counters" \
		'd["unknown_connection_ids"] == 0 and d["resets_sent"] == 0'
}

ip_alias() {
	run_in backend1 ip address add $alias_ipv4/32 dev lo
	run_in backend1 ip address add $alias_ipv6/128 dev lo nodad
	run_in forwarder ip route add $alias_ipv4/32 via $ipv4
	run_in forwarder ip -6 route add $alias_ipv6/128 via $ipv6
}

# A client that only acknowledges has nothing to send from its new port: it uploads, or
# begins to download after it has moved.
moves() {
	local address

	server_up
	for address in $ipv4 $ipv6; do
		get "$address" part --change-local-addr=20ms
		put "$address" part --change-local-addr=20ms
		get "$address" part --change-local-addr=20ms --nat-rebinding --delay-stream=200ms
		put "$address" part --change-local-addr=20ms --nat-rebinding
	done
	server_down
	check_true 'moves' "$counters" 'd["connections_finished"] == 8 and d["paths_validated"] >= 8'
}

# Clients stay until they are ended: all are there at one time.
many() {
	local pids=() i

	server_up
	for ((i = 0; i < client_count; i++)); do
		mkdir "$got/$i"
		client_start $ipv4 small --download="$got/$i"
		pids+=("$started_pid")
	done
	wait_for 25 "$client_count downloads" all_are_down
	for ((i = 0; i < client_count; i++)); do
		same_content "$www/small" "$got/$i/small" || fail "client $i: other content"
	done
	server_down
	kill "${pids[@]}" # all at once: stop() waits for each
	for i in "${pids[@]}"; do
		stop "$i" || true
	done
	check_true 'connections' "$counters" \
		"d['connections_peak'] == $client_count and d['requests'] == $client_count"
}

all_are_down() {
	(($(find "$got" -name small -size 10000c | wc -l) == client_count))
}

# quic_lb ROTATION SERVER_ID NONCE_LENGTH KEY|- [OPTION]...: all its IDs say who it is.
quic_lb() {
	local id_len=$((${#2} / 2)) key=() name="QUIC-LB $*" ids

	[[ $4 == - ]] || key=(--lb-key="$4")
	server_up --cid=quic-lb --lb-rotation="$1" --lb-server-id="$2" --lb-nonce-len="$3" \
		"${key[@]}" "${@:5}"
	capture_start
	get $ipv6 small --change-local-addr=20ms --delay-stream=200ms
	get $ipv4 small --change-local-addr=20ms --delay-stream=200ms
	capture_stop $((1 + id_len + $3))
	server_down
	mapfile -t ids < <(printf '%s\n' "${server_cids[@]}" |
		python3 "$tests_dir/quic.py" server-ids "$1" "$id_len" "$4" | sort -u)
	check_equal "$name: server ids" "$2" "${ids[*]}"
	# The first of each client and that of its move.
	((${#server_cids[@]} >= 4)) || fail "$name: only ${server_cids[*]}"
	echo "$name: ${#server_cids[@]} Connection IDs"
}

# client_cids KIND PREFIX: the first ID begins with PREFIX, all with the client's 8 bytes.
client_cids() {
	local chosen=0123456789abcdef1032547698badcfe5566 cid

	server_up --cid="$1"
	capture_start
	get $ipv4 small --dcid=$chosen --change-local-addr=20ms --delay-stream=200ms
	capture_stop 18
	server_down
	check_equal "$1: opened to" $chosen "$first_cid"
	check_equal "$1: first ID" "$2" "${server_cids[0]:0:${#2}}"
	((${#server_cids[@]} >= 2)) || fail "$1: only ${server_cids[*]}"
	for cid in "${server_cids[@]}"; do
		check_equal "$1: $cid" ${chosen:0:16} "${cid:0:16}"
	done
}

retry() {
	server_up --retry
	get $ipv4 part
	put $ipv6 part
	server_down
	check_true 'Retry' "$counters" 'd["retries_sent"] == 2 and d["connections_accepted"] == 2'
	quic_lb 1 c4605e 6 - --retry
	check_true 'Retry' "$counters" 'd["retries_sent"] == 2'
}

# A reset is one byte shorter than what it answers, and not below 21 or above 42.
resets() {
	local cid=000102030405060708090a0b0c0d0e0f1011 other=ff0102030405060708090a0b0c0d0e0f1011
	local sizes=(19 21 22 30 43 44 1200) datagrams=() answers=() again size

	for size in "${sizes[@]}"; do
		datagrams+=("$(junk $cid "$size")")
	done
	datagrams+=("$(junk $other 100)")
	server_up --stateless-reset-key=$reset_key
	mapfile -t answers < <(ask $ipv4 "${datagrams[@]}")
	check_equal 'lengths of resets' '21 29 42 42 42 42' "$(lengths "${answers[@]}")"
	check_equal 'tokens of one ID' 1 "$(tokens "${answers[@]:0:5}" | sort -u | wc -l)"
	check_equal 'tokens of two IDs' 2 "$(tokens "${answers[@]}" | sort -u | wc -l)"
	server_down
	check_true 'resets' "$counters" 'd["resets_sent"] == 6 and d["unknown_connection_ids"] == 8'

	server_up --stateless-reset-key=$reset_key
	again=$(ask $ipv6 "${datagrams[2]}")
	check_equal 'token after a restart' "$(tokens "${answers[0]}")" "$(tokens "$again")"
	server_down

	server_up
	check_equal 'resets without a key' '' "$(ask $ipv4 "${datagrams[@]}")"
	server_down
}

# What is no QUIC at all is counted, and the server lives.
malformed() {
	server_up
	check_equal 'answers' '' "$(ask $ipv4 '' 40 80 c000000001 c00000000115 ffffffffffff)"
	server_down
	check_true 'malformed' "$counters" 'd["malformed"] == 6 and d["datagrams_in"] == 7 and
		d["version_negotiations_sent"] == 1'
}

lengths() {
	local answer all=()

	for answer; do
		all+=($((${#answer} / 2)))
	done
	echo "${all[*]}"
}

tokens() {
	local answer

	for answer; do
		echo "${answer: -32}"
	done
}

# A server that has forgotten the connection ends it long before silence would.
reset_ends_connection() {
	local before

	before=$(udp_counter backend1 InDatagrams)
	server_up --stateless-reset-key=$reset_key --idle-timeout=120
	client_start $ipv4 endless -m PUT -d "$topology_dir/endless" --timeout=120s
	client_pid=$started_pid
	wait_for 10 'the upload to run' received $((before + 1000))
	stop "$server_pid" KILL 2>/dev/null || true
	is_running "$client_pid" || fail 'the client has not outlived its server'
	server_up --stateless-reset-key=$reset_key --idle-timeout=120
	wait_for 20 'the client to end' client_is_gone
	server_down
	check_true 'a reset' "$counters" 'd["resets_sent"] >= 1 and d["connections_accepted"] == 0'
}

received() {
	(($(udp_counter backend1 InDatagrams) > $1))
}

client_is_gone() {
	! is_running "$client_pid"
}

transfers
moves
many
quic_lb 0 c4605e 4 -
quic_lb 2 ed793a51d49b8f5f 8 $lb_key
quic_lb 5 ed793a 4 $lb_key
quic_lb 3 ed793a51d49b8f5fab 10 $lb_key
client_cids client 0123456789abcdef1032547698badcfe5566
client_cids client-prefix 0123456789abcdef
retry
resets
malformed
reset_ends_connection
