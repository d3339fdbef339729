#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# flush_test.sh - `flush` cuts: of two HTTP/3 downloads that run, the one of the flushed
# backend ends at once, which gets not one datagram more and whose answers go nowhere, though
# answers teach who owns a connection and others are asked for it; the other download ends
# with its bytes. It lasts over a reload, until `undrain`.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

topology_up 2
config=$topology_dir/ringway.yaml
stats=$topology_dir/stats.json
mkdir "$topology_dir/www" "$topology_dir/cut" "$topology_dir/kept"
head -c 20M /dev/urandom >"$topology_dir/www/file"
head -c 100K /dev/urandom >"$topology_dir/www/small"
for backend in backend1 backend2; do
	start_server "$backend" "$backend_port" "$topology_dir/www"
	# So slowly that both downloads still run when one is cut: in 4 s.
	run_in "$backend" tc qdisc add dev lan root tbf rate 40mbit burst 100kb limit 300kb
done

# backend NAME EXPRESSION: of `b`, that backend.
backend() {
	ringwayctl backends --json >"$topology_dir/backends.json"
	json "$topology_dir/backends.json" "[$2 for b in d if b['backend'] == '$1'][0]"
}

# out_exceeds NAME COUNT
out_exceeds() {
	(($(backend "$1" "b['out']['datagrams']") > $2))
}

# only BACKEND COMMAND...: while the other one is drained.
only() {
	local other=backend1

	[[ $1 != backend1 ]] || other=backend2
	ringwayctl drain web/$other >/dev/null
	"${@:2}"
	ringwayctl undrain web/$other >/dev/null
}

# runs_at BACKEND DIR: a download that has begun. $started_pid.
runs_at() {
	local before

	before=$(backend "$1" "b['out']['datagrams']")
	download_start $service_ipv4 $service_port file "$2"
	wait_for 10 "the download from $1" out_exceeds "$1" $((before + 100))
}

dropped() {
	ringwayctl stats --json >"$stats"
	json "$stats" 'd["totals"]["dropped"]["not_ours"]'
}

dropped_exceeds() {
	(($(dropped) > $1))
}

# What has come of the answers: to the client, and from XDP by itself.
arrived() {
	ringwayctl stats --json >"$stats"
	stat -c %s "$topology_dir/cut/file"
	json "$stats" 'd["xdp"].get("xdp_return_forwarded", 0)'
}

# flush_case NAME: with the configuration as it is now.
flush_case() {
	local name=$1 cut kept pid before seen traffic='(b["out"], b["back"])'

	start_ringwayd "$config"
	only backend1 runs_at backend1 "$topology_dir/cut"
	cut=$started_pid
	only backend2 runs_at backend2 "$topology_dir/kept"
	kept=$started_pid

	ringwayctl flush web/backend1 | grep -q 'its connections are cut' || fail 'flush is silent'
	before=$(backend backend1 "$traffic")
	for pid in "$cut" "$kept"; do
		is_running "$pid" || fail "$name: a download had ended before"
	done
	check_equal "$name: state" 'flushed by command' \
		"$(backend backend1 'b["state"] + " by " + b["drained_by"]')"
	ringwayctl reload >/dev/null
	ringwayctl drain web/backend1 >/dev/null
	check_equal "$name: after a reload, and a drain" flushed "$(backend backend1 'b["state"]')"
	download_wait "$kept" file "$topology_dir/kept" || fail "$name: the other download"
	same_content "$topology_dir/www/file" "$topology_dir/kept/file" || fail "$name: other content"

	# The cut one has waited as long, in vain; its backend tries again now and then.
	is_running "$cut" || fail "$name: the cut download has ended by itself"
	seen=$(arrived)
	wait_for 20 "$name: one more answer to be dropped" dropped_exceeds "$(dropped)"
	check_equal "$name: reached the client since" "$seen" "$(arrived)"
	check_equal "$name: out and back since the flush" "$before" "$(backend backend1 "$traffic")"
	stop "$cut" || true
	(($(stat -c %s "$topology_dir/cut/file") < $(stat -c %s "$topology_dir/www/file"))) ||
		fail "$name: the cut download is whole"
	new_ones "$name"
	stop_ringwayd || fail "$name: exit status $? after SIGTERM"
	rm "$topology_dir/cut/file" "$topology_dir/kept/file"
}

# new_ones NAME: are for the other one, for nobody, and for backend1 again.
new_ones() {
	local name=$1 before lookup=$topology_dir/lookup.json

	ringwayctl flush web/backend2 >/dev/null
	ringwayctl lookup web --cid 0102030405060708 --version 1 --json >"$lookup"
	check_true "$name: both are flushed" "$lookup" 'd["would_drop"] == "no_backend"'
	ringwayctl undrain web/backend2 >/dev/null
	before=$(backend backend1 'b["out"]')
	download $service_ipv4 $service_port small "$topology_dir/kept"
	check_equal "$name: backend1 had no part" "$before" "$(backend backend1 'b["out"]')"
	ringwayctl undrain web/backend1 >/dev/null
	check_equal "$name: undrained" up "$(backend backend1 'b["state"]')"
	before=$(backend backend2 'b["out"]')
	only backend1 download $service_ipv4 $service_port small "$topology_dir/cut"
	check_equal "$name: backend2 had no part" "$before" "$(backend backend2 'b["out"]')"
	same_content "$topology_dir/www/small" "$topology_dir/cut/small" || fail "$name: other content"
}

topology_config "$config"
flush_case 'nat, discovery'
sed -i 's/^    mode: nat$/&\n    return_path: xdp/' "$config"
topology_offload off # so that XDP takes the answers
flush_case 'return_path: xdp'
topology_engine=socket
topology_config "$config"
flush_case 'engine: socket'
