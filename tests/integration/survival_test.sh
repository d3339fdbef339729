#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# survival_test.sh - no running transfer is lost where none may be: the survival
# table in its quick form, without the two columns that ringwayd is compared with.
set -euo pipefail

QUICK=1 exec "$(dirname "$0")/../survival/run" nat quic_lb_nat quic_lb_l2 l2
