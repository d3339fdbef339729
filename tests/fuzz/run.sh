#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Run every fuzzer for some seconds, two at a time, each from seeds of its own: packets
# of tests/vectors, configurations from wherever there are any. A crash fails the run
# and leaves its input in $BUILD/tests/fuzz/.
set -eu

cd "$(dirname "$0")/../.."
build=${BUILD:-build}/tests/fuzz
seconds=20
[ "${QUICK:-0}" = 1 ] && seconds=3

corpora=$(mktemp -d)
trap 'rm -rf "$corpora"' EXIT

set -- "$build"/*_fuzz
if [ ! -x "$1" ]; then
	echo "no fuzzers in $build; \`make tests\` builds them" >&2
	exit 1
fi

seeds=$corpora/seeds
tests/vectors/frames.py seeds "$seeds"
mkdir "$seeds/config_fuzz"
cp --backup=numbered configs/*.yaml tests/golden/*/*.yaml "$seeds/config_fuzz"

export build seconds corpora seeds
printf '%s\n' "$@" | xargs -n 1 -P 2 sh -c '
	name=$(basename "$1")
	mkdir "$corpora/$name"
	[ ! -d "$seeds/$name" ] || cp "$seeds/$name"/* "$corpora/$name"
	if "$1" -max_total_time="$seconds" -max_len=4096 -timeout=5 -verbosity=1 \
		-artifact_prefix="$build/$name-" "$corpora/$name" \
		>"$corpora/$name.log" 2>&1; then
		echo "ok    $name: $(sed -n "s/^Done //p" "$corpora/$name.log")"
	else
		echo "FAIL  $name"
		tail -n 40 "$corpora/$name.log"
		exit 1
	fi' fuzz
