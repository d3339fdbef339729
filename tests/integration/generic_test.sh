#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# generic_test.sh - XDP in the stack, as for a driver without native XDP: said to be
# generic, and a QUIC download comes through, if the senders cut up their datagrams
# themselves. What they leave to their card is dropped, and counted.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

# segmentation on|off: do the senders leave it to their card?
segmentation() {
	run_in client ethtool -K wan tx-udp-segmentation "$1"
	run_in backend1 ethtool -K lan tx-udp-segmentation "$1"
}

too_big() {
	stats_at_rest "$stats"
	json "$stats" 'd["xdp"]["xdp_drop_too_big"]'
}

topology_up 1
mkdir "$topology_dir/www" "$topology_dir/got"
head -c 5M /dev/urandom >"$topology_dir/www/file"
start_server backend1 "$backend_port" "$topology_dir/www"
topology_config "$topology_dir/ringway.yaml"
sed -i 's/^  - name: \(wan\|lan1\)$/&\n    mode: generic/' "$topology_dir/ringway.yaml"
stats=$topology_dir/stats.json
start_ringwayd "$topology_dir/ringway.yaml"
grep 'wan: generic XDP.*tx-udp-segmentation off' "$topology_dir/ringwayd.log" ||
	fail 'the log does not say what generic XDP takes'

ringwayctl status --json >"$topology_dir/status.json"
check_true 'mode of every queue' "$topology_dir/status.json" \
	'{q["mode"] for i in d["interfaces"] for q in i["queues"]} == {"generic"}'

segmentation off
for address in "$service_ipv4" "$service_ipv6"; do
	download "$address" "$service_port" file "$topology_dir/got"
	same_content "$topology_dir/www/file" "$topology_dir/got/file" || fail "$address: other content"
	rm "$topology_dir/got/file"
	echo "$address: byte-identical"
done
check_equal 'super-frames without segmentation offload' 0 "$(too_big)"
check_true 'mode of every port' "$stats" \
	'{p["mode"] for w in d["workers"] for p in w["ports"]} == {"generic"}'
check_conservation "$stats"

segmentation on
download_start "$service_ipv4" "$service_port" file "$topology_dir/got"
wait_for 20 'a dropped super-frame' bash -c "
	'$BUILD/ringwayctl' -s '$topology_dir/ringway.sock' stats --json |
		grep -q '\"xdp_drop_too_big\": [1-9]'"
stop "$started_pid" || true
stop_ringwayd || fail "exit status $? after SIGTERM"
