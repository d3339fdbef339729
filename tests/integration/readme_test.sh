#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# readme_test.sh - what README.md tells a reader to type works. Of each command in a
# ```sh block: `make demo` is run, other make targets must exist, of our programs
# every option must be one and every file must be there; the rest must exist.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

cd "$topology_root"
unset MAKEFLAGS MAKELEVEL # of the make that runs the tests

check_make() {
	local word

	for word in "$@"; do
		[[ $word == *=* ]] || make -n BUILD="$BUILD" "$word" >/dev/null ||
			fail "README.md: make $word"
		[[ $word != demo ]] || make BUILD="$BUILD" demo || fail 'README.md: make demo'
	done
}

check_program() {
	local program=$BUILD/${1##*/} word help

	[[ -x $program ]] || fail "README.md: $1 is not built"
	help=$("$program" --help)
	for word in "${@:2}"; do
		case $word in
		--*) grep -q -- "${word%%=*}" <<<"$help" || fail "README.md: $1 has no $word" ;;
		-?) grep -qE -- "(^|[ ,])$word([ ,]|$)" <<<"$help" || fail "README.md: $1 has no $word" ;;
		configs/*) [[ -e $word ]] || fail "README.md: no file $word" ;;
		esac
	done
}

check_command() {
	local words

	read -ra words <<<"$1"
	[[ ${words[0]} != sudo ]] || words=("${words[@]:1}")
	case ${words[0]} in
	make) check_make "${words[@]:1}" ;;
	*ringwayd | *ringwayctl | *ringway-load) check_program "${words[@]}" ;;
	git | cd | apt | apt-get) ;; # of the reader's own machine
	*) command -v "${words[0]}" >/dev/null || fail "README.md: no command ${words[0]}" ;;
	esac
	echo "README.md: $1"
}

mapfile -t commands < <(sed -n '/^```sh$/,/^```$/{/^```/d;s/[[:space:]]*#.*//;/./p}' README.md)
((${#commands[@]} > 0)) || fail 'README.md has no commands'
for command in "${commands[@]}"; do
	check_command "$command"
done
