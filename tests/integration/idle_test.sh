#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# idle_test.sh - a ringwayd without traffic leaves the CPU to others: less than 2 %
# of a core over 3 s, all its threads together.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

# Nanoseconds on a CPU of all threads of a process.
cpu_ns() {
	cat "/proc/$1/task/"*/schedstat | awk '{ sum += $1 } END { printf "%d\n", sum }'
}

topology_up 2
start_echo backend1
start_echo backend2
topology_config "$topology_dir/ringway.yaml" udp
start_ringwayd "$topology_dir/ringway.yaml"
echo_flows $service_ipv4 4 10 # it has been busy once
stats_at_rest "$topology_dir/stats.json"

before=$(cpu_ns "$ringwayd_pid")
sleep 3
used_us=$((($(cpu_ns "$ringwayd_pid") - before) / 1000))
echo "idle for 3 s: $used_us microseconds of CPU"
((used_us < 60000)) || fail "idle ringwayd used $used_us microseconds of 3 s"
echo_flows $service_ipv4 4 10 # and wakes up again
