#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# survival_socket_test.sh - the survival table by the kernel's sockets, in its quick
# form: every row by one way to call the kernel, two rows by each of the others.
set -euo pipefail

run=$(dirname "$0")/../survival/run
export QUICK=1
"$run" socket_mmsg_nat socket_mmsg_quic_lb_nat
ROWS="port reload" "$run" socket_epoll_nat socket_io_uring_nat
