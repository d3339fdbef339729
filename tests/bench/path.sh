# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# path.sh - one load through one subject, and what came of it, as a line of JSON. To be
# sourced after subjects.sh.
#
# Frames come from CPU 0, which on veth also runs the receiver's NAPI; subjects run on
# the last one.

generator_cpu=0
path_flows=1000    # connections of a load to backends
opening_rate=5000  # of their Initials, a second
load_beside=()     # a command that runs while load() sends

# mac_of HOST INTERFACE
mac_of() {
	run_in "$1" ip -o link show "$2" | sed 's/.*link\/ether \([0-9a-f:]*\).*/\1/'
}

path_prepare() {
	topology_up 1
	topology_config "$topology_dir/ringway.yaml"
	echo "cpus: [$forwarder_cpu]" >>"$topology_dir/ringway.yaml"
	# Everybody's neighbours, without which the first frames would be dropped.
	run_in client bash -c 'echo >/dev/udp/198.51.100.1/9'
	run_in forwarder bash -c "echo >/dev/udp/198.51.100.2/9; echo >/dev/udp/$backend_ipv4/9"
	declare -gA targets=([out]=$service_ipv4:$service_port [back]=198.51.100.2:50000)
	declare -gA sources=([out]=198.51.100.2 [back]=$backend_ipv4:$backend_port)
	declare -gA macs=([out]=$(mac_of forwarder wan) [back]=$(mac_of forwarder lan1))
}

# send out|back HOST INTERFACE OPTION...
send() {
	run_in "$2" "$BUILD/ringway-load" send --interface="$3" --to="${targets[$1]}" \
		--from="${sources[$1]}" --mac="${macs[$1]}" --cpu=$generator_cpu --json "${@:4}" \
		>"$topology_dir/send.json" 2>"$topology_dir/send.log" ||
		cat "$topology_dir/send.log" >&2
}

# Jiffies that the machine's CPUs were busy.
busy_jiffies() {
	awk '/^cpu / { print $2 + $3 + $4 + $7 + $8; exit }' /proc/stat
}

# load out|back SECONDS: saturate the path with datagrams of connections that are known;
# prints what the sink got, how long it took, and how busy the machine was. The sink only
# counts: it runs on the subject's CPU, and what it does is in everybody's time.
load() {
	local sink log=$topology_dir/sink.json busy beside=
	local -a from=(client wan) to=(backend1 lan) flows=$path_flows

	[[ $1 == out ]] || from=(backend1 lan) to=(client wan) flows=1
	[[ $1 == back ]] || connections_open
	run_in forwarder ethtool -K lan1 tx on >/dev/null # nobody looks at checksums
	start "${to[0]}" "$log" "$BUILD/ringway-load" sink --interface="${to[1]}" --count-only --json
	sink=$started_pid
	wait_for 10 'the sink' sink_is_attached "${to[@]}"
	if ((${#load_beside[@]} > 0)); then
		"${load_beside[@]}" &
		beside=$!
	fi
	busy=$(busy_jiffies)
	send "$1" "${from[@]}" --kind=quic-short --flows="$flows" --rate=0 --count=100000000 \
		--seconds="$2"
	busy=$(($(busy_jiffies) - busy))
	[[ -z $beside ]] || wait "$beside"
	stop "$sink"
	sed -n '/^{/,$p' "$log" >"$topology_dir/sunk.json" # after what it said to stderr
	echo "{\"sunk\": $(json "$topology_dir/sunk.json" 'd["received"]')," \
		"\"busy_s\": $(awk "BEGIN { print $busy / $(getconf CLK_TCK) }")," \
		"\"seconds\": $(json "$topology_dir/send.json" 'd["seconds"]')}"
}

# search_run SECONDS [OPTION]...: the rate to the backend up to which nothing is lost, of the
# subject that runs and over connections that are open, in trials of so long, by one more
# OPTION of ringway-load's search; into $topology_dir/search.json.
search_run() {
	run_in client "$BUILD/ringway-load" search --interface=wan --to="${targets[out]}" \
		--from="${sources[out]}" --mac="${macs[out]}" --cpu=$generator_cpu \
		--kind=quic-short --flows="$path_flows" --sink-interface=lan \
		--sink-netns="$topology_prefix-backend1" --seconds="$1" --minimum=2000 \
		--maximum=800000 --resolution=4000 --loss=0.01 "${@:2}" --json \
		>"$topology_dir/search.json" 2>"$topology_dir/search.log" ||
		cat "$topology_dir/search.log" >&2
}

# loss_free SUBJECT SECONDS [OPTION]...: the same of that subject, as one line of JSON.
loss_free() {
	subject_start "$1"
	connections_open
	search_run "${@:2}"
	subject_stop
	echo "{\"subject\": \"$1\", \"search\": $(json "$topology_dir/search.json" 'json.dumps(d)')}"
}

# latency SUBJECT RATE SECONDS: what the subject adds, at one rate for all.
latency() {
	subject_start "$1"
	connections_open
	offer --kind=quic-short --rate="$2" --seconds="$3"
	subject_stop
	echo "{\"subject\": \"$1\", \"rate\": $2," \
		"\"latency\": $(json "$topology_dir/sunk.json" 'json.dumps(d["latency_ns"])')}"
}

# offer OPTION...: send to the backend, until all has come that is to come. What was
# sent is in $topology_dir/send.json, what came in sunk.json.
offer() {
	sink_start --interval=100
	send out client wan --flows="$path_flows" --count=100000000 "$@"
	wait_for 10 'the last datagrams' sink_is_at_rest
	stop "$sink_pid"
	sed -n '/^{/,$p' "$topology_dir/sink.json" >"$topology_dir/sunk.json" # after what it said to stderr
}

# Buffers of the subject may hold what a slow one needs a second for.
sink_is_at_rest() {
	local before

	before=$(run_in backend1 grep lan: /proc/net/dev)
	sleep 0.1
	[[ $(run_in backend1 grep lan: /proc/net/dev) == "$before" ]]
}

# The subject learns the connections, from clients' Initials and their answers.
connections_open() {
	sink_start --handshake
	send out client wan --kind=quic-initial --flows="$path_flows" --rate="$opening_rate" \
		--count=$((2 * path_flows)) "$@"
	stop "$sink_pid"
}

# sink_start OPTION...: at the backend, until $sink_pid is stopped. It judges, so that what
# the forwarder's sockets send must have its whole checksum.
sink_start() {
	run_in forwarder ethtool -K lan1 tx off >/dev/null
	start backend1 "$topology_dir/sink.json" "$BUILD/ringway-load" sink --interface=lan \
		--json "$@"
	sink_pid=$started_pid
	wait_for 10 'the sink' sink_is_attached backend1 lan
}

sink_is_attached() {
	run_in "$1" ip link show "$2" | grep -q 'prog/xdp'
}

# Seconds of CPU that all threads of a process have had.
cpu_seconds() {
	cat "/proc/$1/task/"*/schedstat | awk '{ sum += $1 } END { printf "%.4f\n", sum / 1e9 }'
}

# measure NAME SUBJECT out|back SECONDS
measure() {
	local path memory cpu=null counts=null

	subject_start "$2"
	path=$(load "$3" "$4")
	memory=$(subject_memory_mib)
	[[ -z $subject_pid ]] || cpu=$(cpu_seconds "$subject_pid")
	[[ $subject_pid != "$ringwayd_pid" ]] || counts=$(ringwayd_counts)
	subject_stop
	[[ $2 != l2fwd ]] || counts=$(grep '^{' "$topology_dir/subject.log")
	echo "{\"subject\": \"$1\", \"direction\": \"$3\", \"path\": $path," \
		"\"cpu_s\": $cpu, \"memory_mib\": $memory, \"counts\": $counts}"
}

# idle SECONDS: what ringwayd takes of a CPU when nothing comes, after something has.
idle() {
	local before after

	subject_start ringwayd
	connections_open
	sleep 1 # a worker looks a while for more
	before=$(cpu_seconds "$subject_pid")
	sleep "$1"
	after=$(cpu_seconds "$subject_pid")
	subject_stop
	echo "{\"idle_s\": $1, \"cpu_s\": [$before, $after]}"
}

ringwayd_counts() {
	ringwayctl stats --json >"$topology_dir/stats.json"
	json "$topology_dir/stats.json" 'json.dumps(
		{key: w[key] for w in d["workers"] for key in ("received", "forward_ns", "busy_ns")} |
		{"tx_full": d["totals"]["dropped"]["tx_full"], "rx_ring_full":
			sum(p["rx_ring_full"] for w in d["workers"] for p in w["ports"])})'
}
