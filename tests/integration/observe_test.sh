#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# observe_test.sh - what a running ringwayd says of its decisions: `lookup` names the
# backend that a datagram then gets, and changes nothing; `trace` shows decisions as
# they are made; `stats` and `backends` count and explain; what
# `flush` does to each of them.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

cid_of_2=2702020102030405 # rotation 1, server id 0202, nonce 0102030405
unknown=4a01020304050607
strange=4b01020304050607
from=198.51.100.2:4000

topology_up 2
config=$topology_dir/ringway.yaml
topology_config "$config"
sed -i '/^    mode: nat/a\    quic_lb: [{ rotation: 1, server_id_length: 2, nonce_length: 5 }]\
    health: { probe: udp, payload: "00", interval: 100ms, timeout: 50ms, fall: 2 }' "$config"
for i in 1 2; do
	sed -i "/name: backend$i/a\\        server_ids: [\"0${i}0$i\"]" "$config"
done
cat >>"$config" <<END
  - name: plain
    addresses: [$service_ipv4]
    port: 444
    protocol: udp
    backends:
      - name: only
        addresses: [10.0.1.2]
        port: 4434
END
start_echo backend1
start_echo backend2
echo_of_2=$started_pid
start_ringwayd "$config"

# lookup MEMBER ARGUMENT...
lookup() {
	ringwayctl lookup --json "${@:2}" >"$topology_dir/lookup.json"
	json "$topology_dir/lookup.json" "d['$1']"
}

# --- lookup ---

check_equal 'a server id in the Connection ID' backend2 "$(lookup backend web --cid $cid_of_2)"
check_equal 'its rule' quic_lb "$(lookup rule web --cid $cid_of_2)"
check_equal 'by IPv6' backend2 "$(lookup backend web --cid $cid_of_2 --from '[2001:db8:ff::2]:1')"
check_equal 'nobody knows it' discovery "$(lookup rule web --cid $unknown --from $from)"
check_equal 'an Initial' new "$(lookup rule web --cid $unknown --from $from --version 1)"
check_equal 'plain UDP' 'only new' \
	"$(lookup backend plain --from $from) $(lookup rule plain --from $from)"
ringwayctl lookup web --cid $cid_of_2 >"$topology_dir/lookup.txt"
check_equal 'in words' 'web/backend2, by rule quic_lb: the Connection ID names the server' \
	"$(<"$topology_dir/lookup.txt")"
[[ $(ringwayctl lookup web --cid $unknown) == *'give it with --from'* ]] || fail 'no word on --from'

# lookup_refused PATTERN ARGUMENT...
lookup_refused() {
	! ringwayctl lookup "${@:2}" 2>"$topology_dir/refused.log" || fail "not refused: ${*:2}"
	grep -q -- "$1" "$topology_dir/refused.log" || fail "$(<"$topology_dir/refused.log")"
	echo "refused: ${*:2}"
}
lookup_refused 'no such service' nobody --cid $unknown
lookup_refused 'give the Connection ID' web
lookup_refused 'no Connection ID' web --cid 123
lookup_refused 'no Connection ID' web --cid 000102030405060708090a0b0c0d0e0f1011121314
lookup_refused 'no address with a port' web --cid $unknown --from 192.0.2.9
lookup_refused 'no version' web --cid $unknown --version 3
lookup_refused 'no client sends' web --cid $unknown --version 0x00000000
lookup_refused 'only --from counts' plain --cid $unknown
lookup_refused 'has no IPv6 address' plain --from '[2001:db8::9]:1'

# What it says is what happens: the same client, the same Initial.
initial=c000000001084a0102030405060700$(printf '%02370d' 0)
send() {
	run_in client python3 - "$@" <<-'END'
		import socket, sys
		sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		sock.settimeout(10)
		sock.bind(("0.0.0.0", int(sys.argv[1])))
		for _ in range(int(sys.argv[3])):
		    sock.sendto(bytes.fromhex(sys.argv[2]), ("192.0.2.1", 443))
		    sock.recv(65536)
	END
}
ringwayctl stats --json >"$topology_dir/stats.json"
check_true 'nothing was decided by all this' "$topology_dir/stats.json" \
	'd["totals"]["decided"] == dict.fromkeys(d["totals"]["decided"], 0) and
	d["totals"]["tuples"]["inserted"] == d["totals"]["cids"]["inserted"] == 0'
ports=(4000 4001 4002 4003 4004 4005)
declare -A told_of=()
for port in "${ports[@]}"; do
	told=$(lookup backend web --cid $unknown --from 198.51.100.2:$port --version 1)
	ringwayctl backends --json >"$topology_dir/before.json"
	send $port "$initial" 1
	ringwayctl backends --json >"$topology_dir/after.json"
	for name in backend1 backend2; do
		got=$(($(json "$topology_dir/after.json" \
			"[b['out']['datagrams'] for b in d if b['backend'] == '$name'][0]") - \
			$(json "$topology_dir/before.json" \
				"[b['out']['datagrams'] for b in d if b['backend'] == '$name'][0]")))
		[[ $name == "$told" ]] && wanted=1 || wanted=0
		check_equal "port $port, told $told: $name" $wanted $got
	done
	told_of[$port]=$told
	check_equal 'known from now on' "$told four_tuple" \
		"$(lookup backend web --cid $unknown --from 198.51.100.2:$port) $(lookup rule web --cid $unknown --from 198.51.100.2:$port)"
done

# --- trace ---

# trace_start NAME OPTION...: returns when it is on.
trace_start() {
	local before

	before=$(log_count 'tracing decisions')
	start forwarder "$topology_dir/$1.trace" "$BUILD/ringwayctl" \
		-s "$topology_dir/ringway.sock" trace --json "${@:2}"
	trace_pid=$started_pid
	wait_for 5 'the trace to be on' log_has_more_than "$before" 'tracing decisions'
}

log_count() {
	grep -c "$1" "$topology_dir/ringwayd.log" || true
}

log_has_more_than() {
	(($(log_count "$2") > $1))
}

# trace_end NAME: by itself, as it was told how many to wait for.
trace_end() {
	wait_for 10 "the end of trace $1" is_not_running "$trace_pid"
	await "$trace_pid" || fail "trace $1: exit status $?"
}

is_not_running() {
	! is_running "$1"
}

# traced NAME MEMBER: of every record, in a line.
traced() {
	python3 -c 'import json, sys
print(*(json.loads(line)[sys.argv[2]] for line in open(sys.argv[1])))' "$topology_dir/$1.trace" "$2"
}

# Of two Connection IDs on two 4-tuples, the one that was asked for.
trace_start one --cid 4a0102 --count=2
send 4000 "$initial" 1
send 4010 "c00000000108ff0102030405060700$(printf '%02370d' 0)" 1
send 4000 "$initial" 1
trace_end one
check_equal 'connection IDs' "$unknown $unknown" "$(traced one connection_id)"
check_equal 'clients' '198.51.100.2:4000 198.51.100.2:4000' "$(traced one client)"
check_equal 'services' 'web web' "$(traced one service)"
check_equal 'rules: the first has taught the ID' 'four_tuple connection_id' "$(traced one rule)"
check_equal 'types' 'initial initial' "$(traced one type)"
check_equal 'dropped' 'None None' "$(traced one dropped)"
told=$(lookup backend web --cid $unknown --from $from --version 1)
check_equal 'backends, as lookup tells' "$told $told" "$(traced one backend)"

# Every 10000th, by the Connection ID's first 8 bytes.
trace_start every --every 10000
for number in 9999 10000 10001 19999 20000 20001; do
	send 4000 "c00000000108$(printf %016x $number)00$(printf '%02370d' 0)" 1
done
is_traced() {
	[[ $(traced every connection_id) == "$1" ]]
}
wait_for 5 'two of six' is_traced '0000000000002710 0000000000004e20' ||
	fail "traced: $(traced every connection_id)"

# Only one at a time; who goes frees the place, at once or when its lease has run out.
! ringwayctl trace --every 1 --count=1 2>"$topology_dir/second.err" || fail 'two traces'
grep -q 'another trace runs' "$topology_dir/second.err" || fail "$(<"$topology_dir/second.err")"
ended=$(log_count 'tracing has ended')
stop "$trace_pid" || fail "exit status $? of an interrupted trace"
check_equal 'ended with it' $((ended + 1)) "$(log_count 'tracing has ended')"
trace_start killed --every 1
stop "$trace_pid" KILL || true
wait_for 10 'the lease to run out' log_has_more_than $((ended + 1)) 'tracing has ended'
trace_start all --every 1 --count=20
send 4000 "$initial" 20
trace_end all
check_equal 'all of 20' 20 "$(traced all client | wc -w)"
for arguments in '' '--every 0' '--every x' '--cid 1' '--cid 07 --every 7'; do
	# shellcheck disable=SC2086
	! ringwayctl trace $arguments --count=1 2>"$topology_dir/refused.log" ||
		fail "not refused: trace $arguments"
done

# --- stats, backends ---

tables_are_known() {
	ringwayctl stats --json >"$topology_dir/stats.json"
	[[ $(json "$topology_dir/stats.json" \
		'all(t["entries"] for k, t in d["tables"].items() if k == "tuples")') == True ]]
}
wait_for 20 'the entries to be counted' tables_are_known
stats_at_rest "$topology_dir/stats.json"
check_true 'entries' "$topology_dir/stats.json" \
	'0 < d["tables"]["tuples"]["entries"] <= d["totals"]["tuples"]["inserted"]'
check_true 'fill' "$topology_dir/stats.json" '0 < d["tables"]["tuples"]["fill"] < 0.01 and
	d["tables"]["tuples"]["bytes"] == 8 * d["tables"]["tuples"]["places"]'
check_true 'rules' "$topology_dir/stats.json" \
	'd["totals"]["decided"]["four_tuple"] > 0 and d["totals"]["decided"]["new"] == 7'
check_conservation "$topology_dir/stats.json"
[[ $(ringwayctl stats) =~ four_tuple\ .*'the 4-tuple is known' ]] || fail "$(ringwayctl stats)"

# --- flush: one backend's connections are cut, no others', and forgotten by undrain ---

# check_flush RULE: by which those of backend2 now go, that are on a known 4-tuple.
check_flush() {
	local port wanted

	for port in "${ports[@]}"; do
		wanted=four_tuple
		[[ ${told_of[$port]} != backend2 ]] || wanted=$1
		check_equal "port $port of ${told_of[$port]}" "$wanted" \
			"$(lookup rule web --cid $strange --from 198.51.100.2:$port)"
	done
}

[[ " ${told_of[*]} " == *' backend1 '* && " ${told_of[*]} " == *' backend2 '* ]] ||
	fail "one backend has all: ${told_of[*]}"
ringwayctl flush web/backend2 | grep -q 'its connections are cut' || fail 'flush is silent'
check_flush gone
check_equal 'a server id of nobody' 'backend1 gone' \
	"$(lookup backend web --cid $cid_of_2) $(lookup rule web --cid $cid_of_2)"
ringwayctl undrain web/backend2
check_flush discovery
check_equal 'a server id again' backend2 "$(lookup backend web --cid $cid_of_2)"

# --- health ---

is_down() {
	ringwayctl backends --json >"$topology_dir/backends.json"
	[[ $(json "$topology_dir/backends.json" '[h["state"] for b in d if b["backend"] == "backend2"
		for h in b["health"]]') == "['down', 'down']" ]]
}
ringwayctl backends --json >"$topology_dir/backends.json"
check_true 'up' "$topology_dir/backends.json" 'all(h["state"] == "up" for b in d for h in b["health"])'
stop "$echo_of_2" || true
wait_for 10 'backend2 to be down' is_down
check_true 'reason' "$topology_dir/backends.json" \
	'all(h["reason"] for b in d if b["backend"] == "backend2" for h in b["health"])'
[[ $(ringwayctl backends) =~ backend2\ .*'down '[0-9]+' s: ' ]] || fail "$(ringwayctl backends)"
stop_ringwayd || fail "exit status $? after SIGTERM"
