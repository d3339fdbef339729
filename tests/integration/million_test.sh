#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# million_test.sh - a million connections, known by 4-tuple and by Connection ID, each
# keep their backend when one is added, which Maglev would give a part of them, and when
# every one of them moves to another address and queue.
#
# QUICK=1: a hundred thousand.
# limit: 900 s
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/integration/connections.sh
. "$(dirname "$0")/connections.sh"

count=1000000
[[ -z ${QUICK:-} ]] || count=100000
rate=60000
queues=4

# from_queues PHASE SINK_OPTION|- FROM FIRST_QUEUE [OPTION]...: from all queues in turn.
from_queues() {
	phase "$1" "$2" 1 "$3" $count $rate --queues=$queues --first-queue="$4" "${@:5}"
}

topology_up 4 $queues
clients_route
config=$topology_dir/ringway.yaml
topology_config "$topology_dir/four.yaml"
echo "limits: { connections: $((2 * count)) }" >>"$topology_dir/four.yaml"
sed '/name: backend4/,/port:/d' "$topology_dir/four.yaml" >"$config"
start_ringwayd "$config"

# decided RULE: how many datagrams, when the last phase had come to rest.
decided() {
	json "$topology_dir/stats.json" "d['totals']['decided']['$1']"
}

# Datagrams without a Connection ID go by their 4-tuple alone.
from_queues open --handshake $clients_first 0 --kind=quic-initial --size=100
new=$(decided new)
cp "$topology_dir/four.yaml" "$config"
ringwayctl reload
from_queues four_tuple - $clients_first 1 --kind=quic-initial --size=100 --cid-len=0
from_queues proven - $clients_first 0 --kind=quic-short
from_queues moved - $clients_moved 2 --kind=quic-short

for after in open four_tuple proven moved; do
	check_kept open $after $count
done
check_equal 'taken for new since then' 0 $(($(decided new) - new))
shares=$(json "$topology_dir/stats.json" \
	'[p["received"] for w in d["workers"] for p in w["ports"] if p["interface"] == "wan"]')
echo "datagrams of clients by queue: $shares"
python3 -c "import sys; sys.exit(min($shares) < 4 * $count / $queues * 0.9)" ||
	fail "not all $queues queues had their share"
check_conservation "$topology_dir/stats.json"
stop_ringwayd || fail "exit status $? after SIGTERM"
