# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# subjects.sh - what the benchmarks compare: ways of bringing datagrams of a service to
# its backend and back. To be sourced after scripts/topology.sh.
#
# NAME_start begins to forward between wan and lan1 of the forwarder, on one core, and
# returns when traffic flows; subject_stop ends what was started last. $subject_pid is
# its process, empty where the kernel alone does it.

programs=$BUILD/tests/bench
forwarder_cpu=$(($(nproc) - 1))
second_cpu=$((forwarder_cpu ? forwarder_cpu - 1 : 0)) # of two threads; with 2 CPUs the generator's
backend_ipv4=10.0.1.2
subject_pid=

# What is no part of ringway may not be installed: `scripts/setup.sh bench` does it.
subject_is_installed() {
	case $1 in
	nginx) [[ -e /usr/lib/nginx/modules/ngx_stream_module.so ]] ;;
	testpmd) command -v dpdk-testpmd >/dev/null ;;
	*) return 0 ;;
	esac
}

subject_start() {
	subject_pid=
	subject_undo=
	subject_tracks=
	"$1_start"
}

subject_stop() {
	[[ -z $subject_pid ]] || stop "$subject_pid" || true
	[[ -z $subject_undo ]] || "$subject_undo"
	subject_pid=
}

# MiB of memory that it has to itself: of its process and of the BPF maps it holds, or of
# what connection tracking remembers of connections. Not of the kernel's sockets.
subject_memory_mib() {
	local bytes=0

	if [[ -n $subject_pid ]]; then
		bytes=$(awk '/^Rss(Anon|Shmem):/ { sum += $2 } END { print 1024 * sum }' \
			"/proc/$subject_pid/status")
		bytes=$((bytes + $(bpf_map_bytes "$subject_pid")))
	elif [[ -n $subject_tracks ]]; then
		bytes=$(awk -v count="$(run_in forwarder sysctl -n net.netfilter.nf_conntrack_count)" \
			'$1 == "nf_conntrack" { size = $4 } END { print count * size }' /proc/slabinfo)
	fi
	awk "BEGIN { printf \"%.1f\\n\", $bytes / 1048576 }"
}

# bpf_map_bytes PID: of the maps that the process has open.
bpf_map_bytes() {
	cat "/proc/$1/fdinfo/"* 2>/dev/null | awk '/^memlock:/ { bytes = $2 }
		/^map_id:/ { of_map[$2] = bytes }
		END { for (id in of_map) sum += of_map[id]; print sum + 0 }'
}

# subject_run READY_TEXT COMMAND...: pinned, until its log says that it is ready.
subject_run() {
	local log=$topology_dir/subject.log

	start forwarder "$log" taskset -c "$forwarder_cpu" "${@:2}"
	subject_pid=$started_pid
	wait_for 20 "${2##*/}" subject_is_ready "$log" "$1"
}

subject_is_ready() {
	is_running "$subject_pid" && grep -q "$2" "$1"
}

# The ceiling: AF_XDP, and nothing but MAC addresses.
l2fwd_start() {
	subject_run ready "$programs/l2fwd" --from=wan --to=lan1
}

# ringwayd_start [CONFIG]: the product.
ringwayd_start() {
	start_ringwayd "${1:-$topology_dir/ringway.yaml}"
	subject_pid=$ringwayd_pid
	wait_for 10 'next hops' next_hops_are_known
}

# ringwayd_with FILE SED_SCRIPT: on that configuration, changed so.
ringwayd_with() {
	sed -e "$2" "$topology_dir/ringway.yaml" >"$topology_dir/$1"
	ringwayd_start "$topology_dir/$1"
}

# Answers are rewritten and sent on in XDP.
ringwayd_return_xdp_start() {
	ringwayd_with return_xdp.yaml '/mode: nat/a\    return_path: xdp'
}

# Clients whose Connection IDs are encrypted, each its own: every server ID is some backend's,
# of which each may have seven, under every configuration. The eighth of the IDs that begin
# with 111 have none (draft-ietf-quic-load-balancers section 3.1), and are known otherwise.
ringwayd_encrypted_start() {
	local backends=$topology_dir/encrypted_backends.yaml configs id

	configs=$(seq -s ', ' -f '{ rotation: %g, server_id_length: 1, nonce_length: 6, key: 000102030405060708090a0b0c0d0e0f }' 0 6)
	for ((id = 0; id < 256; id += 7)); do
		echo "      - { name: backend$id, addresses: [$backend_ipv4], port: $((backend_port + id)), server_ids: [$(
			seq $id $((id + 6 < 255 ? id + 6 : 255)) | xargs printf '"%02x", '
		)] }"
	done | sed 's/, \]/]/' >"$backends"
	ringwayd_with encrypted.yaml "
		/mode: nat/a\\    quic_lb: [$configs]
		/^    addresses:/s/, .*\]/]/
		/- name: backend1/,/port:/d
		/^ *backends:/r $backends"
}

next_hops_are_known() {
	ringwayctl status --json >"$topology_dir/status.json" &&
		[[ $(json "$topology_dir/status.json" 'd["backends_resolved"] == d["backends"]') == True ]]
}

# The in-kernel way: the same rewriting in XDP, ended by a redirect.
xdp_nat_start() {
	subject_run ready "$programs/xdp_nat" --from=wan --to=lan1 \
		--service="$service_ipv4:$service_port" --backend="$backend_ipv4:$backend_port"
}

# DPDK's plain forwarding, nothing rewritten; burst, rings and frames as ringwayd's.
testpmd_start() {
	local other=$((forwarder_cpu ? 0 : 1))

	subject_run 'Press enter to exit\|io packet forwarding' dpdk-testpmd --lcores="0@$other,1@$forwarder_cpu" \
		--no-huge -m 512 --no-pci --iova-mode=va --file-prefix="$topology_prefix" \
		--vdev net_af_xdp0,iface=wan --vdev net_af_xdp1,iface=lan1 -- \
		--forward-mode=io --auto-start --no-mlockall --total-num-mbufs=16384 \
		--burst=64 --rxd=2048 --txd=2048 --stats-period=3600
}

# What every socket that receives from clients has for it, in bytes: small, so that it hides
# nothing for long, and no more than the machine gives to a program without privileges.
socket_buffer=$(($(sysctl -n net.core.rmem_max) < 2097152 ? $(sysctl -n net.core.rmem_max) : 2097152))

# What the kernel takes from a veth end without XDP it takes by NAPI only with GRO.
stack_prepare() {
	subject_undo=stack_undo
	run_in forwarder ethtool -K wan gro on >/dev/null
	run_in forwarder ethtool -K lan1 gro on >/dev/null
}

stack_undo() {
	run_in forwarder nft flush ruleset
	run_in forwarder ethtool -K wan gro off >/dev/null
	run_in forwarder ethtool -K lan1 gro off >/dev/null
}

# One worker, as many sessions as there are flows; it takes all that has come before it
# polls again, and its receive buffer is everybody's.
nginx_start() {
	stack_prepare
	cat >"$topology_dir/nginx.conf" <<-END
		load_module /usr/lib/nginx/modules/ngx_stream_module.so;
		daemon off;
		master_process off;
		worker_rlimit_nofile 20000;
		pid $topology_dir/nginx.pid;
		error_log $topology_dir/nginx.log error;
		events { worker_connections 19000; multi_accept on; }
		timer_resolution 100ms;
		stream {
			server {
				listen $service_ipv4:$service_port udp rcvbuf=$socket_buffer;
				proxy_pass $backend_ipv4:$backend_port;
				proxy_timeout 60s;
			}
		}
	END
	start forwarder "$topology_dir/subject.log" taskset -c "$forwarder_cpu" \
		nginx -c "$topology_dir/nginx.conf" -p "$topology_dir"
	subject_pid=$started_pid
	wait_for 10 nginx udp_is_bound forwarder "$service_port" udp
}

# The kernel's NAT with connection tracking.
nft_stateful_start() {
	stack_prepare
	subject_tracks=yes
	run_in forwarder sysctl -qw net.netfilter.nf_conntrack_max=4000000 2>/dev/null || true
	run_in forwarder nft -f - <<-END
		table ip bench {
			chain in {
				type nat hook prerouting priority dstnat
				ip daddr $service_ipv4 udp dport $service_port dnat to $backend_ipv4:$backend_port
			}
		}
	END
}

# The same rewriting, nothing remembered.
nft_stateless_start() {
	stack_prepare
	run_in forwarder nft -f - <<-END
		table ip bench {
			chain in {
				type filter hook prerouting priority raw
				ip daddr $service_ipv4 udp dport $service_port notrack \
					udp dport set $backend_port ip daddr set $backend_ipv4
				ip saddr $backend_ipv4 udp sport $backend_port notrack
			}
			chain out {
				type filter hook postrouting priority srcnat
				ip saddr $backend_ipv4 udp sport $backend_port \
					udp sport set $service_port ip saddr set $service_ipv4
			}
		}
	END
}

# socket_start CALLS [MORE]: ringwayd on sockets, on one thread if MORE does not say
# otherwise. socket_epoll is the classic: receive one, send one.
socket_flows=10000
socket_more= # of all

socket_start() {
	local config=$topology_dir/socket.yaml

	{
		echo 'engine: socket'
		echo "socket: { calls: $1, ${2:-workers: 1}, receive_buffer: $socket_buffer, flows: $socket_flows${socket_more:+, $socket_more} }"
		sed '/^interfaces:/,/^hash_key:/ { /^hash_key:/!d }' "$topology_dir/ringway.yaml"
	} >"$config"
	case ${2:-} in
	*workers:* | *decoupled:*) sed -i "s/^cpus:.*/cpus: [$forwarder_cpu, $second_cpu]/" "$config" ;;
	esac
	stack_prepare
	start_ringwayd "$config"
	subject_pid=$ringwayd_pid
}

socket_epoll_start() {
	socket_start epoll
}

socket_mmsg_start() {
	socket_start mmsg
}

socket_io_uring_start() {
	socket_start io_uring
}

# A client that moves stays with its worker.
socket_two_workers_start() {
	socket_start mmsg 'workers: 2, steering: connection-id'
}

socket_decoupled_start() {
	socket_start mmsg 'decoupled: yes'
}
