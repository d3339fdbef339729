#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# survival_test.sh - no running transfer is lost where none may be: the survival table in
# its quick form. Of the two columns that ringwayd is compared with one row, so that they
# can still be made.
set -euo pipefail

run=$(dirname "$0")/../survival/run
export QUICK=1
ROWS=port "$run" four_tuple connection_id &
status=0
"$run" nat quic_lb_nat quic_lb_l2 l2 || status=1
wait $! || status=1
exit $status
