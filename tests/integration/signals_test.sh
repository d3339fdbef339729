#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# signals_test.sh - SIGTERM and SIGINT end ringwayd with exit status 0; nothing of it
# is left: no XDP program, no socket file.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

topology_up 2
topology_config "$topology_dir/ringway.yaml"
for signal in TERM INT; do
	start_ringwayd "$topology_dir/ringway.yaml"
	for interface in wan lan1 lan2; do
		xdp_is_attached $interface || fail "no XDP on $interface"
	done
	[[ -S $topology_dir/ringway.sock ]] || fail 'no control socket'
	check_equal 'mode of the control socket' 600 "$(stat -c %a "$topology_dir/ringway.sock")"

	# CAP_NET_ADMIN and CAP_BPF, for every thread and for ever.
	status=$(cat "/proc/$ringwayd_pid/task/"*/status)
	for set in CapPrm:0000008000001000 CapEff:0000008000001000 CapBnd:0000000000000000; do
		check_equal "${set%:*}" "${set#*:}" \
			"$(sed -n "s/^${set%:*}:\t//p" <<<"$status" | sort -u)"
	done
	check_equal 'NoNewPrivs' 1 "$(sed -n 's/^NoNewPrivs:\t//p' <<<"$status" | sort -u)"

	stop_ringwayd $signal || fail "exit status $? after SIG$signal"
	for interface in wan lan1 lan2; do
		! xdp_is_attached $interface || fail "XDP left on $interface after SIG$signal"
	done
	[[ ! -e $topology_dir/ringway.sock ]] || fail "socket file left after SIG$signal"
	echo "SIG$signal: exit status 0, detached, socket file removed"
done
