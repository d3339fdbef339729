#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# survival_test.sh - no running transfer is lost where none may be: the survival
# table in its quick form, without the two columns that ringwayd is compared with and
# without the rows of clients that move just before a restart: if the server has not
# validated the new path by then, such a transfer dies whatever a forwarder does.
set -euo pipefail

export ROWS="port address migration added removed drained reload restart restart_upload idle"
QUICK=1 exec "$(dirname "$0")/../survival/run" nat quic_lb_nat quic_lb_l2 l2
