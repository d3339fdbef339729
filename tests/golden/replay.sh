#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What `ringwayd -e replay` makes of every frame of tests/vectors: the frames that
# leave, byte for byte, and the counters. UPDATE=1 writes the expected files anew:
# read the difference before it is committed.
set -euo pipefail

cd "$(dirname "$0")/replay"
build=${BUILD:-build}
[[ $build == /* ]] || build=$PWD/../../../$build
frames=../../vectors/frames.py
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The counters that depend on the frames only; those at 0 are left out.
counters() {
	python3 -c 'import json, sys
stats = json.load(sys.stdin)
worker = stats["workers"][0]
keys = ("received", "sent", "forwarded", "dropped", "checksums_completed", "new_connections", "frames")
kept = {key: worker[key] for key in keys}
for key in ("dropped", "frames"):
    kept[key] = {name: value for name, value in kept[key].items() if value}
assert kept["received"] == kept["sent"] + sum(kept["dropped"].values())
assert kept["received"] == stats["totals"]["received"]
print(json.dumps(kept, indent=2))'
}

$frames capture "$scratch/in.pcap"
for round in first again; do
	"$build/ringwayd" -e replay --replay-in="$scratch/in.pcap" \
		--replay-out="$scratch/out.$round" -c replay.yaml >"$scratch/stats" 2>"$scratch/log" || {
		cat "$scratch/log"
		exit 1
	}
done
cmp "$scratch/out.first" "$scratch/out.again"
$frames show "$scratch/out.first" >"$scratch/sent"
counters <"$scratch/stats" >"$scratch/counters"

if [[ -n ${UPDATE:-} ]]; then
	cp "$scratch/sent" sent.expected
	cp "$scratch/counters" counters.expected
fi
diff -u sent.expected "$scratch/sent"
diff -u counters.expected "$scratch/counters"
echo "$(wc -l <sent.expected) frames leave as expected"
