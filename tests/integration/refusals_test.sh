#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# refusals_test.sh - where ringwayd cannot work it says in a sentence what is wrong
# and what to do, and leaves nothing attached.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

topology_up 2
config=$topology_dir/ringway.yaml
log=$topology_dir/refusal.log
topology_config "$config"

# refused NAME EXIT_STATUS PATTERN COMMAND...: ends by itself, with those.
refused() {
	local name=$1 status=0

	timeout 20 nsenter --net="/run/netns/$topology_prefix-forwarder" -- "${@:4}" \
		</dev/null >"$log" 2>&1 || status=$?
	sed "s/^/$name: /" "$log"
	check_equal "$name: exit status" "$2" $status
	[[ -z $3 ]] || grep -qE "$3" "$log" || fail "$name: nothing like \"$3\""
	! xdp_is_attached lan1 || [[ $name == 'a second ringwayd' ]] || fail "$name: XDP left on lan1"
	! compgen -G "$topology_dir/*.sock" || fail "$name: socket file left"
}

ringwayd=("$BUILD/ringwayd" -c "$config")

run_in forwarder sysctl -qw net.ipv4.ip_forward=0
refused 'IPv4 forwarding off' 1 'net\.ipv4\..*forward' "${ringwayd[@]}"
run_in forwarder sysctl -qw net.ipv4.ip_forward=1

run_in forwarder sysctl -qw net.ipv6.conf.all.forwarding=0
refused 'IPv6 forwarding off' 1 'net\.ipv6\.conf\..*forwarding' "${ringwayd[@]}"
run_in forwarder sysctl -qw net.ipv6.conf.all.forwarding=1

run_in forwarder ip link set lan2 down
refused 'link down' 1 'lan2.*(down|up)' "${ringwayd[@]}"
run_in forwarder ip link set lan2 up
run_in forwarder ip address replace 2001:db8:2::1/64 dev lan2 nodad

sed 's/name: lan2/name: lan9/' "$config" >"$topology_dir/unknown.yaml"
refused 'unknown interface' 1 'lan9' "$BUILD/ringwayd" -c "$topology_dir/unknown.yaml"

# Somebody else's XDP program: any will do.
run_in forwarder ip link set dev wan xdp object "$BUILD/xdp/ingress.bpf.o" section xdp
refused 'another XDP program' 1 'wan' "${ringwayd[@]}"
xdp_is_attached wan || fail "ringwayd took another's XDP program away"
run_in forwarder ip link set dev wan xdp off

# A second ringwayd on the same interfaces.
start_ringwayd "$config"
sed 's/ringway\.sock/second.sock/' "$config" >"$topology_dir/second.yaml"
mv "$topology_dir/ringway.sock" "$topology_dir/first.moved"
refused 'a second ringwayd' 1 'wan|lan1' "$BUILD/ringwayd" -c "$topology_dir/second.yaml"
xdp_is_attached wan || fail 'the second ringwayd took the XDP program of the first away'
stop_ringwayd || fail "exit status $? after SIGTERM"
rm -f "$topology_dir/first.moved"

# Copies that nobody may read, in a folder where nobody may write.
install -d -o nobody "$topology_dir/nobody"
install -o nobody "$BUILD/ringwayd" "$config" "$topology_dir/nobody"
sed -i "s|$topology_dir|&/nobody|" "$topology_dir/nobody/ringway.yaml"
chmod 711 "$topology_dir"
refused 'not root' 1 'root|CAP_|sudo' setpriv --reuid=65534 --regid=65534 --clear-groups \
	"$topology_dir/nobody/ringwayd" -c "$topology_dir/nobody/ringway.yaml"

sed 's/port: 443$/port: 99999/' "$config" >"$topology_dir/bad.yaml"
refused 'bad configuration' 2 'bad\.yaml:[0-9]+: .*port' "$BUILD/ringwayd" -c "$topology_dir/bad.yaml"
refused 'bad configuration, -n' 2 'bad\.yaml:[0-9]+: .*port' \
	"$BUILD/ringwayd" -n -c "$topology_dir/bad.yaml"
refused 'no configuration' 2 'missing\.yaml' "$BUILD/ringwayd" -c "$topology_dir/missing.yaml"
refused 'no such option' 2 'bogus' "$BUILD/ringwayd" --bogus
refused 'good configuration, -n' 0 '' "$BUILD/ringwayd" -n -c "$config"

# After all that it still starts; a file that only root's privileges could read is told of.
start_ringwayd "$config"
! grep 'a reload will fail' "$topology_dir/ringwayd.log" || fail 'warned of a good file'
stop_ringwayd || fail "exit status $? after SIGTERM"
chown nobody "$config"
chmod 600 "$config"
start_ringwayd "$config"
grep -q 'a reload will fail: .*ringway\.yaml cannot be read now' "$topology_dir/ringwayd.log" ||
	fail "no warning: $(cat "$topology_dir/ringwayd.log")"
! ringwayctl reload 2>/dev/null || fail 'a reload of what cannot be read'
stop_ringwayd || fail "exit status $? after SIGTERM"
