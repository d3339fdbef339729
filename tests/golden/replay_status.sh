#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# replay_status.sh - a replay ends with 0 when all that it sent is in the file, else with 1.
set -euo pipefail

cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# A file of no packets: magic, version 2.4, zone, accuracy, length limit, Ethernet.
printf '\xd4\xc3\xb2\xa1\2\0\4\0\0\0\0\0\0\0\0\0\xff\xff\0\0\1\0\0\0' >"$dir/empty.pcap"

replay() { # OUT WANTED_STATUS
	local status=0

	echo "case: replay into $1"
	"$BUILD/ringwayd" -e replay -c configs/minimal.yaml --replay-in="$dir/empty.pcap" \
		--replay-out="$1" >"$dir/stats.json" 2>"$dir/log" || status=$?
	[[ $status == "$2" ]] && return
	echo "exit status $status, should be $2"
	cat "$dir/log"
	exit 1
}

replay "$dir/out.pcap" 0
cmp "$dir/empty.pcap" "$dir/out.pcap"
replay /dev/full 1
grep -q 'cannot write .*No space left' "$dir/log"
