#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# survival_socket_test.sh - the survival table by the kernel's sockets, in its quick form:
# every row by every way to call the kernel, with both kinds of servers, two columns at once.
set -euo pipefail

run=$(dirname "$0")/../survival/run
export QUICK=1
"$run" socket_epoll_nat socket_epoll_quic_lb_nat socket_io_uring_nat &
status=0
"$run" socket_mmsg_nat socket_mmsg_quic_lb_nat socket_io_uring_quic_lb_nat || status=1
wait $! || status=1
exit $status
