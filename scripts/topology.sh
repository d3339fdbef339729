# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# topology.sh - a client, a forwarder and its backends in network namespaces, for
# the demo, the tests and the benchmarks. To be sourced by bash, as root.
#
#      client                    forwarder                        backend1
#   +-----------+          +------------------------+          +-------------+
#   | wan    .2 |----------| .1 wan         lan1 .1 |----------| .2 lan      |
#   +-----------+          |    192.0.2.1           |          +-------------+
#   198.51.100.0/24        |    2001:db8::1         |  10.0.1.0/24
#   2001:db8:ff::/64       |                        |  2001:db8:1::/64
#                          |                        |             backend2
#                          |                        |          +-------------+
#                          |                lan2 .1 |----------| .2 lan      |
#                          +------------------------+          +-------------+
#                                                      10.0.2.0/24
#                                                      2001:db8:2::/64
#
# Every line is a veth pair. Client and backends have their default route through
# the forwarder; 192.0.2.1 and 2001:db8::1 are the service's address.
#
# A namespace is called rwPID-NAME after the shell that made it. Everything that
# is made or started here ends with that shell, however it ends.

topology_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-build}
[[ $BUILD == /* ]] || BUILD=$topology_root/$BUILD

service_ipv4=192.0.2.1
service_ipv6=2001:db8::1
service_port=443
backend_port=4433

topology_engine=af_xdp          # or socket, or auto: of topology_config,
topology_sockets='calls: mmsg'  # and what those are told of sockets

topology_prefix=rw$$
topology_dir=        # temporary files of this run
topology_backends=0  # how many there are
topology_pids=()     # what was started and has not been stopped
ringwayd_pid=

# --- Namespaces ---

# run_in NAME COMMAND...: in that host's network. `ip netns exec` would hide /sys/fs/bpf.
run_in() {
	nsenter --net="/run/netns/$topology_prefix-$1" -- "${@:2}"
}

# topology_up [BACKENDS [QUEUES]]: build it; returns when addresses are usable.
topology_up() {
	local queues=${2:-1} name i

	if ((EUID != 0)); then
		echo "$0: network namespaces need root: run with sudo" >&2
		exit 77
	fi
	topology_sweep
	topology_backends=${1:-2}
	trap topology_exit EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	topology_dir=$(mktemp -d /tmp/ringway.XXXXXX)

	for name in client forwarder $(topology_backend_names); do
		topology_namespace "$name"
	done
	run_in forwarder sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	topology_link client wan wan "$queues" 198.51.100 2001:db8:ff:
	run_in forwarder ip address add $service_ipv4/32 dev wan
	run_in forwarder ip address add $service_ipv6/128 dev wan nodad
	for ((i = 1; i <= topology_backends; i++)); do
		topology_link "backend$i" lan "lan$i" "$queues" "10.0.$i" "2001:db8:$i:"
	done
}

topology_backend_names() {
	seq -f 'backend%g' 1 "$topology_backends"
}

# Without duplicate address detection an address can be used at once, and without
# reverse path filters an answer may come back by any interface.
topology_namespace() {
	ip netns add "$topology_prefix-$1"
	run_in "$1" sysctl -qw \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
		net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.accept_ra=0
	run_in "$1" ip link set lo up
}

# topology_link PEER ITS_END FORWARDER_END QUEUES IPV4_PREFIX IPV6_PREFIX
topology_link() {
	local peer=$1 near=$2 far=$3 queues=$4 ipv4=$5 ipv6=$6

	ip link add "$far" netns "$topology_prefix-forwarder" numrxqueues "$queues" \
		numtxqueues "$queues" type veth peer name "$near" netns "$topology_prefix-$peer" \
		numrxqueues "$queues" numtxqueues "$queues"
	run_in forwarder ip address add "$ipv4.1/24" dev "$far"
	run_in forwarder ip address add "$ipv6:1/64" dev "$far" nodad
	run_in "$peer" ip address add "$ipv4.2/24" dev "$near"
	run_in "$peer" ip address add "$ipv6:2/64" dev "$near" nodad
	# An end that receives by NAPI takes redirected frames too, not only ordinary ones.
	run_in "$peer" ethtool -K "$near" gro on >/dev/null
	run_in forwarder ip link set "$far" up
	run_in "$peer" ip link set "$near" up
	topology_default_route "$peer" "$near" "$ipv4" "$ipv6"
}

topology_default_route() {
	run_in "$1" ip route replace default via "$3.1" dev "$2"
	run_in "$1" ip -6 route replace default via "$4:1" dev "$2"
}

# topology_offload on|off: do the end points leave the UDP checksum to their card?
topology_offload() {
	local i

	run_in client ethtool -K wan tx "$1" >/dev/null
	for ((i = 1; i <= topology_backends; i++)); do
		run_in "backend$i" ethtool -K lan tx "$1" >/dev/null
	done
}

# Namespaces of shells that were killed before they could clean up.
topology_sweep() {
	local path name owner

	for path in /run/netns/rw*-*; do
		name=${path##*/}
		owner=${name%%-*}
		owner=${owner#rw}
		[[ $owner =~ ^[0-9]+$ && ! -d /proc/$owner ]] || continue
		ip netns delete "$name"
	done
}

topology_exit() {
	local status=$? pid name

	trap '' INT TERM HUP
	set +e
	for pid in "${topology_pids[@]}"; do
		stop "$pid" 2>/dev/null
	done
	for name in client forwarder $(topology_backend_names); do
		[[ ! -e /run/netns/$topology_prefix-$name ]] ||
			ip netns delete "$topology_prefix-$name"
	done
	if ((status != 0)) && [[ -s $topology_dir/ringwayd.log ]]; then
		echo "--- ringwayd's log:" >&2
		tail -n 50 "$topology_dir/ringwayd.log" >&2
	fi
	rm -rf "$topology_dir"
	exit "$status"
}

# --- Processes ---

# wait_for SECONDS WHAT COMMAND...: until COMMAND succeeds.
wait_for() {
	local deadline=$((SECONDS + $1 + 1)) what=$2

	while ! "${@:3}" >/dev/null 2>&1; do
		if ((SECONDS >= deadline)); then
			echo "$0: waited $1 s in vain for $what" >&2
			return 1
		fi
		sleep 0.02
	done
}

# start NAME LOG COMMAND...: in the background on that host. Its PID is in
# $started_pid; it is ended with this shell unless stop() does it earlier.
start() {
	: >"$2"
	# Not by run_in: a function in the background would put a shell in between.
	nsenter --net="/run/netns/$topology_prefix-$1" -- "${@:3}" </dev/null >"$2" 2>&1 &
	started_pid=$!
	topology_pids+=("$started_pid")
}

# stop PID [SIGNAL]: end it and return its exit status. What does not end within
# 5 s is killed.
stop() {
	local pid=$1 status=0 i

	kill "-${2:-TERM}" "$pid" 2>/dev/null || true
	for ((i = 0; i < 250; i++)); do
		is_running "$pid" || break
		sleep 0.02
	done
	! is_running "$pid" || kill -KILL "$pid" || true
	wait "$pid" || status=$?
	topology_forget "$pid"
	return $status
}

# A zombie has ended, though its PID is still there until wait.
is_running() {
	local state

	state=$(sed 's/.*) \(.\).*/\1/' "/proc/$1/stat" 2>/dev/null) && [[ $state != Z ]]
}

topology_forget() {
	local pid kept=()

	for pid in "${topology_pids[@]}"; do
		[[ $pid == "$1" ]] || kept+=("$pid")
	done
	topology_pids=("${kept[@]}")
}

# --- The peers: HTTP/3 server and client ---

# start_server NAME PORT DIR [OPTION]...: serve DIR by HTTP/3 on every address. $started_pid.
start_server() {
	local name=$1 port=$2 dir=$3

	make_certificate
	start "$name" "$topology_dir/$name.log" gtlsserver -q -d "$dir" "${@:4}" '*' "$port" \
		"$topology_dir/key.pem" "$topology_dir/cert.pem"
	wait_for 10 "gtlsserver on $name" udp_is_bound "$name" "$port" udp udp6
}

# The servers' key.pem and cert.pem in $topology_dir.
make_certificate() {
	[[ ! -e $topology_dir/key.pem ]] || return 0
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
		-subj /CN=ringway.example -keyout "$topology_dir/key.pem" \
		-out "$topology_dir/cert.pem" 2>/dev/null
}

# udp_is_bound NAME PORT TABLE...: in each of udp and udp6 that is named.
udp_is_bound() {
	local port table

	port=$(printf ':%04X 0' "$2")
	for table in "${@:3}"; do
		run_in "$1" grep -q "$port" "/proc/net/$table" || return 1
	done
}

# download ADDRESS PORT FILE TO_DIR: by HTTP/3 from the client, in at most 60 s.
download() {
	download_start "$@"
	download_wait "$started_pid" "$3" "$4"
}

# Likewise, in the background: $started_pid is for download_wait PID FILE TO_DIR.
download_start() {
	local host=$1

	[[ $host != *:* ]] || host="[$host]"
	start client "$4/gtlsclient.log" timeout 60 gtlsclient -q --no-quic-dump --no-http-dump \
		--exit-on-all-streams-close --download="$4" "$1" "$2" "https://$host/$3"
}

# gtlsclient calls it a success when nobody answered.
download_wait() {
	local status=0

	wait "$1" || status=$?
	topology_forget "$1"
	if ((status != 0)) || [[ ! -s $3/$2 ]]; then
		echo "$0: no $2; gtlsclient ended with status $status" >&2
		cat "$3/gtlsclient.log" >&2
		return 1
	fi
}

# same_content FILE FILE: equal SHA-256.
same_content() {
	[[ $(sha256sum <"$1") == "$(sha256sum <"$2")" ]]
}

# --- ringwayd ---

# topology_config FILE [PROTOCOL]: a configuration of all there is here.
topology_config() {
	local i

	{
		topology_config_engine
		cat <<-END
			hash_key: "000102030405060708090a0b0c0d0e0f"
			control_socket: $topology_dir/ringway.sock
			services:
			  - name: web
			    addresses: [$service_ipv4, "$service_ipv6"]
			    port: $service_port
			    protocol: ${2:-quic}
			    mode: nat
			    backends:
		END
		for ((i = 1; i <= topology_backends; i++)); do
			echo "      - name: backend$i"
			echo "        addresses: [10.0.$i.2, \"2001:db8:$i::2\"]"
			echo "        port: $backend_port"
		done
	} >"$1"
}

topology_config_engine() {
	if [[ $topology_engine != af_xdp ]]; then
		echo "engine: $topology_engine"
		echo "socket: { $topology_sockets }"
	fi
	if [[ $topology_engine != socket ]]; then
		echo 'interfaces:'
		echo '  - name: wan'
		seq -f '  - name: lan%g' 1 "$topology_backends"
	fi
}

# start_ringwayd CONFIG [OPTION]...: returns when traffic flows. $ringwayd_pid.
start_ringwayd() {
	start_ringwayd_by "$BUILD/ringwayd" -c "$@"
}

# The same by another COMMAND...
start_ringwayd_by() {
	start forwarder "$topology_dir/ringwayd.log" "$@"
	ringwayd_pid=$started_pid
	wait_for 15 'ringwayd to be ready' ringwayd_is_ready_or_gone || return 1
	is_running "$ringwayd_pid" && return 0
	echo "$0: ringwayd ended at start" >&2
	return 1
}

ringwayd_is_ready_or_gone() {
	! is_running "$ringwayd_pid" || grep -q 'ready: [0-9]* worker' "$topology_dir/ringwayd.log"
}

# stop_ringwayd [SIGNAL]: returns its exit status.
stop_ringwayd() {
	stop "$ringwayd_pid" "${1:-TERM}"
}

ringwayctl() {
	"$BUILD/ringwayctl" -s "$topology_dir/ringway.sock" "$@"
}

# --- Counters ---

# json FILE EXPRESSION: evaluate Python with the document as `d`.
json() {
	python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
print(eval("(" + sys.argv[2] + ")"))' "$1" "$2"
}

# udp_counter NAME COUNTER: such as InCsumErrors, the sum of IPv4 and IPv6.
udp_counter() {
	run_in "$1" cat /proc/net/snmp /proc/net/snmp6 | awk -v counter="$2" '
		$1 == "Udp:" && !column { for (i = 2; i <= NF; i++) if ($i == counter) column = i; next }
		$1 == "Udp:" { sum += $column }
		$1 == "Udp6" counter { sum += $2 }
		END { print sum + 0 }'
}
