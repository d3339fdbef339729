# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# connections.sh - very many QUIC connections of ringway-load, each known by number to
# the sinks, so that a test can say of every one which backend it is with. After lib.sh.
#
# A phase is one datagram of each connection, sent in sweeps until every connection
# has arrived: a full ring loses some, and no sweep changes where they belong. What
# a backend saw is in $topology_dir/PHASE.SWEEP.HOST.

ports_of_address=500 # so that no /24 uses up its ration of new connections
sweeps_max=10

# Where clients are: they are all behind the client's host. Each has a /24 of its own.
clients_first=10.64.0.0
clients_moved=10.128.0.0
clients_other=10.192.0.0

clients_route() {
	local mac

	mac=$(run_in client ip link show dev wan | awk '/link.ether/ { print $2 }')
	run_in forwarder ip neighbour replace 198.51.100.2 lladdr "$mac" dev wan
	run_in forwarder ip route add 10.64.0.0/10 via 198.51.100.2
	run_in forwarder ip route add 10.128.0.0/9 via 198.51.100.2
}

# sinks_start LOG CONNECTIONS STREAM [OPTION]...: on all hosts; the client's counts answers.
sinks_start() {
	local log=$1 connections=$2 stream=$3 host interface

	declare -gA sinks=()
	for host in $(topology_backend_names) client; do
		interface=lan
		[[ $host != client ]] || interface=wan
		start "$host" "$log.$host.log" "$load" sink --json --interface=$interface \
			--connections="$connections" --stream="$stream" --output="$log.$host" "${@:4}"
		sinks[$host]=$started_pid
	done
	for host in "${!sinks[@]}"; do
		wait_for 10 "the sink on $host" grep -q '^counting on' "$log.$host.log"
	done
}

sinks_stop() {
	local host

	stats_at_rest "$topology_dir/stats.json"
	for host in "${!sinks[@]}"; do
		stop "${sinks[$host]}" || fail "the sink on $host: status $?"
	done
}

# send CPU FROM FLOWS STREAM RATE [OPTION]...: a datagram of each flow.
send() {
	run_in client "$load" send --json --interface=wan --to=$service_ipv4:$service_port \
		--cpu="$1" --from="$2" --flows="$3" --count="$3" --stream="$4" --rate="$5" \
		--ports=$ports_of_address --step=256 --seconds=300 "${@:6}" \
		>"$topology_dir/sent.json" 2>"$topology_dir/sent.log" ||
		fail "send ${*:6}: $(<"$topology_dir/sent.log")"
}

# phase NAME SINK_OPTION|- CPU FROM FLOWS RATE [OPTION]...: until all have arrived, and
# with --handshake until all have been answered.
phase() {
	local name=$1 option=$2 flows=$5 sweep left hosts

	[[ $option != - ]] || option=
	for ((sweep = 1; sweep <= sweeps_max; sweep++)); do
		# shellcheck disable=SC2086 # none or one
		sinks_start "$topology_dir/$name.$sweep" "$flows" 1 $option
		send "$3" "$4" "$flows" 1 "${@:6}"
		sinks_stop
		left=0
		for hosts in 'backend*[0-9]' ${option:+client}; do
			# shellcheck disable=SC2086,SC2231 # patterns
			((left += $(connections missing "$flows" $topology_dir/$name.*[0-9].$hosts))) || true
		done
		((left)) || break
	done
	((left == 0)) || fail "$name: $left have not arrived after $sweeps_max sweeps"
	echo "$name: $flows connections in $sweep sweeps, $(json "$topology_dir/sent.json" \
		'round(d["rate"])')/s"
}

connections() {
	python3 "$tests_dir/connections.py" "$@"
}

# compare BEFORE AFTER: of two phases; in $topology_dir/compare.json.
compare() {
	# shellcheck disable=SC2046 # a word each
	connections compare "$topology_dir" "$1" "$2" $(topology_backend_names) \
		>"$topology_dir/compare.json"
	echo "$1, $2: $(<"$topology_dir/compare.json")"
}

# check_kept BEFORE AFTER COUNT: every connection is where it was.
check_kept() {
	compare "$1" "$2"
	check_equal "$2: connections with the backend that $1 had, others, missing" "[$3, 0, 0]" \
		"$(json "$topology_dir/compare.json" '[d["kept"], d["moved"], d["missing"]]')"
}
