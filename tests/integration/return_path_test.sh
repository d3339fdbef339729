#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# return_path_test.sh - with `return_path: xdp` answers leave from the XDP program: the
# same bytes by HTTP/3 in both families, and a client keeps its backend over NAT
# rebinding, as Connection IDs are still learned. An interface that would not take them is
# refused, at start and in a reload.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

topology_up 2
mkdir "$topology_dir/www" "$topology_dir/got"
head -c 10M /dev/urandom >"$topology_dir/www/file"
for backend in backend1 backend2; do
	start_server "$backend" "$backend_port" "$topology_dir/www"
done
config=$topology_dir/ringway.yaml
topology_config "$config"
stats=$topology_dir/stats.json

# refused COMMAND...: ends with a sentence about the clients' interface.
refused() {
	! "$@" >"$topology_dir/refused" 2>&1 || fail "not refused: $*"
	grep 'wan does not take frames that XDP redirects' "$topology_dir/refused" ||
		fail "$* says $(cat "$topology_dir/refused")"
}

start_ringwayd "$config"
sed -i 's/^    mode: nat$/&\n    return_path: xdp/' "$config"
if (($(uname -r | awk -F. '{ print $1 * 100 + $2 }') >= 603)); then # the kernel tells
	run_in client ethtool -K wan gro off
	refused ringwayctl reload
	stop_ringwayd || fail "exit status $? after SIGTERM"
	refused run_in forwarder timeout 20 "$BUILD/ringwayd" -c "$config"
	run_in client ethtool -K wan gro on
	start_ringwayd "$config"
else
	ringwayctl reload
fi

# download_case ADDRESS on|off: most answers have their whole checksum only when end
# points do not leave it to their card; the others go by a worker, which completes it.
download_case() {
	local name="10 MB from $1, checksum offload $2" sent_on host

	topology_offload "$2"
	stats_at_rest "$stats"
	sent_on=$(json "$stats" 'd["xdp"]["xdp_return_forwarded"]')
	download "$1" "$service_port" file "$topology_dir/got"
	same_content "$topology_dir/www/file" "$topology_dir/got/file" || fail "$name: other content"
	rm "$topology_dir/got/file"
	stats_at_rest "$stats"
	sent_on=$(json "$stats" "d['xdp']['xdp_return_forwarded'] - $sent_on")
	echo "$name: byte-identical, $sent_on answers sent on by XDP"
	if [[ $2 == on ]]; then
		((sent_on < 10)) || fail "$name: sent on without a whole checksum"
	else
		((sent_on > 10000000 / 1500)) || fail "$name: most should have been"
	fi
	for host in client backend1 backend2; do
		check_equal "$name: InCsumErrors of $host" 0 "$(udp_counter "$host" InCsumErrors)"
	done
}

for offload in on off; do
	for address in "$service_ipv4" "$service_ipv6"; do
		download_case "$address" $offload
	done
done

# The port changes while it runs; the ID stays, and was learned from the handshake.
start client "$topology_dir/rebinding.log" timeout 60 gtlsclient -q --no-quic-dump --no-http-dump \
	--exit-on-all-streams-close --download="$topology_dir/got" --change-local-addr=100ms \
	--nat-rebinding --delay-stream=500ms "$service_ipv4" "$service_port" \
	"https://$service_ipv4/file"
wait "$started_pid" || fail "the client ended with status $?"
topology_forget "$started_pid"
same_content "$topology_dir/www/file" "$topology_dir/got/file" || fail 'rebinding: other content'
echo 'NAT rebinding: byte-identical'
stats_at_rest "$stats"
check_conservation "$stats"
check_true 'rebinding found by the Connection ID' "$stats" \
	'sum(w["decided"]["connection_id"] for w in d["workers"]) > 0'
stop_ringwayd || fail "exit status $? after SIGTERM"
