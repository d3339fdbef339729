#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# check_layers.sh - includes point down the layers, headers stand alone, and the
# packet path calls nothing that may block or allocate.
#
#   cli -> control -> dataplane -> io -> core/packet.h      util: by all but core
#                         \------> core -> include          xdp -> include
#          \---> config, health, host        ctl, load: beside control, without it
set -euo pipefail

cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
CC=${CC:-cc}
problems=0

problem() {
	echo "$1" >&2
	problems=$((problems + 1))
}

# --- Which files a folder may include ---

# What "quoted" names a folder may use, besides its own: a regular expression.
layer_project() {
	case $1 in
	include/ringway) echo 'ringway/.*' ;;
	xdp) echo 'ringway/.*' ;;
	user/util) echo 'ringway/.*' ;;
	user/core) echo 'ringway/.*' ;;
	user/io) echo 'core/(packet|counter|hash)\.h|(util|ringway)/.*|[a-z0-9_]+\.skel\.h' ;;
	user/dataplane) echo '(io|core|util|ringway)/.*' ;;
	user/config) echo '(core/(table|quic_lb)|io/(io|socket))\.h|(util|ringway)/.*' ;;
	user/health) echo '(util|ringway)/.*' ;;
	user/host) echo 'core/table\.h|(util|ringway)/.*' ;;
	user/control) echo '(config|health|host|dataplane|io|core|util|ringway)/.*|[a-z0-9_]+\.skel\.h' ;;
	user/ctl) echo '(core/(drop|route)|io/socket)\.h|(util|ringway)/.*' ;;
	user/load) echo 'host/(host|next_hop)\.h|io/io\.h|(util|ringway)/.*|[a-z0-9_]+\.skel\.h' ;;
	user/cli) echo '(config|control|ctl|load|dataplane|io|core|util|ringway)/.*' ;;
	*) return 1 ;;
	esac
}

# What <system> names it may use. Core and include know no operating system.
layer_system() {
	case $1 in
	include/ringway) echo 'linux/(types|bpf)\.h' ;;
	xdp) echo 'linux/.*|bpf/.*|(stdbool|stddef)\.h' ;;
	user/core)
		echo '(stdint|stddef|stdbool|string|assert|errno|stdlib|xxhash)\.h|openssl/(crypto|evp)\.h'
		;;
	*) echo '.*' ;;
	esac
}

check_includes() {
	local folder=$1 own=${1#user/} project system file number line name

	if ! project=$(layer_project "$folder"); then
		problem "$folder: no layer; give it one in scripts/check_layers.sh"
		return
	fi
	system=$(layer_system "$folder")
	while IFS=: read -r file number line; do
		[[ $line =~ [\<\"]([^\>\"]*) ]] && name=${BASH_REMATCH[1]}
		if [[ $line == *\<* ]]; then
			[[ $name =~ ^($system)$ ]] ||
				problem "$file:$number: $folder may not include <$name>"
		elif [[ $name == */* || $name == *.skel.h ]]; then
			[[ $name =~ ^($project|$own/.*)$ ]] ||
				problem "$file:$number: $folder may not include \"$name\""
		fi
	done < <(grep -nE '^[[:space:]]*#[[:space:]]*include' "$folder"/*.[ch] /dev/null)
}

# --- Every header compiles alone ---

check_header() {
	local errors

	errors=$(printf '#include "%s"\n' "$1" |
		$CC -x c -std=gnu11 -D_GNU_SOURCE -Wall -Werror -Iinclude -Iuser -fsyntax-only - 2>&1) ||
		problem "$1:1: does not compile alone:"$'\n'"$errors"
	[[ $1 == include/* ]] || return 0
	errors=$(printf '#include "%s"\n' "$1" |
		clang -target bpf -x c -Wall -Werror -Iinclude "-I/usr/include/$(uname -m)-linux-gnu" \
			-fsyntax-only - 2>&1) ||
		problem "$1:1: does not compile alone for BPF:"$'\n'"$errors"
}

# --- What the packet path calls ---

# The compiler's own calls, and those of sanitizers.
harmless='mem(cpy|move|set|cmp)|__assert_fail|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__(asan|ubsan|tsan|lsan|msan)_.*'
# Tables are built before workers read them; building may allocate.
builders='table maglev quic_lb'
allocation='malloc|calloc|free|aligned_alloc|qsort|XXH.*'
# AES, and nothing else, is computed by libcrypto.
cipher='EVP_CIPHER_(fetch|free)|EVP_CIPHER_CTX_(new|free|set_padding)|EVP_Cipher(Init_ex2|Update)'
cipher+='|OPENSSL_cleanse'

check_core_calls() {
	local object name allowed own symbol

	own=$(nm --defined-only "$BUILD"/user/core/*.o | awk 'NF == 3 { print $3 }' | paste -sd '|')
	for object in "$BUILD"/user/core/*.o; do
		name=$(basename "$object" .o)
		allowed="$harmless|$own"
		[[ " $builders " != *" $name "* ]] || allowed+="|$allocation"
		[[ $name != quic_lb ]] || allowed+="|$cipher"
		while read -r symbol; do
			[[ $symbol =~ ^($allowed)$ ]] ||
				problem "user/core/$name.c:1: calls $symbol, and core is pure"
		done < <(nm -u "$object" | awk '{ print $2 }')
		while read -r symbol; do
			problem "user/core/$name.c:1: has the variable $symbol, and core has no state"
		done < <(objdump -t "$object" | awk '/ O (\.data|\.bss|\*COM\*)\t/ { print $NF }')
	done
}

# The loop of a worker and what it does between two bursts, in the source: in the
# object, the compiler has mixed them with the start of the thread.
loop_calls='if|for|while|switch|return|sizeof|__atomic_[a-z_]+|urcu_qsbr_[a-z_]+'
loop_calls+='|rx|tx|release|take|wait|forward_burst|counter_add|clock_ns|worker_[a-z_]+'

check_loop_calls() {
	local file=user/dataplane/worker.c number call count=0

	while IFS=: read -r number call; do
		count=$((count + 1))
		[[ $call =~ ^($loop_calls)$ ]] ||
			problem "$file:$number: calls $call in the loop of a worker"
	done < <(awk '
		/^[a-z].* worker_(run|idle)\(/ { inside = 1; next }
		/^}/ { inside = 0 }
		inside {
			gsub(/\/\*.*\*\//, "")
			while (match($0, /[A-Za-z_][A-Za-z0-9_]*\(/)) {
				print NR ":" substr($0, RSTART, RLENGTH - 1)
				$0 = substr($0, RSTART + RLENGTH)
			}
		}' $file)
	((count > 0)) || problem "$file:1: no worker_run() found to look at"
}

for folder in include/ringway xdp user/*/; do
	folder=${folder%/}
	compgen -G "$folder/*.[ch]" >/dev/null || continue
	check_includes "$folder"
done
for header in include/ringway/*.h user/*/*.h; do
	check_header "$header"
done
if compgen -G "$BUILD/user/core/*.o" >/dev/null; then
	check_core_calls
fi
if [[ -e user/dataplane/worker.c ]]; then
	check_loop_calls
fi
((problems == 0))
