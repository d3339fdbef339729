#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""table.py - the survival table as Markdown, from what tests/survival/run has left.

  table.py DIR [--into=FILE] [COLUMN]...

Prints it, or puts it into FILE between the two comments that name it there; columns of
sockets have another pair. Exit status 1, and a sentence for each, if a cell that must
be 100 % is not, if a cell's event missed a transfer, or if a cell has fewer than 20 of
them (QUICK=1 lets that pass).
"""
import argparse
import json
import os
import platform
import re
import sys

COLUMNS = {
    "nat": "ordinary server, nat",
    "quic_lb_nat": "QUIC-LB server, nat",
    "quic_lb_l2": "QUIC-LB server, l2",
    "l2": "ordinary server, l2",
    "four_tuple": "Maglev over the 4-tuple alone",
    "connection_id": "Maglev over the Connection ID alone",
}
SOCKET_COLUMNS = {
    f"socket_{calls}_{kind}": f"{COLUMNS[kind].split(',')[0]}, {calls}"
    for calls in ("mmsg", "epoll", "io_uring")
    for kind in ("nat", "quic_lb_nat")
}
TITLES = COLUMNS | SOCKET_COLUMNS
ROWS = {
    "port": "NAT rebinding of the port",
    "address": "NAT rebinding of the address",
    "migration": "active migration, a new Connection ID",
    "added": "backend added",
    "removed": "other backend removed",
    "drained": "own backend drained",
    "reload": "reload every 200 ms, other weights",
    "restart": "forwarder killed and restarted, download",
    "restart_upload": "forwarder killed and restarted, upload",
    "moved_restart": "the same of a client that had moved, download",
    "moved_restart_upload": "the same of a client that had moved, upload",
    "idle": "idle connection, then NAT rebinding",
}
# Nobody between them can know: the new Connection ID was sent encrypted, and no
# answer passes by; a restart forgets what was learned.
CANNOT = {("l2", "migration"), ("l2", "moved_restart"), ("l2", "moved_restart_upload")}
# The flows of a killed forwarder were its sockets: servers go on sending to ports that
# are nobody's, and who downloads has nothing to say that would tell them otherwise.
CANNOT |= {(c, r) for c in SOCKET_COLUMNS for r in ("restart", "moved_restart")}
REFERENCES = {"four_tuple", "connection_id"}
FEWEST = 20  # transfers a cell; tests/survival/run starts as many


def cells(directory, columns):
    found = {}
    for column in columns:
        for row in ROWS:
            path = os.path.join(directory, f"{column}.{row}.json")
            if os.path.exists(path):
                with open(path, encoding="ascii") as file:
                    found[column, row] = json.load(file)
    return found


def share(cell):
    if not cell or not cell["transfers"]:
        return "-"
    return f"{100 * cell['survived'] / cell['transfers']:.0f} %"


def markdown(found, columns):
    fewest = min(cell["transfers"] for cell in found.values())
    lines = [
        "| what happens to running transfers | " + " | ".join(TITLES[c] for c in columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for row, title in ROWS.items():
        lines.append(f"| {title} | " + " | ".join(share(found.get((c, row))) for c in columns) + " |")
    lines += ["", f"Share that finished with the right bytes, of at least {fewest} a cell; four "
                  f"backends, Linux {platform.release().split('-')[0]}."]
    return "\n".join(lines) + "\n"


def problems(found, columns):
    fewest = 1 if os.environ.get("QUICK") else FEWEST
    for column in columns:
        for row in os.environ.get("ROWS", "").split() or ROWS:
            where = f"{TITLES[column]}: {ROWS[row]}"
            cell = found.get((column, row))
            if not cell or not cell["transfers"]:
                yield f"{where}: nothing was measured"
                continue
            if cell["missed"]:
                yield f"{where}: the event missed {cell['missed']} of {cell['transfers']} transfers"
            if cell["transfers"] < fewest:
                yield f"{where}: only {cell['transfers']} transfers count, of at least {fewest}"
            required = column not in REFERENCES and (column, row) not in CANNOT
            if required and cell["survived"] < cell["transfers"]:
                yield f"{where}: {cell['survived']} of {cell['transfers']} survived, and all must"


def put_into(path, table, name):
    begin, end = f"<!-- {name} -->\n", f"<!-- end of the {name} -->\n"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    text, count = re.subn(pattern, lambda _: begin + table + end, text, flags=re.DOTALL)
    if count != 1:
        sys.exit(f"{path}: no place for the table: give it the lines {begin}{end}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main():
    parser = argparse.ArgumentParser(usage="table.py DIR [--into=FILE] [COLUMN]...")
    parser.add_argument("directory")
    parser.add_argument("columns", nargs="*", default=list(COLUMNS))
    parser.add_argument("--into")
    options = parser.parse_intermixed_args()
    found = cells(options.directory, options.columns)
    if not found:
        sys.exit(f"{options.directory}: no results; `make survival` makes them")
    table = markdown(found, options.columns)
    if options.into:
        of_sockets = options.columns[0] in SOCKET_COLUMNS
        put_into(options.into, table, "survival table" + " of sockets" * of_sockets)
    else:
        print(table, end="")
    bad = list(problems(found, options.columns))
    print(*bad, sep="\n", end="\n" if bad else "", file=sys.stderr)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
