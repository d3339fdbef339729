#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What `ringwayd -n -c FILE` says of files: bad/X.yaml must give exactly the lines of
# bad/X.expected on stderr and exit status 2; good ones and the samples are valid.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-build}
[[ $build = /* ]] || build=$top/$build
failures=0

# check FILE STATUS STDOUT STDERR: what is expected, the last two as files.
check() {
	local file=$1 status=$2 want_out=$3 want_err=$4 got

	"$build/ringwayd" -n -c "$file" >"$scratch/out" 2>"$scratch/err"
	got=$?
	if [[ $got -ne $status ]] || ! diff -u "$want_out" "$scratch/out" ||
		! diff -u "$want_err" "$scratch/err"; then
		echo "FAIL $file: exit status $got, expected $status"
		failures=$((failures + 1))
	fi
}

check_good() {
	echo "$1: configuration is valid" >"$scratch/want"
	check "$1" 0 "$scratch/want" /dev/null
}

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

cd "$top/tests/golden" || exit 1
for file in bad/*.yaml; do
	check "$file" 2 /dev/null "${file%.yaml}.expected"
done
for file in good/*.yaml; do
	check_good "$file"
done

cd "$top" || exit 1
for file in configs/*.yaml; do
	check_good "$file"
done

[[ $failures -eq 0 ]] && echo "all configuration files are judged as expected"
exit $((failures > 0))
