#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# load_sink_test.sh - what ringway-load's sink says of latency, loss, order, repetition
# and damage is what load_line.py did to the datagrams; what its search finds is what a
# policer lets through. QUICK=1: all kinds of damage at once only.
#
#   source  a0 ---- m0  line, or router  m1 ---- c0  far
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/load.sh
. "$(dirname "$0")/load.sh"

line=$tests_dir/load_line.py
by=xdp

# check WHAT FILE... EXPRESSION: Python over the JSON documents d[0], d[1], ..., where
# near(a, b) is "equal, but for the histogram's error upwards".
check() {
	python3 - "$@" <<-'PYTHON' || fail "$1"
		import json, sys
		what, *files, expression = sys.argv[1:]
		d = [json.load(open(name)) for name in files]
		def rank(values, share):
		    return values[max(1, -(-len(values) * share // 1000)) - 1]
		if not eval(f"({expression})"):
		    shown = {k: v for e in d for k, v in e.items() if not isinstance(v, list)}
		    sys.exit(f"FAIL: {what}: not {expression}\n{shown}")
	PYTHON
}

# What the sink has taken from the interface, since that is there: by a program, or by
# a socket.
taken() {
	case $by in
	xdp) counter far c0 xdp_drops ;;
	socket) run_in far awk '/^Udp: [0-9]/ { print $2 }' /proc/net/snmp ;;
	esac
}

taken_is() {
	[[ $(taken) == "$1" ]]
}

# sink_start [OPTION]...: to write $dir/sink.json; it is $sink
sink_start() {
	local who=()

	# A program takes privileges, a socket none.
	[[ $by == xdp ]] || who=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	start_in far "$dir/sink.json" "$dir/sink.err" "${who[@]}" \
		"$load" sink --interface=c0 --by=$by --port=4433 --json "$@"
	sink=$started_pid
	wait_for 20 "the sink" grep -q '^counting on' "$dir/sink.err"
}

# send_to MAC COUNT RATE: to the sink; $dir/sent.json
send_to() {
	run_in source "$load" send --json --interface=a0 --to=10.9.2.2:4433 --from=10.9.1.1 \
		--mac="$1" --kind=quic-short --size=200 --flows=10 --count="$2" --rate="$3" \
		--seconds=15 >"$dir/sent.json" 2>"$dir/send.err" ||
		fail "send: $(cat "$dir/send.err")"
}

# through_line PLAN COUNT RATE [SINK_OPTION]...: $dir/sink.json and $dir/line.json
through_line() {
	local sink passer arrived

	arrived=$(taken)
	sink_start "${@:4}"
	start_in middle "$dir/line.json" "$dir/line.err" python3 "$line" m0 m1 "{\"count\": $2, $1}"
	passer=$started_pid
	wait_for 20 "the line" grep -q ready "$dir/line.err"
	send_to "$far_mac" "$2" "$3"
	await "$passer" || fail "the line: $(cat "$dir/line.err")"
	wait_for 20 "what the line passed on" taken_is \
		$((arrived + $(python3 -c 'import json, sys; print(json.load(sys.stdin)["received"])' <"$dir/line.json")))
	stop "$sink" || fail "the sink: $(cat "$dir/sink.err")"
	check "the line had them all" "$dir/sent.json" "$dir/line.json" 'd[0]["sent"] == d[1]["taken"]'
}

# through_line PLAN...: and the sink says what the line says.
line_case() {
	local what=$1

	through_line "${@:2}"
	check "$what: counts" "$dir/sink.json" "$dir/line.json" \
		'all(d[1][k] == d[0].get(k, d[0]["streams"][0].get(k)) for k in
			("received", "bad_hash", "new", "reordered", "duplicates", "highest", "lost"))'
	check "$what: nothing else" "$dir/sink.json" 'd[0]["bad_checksum"] == d[0]["bad_ip_checksum"] ==
		d[0]["unstamped"] == d[0]["stamped_later"] == d[0]["untracked"] == d[0]["too_late"] == 0'
	check "$what: expected" "$dir/sink.json" 'd[0]["expected"] == d[0]["streams"][0]["highest"] + 1
		and abs(d[0]["loss_percent"] - 100 * d[0]["lost"] / d[0]["expected"]) < 1e-9'
	check "$what: intervals make up the whole" "$dir/sink.json" \
		'all(sum(r[k] for r in d[0]["intervals"]) == d[0][k]
			for k in ("received", "bytes", "lost", "reordered", "duplicates")) and
		all(a["to"] == b["from"] for a, b in zip(d[0]["intervals"], d[0]["intervals"][1:]))'
	echo "$what: as the line did it: $(python3 -c 'import json, sys
print({k: v for k, v in json.load(sys.stdin).items() if not isinstance(v, list)})' <"$dir/line.json")"
}

# What the sink has of every seventh that an XDP program on the router drops.
loss_case() {
	local object=$BUILD/tests/integration/load_loss.bpf.o sink arrived dropped

	arrived=$(taken) dropped=$(counter middle m0 xdp_drops)
	sink_start
	run_in middle ip link set dev m0 xdp object "$object" section xdp
	send_to "$middle_mac" 3000 3000
	wait_for 20 "what was not dropped" taken_is $((arrived + 3000 - 3000 / 7))
	stop "$sink" || fail "the sink: $(cat "$dir/sink.err")"
	run_in middle ip link set dev m0 xdp off
	check_equal "loss by a program: dropped" $((3000 / 7)) $(($(counter middle m0 xdp_drops) - dropped))
	check "loss by a program: lost" "$dir/sink.json" "d[0]['lost'] == 3000 // 7 and
		d[0]['expected'] == 3000 and d[0]['received'] == d[0]['streams'][0]['new'] == 3000 - 3000 // 7
		and d[0]['reordered'] == d[0]['duplicates'] == d[0]['bad_hash'] == 0"
	echo "loss by a program: all of it, and nothing else"
}

# Each datagram was under way for longer than the line knew before it handed it on, and,
# but for what came upon the kernel in between, for less than it knew afterwards. A softirq
# may be put off at any time, so that all shares but the middle one have three tries.
latency_case() {
	for _ in 1 2 3; do
		latency_try
		! latency_is_near || return 0
	done
	fail "latency: more than the line's, three times"
}

# latency_at_most NAME SHARE
latency_at_most() {
	check "latency: at most the line's at $2 of 1000" "$dir/sink.json" "$dir/line.json" \
		"d[0]['latency_ns']['$1'] <= rank(d[1]['after_ns'], $2) * 65 / 64"
}

latency_is_near() (
	latency_at_most p90 900
	latency_at_most p99 990
)

latency_try() {
	local share

	line_case "held for 1, 5 and 20 ms" '"hold_ms": [[88, 1], [10, 5], [2, 20]]' 2000 1000
	check "latency: of how many" "$dir/sink.json" "$dir/line.json" \
		'd[0]["latency_ns"]["count"] == len(d[1]["before_ns"]) == 2000'
	for share in 500 900 990 999; do
		check "latency: at least the line's at $share of 1000" "$dir/sink.json" "$dir/line.json" \
			"d[0]['latency_ns'][{500: 'p50', 900: 'p90', 990: 'p99', 999: 'p99.9'}[$share]] >=
			 rank(d[1]['before_ns'], $share) >=
			 1e6 * {500: 1, 900: 5, 990: 20, 999: 20}[$share]"
	done
	check "latency: min, max" "$dir/sink.json" "$dir/line.json" \
		'd[0]["latency_ns"]["min"] >= d[1]["before_ns"][0] and
		 d[0]["latency_ns"]["max"] >= d[1]["before_ns"][-1]'
	latency_at_most p50 500
	check "latency: mean" "$dir/sink.json" "$dir/line.json" \
		'd[0]["latency_ns"]["mean"] >= sum(d[1]["before_ns"]) / 2000'
	python3 - "$dir/sink.json" "$dir/line.json" <<-'PYTHON'
		import json, sys
		sink, line = (json.load(open(name)) for name in sys.argv[1:])
		for key, share in ("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999), ("max", 1000):
		    least, most = (line[name][-(-2000 * share // 1000) - 1] for name in ("before_ns", "after_ns"))
		    found = sink["latency_ns"][key]
		    print(f"latency {key}: {found} ns, by the line {least} to {most}")
	PYTHON
}

# A hole of half a second is in the rows of its time.
hole_case() {
	line_case "a hole" '"drop_range": [800, 1300]' 2000 1000 --interval=200
	check "a hole: one row has it" "$dir/sink.json" \
		'[r["lost"] for r in d[0]["intervals"] if r["lost"]] == [500]'
	check "a hole: progress" "$dir/sink.json" 'len(d[0]["intervals"]) >= 10'
}

progress_case() {
	through_line '"hold_ms": []' 1000 1000 --interval=100 --progress
	grep -q '^[0-9.]* s: [0-9]*/s, .* lost 0 ' "$dir/sink.err" ||
		fail "progress: $(cat "$dir/sink.err")"
	check "progress: a line a row" "$dir/sink.json" \
		"len(d[0]['intervals']) == $(grep -c '^[0-9.]* s: ' "$dir/sink.err")"
	echo "progress: a line a row"
}

# The same by a socket, whose latencies have the way through the network stack in them.
socket_cases() {
	local connections

	by=socket
	: >"$dir/connections"
	chmod 666 "$dir/connections" # whoever the sink is
	line_case "by a socket: all of it" \
		'"drop": 7, "duplicate": 11, "swap": 5, "corrupt": 13, "hold_ms": [[50, 1], [50, 3]]' 3000 3000 \
		--connections=3000 --output="$dir/connections"
	check "by a socket: destinations" "$dir/sink.json" \
		'[[*e.values()] for e in d[0]["destinations"]] ==
		 [["10.9.2.2", 4433, d[0]["received"], 200 * d[0]["received"]]]'
	check "by a socket: latency" "$dir/sink.json" "$dir/line.json" \
		'd[0]["latency_ns"]["count"] == len(d[1]["before_ns"]) and
		 d[0]["latency_ns"]["p50"] >= rank(d[1]["before_ns"], 500) and
		 d[0]["latency_ns"]["max"] >= d[1]["before_ns"][-1]'
	connections=$(python3 -c 'import sys; print(open(sys.argv[1], "rb").read().count(1))' "$dir/connections")
	check "by a socket: connections" "$dir/sink.json" "d[0]['streams'][0]['new'] == $connections"
	by=xdp
}

# Damage, repetition and gaps are nothing to a sink that only counts.
count_only_case() {
	through_line '"drop": 7, "duplicate": 11, "corrupt": 13, "hold_ms": []' 2000 2000 \
		--count-only --interval=100
	check "counted only: each that came" "$dir/sink.json" "$dir/line.json" \
		'd[0]["received"] == d[1]["received"] and d[0]["bytes"] == 200 * d[0]["received"]'
	check "counted only: what is known" "$dir/sink.json" 'd[0]["checked"] is False and
		set(d[0]) == {"checked", "received", "bytes", "seconds", "rate", "intervals"} and
		all(set(r) == {"from", "to", "received", "bytes", "rate"} for r in d[0]["intervals"])'
	check "counted only: intervals make up the whole" "$dir/sink.json" \
		'all(sum(r[k] for r in d[0]["intervals"]) == d[0][k] for k in ("received", "bytes"))'
	check "counted only: rate" "$dir/sink.json" \
		'abs(d[0]["rate"] * d[0]["seconds"] - d[0]["received"]) < 2'
	# On a machine that holds up neither the line nor the sink.
	[[ -n ${QUICK:-} ]] || check "counted only: as long as the source took" "$dir/sink.json" \
		"$dir/sent.json" 'abs(d[0]["seconds"] - d[1]["seconds"]) < 0.1'
	echo "counted only: each that came, and nothing said of more"
}

udp_no_ports() {
	run_in far awk '/^Udp: [0-9]/ { print $3 }' /proc/net/snmp
}

no_ports_are() {
	[[ $(udp_no_ports) == "$1" ]]
}

# What goes to another port, or does not end with the trailer, is for the network stack.
count_only_filter_case() {
	local sink arrived refused port

	arrived=$(taken) refused=$(udp_no_ports)
	sink_start --count-only
	run_in source bash -c 'echo "too short" >/dev/udp/10.9.2.2/4433
		head -c 200 /dev/zero >/dev/udp/10.9.2.2/4433'
	for port in 4434 4433; do
		run_in source "$load" send --interface=a0 --to=10.9.2.2:$port --size=200 --rate=2000 \
			--count=$((port == 4433 ? 500 : 300)) >/dev/null 2>"$dir/send.err" ||
			fail "send: $(cat "$dir/send.err")"
	done
	wait_for 10 "those counted" taken_is $((arrived + 500))
	wait_for 10 "those of others" no_ports_are $((refused + 302))
	stop "$sink" || fail "the sink: $(cat "$dir/sink.err")"
	check "counted only: of the port" "$dir/sink.json" \
		'd[0]["received"] == 500 and d[0]["bytes"] == 100000'
	echo "counted only: of the port"
}

policer_count() {
	run_in middle nft -j list counter inet filter policed | python3 -c 'import json, sys
print([o["counter"]["packets"] for o in json.load(sys.stdin)["nftables"] if "counter" in o][0])'
}

# What the search missed is what the policer dropped, to the datagram. It lets 8000 a
# second through and 300 more: what no trial above passes, and what all trials do below.
search_case() {
	local refused

	run_in middle nft -f - <<-'NFT'
		table inet filter {
			counter policed { }
			chain forward {
				type filter hook forward priority 0;
				udp dport 443 limit rate over 8000/second burst 300 packets counter name policed drop
			}
		}
	NFT
	refused=$(counter source a0 xmit_errors)
	run_in source "$load" search --json --progress --interface=a0 --to=10.9.2.2:443 --seconds=1 \
		--sink-interface=c0 --sink-netns="$topology_prefix-far" --minimum=500 --maximum=40000 \
		--resolution=500 --confirm=2 "$@" >"$dir/search.json" 2>"$dir/search.err" ||
		fail "search: $(cat "$dir/search.err")"
	refused=$(($(counter source a0 xmit_errors) - refused))
	check "search: each loss is the policer's" "$dir/search.json" \
		"sum(t['lost'] for t in d[0]['trials']) == $(policer_count) + $refused"
	check "search: sums" "$dir/search.json" \
		'all(t["lost"] == t["sent"] - t["received"] and t["bad"] == t["duplicates"] == 0
			and t["latency_ns"]["count"] == t["received"] for t in d[0]["trials"])'
	run_in middle nft delete table inet filter
}

search_cases() {
	search_case
	check "search: none that lost passed" "$dir/search.json" \
		'all(t["passed"] == (t["lost"] == 0) for t in d[0]["trials"])'
	check "search: the policer's rate is not exceeded" "$dir/search.json" \
		'0 < d[0]["offered"] <= 8000 + 2 * 300 and d[0]["rate"] >= d[0]["offered"] * 0.99'
	check "search: the winner is confirmed" "$dir/search.json" 'd[0]["confirmed"] and
		sum(t["passed"] and t["rate"] == d[0]["rate"] for t in d[0]["trials"]) >= 3'
	# With a source that keeps its rate, to the resolution: not on a machine that holds it up.
	[[ -n ${QUICK:-} ]] || check "search: nothing less than the policer's rate fails" "$dir/search.json" \
		'all(t["passed"] for t in d[0]["trials"] if t["rate"] <= 7500) and
		 (d[0]["limit"] in ("loss", "source")) and d[0]["rate"] >= 7500'
	grep -qxF 'sending for 1 s a trial, at 40000/s at most and 500/s at least, out of a0 to 10.9.2.2:443, by live' \
		"$dir/search.err" || fail "search does not say what it is about to do: $(cat "$dir/search.err")"
	grep -q '^trial 1: 40000/s asked' "$dir/search.err" || fail "search: $(cat "$dir/search.err")"
	echo "search: $(python3 -c 'import json, sys; d = json.load(sys.stdin)
print({k: v for k, v in d.items() if k != "trials"}, len(d["trials"]), "trials")' <"$dir/search.json")"

	search_case --loss=100 --confirm=0
	check "search: all may be lost" "$dir/search.json" \
		'd[0]["rate"] == 40000 and d[0]["limit"] in ("maximum", "source") and 1 <= len(d[0]["trials"]) <= 3'
	echo "search: with a loss of 100 % the maximum passes"
}

# refused STATUS TEXT OPTION...
refused() {
	local status=0

	run_in source "$load" "${@:3}" >"$dir/out" 2>"$dir/err" || status=$?
	[[ $status == "$1" && ! -s $dir/out ]] || fail "${*:3}: exit status $status: $(cat "$dir/out")"
	grep -qF -- "$2" "$dir/err" || fail "${*:3}: '$2' is not in: $(cat "$dir/err")"
}

refusal_cases() {
	local search="search --interface=a0 --to=10.9.2.2:443" by="--by=socket takes --port"

	refused 2 "$by" sink --interface=a0 --by=socket
	refused 2 "$by" sink --interface=a0 --by=socket --port=5 --echo
	refused 2 "$by" sink --interface=a0 --by=socket --port=5 --handshake
	for other in --by=socket --echo --handshake --stream=1; do
		refused 2 "--count-only goes without" sink --interface=a0 --port=5 --count-only $other
	done
	refused 2 "--echo and --handshake exclude each other" sink --interface=a0 --echo --handshake
	refused 2 "bad value of --by: 'hand'" sink --interface=a0 --by=hand
	refused 1 "a socket on a9 for UDP port 4433: No such device" sink --interface=a9 --by=socket \
		--port=4433

	# shellcheck disable=SC2086 # $search is several words
	{
		refused 2 "--sink-interface is missing" $search
		refused 2 "--to=ADDR:PORT is missing" search --interface=a0 --sink-interface=c0
		refused 2 "--minimum is more than --maximum" $search --sink-interface=c0 --minimum=9 --maximum=8
		for percent in 100.1 101 . 1. .5 1.00001 1,5 -1 1e1 999999999999 ''; do
			refused 2 "bad value of --loss: '$percent'" $search --sink-interface=c0 --loss="$percent"
		done
		refused 2 "unrecognized option '--rate=5'" $search --sink-interface=c0 --rate=5
		refused 1 "no network namespace $topology_prefix-nowhere" $search --sink-interface=c0 \
			--sink-netns="$topology_prefix-nowhere"
		refused 1 "no interface c0" $search --sink-interface=c0
		refused 1 "no interface c9" $search --sink-interface=c9 --sink-netns="/run/netns/$topology_prefix-far"
		refused 1 "no interface a9" search --interface=a9 --to=10.9.2.2:443 --sink-interface=c0 \
			--sink-netns="$topology_prefix-far"
	}
	echo "refusals: as they should be"
}

# An interrupted search ends at once, and its source with it.
signal_case() {
	start_in source "$dir/out" "$dir/err" "$load" search --interface=a0 --to=10.9.2.2:443 \
		--sink-interface=c0 --sink-netns="$topology_prefix-far" --seconds=60 --maximum=1000 --progress
	wait_for 20 "the search" grep -q '^counting on' "$dir/err"
	wait_for 20 "its source" pgrep -P "$started_pid"
	! stop "$started_pid" INT || fail "an interrupted search: status 0"
	grep -q interrupted "$dir/err" || fail "an interrupted search: $(cat "$dir/err")"
	echo "an interrupted search: ends at once"
}

chmod 711 "$dir" # the sink by a socket is nobody's
for host in source middle far; do
	topology_namespace $host
done
connect source a0 1.1 middle m0 1.2
connect middle m1 2.1 far c0 2.2
far_mac=$(mac far c0)
middle_mac=$(mac middle m0)
run_in source ip route add 10.9.2.0/24 via 10.9.1.2
run_in middle sysctl -qw net.ipv4.ip_forward=1
# Waiting for a neighbour, the router would drop some of a burst.
run_in middle ip neighbour add 10.9.2.2 lladdr "$far_mac" dev m1
# What has no XDP program takes redirected frames only while it does GRO.
run_in middle ethtool -K m0 gro on

refusal_cases
line_case "nothing" '"hold_ms": []' 2000 2000
loss_case
latency_case
if [[ -z ${QUICK:-} ]]; then
	line_case "loss" '"drop": 7' 3000 3000
	line_case "repetition" '"duplicate": 11' 3000 3000
	line_case "disorder" '"swap": 5' 3000 3000
	line_case "damage" '"corrupt": 7' 3000 3000
fi
line_case "all of it" '"drop": 7, "duplicate": 11, "swap": 5, "corrupt": 13, "hold_ms": [[50, 1], [50, 3]]' \
	3000 3000
hole_case
progress_case
count_only_case
count_only_filter_case
socket_cases
search_cases
signal_case
