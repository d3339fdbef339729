#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# setup.sh - install the Debian packages that ringway is built and tested with; with the
# argument "bench" also those of the benchmarks. Says nothing when nothing is missing;
# then it needs no root either.
set -euo pipefail

packages=(
	# compilers and build
	build-essential make clang llvm bpftool clang-format libclang-rt-dev scdoc
	# libraries
	libxdp-dev libbpf-dev libelf-dev zlib1g-dev libyaml-dev libmnl-dev liburcu-dev
	libxxhash-dev liburing-dev libjansson-dev libcap-ng-dev libpcap-dev libssl-dev
	# tests and the demo
	libcmocka-dev ethtool iproute2 ngtcp2-server ngtcp2-client openssl procps python3
	strace util-linux valgrind
	# the tests' own QUIC server
	libngtcp2-dev libngtcp2-crypto-gnutls-dev libnghttp3-dev libgnutls28-dev
	# the rules of configs/, captures of tests, and plots of scenario 1, which a test runs
	nftables tcpdump gnuplot-nox
)
case ${1:-} in
'') ;;
bench) packages+=(nginx libnginx-mod-stream dpdk-dev linux-perf) ;; # opponents, profile
*)
	echo 'usage: scripts/setup.sh [bench]' >&2
	exit 2
	;;
esac

missing() {
	# Packages that dpkg never heard of are not in its answer: subtract what is there.
	comm -23 <(printf '%s\n' "${packages[@]}" | sort) \
		<(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
			sed -n 's/^installed //p' | sort)
}

install_missing() {
	local wanted

	mapfile -t wanted < <(missing)
	((${#wanted[@]} > 0)) || return 0
	if ((EUID != 0)); then
		echo "scripts/setup.sh: installing ${wanted[*]} needs root: run with sudo" >&2
		return 1
	fi
	echo "installing ${wanted[*]}"
	export DEBIAN_FRONTEND=noninteractive
	# The package lists may be missing or old: fetch them only if it does not work without.
	apt-get install -qq -y --no-install-recommends "${wanted[@]}" >/dev/null 2>&1 && return
	apt-get update -qq >/dev/null
	apt-get install -qq -y --no-install-recommends "${wanted[@]}" >/dev/null
}

if ! command -v apt-get >/dev/null; then
	echo "scripts/setup.sh: no apt-get here; going on, with what these Debian 12 packages have:" >&2
	printf '  %s\n' "${packages[@]}" >&2
	exit 0
fi
install_missing
