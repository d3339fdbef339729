#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# check_format.sh - every C file is laid out as .clang-format says (`make format`).
set -euo pipefail

cd "$(dirname "$0")/.."
find include user xdp tests -name '*.[ch]' -print0 2>/dev/null | sort -z |
	xargs -0 -r clang-format --dry-run -Werror
