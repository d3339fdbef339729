#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# opponents_test.sh - the benchmark's comparison with others runs through in its short
# form, and its JSON is complete. Where they are not installed it is not run.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

cd "$topology_root"
((EUID == 0)) || { echo 'network namespaces need root'; exit 77; }
for program in gnuplot nginx dpdk-testpmd nft; do
	command -v $program >/dev/null || { echo "no $program: scripts/setup.sh bench"; exit 77; }
done
result=$BUILD/bench/opponents.json
rm -f "$BUILD"/bench/opponents*
QUICK=1 tests/bench/run opponents

check_true 'opponents' "$result" 'set(d) == {"suite", "rows", "ratios", "bars", "host"}'
check_true 'ringwayd beside all others' "$result" '{r["subject"] for r in d["rows"]} >=
	{"l2fwd", "ringwayd", "xdp_nat", "nft_stateless", "nft_stateful", "testpmd", "nginx",
	"socket_epoll", "socket_mmsg", "socket_io_uring"}'
check_true 'something arrived' "$result" 'all(r["value"] > 0 for r in d["rows"]
	if r["metric"] == "rate at saturation")'
