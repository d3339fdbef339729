#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# reload_test.sh - the configuration changes while ringwayd forwards: what it takes
# over, what it refuses, what drains, and that no datagram is lost by it.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

reloads=50
[[ -z ${QUICK:-} ]] || reloads=15
topology_up 3 2
config=$topology_dir/ringway.yaml

# Maglev alone: what is remembered of flows would hide what tables say.
protocol=udp
limits='limits: { connections: 0 }'

# configure BACKEND[:WEIGHT]...: the file with those backends of service web.
configure() {
	local i

	topology_config "$config" $protocol
	sed -i -e '/^ *- name: backend/,$d' -e "1i $limits" "$config"
	for i in "$@"; do
		cat >>"$config" <<-END
			      - name: backend${i%:*}
			        addresses: [10.0.${i%:*}.2, "2001:db8:${i%:*}::2"]
			        port: $backend_port
			        weight: ${i#*:}
		END
	done
}

status() {
	ringwayctl status --json >"$topology_dir/status.json"
	json "$topology_dir/status.json" "d['$1']"
}

# backend NAME MEMBER
backend() {
	ringwayctl backends --json >"$topology_dir/backends.json"
	json "$topology_dir/backends.json" "[b['$2'] for b in d if b['backend'] == '$1']"
}

# reload_refused NAME PATTERN...: and nothing has changed.
reload_refused() {
	local name=$1 before pattern

	before=$(status generation)
	if ringwayctl reload >"$topology_dir/reload.log" 2>&1; then
		fail "$name: not refused"
	fi
	for pattern in "${@:2}" 'nothing has changed'; do
		grep -qE "$pattern" "$topology_dir/reload.log" ||
			fail "$name: nothing like \"$pattern\" in $(<"$topology_dir/reload.log")"
	done
	check_equal "$name: generation" "$before" "$(status generation)"
}

# shares FLOWS: datagrams that each backend got of one from each of so many flows.
shares() {
	local before after i

	before=$(backend_outs)
	run_in client "$load" send --interface=wan --to=$service_ipv4:$service_port --kind=udp \
		--flows="$1" --count="$1" --rate=20000 --from="198.51.100.2:$first_port" \
		--json >"$topology_dir/sent.json" 2>"$topology_dir/sent.err"
	first_port=$((first_port + $1))
	stats_at_rest "$topology_dir/stats.json"
	after=$(backend_outs)
	python3 -c 'import json, sys
before, after = (json.loads(a) for a in sys.argv[1:])
print(" ".join(f"{name}:{after[name] - before.get(name, 0)}" for name in sorted(after)))' \
		"$before" "$after"
}
first_port=10000

backend_outs() {
	ringwayctl backends --json >"$topology_dir/backends.json"
	json "$topology_dir/backends.json" \
		'__import__("json").dumps({b["backend"]: b["out"]["datagrams"] for b in d})'
}

configure 1:1 2:1
start_ringwayd "$config"
for i in 1 2 3; do
	start_echo "backend$i"
done
check_equal 'first generation' 1 "$(status generation)"
check_equal 'slots' '[0] [1]' "$(backend backend1 slot) $(backend backend2 slot)"
echo_flows $service_ipv4 4 5

# A backend is added, another removed: names keep their slots, and all are reached.
configure 3:1 2:1
ringwayctl reload
check_equal 'generation after ringwayctl reload' 2 "$(status generation)"
check_equal 'slots' '[1] [2]' "$(backend backend2 slot) $(backend backend3 slot)"
check_equal 'resolved' 2 "$(status backends_resolved)"
check_equal 'backend1 is gone' '[]' "$(backend backend1 slot)"
read -r two three < <(shares 500)
((${two#*:} > 100 && ${three#*:} > 100)) || fail "shares: $two $three"
echo_flows $service_ipv4 4 5
echo_flows $service_ipv6 4 5
configure 1:1 2:1 3:1
ringwayctl reload
check_equal 'backend1 is back in its slot' '[0]' "$(backend backend1 slot)"

# The same by SIGHUP; weights.
configure 1:0 2:1 3:0
kill -HUP "$ringwayd_pid"
wait_for 5 'the reload by SIGHUP' grep -q 'reloaded .*generation 4' "$topology_dir/ringwayd.log"
check_equal 'only backend2 has a weight' 'backend1:0 backend2:500 backend3:0' "$(shares 500)"
check_equal 'state of weight 0' "['drained'] ['file']" \
	"$(backend backend1 state) $(backend backend1 drained_by)"
! ringwayctl undrain web/backend1 2>"$topology_dir/undrain.log" || fail 'undrained the file'
grep -q 'configuration file drains it' "$topology_dir/undrain.log" || fail 'undrain does not say why'

# Draining by command lasts over reloads.
configure 1:1 2:1
ringwayctl reload
ringwayctl drain web/backend1
check_equal 'drained' 'backend1:0 backend2:500' "$(shares 500)"
ringwayctl reload
check_equal 'drained after a reload' 'backend1:0 backend2:500' "$(shares 500)"
check_equal 'state' "['drained'] ['command']" \
	"$(backend backend1 state) $(backend backend1 drained_by)"
ringwayctl undrain web/backend1
read -r one two < <(shares 500)
((${one#*:} > 100 && ${two#*:} > 100)) || fail "shares after undrain: $one $two"

# So does flushing, which leaves it nothing at all; undrain ends it even where the file drains.
ringwayctl flush web/backend1
configure 1:0 2:1
ringwayctl reload
check_equal 'flushed and drained by the file' "['flushed'] ['command']" \
	"$(backend backend1 state) $(backend backend1 drained_by)"
ringwayctl undrain web/backend1
check_equal 'drained by the file' "['drained'] ['file']" \
	"$(backend backend1 state) $(backend backend1 drained_by)"
ringwayctl drain web/backend1
ringwayctl undrain web/backend1
! ringwayctl undrain web/backend1 2>/dev/null || fail 'undrained the file after a command'
configure 1:1 2:1
ringwayctl reload
check_equal 'no command is left behind the file' "['up']" "$(backend backend1 state)"
ringwayctl flush web/backend1
configure 2:1
ringwayctl reload
configure 1:1 2:1
ringwayctl reload
check_equal 'flushed no more once it was removed' "['up']" "$(backend backend1 state)"
for command in drain undrain flush; do
	! ringwayctl $command web/nobody 2>"$topology_dir/nobody.log" || fail "$command of nobody"
	grep -q 'no backend "web/nobody"' "$topology_dir/nobody.log" || fail "$command of nobody"
done

# A service is added, then removed.
sed 's/name: web/name: more/; s/port: 443$/port: 444/; s/port: 4433/port: 4434/; 1,/^services:/d' \
	"$config" >"$topology_dir/more.yaml"
cat "$topology_dir/more.yaml" >>"$config"
ringwayctl reload
check_equal 'services' 2 "$(status services)"
for i in 1 2; do
	start "backend$i" "$topology_dir/more$i.log" python3 "$tests_dir/peer.py" udp-server 4434
	wait_for 10 "the second echo server on backend$i" udp_is_bound "backend$i" 4434 udp6
done
run_in client python3 "$tests_dir/peer.py" udp-client $service_ipv4 444 4 5
echo_flows $service_ipv4 4 5
before=$(status generation)
configure 1:1 2:1
ringwayctl reload
check_equal 'services' 1 "$(status services)"
check_equal 'one generation a reload' $((before + 1)) "$(status generation)"
ringwayctl stats --json >"$topology_dir/before.json"
run_in client "$load" send --interface=wan --to=$service_ipv4:444 --count=10 --rate=1000 --json \
	>/dev/null 2>&1
ringwayctl stats --json >"$topology_dir/after.json"
check_equal 'traffic of a removed service goes to the kernel' 10 \
	$(($(json "$topology_dir/after.json" 'd["xdp"]["xdp_pass_not_ours"]') - \
		$(json "$topology_dir/before.json" 'd["xdp"]["xdp_pass_not_ours"]')))

# What is refused.
cp "$config" "$topology_dir/good.yaml"
sed -i 's/port: 443$/port: 99999/; s/weight: 1/weight: heavy/' "$config"
reload_refused 'a bad file' 'ringway.yaml:[0-9]+: port: "99999"' \
	'ringway.yaml:[0-9]+: weight: "heavy"'
kill -HUP "$ringwayd_pid"
wait_for 5 'the refusal of SIGHUP' grep -q 'error: the reload is refused' "$topology_dir/ringwayd.log"
grep -q 'error: .*ringway.yaml:[0-9]*: port: "99999"' "$topology_dir/ringwayd.log" ||
	fail 'SIGHUP does not log the mistakes'
rm "$config"
reload_refused 'no file' 'cannot read the file: No such file'
sed '/name: lan3/d; s/ringway\.sock/other.sock/' "$topology_dir/good.yaml" >"$config"
sed -i 's/connections: 0/connections: 5000/' "$config"
printf 'queues: 1\ncpus: [0]\n' >>"$config"
reload_refused 'what is fixed' 'interfaces cannot change' 'queues cannot' 'cpus cannot' \
	'control_socket cannot' 'limits cannot'
cp "$topology_dir/good.yaml" "$config"
echo_flows $service_ipv4 4 5

# load_result LOG KEY: of the JSON behind what it said at its start.
load_result() {
	python3 -c 'import json, sys
log = open(sys.argv[1]).read()
print(json.JSONDecoder().raw_decode(log[log.index("{"):])[0][sys.argv[2]])' "$@"
}

# sink_start HOST INTERFACE [OPTION]...: it takes datagrams before the echo servers
# would, and those to a backend that has been removed still count.
sink_start() {
	start "$1" "$topology_dir/sink-$1.json" "$load" sink --json --interface="$2" "${@:3}"
	sinks[$1]=$started_pid
	wait_for 10 "the sink on $1" grep -q '^counting on' "$topology_dir/sink-$1.json"
}
declare -A sinks

# sink_stop HOST KEY: prints that of its result.
sink_stop() {
	stop "${sinks[$1]}"
	load_result "$topology_dir/sink-$1.json" "$2"
}

refused_by_ring() {
	run_in client ethtool -S wan | awk '/xmit_errors:/ { sum += $2 } END { print sum + 0 }'
}

# load_start [OPTION]...
load_start() {
	refused=$(refused_by_ring)
	start client "$topology_dir/sent.json" "$load" send --json --interface=wan \
		--to=$service_ipv4:$service_port --flows=1000 --rate=2000 --seconds=60 --count=1000000 "$@"
	sender=$started_pid
}

# load_stop: $sent datagrams have left the client, and come to rest.
load_stop() {
	stop "$sender"
	stats_at_rest "$topology_dir/stats.json"
	sent=$(($(load_result "$topology_dir/sent.json" sent) - $(refused_by_ring) + refused))
}

# reload_often FUNCTION: which is given the number of the reload to configure.
reload_often() {
	local i before

	before=$(status generation)
	for ((i = 1; i <= reloads; i++)); do
		"$1" "$i"
		if ((i % 2)); then
			ringwayctl reload >/dev/null
		else
			kill -HUP "$ringwayd_pid"
		fi
		sleep 0.2
	done
	check_equal 'generations' $((before + reloads)) "$(status generation)"
}

# forget BACKEND...: their MAC addresses, so that the reload that adds them has to ask.
forget() {
	local i

	for i in "$@"; do
		run_in forwarder ip neighbour flush dev "lan$i"
	done
}

configure_others() {
	case $(($1 % 5)) in
	0) configure 1:1 2:1 ;;
	1) configure 3:1 2:1 1:1 && forget 3 ;;
	2) configure 3:2 ;;
	3) configure 2:3 3:1 1:2 && forget 1 2 ;;
	4) configure 1:1 ;;
	esac
}

# The same addresses under other names, which get other slots.
configure_names() {
	configure 1:1 2:1 3:1
	(($1 % 3 == 0)) || sed -i "s/name: backend/&$1-/" "$config"
	(($1 % 3 == 1)) || sed -i "s/name: web/&$1/" "$config"
}

# Reloads under load: every datagram arrives.
for i in 1 2 3; do
	sink_start "backend$i" lan --port=$backend_port
done
load_start
reload_often configure_others
load_stop
received=0
for i in 1 2 3; do
	got=$(sink_stop "backend$i" received)
	echo "backend$i: $got"
	((got > 0)) || fail "nothing reached backend$i"
	received=$((received + got))
done
check_equal "every datagram of $sent, over $reloads reloads" "$sent" "$received"
check_conservation "$topology_dir/stats.json"

# Names change, and nobody moves: every datagram arrives, and so does its answer.
configure_names 3
ringwayctl reload
for i in 1 2 3; do
	sink_start "backend$i" lan --port=$backend_port --echo
done
sink_start client wan
load_start
reload_often configure_names
load_stop
received=0
for i in 1 2 3; do
	received=$((received + $(sink_stop "backend$i" echoed)))
done
check_equal "every datagram of $sent, over $reloads changes of names" "$sent" "$received"
check_equal 'every answer' "$sent" "$(sink_stop client received)"
check_conservation "$topology_dir/stats.json"
stop_ringwayd || fail "exit status $? after SIGTERM"

# Connections that tables remember, while weights change: each keeps its backend.
configure_weights() {
	configure 1:$(($1 % 3)) 2:$((($1 + 1) % 3)) 3:$((($1 + 2) % 3))
}

protocol=
limits='# tables as large as they are by default'
configure 1:1 2:1 3:1
start_ringwayd "$config"
for i in 1 2 3; do
	sink_start "backend$i" lan --connections=1000 --stream=1 --handshake \
		--output="$topology_dir/taught$i"
done
run_in client "$load" send --json --interface=wan --to=$service_ipv4:$service_port \
	--flows=1000 --count=1000 --rate=2000 --stream=1 --kind=quic-initial \
	>"$topology_dir/taught.json" 2>"$topology_dir/taught.log"
stats_at_rest "$topology_dir/taught.stats"
for i in 1 2 3; do
	sink_stop "backend$i" received
	sink_start "backend$i" lan --port=$backend_port
done
load_start --kind=quic-short --stream=1
reload_often configure_weights
load_stop
received=0
for i in 1 2 3; do
	received=$((received + $(sink_stop "backend$i" received)))
done
check_equal "every short header of $sent, over $reloads reloads" "$sent" "$received"
check_true 'all of them were known' "$topology_dir/stats.json" \
	'd["totals"]["decided"]["new"] == 1000 and d["totals"]["routing"]["copies"] ==
	d["totals"]["decided"]["discovery"] == d["totals"]["decided"]["unknown"] == 0'
check_conservation "$topology_dir/stats.json"
stop_ringwayd || fail "exit status $? after SIGTERM"
