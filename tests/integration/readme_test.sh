#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# readme_test.sh - what README.md tells a reader to type works. Its configurations are
# valid. Of each command in a ```sh block: `make demo`, `ringwayd -n` and ringwayctl are
# run, other make targets must exist, other options of our programs must be options,
# every file must be there; the rest must exist.
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

# check_run COMMAND...: one that ends by itself or shows something for ever.
check_run() {
	local status=0

	timeout 2 "$@" >"$topology_dir/shown" || status=$?
	[[ $status == 0 || $status == 124 && -s $topology_dir/shown ]] ||
		fail "README.md: $* ends with $status"
}

check_ours() {
	case "$1 ${*:2}" in
	'ringwayd -n -c '*) check_run "$BUILD/ringwayd" -n -c "$topology_dir/readme1.yaml" ;;
	'ringwayctl '*) check_run "$BUILD/ringwayctl" -s "$topology_dir/ringway.sock" "${@:2}" ;;
	*) check_program "$@" ;;
	esac
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
	*ringwayd | *ringwayctl | *ringway-load) check_ours "${words[@]}" ;;
	git | cd | apt | apt-get) ;; # of the reader's own machine
	*) command -v "${words[0]}" >/dev/null || fail "README.md: no command ${words[0]}" ;;
	esac
	echo "README.md: $1"
}

# readme_blocks LANGUAGE: the lines of its ```LANGUAGE blocks.
readme_blocks() {
	sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/{/^\`\`\`/d;p}" README.md
}

# Each ```yaml block is a configuration: readme1.yaml and so on.
readme_yaml_split() {
	awk -v name="$topology_dir/readme" '
		/^```$/ { inside = 0 }
		inside { print > (name count ".yaml") }
		/^```yaml$/ { inside = 1; count++ }' README.md
}

! grep -nE '^[A-Z_]+$' README.md || fail 'README.md: a line that waits to be filled in'
topology_up 1
readme_yaml_split
for file in "$topology_dir"/readme[0-9]*.yaml; do
	check_run "$BUILD/ringwayd" -n -c "$file"
done
topology_config "$topology_dir/ringway.yaml"
sed -i 's/name: backend1/name: b1/' "$topology_dir/ringway.yaml" # as README.md has it
start_ringwayd "$topology_dir/ringway.yaml"

mapfile -t commands < <(readme_blocks sh | sed 's/[[:space:]]*#.*//;/./!d')
((${#commands[@]} > 0)) || fail 'README.md has no commands'
for command in "${commands[@]}"; do
	check_command "$command"
done
