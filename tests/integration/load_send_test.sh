#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# load_send_test.sh - what ringway-load sends, by each of its transports: mixes of new
# connections and old ones that migrate, captures sent again, rates, and what it refuses.
# load_frames.py reads every byte of it. QUICK=1: one size of each.
#
#   source  a0 ---- b0  sink
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/load.sh
. "$(dirname "$0")/load.sh"

frames=$tests_dir/load_frames.py

# The value of a Python expression over the JSON of the last send, as d.
sent() {
	json "$dir/sent.json" "$1"
}

# reader_in HOST IF COMMAND JSON
reader_in() {
	start_in "$1" "$dir/read.out" "$dir/read.err" python3 "$frames" "$3" "$2" "$4"
	reader=$started_pid
	wait_for 10 "the reader" grep -q ready "$dir/read.out"
}

# reader_start COMMAND JSON: of what arrives; JSON besides the addresses, $from and $to.
reader_start() {
	local addresses

	addresses=$(printf '"from": "%s", "to": "%s", "port": 443, "macs": "%s%s"' "${from//[\[\]]/}" \
		"${to//[\[\]]/}" "$(mac sink b0)" "$(mac source a0)")
	reader_in sink b0 "$1" "{$addresses, ${2#\{}"
}

# reader_end WHAT: what it has seen is right.
reader_end() {
	await "$reader" || fail "$1: $(cat "$dir/read.err")"
}

send() {
	run_in source "$load" send --json --interface=a0 --to="$to:443" --from="$from" "$@" \
		>"$dir/sent.json" 2>"$dir/send.err" ||
		fail "send $*: $(cat "$dir/send.err")"
}

# mix_case BY INITIAL_SIZE [OPTION]...: every connection migrates five times, and so has each
# of its 4-tuples and the first once more.
mix_case() {
	local what="a mix by $1 to $to, Initials of $2 bytes" size=$(($# > 2 ? $2 : 100))

	reader_start read '{"count": 2000, "kind": "quic", "size": '$size', "initial_size": '"$2"', "cid_len": 11,
		"flows": 90, "cids": 100, "initials": 7, "migrations": 1000, "rate": 4000, "ports": 200, "step": 3,
		"first_port": 65000, "first_cid": 5000, "stream": 77}'
	send --by="$1" --from="$from:65000" --kind=quic --flows=90 --cids=100 --initials=7 --migrations=1000 \
		--rate=4000 --ports=200 --step=3 --first-cid=5000 --cid-len=11 --stream=77 --count=2000 "${@:3}"
	reader_end "$what"
	check_equal "$what: sent, Initials, migrations, bytes" \
		"2000 140 499 $((1860 * size + 140 * $2))" \
		"$(sent 'd["sent"]') $(sent 'd["initials"]') $(sent 'd["migrations"]') $(sent 'd["bytes"]')"
	check_equal "$what: by, kind" "$1 quic" "$(sent 'd["by"]') $(sent 'd["kind"]')"
	echo "$what: 2000 datagrams as they should be"
}

# train_case BY: connections in trains, and the Initials among them.
train_case() {
	local what="trains by $1 to $to"

	reader_start read '{"count": 2000, "kind": "quic", "size": 100, "initial_size": 1200, "cid_len": 8, "flows": 10,
		"cids": 10, "initials": 1, "migrations": 0, "rate": 1, "train": 5, "first_port": 4096, "stream": 78}'
	send --by="$1" --kind=quic --cids=10 --initials=1 --train=5 --stream=78 --count=2000 --rate=20000
	reader_end "$what"
	echo "$what: 2000 datagrams as they should be"
}

# What leaves as one message is one packet to the output hook, however many segments it has.
messages() {
	run_in source nft -j list counter inet load messages | python3 -c 'import json, sys
print([o["counter"]["packets"] for o in json.load(sys.stdin)["nftables"] if "counter" in o][0])'
}

# Sixteen of a flow in a row leave by one call, also as segments of one message. As fast as
# it goes: a paced burst may be shorter than a train.
segments_case() {
	local what="trains of 16 by sendmmsg to $to"

	reader_start read '{"count": 3200, "kind": "quic-short", "size": 1201, "cid_len": 8, "flows": 50, "cids": 50,
		"train": 16, "first_port": 4096, "stream": 79}'
	run_in source nft 'table inet load { counter messages { }; chain out { type filter hook output priority 0;
		udp dport 443 counter name messages; }; }'
	send --by=sendmmsg --kind=quic-short --size=1201 --flows=50 --cids=50 --train=16 --stream=79 --count=3200 --rate=0
	reader_end "$what"
	check_equal "$what: messages" 200 "$(messages)"
	check_equal "$what: calls" 200 "$(sent 'd["calls"]')"
	run_in source nft delete table inet load
	echo "$what: 3200 datagrams as they should be, by 200 calls"
}

# rate_run BY: how many nanoseconds lie between the first and the last of 4000, by the times
# in them, at 4000 a second.
rate_run() {
	reader_start read '{"count": 4000, "kind": "udp", "size": 100, "cid_len": 0, "flows": 1, "cids": 1,
		"first_port": 4096, "stream": 80}'
	send --by="$1" --stream=80 --count=4000 --rate=4000
	reader_end "4000 a second by $1"
	ns=$(tail -1 "$dir/read.out")
	[[ $ns != ready ]] || ns=0
}

# rate_case BY: the rate is never exceeded, but that 64 may go at once. And it is reached, as
# soon as the machine lets the source run: what was missed is not made up for.
rate_case() {
	local what="4000 a second by $1" ns

	for try in {1..8}; do
		rate_run "$1"
		((ns > (3999 - 2 * 64) * 250000)) || fail "$what: 4000 datagrams in $ns ns"
		((ns > 1050000000)) || break
	done
	((ns <= 1050000000)) || fail "$what: 4000 datagrams took $ns ns, and that is the best of $try"
	echo "$what: 4000 in $((ns / 1000000)) ms, try $try"
}

# replay_case BY LINK: two and a half times the file, whatever family it has.
replay_case() {
	local what="a capture of link type $2 by $1 to $to" took

	python3 "$frames" pcap "$dir/a.pcap" '{"link": '"$2"'}'
	reader_start replayed '{"count": 15, "first_port": 4096, "stream": 81}'
	took=$(date +%s%N)
	send --by="$1" --pcap="$dir/a.pcap" --count=15
	took=$(($(date +%s%N) - took))
	reader_end "$what"
	grep -q "4 packets are no whole UDP datagrams" "$dir/send.err" || fail "$what: $(cat "$dir/send.err")"
	check_equal "$what: sent, bytes" "15 $((2 * (1 + 1232 + 77 + 1400 + 1401 + 8) + 1 + 1232 + 77))" \
		"$(sent 'd["sent"]') $(sent 'd["bytes"]')"
	# The last is due after two rounds of 200 ms, each 40 ms from the next, and 20 ms.
	((took >= 500000000)) || fail "$what: too fast: $took ns"
	echo "$what: 15 datagrams as they should be"
}

replay_rate_case() {
	local what="a capture as fast as it goes, by $1"

	reader_start replayed '{"count": 3000, "first_port": 4096, "stream": 81}'
	send --by="$1" --pcap="$dir/a.pcap" --count=3000 --rate=5000
	reader_end "$what"
	check_equal "$what: sent" 3000 "$(sent 'd["sent"]')"
	reader_start replayed '{"count": 6, "first_port": 4096, "stream": 81}'
	send --by="$1" --pcap="$dir/a.pcap"
	reader_end "$what"
	check_equal "$what: the file once" 6 "$(sent 'd["sent"]')"
	echo "$what: over and over, and once"
}

# answer_case SIZE: what the sink makes of Initials are Handshakes, the hash right as well.
answer_case() {
	local what="Handshakes of $1 bytes from $to" sink pass

	start_in sink "$dir/sink.out" "$dir/sink.err" "$load" sink --interface=b0 --handshake
	sink=$started_pid
	# Answers get to an interface that has a program; this one lets them pass.
	start_in source "$dir/pass.out" "$dir/pass.err" "$load" sink --interface=a0 --port=1
	pass=$started_pid
	wait_for 10 "the sink" grep -q '^counting on' "$dir/sink.err"
	wait_for 10 "the other program" grep -q '^counting on' "$dir/pass.err"
	reader_in source a0 read "$(printf '{"from": "%s", "to": "%s", "port": 4096, "macs": "%s%s", "count": 300,
		"kind": "quic-handshake", "size": %s, "cid_len": 8, "flows": 1, "cids": 300, "first_port": 443,
		"stream": 82, "answered": true}' "${to//[\[\]]/}" "${from//[\[\]]/}" "$(mac source a0)" "$(mac sink b0)" "$1")"
	send --by=af_xdp --kind=quic-initial --size="$1" --cids=300 --count=300 --stream=82
	reader_end "$what"
	{ stop "$sink" && stop "$pass"; } || fail "$what: $(cat "$dir/sink.err" "$dir/pass.err")"
	echo "$what: 300 as they should be"
}

# refused STATUS TEXT OPTION...: the status, and what stderr must say; nothing is sent.
refused() {
	local status=0 want=$1 text=$2

	run_in source "$load" send "${@:3}" >"$dir/out" 2>"$dir/err" || status=$?
	check_equal "$*: exit status" "$want" $status
	check_equal "$*: stdout" "" "$(cat "$dir/out")"
	grep -qF -- "$text" "$dir/err" || fail "$*: '$text' is not in: $(cat "$dir/err")"
}

refusal_cases() {
	local lan=(--interface=a0 --to=10.9.0.2:443) lo=(--interface=lo --by=sendmmsg)

	refused 2 "bad value of --by" "${lan[@]}" --by=tcp
	refused 2 "for --kind=quic" "${lan[@]}" --initials=5
	refused 2 "for --kind=quic" "${lan[@]}" --kind=quic-short --migrations=5
	refused 2 "needs a --rate" "${lan[@]}" --kind=quic --migrations=5 --rate=0
	refused 2 "--queues is for" "${lan[@]}" --by=live --queues=2
	refused 2 "--first-queue must be less than --queues" "${lan[@]}" --queues=2 --first-queue=2
	refused 2 "--first-queue must be less than --queues" "${lan[@]}" --by=af_xdp --first-queue=1
	refused 2 "--first-queue must be less than --queues" "${lan[@]}" --first-queue=1
	refused 2 "--mac is not for" "${lan[@]}" --by=sendmmsg --mac=02:00:00:00:00:01
	refused 2 "--pcap takes" "${lan[@]}" --by=live --pcap="$dir/a.pcap"
	refused 2 "the file says" "${lan[@]}" --pcap="$dir/a.pcap" --kind=quic
	refused 2 "the file says" "${lan[@]}" --pcap="$dir/a.pcap" --cid-len=8
	refused 2 "the file says" "${lan[@]}" --pcap="$dir/a.pcap" --first-cid=1
	refused 2 "plain UDP has no Connection ID" "${lan[@]}" --cid-len=8
	refused 2 "plain UDP has no Connection ID" "${lan[@]}" --kind=udp --cids=8
	refused 2 "plain UDP has no Connection ID" "${lan[@]}" --first-cid=8
	refused 1 "No such file" "${lan[@]}" --pcap="$dir/none.pcap"
	head -c 30 "$dir/a.pcap" >"$dir/short.pcap"
	refused 1 "reading $dir/short.pcap" "${lan[@]}" --pcap="$dir/short.pcap"
	python3 "$frames" pcap "$dir/other.pcap" '{"link": 105}'
	refused 1 "link type 105" "${lan[@]}" --pcap="$dir/other.pcap"
	refused 1 "--size must be at least 50" "${lan[@]}" --kind=quic --initials=1 --size=49
	refused 1 "--size must be at least 32" "${lan[@]}" --size=31
	for by in live af_xdp sendmmsg; do
		refused 1 "leaves by a0, not c0" --interface=c0 --to=10.9.0.2:443 --by=$by
		refused 1 "has no route" --interface=a0 --to=203.0.113.1:443 --by=$by --from=10.9.0.1
		refused 1 "is this host" --interface=a0 --to=10.9.0.1:443 --by=$by
	done
	refused 1 "leaves by a0, not lo" "${lo[@]}" --to=10.9.0.2:443
	refused 1 "not an address of this host" "${lo[@]}" --to=127.0.0.1:443 --from=10.9.0.99
	refused 1 "choose another with --cpu" "${lan[@]}" --cpu=1023
	refused 1 "4097 flows would take as many sockets" "${lo[@]}" --to=127.0.0.1:443 --flows=4097
	echo "refusals: as they should be"
}

# Without root, and it says what it does, while it does it.
unprivileged_case() {
	local what="an unprivileged source"

	run_in source setpriv --reuid=65534 --regid=65534 --clear-groups "$load" send --interface=lo \
		--to=127.0.0.1:443 --by=sendmmsg --flows=300 --train=4 --count=5000 --rate=3000 --progress --json \
		>"$dir/sent.json" 2>"$dir/send.err" || fail "$what: $(cat "$dir/send.err")"
	check_equal "$what: sent" 5000 "$(sent 'd["sent"]')"
	check_equal "$what: says" "sending at most 5000 datagrams, 3000/s, for at most 10 s, out of lo to 127.0.0.1:443" \
		"$(head -1 "$dir/send.err" | cut -d, -f1-4)"
	grep -qE "^ +1 s: +[0-9]+ sent" "$dir/send.err" || fail "$what: no progress: $(cat "$dir/send.err")"
	echo "$what: sends by sockets, and tells how far it is"
}

# icmp_case REASON: what the sink's host says of datagrams does not end the run.
icmp_case() {
	run_in sink nft "table ip refuse { chain in { type filter hook input priority 0;
		udp dport 443 reject with icmp type $1; }; }"
	to=10.9.0.2 from=10.9.0.1
	send --by=sendmmsg --count=200 --rate=1000
	check_equal "$1: sent" 200 "$(sent 'd["sent"]')"
	run_in sink nft delete table ip refuse
	echo "$1: the run goes on"
}

# as_nobody CAPABILITIES OPTION...: five datagrams, or why not.
as_nobody() {
	run_in source setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps="$1" --ambient-caps="$1" \
		"$load" "${@:2}" --json >"$dir/sent.json" 2>"$dir/send.err"
}

# Without root, with the capabilities that the manual and the messages name, and no fewer.
capabilities_case() {
	local lan=(--interface=a0 --to=10.9.0.2:443 --count=5 --rate=1000) bpf=+bpf,+net_admin

	as_nobody $bpf,+perfmon send "${lan[@]}" --by=live || fail "capabilities: $(cat "$dir/send.err")"
	check_equal "capabilities: sent live" 5 "$(sent 'd["sent"]')"
	as_nobody +net_raw send "${lan[@]}" --by=af_xdp || fail "capabilities: $(cat "$dir/send.err")"
	check_equal "capabilities: sent by af_xdp" 5 "$(sent 'd["sent"]')"
	as_nobody $bpf,+perfmon sink --interface=a0 --seconds=1 || fail "capabilities: $(cat "$dir/send.err")"
	for command in "send ${lan[*]} --by=live" "sink --interface=a0 --seconds=1"; do
		# shellcheck disable=SC2086 # several words
		! as_nobody $bpf $command || fail "capabilities: CAP_PERFMON is not needed: $command"
		grep -qF "with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN" "$dir/send.err" ||
			fail "capabilities: $(cat "$dir/send.err")"
	done
	! as_nobody $bpf,+perfmon send "${lan[@]}" --by=af_xdp || fail "capabilities: CAP_NET_RAW is not needed"
	grep -qF CAP_NET_RAW "$dir/send.err" || fail "capabilities: $(cat "$dir/send.err")"
	echo "capabilities: those that are named suffice, and are needed"
}

# signal_case BY: a signal ends a run that waits for its next datagram, with a result.
signal_case() {
	start_in source "$dir/sent.json" "$dir/send.err" "$load" send --interface=a0 --json --by="$1" \
		--to=10.9.0.2:443 --rate=1 --count=1000 --seconds=60
	wait_for 10 "the source" grep -q '^sending' "$dir/send.err"
	stop "$started_pid" INT || fail "interrupted source: $(cat "$dir/send.err")"
	(($(sent 'd["sent"]') <= 10)) || fail "one a second: $(cat "$dir/sent.json")"
	echo "an interrupted source by $1: ends with a result"
}

for host in source sink; do
	topology_namespace $host
done
connect source a0 0.1 sink b0 0.2
address source a0 0.4
address source a0 0.7
run_in source ip link add c0 type veth peer name d0
run_in source ip address add 10.8.0.1/24 dev c0
run_in source ip link set c0 up
run_in source ip link set d0 up
# Both ends do GRO, lest redirected frames are dropped; and sockets finish segments and checksums.
run_in sink ethtool -K b0 gro on
run_in source ethtool -K a0 gro on tx off >/dev/null
for to in 10.9.0.2 fd09::2; do
	run_in source ip neighbour add $to lladdr "$(mac sink b0)" dev a0
done

python3 "$frames" pcap "$dir/a.pcap" '{"link": 1}'
refusal_cases
capabilities_case
for reason in prot-unreachable host-prohibited port-unreachable; do
	icmp_case $reason
done
answer_sizes=(50 51 57 1200)
[[ -z ${QUICK:-} ]] || answer_sizes=(51)
for pair in '10.9.0.2 10.9.0.1' '[fd09::2] [fd09::1]'; do
	read -r to from <<<"$pair"
	for by in live af_xdp sendmmsg; do
		[[ -n ${QUICK:-} ]] || mix_case $by 1200
		mix_case $by 301 --size=301
		[[ -n ${QUICK:-} ]] || train_case $by
	done
	for size in "${answer_sizes[@]}"; do
		answer_case "$size"
	done
	segments_case
	replay_case af_xdp 1
	replay_case sendmmsg 101
done
for by in live af_xdp sendmmsg; do
	rate_case $by
	signal_case $by
done
replay_rate_case af_xdp
replay_rate_case sendmmsg
unprivileged_case
