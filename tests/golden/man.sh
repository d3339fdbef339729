#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# man.sh - the manual pages have every option that --help has, with the same argument, and
# no other.
set -euo pipefail

cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failures=0

# helped PROGRAM [COMMAND]: "-c, --config=FILE", a line each.
helped() {
	"$BUILD/$1" "${@:2}" --help | sed -nE 's/^  (-., |    )(--[^ ]+)( .*|$)/\1\2/p' | sed 's/^ *//' | sort -u
}

# described PAGE [SECTION]: the same of what stands above a description.
described() {
	awk -v section="${2:+# $2}" '/^# / { inside = $0 == section }
		/^\t/ && above ~ /^\*/ && (inside || !section) { print above }
		{ above = $0 }' "user/man/$1.scd" | tr -d '*_' |
		{ grep -oE -- '(-., )?--[a-z-]+(=[A-Za-z:]+(\[[^]]*\])?|\[=[^]]*\])?' || true; } | sort -u
}

# same WHAT WANTED GOT: files of lines.
same() {
	echo "case: $1, $(wc -l <"$2") options"
	[[ -s $2 ]] && diff "$2" "$3" && return
	echo "FAIL: $1: < is in --help only, > in the manual page only"
	failures=$((failures + 1))
}

helped ringwayd >"$dir/help"
described ringwayd.8 >"$dir/page"
same ringwayd "$dir/help" "$dir/page"

for command in '' $("$BUILD/ringwayctl" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
	helped ringwayctl $command
done | sort -u >"$dir/help"
described ringwayctl.8 >"$dir/page"
same ringwayctl "$dir/help" "$dir/page"

# The pages of its commands are sections; what all of them have is under OPTIONS.
described ringway-load.8 OPTIONS >"$dir/common"
helped ringway-load >"$dir/help"
same ringway-load "$dir/help" "$dir/common"
for command in send/SENDING sink/COUNTING; do
	helped ringway-load "${command%/*}" >"$dir/help"
	described ringway-load.8 "${command#*/}" | sort -u - "$dir/common" >"$dir/page"
	same "ringway-load ${command%/*}" "$dir/help" "$dir/page"
done

# A search is described by its own options, and by those of send, but for these.
helped ringway-load search >"$dir/help"
described ringway-load.8 SENDING | grep -vE '^--(rate|count|pcap)=' >"$dir/load"
described ringway-load.8 SEARCHING | sort -u - "$dir/load" "$dir/common" >"$dir/page"
same "ringway-load search" "$dir/help" "$dir/page"

((failures == 0))
