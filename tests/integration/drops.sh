# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# drops.sh - datagrams that are lost on purpose, and whether `ringwayctl drops` says
# where: as many as were lost, and nothing before that place is called a loss. To be
# sourced behind lib.sh.
#
# One daemon serves many cases: they go from the end of the way to its beginning, so that
# each time the place that is to be marked is before all that have lost already.

count=20

# mac_of NAME INTERFACE
mac_of() {
	run_in "$1" ip -o link show dev "$2" | sed 's/.*ether \([^ ]*\).*/\1/'
}

# know NAME INTERFACE IPV4 IPV6 MAC: whose MAC address nobody has to ask for.
know() {
	run_in "$1" ip neighbour replace "$3" lladdr "$5" dev "$2" nud permanent
	run_in "$1" ip neighbour replace "$4" lladdr "$5" dev "$2" nud permanent
}

# drops_up: hosts that know each other, and an echo server on backend1.
drops_up() {
	topology_up 2
	drops=$topology_dir/drops.json
	start_echo backend1
	client_mac=$(mac_of client wan)
	wan_mac=$(mac_of forwarder wan)
	lan1_mac=$(mac_of forwarder lan1)
	know_all
}

know_all() {
	know client wan 198.51.100.1 2001:db8:ff::1 "$wan_mac"
	know forwarder wan 198.51.100.2 2001:db8:ff::2 "$client_mac"
	know backend1 lan 10.0.1.1 2001:db8:1::1 "$lan1_mac"
	know forwarder lan1 10.0.1.2 2001:db8:1::2 "$(mac_of backend1 lan)"
}

# set_mtu NAME INTERFACE MTU
set_mtu() {
	run_in "$1" ip link set "$2" mtu "$3"
}

# configure [SED_EXPRESSION]: $config, of a service that backend1 serves, and what is
# appended from stdin.
configure() {
	config=$topology_dir/ringway.yaml
	topology_config "$config" udp
	sed -i -e '/name: backend2/,/port:/d' -e '/name: lan2/d' -e "${1:-}" "$config"
	cat >>"$config"
}

# begin TITLE: a daemon by $config, that has lost nothing.
begin() {
	echo "=== $1"
	start_ringwayd "$config"
	echo_flows $service_ipv4 1 1 >/dev/null
}

end() {
	stop_ringwayd || fail "exit status $? after SIGTERM"
}

# Without the second that ringwayctl lets go by between two looks: the first place is that
# since the start.
look() {
	strace -qq -o /dev/null -e trace=clock_nanosleep -e inject=clock_nanosleep:retval=0 \
		"$BUILD/ringwayctl" -s "$topology_dir/ringway.sock" drops --json >"$drops"
}

count_of() {
	json "$drops" "[p['count'] for p in d['places'] if p['place'] == '$1'][0]"
}

# marked PLACE: "PLACE COUNT" if it is marked, otherwise another one; in the last look.
marked() {
	json "$drops" "'%s %s' % ((d['first'] or {}).get('place'),
		[p['count'] for p in d['places'] if p['place'] == '$1'][0])"
}

# is_first PLACE [COUNT]: is it marked, with that count? What is, is in $first.
is_first() {
	first=$(marked "$1")
	[[ ${first% *} == "$1" && (-z ${2:-} || ${first#* } == "$2") ]]
}

look_is_first() {
	look
	is_first "$@"
}

# lost PLACE [COUNT]: it is the first, at last.
lost() {
	wait_for 10 "$1 to be the first" look_is_first "$1" "${2:-}" || {
		json "$drops" '[(p["place"], p["count"]) for p in d["places"] if p["count"]]'
		ringwayctl stats # what was decided for those that were not lost at all
		ringwayctl backends
		fail "$1 is not the first with ${2:-any}: $first"
	}
	echo "first: $first"
}

# loses PLACE COUNT COMMAND...: what is lost by it is lost there; COUNT - : any.
loses() {
	"${@:3}" >/dev/null
	lost "$1" "${2#-}"
}

# signs [PLACE COUNT]...: counted in the last look, and not called losses. COUNT - : any.
signs() {
	local number

	while (($#)); do
		number=$(count_of "$1")
		check_equal "$1, $number" sign \
			"$(json "$drops" "[p['kind'] for p in d['places'] if p['place'] == '$1'][0]")"
		[[ $number -gt 0 && ($2 == - || $number == "$2") ]] || fail "$1: not $2, but $number"
		shift 2
	done
}

# also [PLACE COUNT]...: counted in the last look too, further on.
also() {
	while (($#)); do
		check_equal "also $1" "$2" "$(count_of "$1")"
		shift 2
	done
}

# send COUNT [SIZE [TTL [ADDRESS [PORT]]]]: from a client's socket, no answer awaited, and
# $pause_s after each.
send() {
	run_in client python3 -c 'import socket, sys, time
count, size, ttl, address, port, pause_s = sys.argv[1:]
v6 = ":" in address
sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(ttl))
for _ in range(int(count)):
    sock.sendto(bytes(int(size)), (address, int(port)))
    time.sleep(float(pause_s))' \
		"$1" "${2:-100}" "${3:-64}" "${4:-$service_ipv4}" "${5:-$service_port}" "${pause_s:-0}"
}

# frames NAME KIND [SIZE [PORT [COUNT]]]: as no socket would make them, from the client or
# the backend.
frames() {
	local interface=lan target=$lan1_mac

	[[ $1 != client ]] || { interface=wan target=$wan_mac; }
	run_in "$1" python3 "$tests_dir/drops_frames.py" $interface "$(mac_of "$1" $interface)" \
		"${other_mac:-$target}" "$2" "${3:-100}" "${5:-$count}" ${4:+"$4"}
}

# leave: the backend of a connection to port 446 is removed, and the connection goes on.
leave() {
	frames client client 100 446
	sed -i 's/name: old,/name: new,/; s/4461/4462/' "$config"
	ringwayctl reload
	frames client client 100 446
}

# strangers: by a source port of their own, as one that has been used before would be of a
# known 4-tuple.
strangers() {
	frames client client 100 "$service_port"
}

# worker_id: the kernel's number of the worker's thread.
worker_id() {
	grep -l '^worker-0$' "/proc/$ringwayd_pid/task/"*/comm | sed 's|.*/task/\([0-9]*\)/.*|\1|'
}

# refused CALL[,CALL]... ERROR COMMAND...: meanwhile the kernel refuses these calls of the
# worker's.
refused() {
	local pid

	strace -qq -o "$topology_dir/strace.log" -e "trace=$1" -e "inject=$1:error=$2" \
		-p "$(worker_id)" &
	pid=$!
	topology_pids+=("$pid")
	wait_for 10 'the worker to be traced' is_traced
	"${@:3}"
	wait_for 10 'the call to be refused' grep -q INJECTED "$topology_dir/strace.log"
	stop "$pid" || true
}

is_traced() {
	! grep -q '^TracerPid:	0$' "/proc/$(worker_id)/status"
}

# stopped COMMAND...: all of ringwayd stands still meanwhile.
stopped() {
	kill -STOP "$ringwayd_pid"
	"$@"
	kill -CONT "$ringwayd_pid"
}

# worker_stopped COMMAND...: the worker's thread alone does.
worker_stopped() {
	local pid

	python3 "$tests_dir/drops_thread.py" "$(worker_id)" &
	pid=$!
	topology_pids+=("$pid")
	wait_for 10 'the worker to stand still' grep -q '^State:	t' "/proc/$(worker_id)/status"
	"$@"
	stop "$pid" || true
}

# not_lost: nothing is, and nothing was.
not_lost() {
	look
	check_equal 'first' None "$(json "$drops" 'd["first"]')"
	[[ $(ringwayctl drops) == *'Nothing is lost, and nothing was since ringwayd started'* ]] ||
		fail 'the screen does not say so'
}

# map_id NAME: of a BPF map of ringwayd's.
map_id() {
	local id

	for id in $(sed -n 's/^map_id:\t//p' "/proc/$ringwayd_pid/fdinfo/"* | sort -u); do
		if [[ $(bpftool map show id "$id") == *" name $1 "* ]]; then
			echo "$id"
			return
		fi
	done
	fail "ringwayd has no BPF map $1"
}

# queue_forsake PORT: the first queue of that port has no socket any more.
queue_forsake() {
	local index=$(($1 * 64)) # XSK_INDEX of abi.h

	bpftool map delete id "$(map_id xsks)" key $((index & 255)) $((index >> 8)) 0 0
}

# link_of INTERFACE: the numbers of the BPF link that ringwayd holds there, and of its program.
link_of() {
	awk -v wanted="$(run_in forwarder ip -o link show dev "$1" | cut -d: -f1)" '
		FNR == 1 { link = "" }
		$1 == "link_id:" { link = $2 }
		$1 == "prog_id:" { program = $2 }
		$1 == "ifindex:" && link && $2 == wanted { print link, program; exit }' \
		"/proc/$ringwayd_pid/fdinfo/"*
}

# careless COMMAND...: meanwhile XDP lets pass on wan what it would drop.
careless() {
	local log=$topology_dir/careless.log pid

	# shellcheck disable=SC2046 # words
	start forwarder "$log" python3 "$tests_dir/drops_careless.py" \
		"$BUILD/tests/integration/drops_careless.bpf.o" $(link_of wan) \
		"xsks=$(map_id xsks)" "counters=$(map_id counters)"
	pid=$started_pid
	wait_for 10 'the other program to be attached' grep -q '^attached$' "$log" ||
		fail "$(<"$log")"
	"$@"
	stop "$pid" || fail "$(<"$log")"
}

# service_smuggle PORT: of the service's address, into XDP's rules; then send there.
service_smuggle() {
	local port

	port=$(printf '%02x %02x' $(($1 >> 8)) $(($1 & 255)))
	# struct match_key of 192.0.2.1, UDP; struct service_rule
	# shellcheck disable=SC2086 # words
	bpftool map update id "$(map_id services)" key hex 00 00 00 00 00 00 00 00 00 00 ff ff \
		c0 00 02 01 $port 11 00 value hex ff ff 00 00
	send $count 100 64 $service_ipv4 "$1"
}
