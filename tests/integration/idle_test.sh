#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# idle_test.sh - a ringwayd without traffic leaves the CPU to others: at most 1 %
# of a core over 3 s, all its threads together.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

topology_up 2
start_echo backend1
start_echo backend2
topology_config "$topology_dir/ringway.yaml" udp
start_ringwayd "$topology_dir/ringway.yaml"
echo_flows $service_ipv4 4 10 # it has been busy once
stats_at_rest "$topology_dir/stats.json"

check_idle 3
echo_flows $service_ipv4 4 10 # and wakes up again
