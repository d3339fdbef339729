#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# handshakes_test.sh - handshakes that are more than an Initial and its answer stay with
# one backend, by what both ends have logged: Retry, version 2 and the ways to it, 0-RTT,
# Connection IDs of 0 and of 20 bytes. Every datagram that a client sent has been read by
# the backend that read its first one, and what was asked for arrives byte for byte. Also
# where the first Connection ID chooses the backend: Retry gives the client another one.
#
# gtlsclient and gtlsserver know version 2 by the number of its draft, which ringway does
# not: that is the case of a version whose packet types nobody in between can read. The
# types are those of RFC 9369, so where that version is wanted, nftables exchanges the
# numbers at the ends, in the first packet of each datagram: ringway reads no other.
#
# A session ticket can be read only by the server that made it: 0-RTT is accepted where
# Maglev chooses the same backend again, and refused by the other one.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

draft_2=709a50c4
rfc_2=6b3343cf
unheard_of=1a2a3a4a
readable=00000001 # versions of which ringway reads the types, as the client logs them
port=40000        # the client's
ports=1           # from there on, that it may use
owner=            # the backend of the last connection
servers=()
connections=0 # of this case, by what clients have logged:
initials=0    # their datagrams that began with an Initial,
early=0       # and their packets of 0-RTT before any answer
new_before=0 new_now=0 # the workers' counters, before it and at last
initials_before=0 initials_now=0

topology_up 2
www=$topology_dir/www
got=$topology_dir/got
log=$topology_dir/client.log
config=$topology_dir/ringway.yaml
stats=$topology_dir/stats.json
mkdir "$www" "$got"
head -c 30K /dev/urandom >"$www/file"
make_certificate
topology_config "$config"
start_ringwayd "$config"

# --- Servers ---

# servers_up [OPTION]... of gtlsserver: one datagram a call, so that each is seen alone.
servers_up() {
	local i

	for i in 1 2; do
		start backend$i "$topology_dir/server$i.log" gtlsserver --no-quic-dump --no-http-dump \
			--max-gso-dgrams=1 -d "$www" "$@" '*' $backend_port \
			"$topology_dir/key.pem" "$topology_dir/cert.pem"
		servers+=("$started_pid")
	done
	for i in 1 2; do
		wait_for 10 "gtlsserver on backend$i" udp_is_bound backend$i $backend_port udp udp6
	done
}

# servers_down NAME: the workers' counters are those of this case. A connection is new
# once, whatever follows; but early data may be decided in the same burst as its Initial.
servers_down() {
	local pid fresh

	for pid in "${servers[@]}"; do
		stop "$pid" || true
	done
	servers=()
	wait_for 3 'the counter of Initials' all_are_counted ||
		fail "$1: $((initials_now - initials_before)) Initials, of clients $initials"
	fresh=$((new_now - new_before))
	echo "$1: $connections connections, $initials Initials, $early of early data: $fresh new"
	((fresh >= connections && fresh <= connections + early)) || fail "$1: not so many"
	new_before=$new_now initials_before=$initials_now
	connections=0 initials=0 early=0
}

all_are_counted() {
	ringwayctl stats --json >"$stats"
	read -r new_now initials_now < <(json "$stats" '"%d %d" % (d["totals"]["decided"]["new"],
		sum(w["new_connections"] for w in d["workers"]))')
	((initials_now - initials_before == initials))
}

# check_count WHAT LEAST PATTERN: the servers have logged it as often.
check_count() {
	local found

	found=$(cat "$topology_dir"/server[12].log | grep -c -- "$3") || true
	echo "$1: $found"
	((found >= $2)) || fail "$1: at least $2 were wanted"
}

# --- The client ---

# connect ADDRESS [OPTION]...: from the port after the last one, to one backend.
connect() {
	get "$@"
	all_with_one
}

# get ADDRESS [OPTION]...: the file arrives as it is.
get() {
	local status=0

	port=$((port + 1))
	run_in client sysctl -qw "net.ipv4.ip_local_port_range=$port $((port + ports - 1))"
	rm -f "$got/file"
	start client "$log" timeout 20 gtlsclient --no-quic-dump --no-http-dump \
		--exit-on-all-streams-close --download="$got" --dcid="$(first_cid $port)" "${@:2}" \
		"$1" $service_port https://ringway.example/file
	await "$started_pid" || status=$?
	if ((status != 0)) || ! cmp "$www/file" "$got/file"; then
		tail -n 50 "$log" | cut -c 1-200 >&2
		fail "port $port: status $status, and not the file"
	fi
	connections=$((connections + 1))
	initials=$((initials + $(initials_sent)))
	early=$((early + $(in_client " pkt tx .* dcid=0x$(first_cid $port) .* type=0RTT ")))
}

# in_client PATTERN: how often it has logged it.
in_client() {
	grep -cE -- "$1" "$log" || true
}

# first_cid PORT: what the client opens to. Maglev goes by its first 8 bytes, where asked.
first_cid() {
	printf '%04x0123456789ab' "$1"
}

initials_sent() {
	awk -v initial="version=0x($readable) type=Initial" '
		/ pkt tx / && !first { first = $0 }
		/^Sent packet/ { sum += first ~ initial; first = "" }
		END { print sum + 0 }' "$log"
}

# All that the client has sent was read in one place: $owner.
all_with_one() {
	local sent

	owner=1
	(($(received_by 1) > 0)) || owner=2
	sent=$(grep -c '^Sent packet' "$log")
	wait_for 5 "$sent datagrams" received_all "$sent" ||
		fail "port $port: backend$owner has read $(received_by $owner) of $sent datagrams"
	check_equal "port $port: $sent datagrams read by backend$owner, by the other" 0 \
		"$(received_by $((3 - owner)))"
}

# received_by BACKEND: how many datagrams from the client's port.
received_by() {
	grep -c "^Received packet.* remote=[^ ]*:$port " "$topology_dir/server$1.log" || true
}

received_all() {
	(($(received_by $owner) == $1))
}

# check_client PATTERN: it has logged it.
check_client() {
	grep -E -m 1 -- "$1" "$log" | cut -c 1-200 || fail "port $port: no '$1' in the client's log"
}

# --- The cases ---

# Both families, and clients that have no Connection ID, which hears of the server's next.
retry() {
	local address

	servers_up --validate-addr
	for address in $service_ipv4 $service_ipv6; do
		connect "$address"
		check_client ' retry_source_connection_id='
		connect "$address" --scid=
		check_client ' retry_source_connection_id='
	done
	check_count 'Retry: sent' 4 '^Sending Retry'
	check_count 'Retry: tokens that came back' 4 '^Verifying Retry token'
	((initials >= 8)) || fail "Retry: only $initials Initials of 4 connections"
	servers_down Retry
}

# negotiated VERSION ADDRESS [OPTION]...
negotiated() {
	connect "${@:2}"
	check_client " the negotiated version is 0x$1"
}

# versions NAME ADDRESS: from the start; by the server's wish; after Version Negotiation.
versions() {
	servers_up --preferred-versions=v2draft,v1
	negotiated $draft_2 "$2" --version=v2draft
	negotiated $draft_2 "$2" --version=v1 --other-versions=v2draft,v1
	negotiated $draft_2 "$2" --version=0x$unheard_of --preferred-versions=v2draft,v1
	check_client ' type=VN'
	negotiated 00000001 "$2" --version=v1
	servers_down "$1"
}

# early_data NAME VERSION [OPTION]... of gtlsserver: a connection that gets a ticket, and
# two that use it, to its backend and to the other one. They upload, so that early data
# is more than a datagram; gtlsserver answers with the file when it has all.
early_data() {
	local options=(--version="$2" --session-file="$topology_dir/session.$port"
		--tp-file="$topology_dir/parameters.$port") first before

	servers_up "${@:3}"
	connect $service_ipv4 "${options[@]}"
	check_equal "$1: early data without a ticket" 0 "$early"
	first=$owner
	options+=(-m PUT -d "$www/file")

	seek_port "$first"
	connect $service_ipv4 "${options[@]}"
	check_equal "$1: backend" "$first" "$owner"
	check_equal "$1: rejected" 0 "$(in_client '^Early data was rejected')"
	check_count "$1: packets of early data that were decrypted" 10 ' pkt rx .* type=0RTT '

	seek_port $((3 - first))
	before=$early
	connect $service_ipv4 "${options[@]}"
	check_equal "$1: other backend" $((3 - first)) "$owner"
	check_equal "$1: rejected by the other" 1 "$(in_client '^Early data was rejected')"
	((early >= before + 10)) || fail "$1: only $((early - before)) packets of early data"
	servers_down "$1"
}

# seek_port BACKEND: that gets the next connection.
seek_port() {
	until next_goes_to "$1"; do
		port=$((port + 1))
	done
}

next_goes_to() {
	ringwayctl lookup web --from="198.51.100.2:$((port + 1))" --version=1 \
		--cid="$(first_cid $((port + 1)))" | grep -q "backend$1"
}

# Of 20 bytes, beside those of 18 of the servers before. A client's new port is known by
# them alone.
long_cids() {
	local i

	for i in 1 2; do
		start backend$i "$topology_dir/server$i.log" "$BUILD/tests/peers/quic_server" \
			--cid=quic-lb --lb-server-id=00010203040506070$i --lb-nonce-len=10 '*' \
			$backend_port "$topology_dir/key.pem" "$topology_dir/cert.pem" "$www"
		servers+=("$started_pid")
		wait_for 10 "quic_server $i" grep -q 'is ready' "$topology_dir/server$i.log"
	done
	ports=2
	for i in 1 2; do
		port=$((port + 1))
		get $service_ipv6 --change-local-addr=20ms --nat-rebinding --delay-stream=100ms
		check_client ' initial_source_connection_id=0x[0-9a-f]{40}$'
	done
	ports=1
	servers_down '20 bytes'
	for i in 1 2; do
		grep '"unknown_connection_ids": 0,' "$topology_dir/server$i.log" ||
			fail "20 bytes: $(<"$topology_dir/server$i.log")"
	done
	check_migrated 2 "$topology_dir"/server[12].log
}

# Ringway sees RFC 9369's number, the ends the draft's. An IPv4 datagram without a UDP
# checksum is one; the sum of what leaves is made later.
version_2_on_wire() {
	local host

	for host in client backend1 backend2; do
		run_in $host nft -f - <<-END
			table inet version_2 {
				chain out {
					type filter hook output priority 0;
					@th,64,1 1 @th,72,32 0x$draft_2 @th,72,32 set 0x$rfc_2
				}
				chain in {
					type filter hook input priority 0;
					@th,64,1 1 @th,72,32 0x$rfc_2 @th,72,32 set 0x$draft_2 udp checksum set 0
				}
			}
		END
	done
	readable="00000001|$draft_2"
}

draft_2_on_wire() {
	local host

	for host in client backend1 backend2; do
		run_in $host nft delete table inet version_2
	done
	readable=00000001
}

# hash_by four-tuple|connection-id: what chooses the backend of a new connection.
hash_by() {
	sed -i -e '/^    hash:/d' -e "s/^    mode: nat$/&\n    hash: $1/" "$config"
	ringwayctl reload
}

retry
versions 'unreadable version 2' $service_ipv6
early_data '0-RTT of an unreadable version' v2draft
early_data 0-RTT v1
long_cids
version_2_on_wire
versions 'version 2' $service_ipv4
early_data '0-RTT of version 2' v2draft
hash_by connection-id
early_data '0-RTT of version 2 and Retry' v2draft --validate-addr
draft_2_on_wire
retry

stats_at_rest "$stats"
check_true 'nothing dropped, asked or guessed' "$stats" 'not any(sum((
	list(d["totals"]["dropped"].values()), [d["totals"]["routing"]["replaced"]],
	[d["totals"]["decided"][k] for k in ("discovery", "unknown", "gone")]), []))'
check_conservation "$stats"
stop_ringwayd || fail "exit status $? after SIGTERM"
