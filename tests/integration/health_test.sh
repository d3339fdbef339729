#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# health_test.sh - a backend that does not answer its probes gets no new connection,
# and gets them again when it does; when all are down the policy decides.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

topology_up 2
mkdir "$topology_dir/www"
head -c 10000 /dev/urandom >"$topology_dir/www/file"
config=$topology_dir/ringway.yaml
declare -A servers

server_up() {
	start_server "backend$1" "$backend_port" "$topology_dir/www"
	servers[$1]=$started_pid
}

# configure keep|drop
configure() {
	topology_config "$config"
	sed -i "/mode: nat/a\\    health: { probe: quic, interval: 200ms, timeout: 150ms, rise: 2, fall: 2, all_down: $1 }" \
		"$config"
}

# health_is NAME up|down
health_is() {
	ringwayctl backends --json >"$topology_dir/backends.json" &&
		[[ $(json "$topology_dir/backends.json" \
			"[b['state'] for b in d if b['backend'] == '$1']") == "['$2']" ]]
}

# Twelve new connections: which backends got something of them?
who_gets() {
	local before after i

	before=$(outs)
	for ((i = 0; i < 12; i++)); do
		run_in client bash -c "echo -n connection >/dev/udp/$service_ipv4/$service_port"
	done
	wait_for 5 'twelve datagrams' outs_are $((12 + $(tr ' ' '+' <<<"$before")))
	after=$(outs)
	python3 -c 'import sys
b, a = ([int(n) for n in s.split()] for s in sys.argv[1:])
print(*(y > x for x, y in zip(b, a)))' "$before" "$after"
}

# check_gets WHAT WANTED: a new table is published within a second.
check_gets() {
	wait_for 10 "$1: $2" gets_are "$2"
	echo "$1, who gets new connections: $2"
}

gets_are() {
	[[ $(who_gets) == "$1" ]]
}

outs() {
	ringwayctl backends --json >"$topology_dir/backends.json"
	json "$topology_dir/backends.json" '" ".join(str(b["out"]["datagrams"]) for b in d)'
}

outs_are() {
	(($(outs | tr ' ' '+') == $1))
}

server_up 1
server_up 2
configure keep
start_ringwayd "$config"
wait_for 10 'both to be up' health_is backend1 up
wait_for 10 'both to be up' health_is backend2 up
check_gets 'both up' 'True True'

stop "${servers[2]}" KILL || true
wait_for 10 'backend2 to be down' health_is backend2 down
check_gets 'backend2 down' 'True False'

# What is known of an address outlasts a change of the other one.
cp "$config" "$topology_dir/both.yaml"
sed -i 's/, *"*2001:db8:2::2"*//' "$config"
! cmp -s "$config" "$topology_dir/both.yaml" || fail 'backend2 keeps its IPv6 address'
ringwayctl reload
health_is backend2 down || fail 'up, by a change of its other address'
check_gets 'backend2 without IPv6' 'True False'
mv "$topology_dir/both.yaml" "$config"
ringwayctl reload
wait_for 10 'backend2 to be down again' health_is backend2 down

server_up 2
wait_for 10 'backend2 to be up again' health_is backend2 up
check_gets 'backend2 up again' 'True True'

stop "${servers[1]}" KILL || true
stop "${servers[2]}" KILL || true
wait_for 10 'all to be down' health_is backend1 down
wait_for 10 'all to be down' health_is backend2 down
check_gets 'all down, keep' 'True True'

configure drop
ringwayctl reload
dropped() {
	ringwayctl stats --json >"$topology_dir/stats.json"
	json "$topology_dir/stats.json" 'd["totals"]["dropped"]["no_backend"]'
}
run_in client bash -c "echo -n connection >/dev/udp/$service_ipv4/$service_port"
is_dropped() {
	(($(dropped) == 1))
}
wait_for 5 'a datagram without a backend' is_dropped
echo 'all down, drop: no_backend is counted'
stop_ringwayd
