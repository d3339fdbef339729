#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# socket_test.sh - engine socket: a user without any privilege forwards HTTP/3 and plain
# UDP by the kernel's sockets, through every way to call it; with drain, health, reload
# and its end as with interfaces. And engine auto says why it is there.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

nobody=65534
service_port=8443
plain_port=8053
echo_port=5353
size_mb=${QUICK:+5}
size_mb=${size_mb:-50}
reloads=${QUICK:+10}
reloads=${reloads:-40}

topology_engine=socket
topology_up 2
config=$topology_dir/ringway.yaml
stats=$topology_dir/stats.json
chown $nobody "$topology_dir"
chmod 755 "$topology_dir"
install -m 755 "$BUILD/ringwayd" "$topology_dir/ringwayd"
# Nothing gets from one interface to another but by ringwayd.
run_in forwarder sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0

# plain_service NAME PORT BACKEND...: plain UDP, as an item of `services`.
plain_service() {
	local i

	cat <<-END
		  - name: $1
		    addresses: [$service_ipv4, "$service_ipv6"]
		    port: $2
		    protocol: udp
		    backends:
	END
	for i in "${@:3}"; do
		echo "      - { name: backend$i, addresses: [10.0.$i.2, \"2001:db8:$i::2\"], port: $echo_port }"
	done
}

# configure SOCKETS: HTTP/3 and plain UDP at both backends.
configure() {
	topology_sockets=$1
	topology_config "$config"
	sed -i '/mode: nat/a\    health: { probe: quic, interval: 200ms, timeout: 150ms, rise: 2, fall: 2 }' \
		"$config"
	plain_service plain $plain_port 1 2 >>"$config"
}

# start_as_nobody [SETPRIV OPTION]...
start_as_nobody() {
	start_ringwayd_by setpriv --reuid=$nobody --regid=$nobody --clear-groups "$@" \
		"$topology_dir/ringwayd" -c "$config"
}

status() {
	ringwayctl status --json >"$topology_dir/status.json"
	json "$topology_dir/status.json" "$1"
}

end_in_time() {
	local begin=${EPOCHREALTIME/./} spent_ms most_ms=${SANITIZE:+8000} # it waits, too, at its end

	stop_ringwayd "$@" || fail "exit status $? after SIG${1:-TERM}"
	spent_ms=$(((${EPOCHREALTIME/./} - begin) / 1000))
	((spent_ms < ${most_ms:-2000})) || fail "the end took $spent_ms ms"
	[[ ! -e $topology_dir/ringway.sock ]] || fail 'the socket file is left'
}

# plain_flows ADDRESS FLOWS DATAGRAMS
plain_flows() {
	run_in client python3 "$tests_dir/peer.py" udp-client "$1" $plain_port "$2" "$3"
}

both_families() {
	local address

	for address in $service_ipv4 $service_ipv6; do
		download "$address" $service_port file "$topology_dir/got"
		same_content "$topology_dir/www/file" "$topology_dir/got/file" ||
			fail "$1, $address: other content"
		rm "$topology_dir/got/file"
		plain_flows "$address" 8 10
	done
	echo "$1: $size_mb MB byte-identical in both families"
}

# check_calls CALLS SETTINGS [SETPRIV OPTION]...: what else sockets are told.
check_calls() {
	local name="$1${2:+, $2}"

	configure "calls: $name"
	sed -i '/ health:/d' "$config" # who probes is not idle
	start_as_nobody "${@:3}"
	both_families "$name"
	stats_at_rest "$stats"
	check_conservation "$stats"
	check_idle 1
	check_true "$name: nothing is lost in sockets" "$stats" 'not any(d["sockets"][k] for k in
		("flows_refused", "flow_errors", "ring_full", "truncated"))'
	check_true "$name: a flow for each client at its backend" "$stats" 'd["sockets"]["flows"] >= 18'
	check_equal "$name: engine and calls" "socket $1" \
		"$(status 'd["engine"] + " " + d["socket"]["calls"]')"
}

# outs SERVICE: datagrams to each of its backends.
outs() {
	ringwayctl backends --json >"$topology_dir/backends.json"
	json "$topology_dir/backends.json" \
		"' '.join(str(b['out']['datagrams']) for b in d if b['service'] == '$1')"
}

outs_are() {
	[[ $(outs "$1") == "$2" ]]
}

# health_is NAME up|down
health_is() {
	ringwayctl backends --json >"$topology_dir/backends.json" &&
		[[ $(json "$topology_dir/backends.json" \
			"[b['state'] for b in d if b['service'] == 'web' and b['backend'] == '$1']") == "['$2']" ]]
}

# new_ones_are_at BACKEND: a table follows within a second.
new_ones_are_at() {
	local i

	for i in {1..8}; do
		ringwayctl lookup web --cid=0123456789abcdef --version=1 --from=198.51.100.9:400"$i" |
			grep -q "^web/$1," || return 1
	done
}

# reload_refused WHAT PATTERN...
reload_refused() {
	local before pattern

	before=$(status 'd["generation"]')
	! ringwayctl reload >"$topology_dir/reload.log" 2>&1 || fail "$1: not refused"
	for pattern in "${@:2}" 'nothing has changed'; do
		grep -q "$pattern" "$topology_dir/reload.log" ||
			fail "$1: nothing like \"$pattern\" in $(<"$topology_dir/reload.log")"
	done
	check_equal "$1: generation" "$before" "$(status 'd["generation"]')"
}

# start_refused WHAT PATTERN
start_refused() {
	! start_as_nobody 2>/dev/null || fail "$1: not refused"
	grep -q "error: .*$2" "$topology_dir/ringwayd.log" ||
		fail "$1: nothing like \"$2\" in $(<"$topology_dir/ringwayd.log")"
	echo "$1: $(grep error: "$topology_dir/ringwayd.log")"
}

mkdir "$topology_dir/www" "$topology_dir/got"
head -c "${size_mb}M" /dev/urandom >"$topology_dir/www/file"
declare -A servers
for i in 1 2; do
	start_server "backend$i" "$backend_port" "$topology_dir/www"
	servers[$i]=$started_pid
	start "backend$i" "$topology_dir/echo$i.log" python3 "$tests_dir/peer.py" udp-server $echo_port
	wait_for 10 "the echo server on backend$i" udp_is_bound "backend$i" $echo_port udp6
done

# Since Linux 6.0, where it is not forbidden.
io_uring_is_there() {
	[[ $(printf '%s\n' 6.0 "$(uname -r)" | sort -V | head -n 1) == 6.0 ]] &&
		! grep -q '[12]' /proc/sys/kernel/io_uring_disabled 2>/dev/null
}

all_calls=(epoll mmsg)
! io_uring_is_there || all_calls+=(io_uring)
for calls in "${all_calls[@]}"; do
	check_calls "$calls" ''
	end_in_time
done
check_calls mmsg 'decoupled: yes'
end_in_time INT

# cpus_of THREAD: where one of ringwayd's may run.
cpus_of() {
	local task

	for task in "/proc/$ringwayd_pid/task/"*; do
		[[ $(<"$task/comm") != "$1" ]] || sed -n 's/^Cpus_allowed_list:\t//p' "$task/status"
	done
}

# Each thread of a decoupled worker has the next CPU of the list, and then its first again;
# what is shown is where the kernel has them.
if (($(nproc) > 1)); then
	configure 'calls: mmsg, decoupled: yes, workers: 2'
	sed -i '/^hash_key:/a cpus: [1, 0, 1]' "$config"
	start_as_nobody
	check_equal 'CPUs of workers and receivers' '1 0, 1 1' \
		"$(cpus_of worker-0) $(cpus_of receiver-0), $(cpus_of worker-1) $(cpus_of receiver-1)"
	ringwayctl stats --json >"$stats"
	check_equal 'CPUs of workers that are shown' "$(cpus_of worker-0) $(cpus_of worker-1)" \
		"$(json "$stats" '" ".join(str(w["cpu"]) for w in d["workers"])')"
	end_in_time
	sed -i 's/^cpus:.*/cpus: [0, 1023]/' "$config"
	start_refused 'a CPU that there is not' 'cannot run on CPU 1023'
fi
check_calls epoll 'workers: 2, steering: connection-id' \
	--inh-caps=+bpf,+net_admin --ambient-caps=+bpf,+net_admin
check_true 'both workers have clients' "$stats" 'all(w["received"] for w in d["workers"])'
end_in_time

# What is refused at start.
sed -i "s/$service_ipv4, /192.0.2.77, /" "$config"
start_refused 'a foreign address' 'service web: .*192\.0\.2\.77.*ip address add'
configure 'workers: 2'
sed -i "s/port: $service_port/port: 443/" "$config"
start_refused 'a reserved port' 'service web: .*:443.*CAP_NET_BIND_SERVICE'
configure 'workers: 2'
sed -i 's|^control_socket: .*|control_socket: /run/ringway.nobody/a.sock|' "$config"
start_refused 'a control socket where nobody may write' '/run/ringway.nobody.*Permission denied'

# Files: for flows, 2 services with 2 addresses for 2 workers, and 4 a worker; 336 are
# others'. A reload that adds a service needs more.
start_with_files() {
	start_ringwayd_by prlimit --nofile="$1:$1" setpriv --reuid=$nobody --regid=$nobody \
		--clear-groups "$topology_dir/ringwayd" -c "$config"
}
files=$((500 + 2 * 2 * 2 + 2 * 4 + 336))
configure 'workers: 2, flows: 500'
! start_with_files $((files - 1)) 2>/dev/null || fail 'too few files: not refused'
grep "error: 500 flows and 4 addresses .* need $files open files.*RLIMIT_NOFILE allows .* $((files - 1)):.*lower .flows. to 499,.*LimitNOFILE=" \
	"$topology_dir/ringwayd.log" || fail "no sentence in $(<"$topology_dir/ringwayd.log")"
start_with_files $files
plain_service more 8054 1 2 | sed "s/port: $echo_port/port: 5354/" >>"$config"
reload_refused 'too few files for a service more' "6 addresses .* need $((files + 4)) open files"
end_in_time
configure 'workers: 2'
start_with_files $files
grep "warning: [1-9][0-9]* flows instead of 65536: RLIMIT_NOFILE .* $files open files" \
	"$topology_dir/ringwayd.log" || fail "no sentence in $(<"$topology_dir/ringwayd.log")"
end_in_time

# many_services NAME PORT: as many with an address of each family as fill half of what
# there may be, and one more.
many_services() {
	local i

	for ((i = 0; i < 513; i++)); do
		echo "  - { name: $1$i, addresses: [$service_ipv4, \"$service_ipv6\"], port: $(($2 + i)), protocol: udp,"
		echo "      backends: [{ name: b, addresses: [10.0.1.2, \"2001:db8:1::2\"], port: $(($2 + i)) }] }"
	done
}

replace_many_services() {
	configure 'workers: 1, flows: 500'
	cp "$config" "$topology_dir/few.yaml"
	many_services many 20000 >>"$config"
	start_as_nobody
	cp "$topology_dir/few.yaml" "$config"
	many_services many 30000 >>"$config"
	ringwayctl reload
	check_equal 'services after a reload with 513 others' 'True 515' \
		"$(udp_is_bound forwarder 30512 udp udp6 && echo True) $(status 'd["services"]')"
	! udp_is_bound forwarder 20512 udp || fail 'the socket of a service that has moved is left'
	cp "$topology_dir/few.yaml" "$config"
	many_services other 30000 >>"$config"
	reload_refused '513 services of other names' 'more than 1024 services .* keep names, or reload in two steps'
	end_in_time
}

# A sanitizer's ringwayd takes minutes to make as many tables.
[[ -n ${SANITIZE:-} ]] || replace_many_services

# A host by itself, as one tries things out.
configure 'calls: mmsg'
sed -i '/^services:/,$d' "$config"
cat >>"$config" <<-END
	services:
	  - name: plain
	    addresses: [127.0.0.1, "::1"]
	    port: $plain_port
	    protocol: udp
	    backends:
	      - { name: b1, addresses: [127.0.0.2, "::1"], port: $echo_port }
	      - { name: b2, addresses: [127.0.0.1], port: $echo_port }
END
start forwarder "$topology_dir/echo.log" python3 "$tests_dir/peer.py" udp-server $echo_port
echo_here=$started_pid
wait_for 10 'the echo server here' udp_is_bound forwarder $echo_port udp6
start_as_nobody
for address in 127.0.0.1 ::1; do
	run_in forwarder python3 "$tests_dir/peer.py" udp-client $address $plain_port 20 5
done
ringwayctl backends --json >"$topology_dir/backends.json"
check_true 'datagrams over loopback at each backend' "$topology_dir/backends.json" \
	'all(b["out"]["datagrams"] >= 5 for b in d)'
end_in_time
stop "$echo_here" || true

# threads_have_no_more_than_root: but to bind reserved ports nothing, and nothing to come.
threads_have_no_more_than_root() {
	local status name

	status=$(cat "/proc/$ringwayd_pid/task/"*/status)
	for name in CapPrm CapEff CapBnd; do
		! sed -n "s/^$name:\t//p" <<<"$status" | grep -qvx "0\{13\}[04]00" || return 1
	done
	! grep -q 'NoNewPrivs:.0' <<<"$status"
}

# Another one on the same addresses, which two sockets of one user could share.
configure 'workers: 2'
start_as_nobody
! run_in forwarder setpriv --reuid=$nobody --regid=$nobody --clear-groups \
	"$topology_dir/ringwayd" -c "$config" 2>"$topology_dir/second.log" || fail 'a second ringwayd'
grep 'in use: another ringwayd runs' "$topology_dir/second.log" || fail "$(<"$topology_dir/second.log")"
plain_flows $service_ipv4 8 1

# Drain, and health.
check_equal 'capabilities' 0000000000000000 \
	"$(sed -n 's/^CapPrm:\t//p' "/proc/$ringwayd_pid/status")"
before=$(outs plain)
ringwayctl drain plain/backend1 >/dev/null
plain_flows $service_ipv4 20 1
check_equal 'datagrams while backend1 is drained' "${before% *} $((${before#* } + 20))" "$(outs plain)"
ringwayctl undrain plain/backend1 >/dev/null
plain_flows $service_ipv6 20 1
[[ $(outs plain) != "${before% *} "* ]] || fail "backend1 gets nothing: $(outs plain)"
wait_for 10 'backend2 to be up' health_is backend2 up
stop "${servers[2]}" KILL 2>/dev/null || true
wait_for 10 'backend2 to be down' health_is backend2 down
wait_for 5 'the table without it' new_ones_are_at backend1
before=$(outs web)
for ((i = 0; i < 12; i++)); do
	run_in client bash -c "echo -n connection >/dev/udp/$service_ipv4/$service_port"
done
wait_for 5 'twelve datagrams at backend1' outs_are web "$((${before% *} + 12)) ${before#* }"
echo 'backend2 is down: backend1 gets all that is new'
start_server backend2 "$backend_port" "$topology_dir/www"
wait_for 10 'backend2 to be up again' health_is backend2 up

# Reloads: services come and go, and a mistake changes nothing.
cp "$config" "$topology_dir/good.yaml"
plain_service more 8054 1 2 >>"$config"
sed -i "/name: more/,\$s/port: $echo_port/port: 5354/" "$config"
for i in 1 2; do
	start "backend$i" "$topology_dir/more$i.log" python3 "$tests_dir/peer.py" udp-server 5354
	wait_for 10 "the second echo server on backend$i" udp_is_bound "backend$i" 5354 udp6
done
ringwayctl reload
run_in client python3 "$tests_dir/peer.py" udp-client $service_ipv6 8054 4 5
cp "$topology_dir/good.yaml" "$config"
ringwayctl reload
! udp_is_bound forwarder 8054 udp udp6 || fail 'the socket of a removed service is left'
plain_service far 8055 1 | sed "s/$service_ipv4/192.0.2.77/; s/port: $echo_port/port: 5355/" >>"$config"
reload_refused 'a foreign address' 'service far: .*192\.0\.2\.77'
! udp_is_bound forwarder 8055 udp6 || fail 'a refused reload has left a socket'
sed 's/workers: 2/workers: 3/' "$topology_dir/good.yaml" >"$config"
reload_refused 'what is fixed' 'socket cannot change'
cp "$topology_dir/good.yaml" "$config"
plain_flows $service_ipv4 4 5

# Reloads under load: what is sent arrives, whichever backend a flow is at. The sinks
# take it before the echo servers would.
run_in forwarder ethtool -K wan gro on >/dev/null # veth takes raw frames then
for i in 1 2; do
	start "backend$i" "$topology_dir/sink$i.json" "$load" sink --json --interface=lan --port=$echo_port
	sinks[i]=$started_pid
	wait_for 10 "the sink on backend$i" grep -q '^counting on' "$topology_dir/sink$i.json"
done

# of_load LOG KEY: of the JSON behind what it said at its start.
of_load() {
	python3 -c 'import json, sys
log = open(sys.argv[1]).read()
print(json.JSONDecoder().raw_decode(log[log.index("{"):])[0][sys.argv[2]])' "$@"
}

start client "$topology_dir/sent.json" "$load" send --json --interface=wan \
	--to=$service_ipv4:$plain_port --flows=300 --rate=1000 --seconds=60 --count=1000000
sender=$started_pid
for ((i = 1; i <= reloads; i++)); do
	cp "$topology_dir/good.yaml" "$config"
	case $((i % 4)) in
	0) ;;
	1) sed -i "/name: plain/,\$s/ - { name: backend1,.*//; /^ *$/d" "$config" ;;
	2) plain_service more 8054 1 2 | sed "s/port: $echo_port/port: 5354/" >>"$config" ;;
	3) sed -i "/name: plain/,\$s/ - { name: backend2,.*//; /^ *$/d" "$config" ;;
	esac
	ringwayctl reload >/dev/null
	sleep 0.1
done
stop "$sender"
stats_at_rest "$stats"
for i in 1 2; do
	stop "${sinks[i]}"
done
sent=$(of_load "$topology_dir/sent.json" sent)
lost=$(json "$stats" 'd["sockets"]["dropped_service"]')
received=$(($(of_load "$topology_dir/sink1.json" received) + $(of_load "$topology_dir/sink2.json" received)))
check_equal "of $sent datagrams over $reloads reloads, $lost of which found no room" \
	"$sent" $((received + lost))
check_conservation "$stats"
end_in_time

# engine auto: sockets where XDP may not be had, and AF_XDP where it may.
topology_engine=auto
run_in forwarder sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
configure 'workers: 2'
start_as_nobody
grep 'warning: engine auto: af_xdp is not to be had: .*CAP_.*; going on with engine socket' \
	"$topology_dir/ringwayd.log" || fail "no sentence in $(<"$topology_dir/ringwayd.log")"
check_equal 'auto of nobody' 'socket []' "$(status '"{engine} {interfaces}".format(**d)')"
both_families 'auto of nobody'
end_in_time
chown root "$topology_dir" # who would need a capability to remove a file from others'
start_ringwayd "$config"
check_equal 'auto of root' 'af_xdp None' "$(status '"{engine} {socket}".format(**d)')"
both_families 'auto of root'
end_in_time

# As root: a reserved port, another one after privileges are gone, and no more than that.
topology_engine=socket
configure 'workers: 1, decoupled: yes'
sed -i "s/port: $service_port/port: 443/" "$config"
start_ringwayd "$config"
check_equal 'capabilities of root' 0000000000000400 \
	"$(sed -n 's/^CapPrm:\t//p' "/proc/$ringwayd_pid/status")"
[[ -n ${SANITIZE:-} ]] || # which has a thread of its own, with all of root's
	wait_for 10 'threads that were started before to drop theirs' threads_have_no_more_than_root
plain_service more 53 1 | sed "s/port: $echo_port/port: 5354/" >>"$config"
ringwayctl reload
run_in client python3 "$tests_dir/peer.py" udp-client $service_ipv4 53 1 1
end_in_time
