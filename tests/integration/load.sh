# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# load.sh - what the tests of ringway-load itself share: hosts of their own, joined by
# veths, and what was written by programs that run on them. After lib.sh.

topology_begin
dir=$topology_dir

# start_in HOST OUT ERR COMMAND...: like start, with stdout in a file of its own.
start_in() {
	rm -f "$2"
	# shellcheck disable=SC2016 # for the inner shell
	start "$1" "$3" bash -c 'exec "${@:2}" >"$1"' start_in "$2" "${@:4}"
}

# connect HOST IF ADDRESS HOST IF ADDRESS: addresses are 10.9.ADDRESS and fd09:ADDRESS.
connect() {
	run_in "$1" ip link add "$2" type veth peer name "$5" netns "$topology_prefix-$4"
	address "$1" "$2" "$3"
	address "$4" "$5" "$6"
}

address() {
	run_in "$1" ip address add "10.9.$3/24" dev "$2"
	run_in "$1" ip address add "fd09:${3%.*}::${3#*.}/64" dev "$2" nodad
	run_in "$1" ip link set "$2" up
}

mac() {
	run_in "$1" ip link show dev "$2" | awk '/link.ether/ { print $2 }'
}

# counter HOST IF NAME: over all queues.
counter() {
	run_in "$1" ethtool -S "$2" | awk -v name="_$3:\$" '$1 ~ name { sum += $2 } END { print sum + 0 }'
}
