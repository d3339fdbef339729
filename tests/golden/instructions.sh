#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# instructions.sh - what forward_burst() executes for a datagram, by kind of decision,
# has not grown by more than 3 % over instructions.expected. Instructions are exact where
# times are not: what else the machine does is no part of them.
#
#   instructions.sh [--record]    write instructions.expected anew, after a look at the difference
#
# Two kinds at a time, which changes no count.
#
# Those of ringway's own code only: which code of libcrypto and libc runs depends on the
# processor. And of one compiler, as another makes other ones: elsewhere it is skipped.
set -euo pipefail

cd "$(dirname "$0")/../.."
build=${BUILD:-build}
program=$build/tests/bench/forward
expected=tests/golden/instructions.expected
recorded_with='GCC 12, x86_64'
growth_max=1.03
passes=2
datagrams=$((passes * 4096))
scratch=$(mktemp -d)
trap 'wait; rm -rf "$scratch"' EXIT

# Options of tests/bench/forward, one line a kind of decision: what is known, is not, is
# new, is gone, is asked for; and what answers teach.
kinds() {
	cat <<-'END'
		--known=nothing
		--known=nothing --ipv6
		--known=nothing --l2
		--known=nothing --l2 --ipv6
		--known=nothing --return
		--known=cid
		--known=cid --ipv6
		--known=cid --l2
		--known=cid-of-client
		--known=tuple
		--known=tuple --ipv6
		--known=tuple --l2
		--known=tuple --return
		--known=quic-tuple
		--known=quic-tuple --ipv6
		--known=quic-tuple --return
		--known=quic-tuple --return --ipv6
		--known=quic-tuple --return --initials=100
		--known=quic-tuple --return --seeking
		--known=quic-lb
		--known=quic-lb-encrypted
		--known=cid --initials=100
		--known=cid --initials=100 --ipv6
		--known=cid --initials=100 --l2
		--known=gone
		--known=gone --ipv6
		--known=sought
		--known=sought --ipv6
		--known=sought-again --backends=3
	END
}

skip() {
	echo "$1"
	exit 77
}

# The compiler as it names itself in what it made: "GCC 12, x86_64".
made_with() {
	readelf -p .comment "$build/user/core/forward.o" |
		sed -n 's/.*\(GCC\|clang\)\(: (.*)\| version\) \([0-9]*\)\..*/\1 \3/p' | head -n 1 |
		sed "s/\$/, $(uname -m)/"
}

# The instructions of one object in a profile, without those of what it calls: their
# line follows that with the calls.
own_instructions() {
	awk -v object="$1" '
		/^ob=/ {
			id = $1
			if (NF > 1) name[id] = $2
			inside = name[id] ~ object "$"
		}
		/^cob=/ && NF > 1 { name[substr($1, 2)] = $2 }
		/^calls=/ { called = 1; next }
		/^[0-9+*-]/ { if (inside && !called) sum += $2; called = 0 }
		END { print sum + 0 }' "$2"
}

# profile NUMBER OPTION...
profile() {
	valgrind --tool=callgrind --toggle-collect=forward_burst \
		--callgrind-out-file="$scratch/profile$1" "$program" --passes=$passes \
		--connections=$datagrams "${@:2}" >/dev/null 2>"$scratch/log$1" || {
		cat "$scratch/log$1" >&2
		return 1
	}
}

# Instructions a datagram, and the kind.
measure_all() {
	local all other i

	mapfile -t all < <(kinds)
	for ((i = 0; i < ${#all[@]}; i += 2)); do
		# shellcheck disable=SC2086 # a kind is options
		profile $i ${all[i]} &
		other=$!
		# shellcheck disable=SC2086
		((i + 1 == ${#all[@]})) || profile $((i + 1)) ${all[i + 1]} || return 1
		wait $other || return 1
	done
	for ((i = 0; i < ${#all[@]}; i++)); do
		own_instructions "${program##*/}" "$scratch/profile$i" |
			awk -v kind="${all[i]}" -v datagrams=$datagrams \
				'{ printf "%.1f\t%s\n", $1 / datagrams, kind }'
	done
}

command -v valgrind >/dev/null || skip 'valgrind is missing'
[[ ! $(nm -u "$build/user/core/forward.o") =~ __(asan|ubsan|tsan)_ ]] ||
	skip 'a sanitizer has put in instructions of its own'
[[ $(made_with) == "$recorded_with" ]] ||
	skip "recorded with $recorded_with, and this is made with $(made_with)"

measure_all >"$scratch/measured"
if [[ ${1:-} == --record ]]; then
	{
		echo "# Instructions a datagram in forward_burst(), $recorded_with; see instructions.sh"
		cat "$scratch/measured"
	} >"$expected"
fi
awk -F '\t' -v limit=$growth_max '
	/^#/ { next }
	NR == FNR { recorded[$2] = $1; next }
	!($2 in recorded) { print $2 ": not in instructions.expected"; failed = 1; next }
	{
		grown = $1 / recorded[$2]
		verdict = grown > limit ? "GROWN" : grown < 2 - limit ? "less: record it" : ""
		printf "%-40s %7.1f, recorded %7.1f %s\n", $2, $1, recorded[$2], verdict
		failed = failed || grown > limit
	}
	END { exit failed }' "$expected" "$scratch/measured"
