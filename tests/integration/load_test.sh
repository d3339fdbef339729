#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# load_test.sh - ringway-load sends what it says, and counts what arrives: to the
# datagram, where nothing is lost and where something is, as load_frames.py and the
# kernel's own counters confirm.
#
#   source  a0 ---- b0  sink             source  a1 -- r1  router  r2 -- c0  far
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/load.sh
. "$(dirname "$0")/load.sh"

frames=$tests_dir/load_frames.py
counter_is() {
	[[ $(counter "$1" "$2" "$3") == "$4" ]]
}

# sink_start HOST OPTION...: counts into $dir/sink.json until its end or sink_end.
sink_start() {
	local host=$1

	shift
	start_in "$host" "$dir/sink.json" "$dir/sink.err" "$load" sink --json "$@"
	sink=$started_pid
	wait_for 10 "the sink" grep -q '^counting on' "$dir/sink.err"
}

sink_end() {
	stop "$sink" || fail "the sink: $(cat "$dir/sink.err")"
}

send() {
	run_in source "$load" send --json "$@" >"$dir/sent.json" 2>"$dir/send.err" ||
		fail "send $*: $(cat "$dir/send.err")"
}

# sink_is WHAT KEY=VALUE...: members of what the sink printed.
sink_is() {
	python3 - "$dir/sink.json" "$@" <<-'PYTHON' || fail "$1"
		import json, sys
		found, wrong = json.load(open(sys.argv[1])), 0
		for want in sys.argv[3:]:
		    key, value = want.split("=")
		    if str(found[key]) != value:
		        wrong = print(f"FAIL: {sys.argv[2]}: {key}: {found[key]} instead of {value}") or 1
		sys.exit(wrong)
	PYTHON
}

# Everything arrives, or a full ring refused it, which the kernel counted.
exact_case() {
	local kind=$1 to=$2 size=$3 count=34000 what="$1 to $2, $3 bytes"
	local dropped arrived left

	dropped=$(counter source a0 xmit_errors)
	arrived=$(counter sink b0 xdp_drops)
	sink_start sink --interface=b0 --port=443
	send --interface=a0 --to="$to:443" --kind="$kind" --size="$size" --flows=1000 \
		--count=$count --rate=40000 --seconds=20
	dropped=$(($(counter source a0 xmit_errors) - dropped))
	left=$((count - dropped))
	wait_for 10 "$what" counter_is sink b0 xdp_drops $((arrived + left))
	sink_end
	check_equal "$what: sent" $count "$(json "$dir/sent.json" 'd["sent"]')"
	sink_is "$what" received=$left bytes=$((left * size)) no_checksum=0 bad_checksum=0 \
		bad_ip_checksum=0 duplicates=0 reordered=0 too_late=0 untracked=0 echoed=0
	check_equal "$what: destinations" \
		"[['${to//[\[\]]/}', 443, $left, $((left * size))]]" \
		"$(json "$dir/sink.json" '[[*e.values()] for e in d["destinations"]]')"
	((dropped > 0)) || sink_is "$what" lost=0
	echo "$what: $count sent, $dropped dropped by a full ring"
}

# capture_case KIND TO FROM SIZE CID_LEN [OPTION]...: the first 2000 frames, byte by byte.
capture_case() {
	local kind=$1 to=$2 from=$3 size=$4 cid_len=$5 what="frames of $*" cids=()

	start_in sink "$dir/read.out" "$dir/read.err" python3 "$frames" read b0 "$(printf '{"count": 2000, "kind": "%s", "to": "%s",
		"from": "%s", "port": 443, "size": %s, "cid_len": %s, "flows": 1900, "cids": 700,
		"first_port": 65000, "stream": 77, "ports": 400, "step": 3, "first_cid": 5000, "macs": "%s%s"}' "$kind" "${to//[\[\]]/}" \
		"${from//[\[\]]/}" "$size" "$cid_len" "$(mac sink b0)" "$(mac source a0)")"
	wait_for 10 "the capture" grep -q ready "$dir/read.out"
	[[ $kind == udp ]] || cids=(--cid-len="$cid_len" --cids=700 --first-cid=5000)
	send --interface=a0 --to="$to:443" --from="$from:65000" --kind="$kind" --size="$size" \
		"${cids[@]}" --flows=1900 --count=2000 --rate=4000 --stream=77 --ports=400 \
		--step=3 "${@:6}"
	await "$started_pid" || fail "$what: $(cat "$dir/read.err")"
	echo "$what: 2000 frames as they should be"
}

# router_counter N: packets of the router's Nth counter, from 0.
router_counter() {
	run_in router nft -j list ruleset >"$dir/nft.json"
	json "$dir/nft.json" "[e['counter']['packets'] for o in d['nftables'] if 'rule' in o
		for e in o['rule']['expr'] if 'counter' in e][$1]"
}

router_has_seen() {
	[[ $(router_counter 0) == "$1" ]]
}

# A router on the way drops every tenth datagram, and says how many those were.
loss_case() {
	local to=$1 count=20000 refused arrived dropped left

	refused=$(counter source a1 xmit_errors)
	arrived=$(counter far c0 xdp_drops)
	run_in router nft flush ruleset
	run_in router nft -f - <<-'NFT'
		table inet filter {
			chain forward {
				type filter hook forward priority 0;
				udp dport 443 counter
				udp dport 443 numgen inc mod 10 0 counter drop
			}
		}
	NFT
	sink_start far --interface=c0
	send --interface=a1 --to="$to:443" --flows=100 --count=$count --rate=20000
	refused=$(($(counter source a1 xmit_errors) - refused))
	wait_for 10 "loss to $to" router_has_seen $((count - refused))
	dropped=$(router_counter 1)
	check_equal "loss to $to: dropped by the router" $(((count - refused + 9) / 10)) "$dropped"
	left=$((count - refused - dropped))
	wait_for 10 "loss to $to" counter_is far c0 xdp_drops $((arrived + left))
	sink_end
	# The first of all is among the lost.
	sink_is "loss to $to" received=$left lost=$((count - left)) bad_checksum=0 bad_ip_checksum=0
	echo "loss to $to: $count sent, $dropped dropped on the way, as many missed"
}

# write_frames FROM TO FRAMES
write_frames() {
	run_in source python3 "$frames" write a0 "$(printf '{"from": "%s", "to": "%s", "port": 443,
		"macs": "%s%s", "frames": [%s]}' "$1" "$2" "$(mac sink b0)" "$(mac source a0)" "$3")"
}

# What the sink says of sequences and checksums that another program made up.
verdict_case() {
	local from=$1 to=$2 what="verdicts on $2"

	sink_start sink --interface=b0
	write_frames "$from" "$to" '
		{"stream": 5, "sequences": [0, 1, 3, 2, 5, 4, 4, 7]},
		{"stream": 5, "sequences": [6, 9], "damage": 1, "filler": 1400},
		{"stream": 5, "sequences": [8], "magic": "RWLE"},
		{"stream": 6, "sequences": [20000, 1, 20000, 19999]},
		{"stream": 6, "sequences": [3616, 3615]},
		{"stream": 7, "sequences": [0], "filler": 0}, {"stream": 7, "sequences": [1], "filler": 1},
		{"stream": 7, "sequences": [2], "filler": 87}, {"stream": 7, "sequences": [3], "filler": 88},
		{"stream": 7, "sequences": [4], "filler": 89}, {"stream": 7, "sequences": [5], "filler": 215},
		{"stream": 7, "sequences": [6], "filler": 216}, {"stream": 7, "sequences": [7], "filler": 217},
		{"stream": 7, "sequences": [8], "filler": 1419}, {"stream": 7, "sequences": [9], "filler": 1420}'
	sink_end
	sink_is "$what" received=26 bad_checksum=2 bad_ip_checksum=0 too_late=2
	check_equal "$what: number, new, highest, lost, reordered, duplicates, too late" \
		'[[5, 7, 7, 1, 2, 1, 0], [6, 3, 20000, 19998, 2, 1, 2], [7, 10, 9, 0, 0, 0, 0]]' \
		"$(json "$dir/sink.json" '[[*s.values()] for s in d["streams"]]')"
	echo "$what: as they should be"
}

checksum_case() {
	sink_start sink --interface=b0
	write_frames 10.9.0.1 10.9.0.2 '{"stream": 5, "sequences": [0], "ip_damage": 256},
		{"stream": 5, "sequences": [0], "none": true}'
	write_frames fd09:0::1 fd09:0::2 '{"stream": 5, "sequences": [1], "none": true}'
	sink_end
	sink_is "checksums" received=3 bad_ip_checksum=1 no_checksum=1 bad_checksum=1
	check_equal "checksums: sequences taken" 1 "$(json "$dir/sink.json" 'd["streams"][0]["new"]')"
	echo "checksums that are wrong or missing: as they should be"
}

# Left to a card: the sequence is taken if the hash is right, and what is sent back is whole.
partial_case() {
	local from=$1 to=$2 what="partial checksums on $2" echo

	start_in sink "$dir/echo.json" "$dir/echo.err" "$load" sink --interface=b0 --echo --json
	echo=$started_pid
	wait_for 10 "the echo" grep -q '^counting on' "$dir/echo.err"
	sink_start source --interface=a0 --count=5 --seconds=20
	write_frames "$from" "$to" '{"stream": 5, "sequences": [0, 1], "partial": true},
		{"stream": 5, "sequences": [2], "partial": true, "filler": 1000},
		{"stream": 5, "sequences": [3], "partial": true, "damage": 1},
		{"stream": 5, "sequences": [4], "partial": true, "hash_damage": 1}'
	await "$sink" || fail "the sink: $(cat "$dir/sink.err")"
	sink_is "$what: sent back" received=5 bad_checksum=1 partial_checksum=0 bad_hash=1 lost=0
	stop "$echo" || fail "the echo: $(cat "$dir/echo.err")"
	mv "$dir/echo.json" "$dir/sink.json"
	sink_is "$what" received=5 bad_checksum=1 partial_checksum=4 bad_hash=1 lost=0 echoed=5
	echo "$what: as they should be"
}

# Sent back, a datagram is one to the port it came from.
echo_case() {
	local to=$1 count=5000 echo refused

	refused=$(counter source a0 xmit_errors)
	start_in sink "$dir/echo.json" "$dir/echo.err" "$load" sink --interface=b0 --echo --json
	echo=$started_pid
	wait_for 10 "the echo" grep -q '^counting on' "$dir/echo.err"
	sink_start source --interface=a0 --count=$count --seconds=20
	send --interface=a0 --to="$to:443" --flows=500 --count=$count --rate=5000
	await "$sink" || fail "the sink: $(cat "$dir/sink.err")"
	stop "$echo" || fail "the echo: $(cat "$dir/echo.err")"
	check_equal "echo: refused" 0 $(($(counter source a0 xmit_errors) - refused))
	check_equal "echo: echoed" $count "$(json "$dir/echo.json" 'd["echoed"]')"
	sink_is "echo of $to" received=$count lost=0 bad_checksum=0 bad_ip_checksum=0
	check_equal "echo of $to: ports, and how often each" "4096 4595 500 {10}" \
		"$(json "$dir/sink.json" '" ".join(map(str, (d["destinations"][0]["port"],
		d["destinations"][-1]["port"], len(d["destinations"]),
		{e["datagrams"] for e in d["destinations"]})))')"
	echo "echo of $to: $count came back"
}

# Initials come back as Handshakes, their checksums right, each connection noted at both
# ends; what is not an Initial is not answered. By AF_XDP, as the answers would be written
# into the pages of live frames.
handshake_case() {
	local to=$1 count=3000 answers noted

	start_in sink "$dir/answers.json" "$dir/answers.err" "$load" sink --interface=b0 --json \
		--handshake --stream=7 --connections=$count --output="$dir/server.noted"
	answers=$started_pid
	wait_for 10 "the server" grep -q '^counting on' "$dir/answers.err"
	sink_start source --interface=a0 --count=$((2 * count / 3)) --seconds=20 \
		--connections=$count --output="$dir/client.noted"
	send --interface=a0 --to="$to:443" --kind=quic-short --count=100 --rate=5000 --stream=8
	send --interface=a0 --to="$to:443" --kind=quic-initial --flows=$count \
		--count=$((2 * count / 3)) --rate=5000 --stream=7 --queues=1
	await "$sink" || fail "the sink: $(cat "$dir/sink.err")"
	stop "$answers" || fail "the server: $(cat "$dir/answers.err")"
	check_equal "handshakes of $to: answered" $((2 * count / 3)) \
		"$(json "$dir/answers.json" 'd["answered"]')"
	sink_is "handshakes of $to" received=$((2 * count / 3)) lost=0 bad_checksum=0 bad_ip_checksum=0
	noted=$(python3 -c 'import sys
print(*([*map(open(path, "rb").read().count, (b"\0", b"\1"))] for path in sys.argv[1:]))' \
		"$dir/server.noted" "$dir/client.noted")
	check_equal "handshakes of $to: noted" "[1000, 2000] [1000, 2000]" "$noted"
	echo "handshakes of $to: all noted and answered"
}

# refused STATUS TEXT COMMAND...: the status, and what stderr must say.
refused() {
	local status=0 want=$1 text=$2

	shift 2
	"$@" >"$dir/out" 2>"$dir/err" || status=$?
	check_equal "$*: exit status" "$want" $status
	check_equal "$*: stdout" "" "$(cat "$dir/out")"
	grep -qF -- "$text" "$dir/err" || fail "$*: '$text' is not in: $(cat "$dir/err")"
}

refusal_cases() {
	local to=--to=10.9.0.2:443

	refused 2 "send, sink or search?" "$load"
	refused 2 "no such command: fly" "$load" fly
	refused 2 "unrecognized option '--fast'" "$load" send --fast
	refused 2 "--interface is missing" "$load" send $to
	refused 2 "--to=ADDR:PORT is missing" "$load" send --interface=a0
	refused 2 "--to=ADDR:PORT is missing" "$load" send --interface=a0 --to=10.9.0.2
	refused 2 "bad value of --to" "$load" send --interface=a0 --to=10.9.0.2:65536
	refused 2 "bad value of --mac" "$load" send --interface=a0 $to --mac=1:2:3
	refused 2 "bad value of --kind" "$load" send --interface=a0 $to --kind=tcp
	refused 2 "bad value of --cid-len" "$load" send --interface=a0 $to --cid-len=21
	refused 2 "--connections and --output go together" "$load" sink --interface=a0 --connections=5
	refused 2 "too many arguments: b0" "$load" sink --interface=a0 b0
	refused 1 "nowhere" run_in source "$load" send --interface=nowhere $to
	refused 1 "lo has no MAC address" run_in source "$load" send --interface=lo $to
	refused 1 "d0 is down" run_in source "$load" send --interface=d0 $to
	refused 1 "different families" run_in source "$load" send --interface=a0 $to --from=fd09:0::1
	refused 1 "more than the MTU" run_in source "$load" send --interface=a0 $to --size=1473
	refused 1 "--size must be at least 53" run_in source "$load" send --interface=a0 $to \
		--kind=quic-short --cid-len=20 --size=52
	refused 1 "does not answer" run_in source "$load" send --interface=a0 --to=10.9.0.99:443
	refused 1 "leaves by a0, not a1" run_in source "$load" send --interface=a1 $to
	refused 1 "no interface nowhere" run_in sink "$load" sink --interface=nowhere
	sink_start sink --interface=b0
	refused 1 "b0 has an XDP program already" run_in sink "$load" sink --interface=b0
	sink_end
	check_equal "--version" "ringway" "$("$load" --version | cut -d' ' -f1)"
	check_equal "--help" "Usage: ringway-load send|sink|search" "$("$load" --help | head -1 | cut -d' ' -f1-3)"
	check_equal "send --help" "Usage: ringway-load send" "$("$load" send --help | head -1 | cut -d' ' -f1-3)"
	echo "refusals: as they should be"
}

# A signal ends a run that waits for its next frame, with a result.
signal_case() {
	start_in source "$dir/sent.json" "$dir/send.err" "$load" send --interface=a0 --json \
		--to=10.9.0.2:443 --rate=1 --count=1000 --seconds=60
	wait_for 10 "the source" grep -q '^sending' "$dir/send.err"
	stop "$started_pid" INT || fail "interrupted source: $(cat "$dir/send.err")"
	(($(json "$dir/sent.json" 'd["sent"]') <= 10)) || fail "one a second: $(cat "$dir/sent.json")"
	echo "an interrupted source: ends with a result"
}

for host in source sink router far; do
	topology_namespace $host
done
connect source a0 0.1 sink b0 0.2
connect source a1 1.1 router r1 1.2
connect router r2 2.1 far c0 2.2
run_in source ip link add d0 type veth peer name d1
run_in source ip route add 10.9.2.0/24 via 10.9.1.2
run_in source ip route add fd09:2::/64 via fd09:1::2
run_in far ip route add default via 10.9.2.1
run_in router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
# Waiting for a neighbour, the router would drop some of a burst.
for to in 10.9.2.2 fd09:2::2; do
	run_in router ip neighbour add $to lladdr "$(mac far c0)" dev r2
done
# What has no XDP program takes redirected frames only while it does GRO.
run_in sink ethtool -K b0 gro on
run_in source ethtool -K a0 gro on
run_in router ethtool -K r1 gro on

refusal_cases
for to in 10.9.0.2 '[fd09::2]'; do
	exact_case udp "$to" 32
	exact_case quic-short "$to" 101
	exact_case quic-initial "$to" 1200
done
for size in 101 1452; do
	capture_case udp 10.9.0.2 10.9.0.1 $size 0
	capture_case quic-short 10.9.0.2 10.9.0.1 $size 8
	capture_case quic-initial 10.9.0.2 10.9.0.1 $size 20
	capture_case quic-handshake 10.9.0.2 10.9.0.1 $size 12
	capture_case quic-initial 10.9.0.2 10.9.0.1 $size 8 --queues=1
	capture_case quic-short '[fd09::2]' '[fd09::1]' $size 20 --queues=1
	capture_case udp '[fd09::2]' '[fd09::1]' $size 0
	capture_case quic-short '[fd09::2]' '[fd09::1]' $size 17
	capture_case quic-initial '[fd09::2]' '[fd09::1]' $size 5
done
verdict_case 10.9.0.1 10.9.0.2
verdict_case fd09:0::1 fd09:0::2
checksum_case
partial_case 10.9.0.1 10.9.0.2
partial_case fd09:0::1 fd09:0::2
loss_case 10.9.2.2
loss_case '[fd09:2::2]'
echo_case 10.9.0.2
echo_case '[fd09::2]'
handshake_case 10.9.0.2
handshake_case '[fd09::2]'
signal_case
