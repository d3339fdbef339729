#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# flood_test.sh - floods that would fill the tables several times over move no connection
# that has shown itself to be one: neither those that Maglev would send elsewhere, since
# a backend was added, nor those that have migrated. Says what becomes of connections
# that open during the flood and rebind after it.
#
# 5 million datagrams a flood; QUICK=1: 300,000.
# limit: 900 s
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/connections.sh
. "$(dirname "$0")/connections.sh"

flood=5000000
[[ -z ${QUICK:-} ]] || flood=300000
flood_rate=60000
rate=10000
live=4000 # of which a third will not be on Maglev's choice
others=1000
during_kept_least=800 # of them; by chance it were a third
live_cids=0 migrated_cids=1000000 during_cids=2000000 random_cids=100000000

topology_up 3 2
clients_route
config=$topology_dir/ringway.yaml
topology_config "$topology_dir/three.yaml"
echo "limits: { connections: $((flood / 5)) }" >>"$topology_dir/three.yaml"
sed '/name: backend3/,/port:/d' "$topology_dir/three.yaml" >"$config"
start_ringwayd "$config"

# alive PHASE SINK_OPTION|- FROM [OPTION]...: of those who live; migrants, likewise.
alive() {
	phase "$1" "$2" 0 "$3" $live $rate --first-cid=$live_cids "${@:4}"
}
migrants() {
	phase "$1" "$2" 1 "$3" $others $rate --first-cid=$migrated_cids "${@:4}"
}

alive live_open --handshake 10.64.0.0 --kind=quic-initial
alive live_proven - 10.64.0.0 --kind=quic-short
migrants migrated_open --handshake 10.65.0.0 --kind=quic-initial
migrants migrated_proven - 10.65.0.0 --kind=quic-short
cp "$topology_dir/three.yaml" "$config"
ringwayctl reload
migrants migrated_moved - 10.128.0.0 --kind=quic-short
check_kept migrated_open migrated_moved $others
alive live_added - 10.64.0.0 --kind=quic-short
check_kept live_open live_added $live

# Random Initials, each of which is answered; in between 1000 connections open. What
# they lose they send again, as clients do.
clients_datagrams() {
	ringwayctl stats --json >"$topology_dir/flood.stats"
	json "$topology_dir/flood.stats" 'd["xdp"]["xdp_service"]'
}
flooded_from=$(clients_datagrams)
sinks_start "$topology_dir/during.1" $others 1 --handshake
start client "$topology_dir/flood.json" "$load" send --json --interface=wan --cpu=1 \
	--to=$service_ipv4:$service_port --from=$clients_other --kind=quic-initial --stream=2 \
	--flows=$flood --count=$((10 * flood)) --ports=$ports_of_address --step=256 \
	--seconds=600 --rate=$flood_rate --first-cid=$random_cids
flooder=$started_pid

# flooded DATAGRAMS: have so many arrived since $flooded_from?
flooded() {
	(($(clients_datagrams) >= flooded_from + $1))
}
wait_for 60 'the flood' flooded $((flood / 10))
for kind in quic-initial quic-initial quic-short quic-short; do
	send 0 10.66.0.0 $others 1 2000 --first-cid=$during_cids --kind=$kind
done
is_running "$flooder" || fail "the flood has ended too early: $(<"$topology_dir/flood.json")"
wait_for 300 'all of the flood' flooded "$flood"
stop "$flooder" INT || fail "the flood: $(<"$topology_dir/flood.json")"
sinks_stop
echo "datagrams of the flood: $(($(clients_datagrams) - flooded_from))"
evicted=$(json "$topology_dir/stats.json" '[d["totals"][t]["evicted"] for t in ("tuples", "cids")]')
echo "entries that gave way, by 4-tuple and by Connection ID: $evicted"
python3 -c "import sys; sys.exit(min($evicted) < $flood / 4)" || fail 'there was room for the flood'
alive live_flooded - 10.64.0.0 --kind=quic-short
migrants migrated_flooded - 10.128.0.0 --kind=quic-short
check_kept live_open live_flooded $live
check_kept migrated_open migrated_flooded $others

phase during_moved - 1 10.129.0.0 $others $rate --first-cid=$during_cids --kind=quic-short
compare during during_moved
read -r before kept < <(json "$topology_dir/compare.json" '"%d %d" % (d["before"], d["kept"])')
echo "opened during the flood, with their backend after a rebinding: $kept of $before"
((before == others)) || fail "only $before of $others connections opened during the flood"
((kept >= during_kept_least)) || fail "at least $during_kept_least were wanted"

# Random Connection IDs on the 4-tuple of a live connection.
sinks_start "$topology_dir/random.1" 1 1
send 1 10.64.0.0 $flood 3 $flood_rate --kind=quic-short --flows=1 --cids=$flood \
	--first-cid=$random_cids
sinks_stop
alive live_after - 10.64.0.0 --kind=quic-short
alive live_tuple - 10.64.0.0 --kind=quic-initial --cid-len=0
alive live_moved - 10.130.0.0 --kind=quic-short
migrants migrated_after - 10.128.0.0 --kind=quic-short
migrants migrated_again - 10.131.0.0 --kind=quic-short
for after in after tuple moved; do
	check_kept live_open live_$after $live
done
check_kept migrated_open migrated_after $others
check_kept migrated_open migrated_again $others
stats_at_rest "$topology_dir/stats.json"
check_conservation "$topology_dir/stats.json"
stop_ringwayd || fail "exit status $? after SIGTERM"

# Where Maglev alone would send them: a forwarder that remembers nothing says it.
start_ringwayd "$config"
alive live_maglev - 10.64.0.0 --kind=quic-initial
compare live_open live_maglev
moved=$(json "$topology_dir/compare.json" 'd["moved"]')
echo "live connections that were not on Maglev's choice: $moved"
((moved >= 1000)) || fail "only $moved live connections were not on Maglev's choice"
stop_ringwayd || fail "exit status $? after SIGTERM"
