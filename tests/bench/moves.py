#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""moves.py CONNECTIONS CTL_COMMAND -- LOAD_COMMAND: how many of the connections, each of
which migrates three times, come to more than one worker of ringwayd, as JSON. One after
the other, so that whose datagrams a worker's counter counts is known. LOAD_COMMAND has
what does not differ between connections; {port} and {cid} in it are filled in."""
import json
import subprocess
import sys
import time

PORTS = 4        # of a connection, one for each path
DATAGRAMS = 8    # of a connection, two for each path
FIRST_PORT = 20000


def received(ctl):
    stats = json.loads(subprocess.run(ctl, check=True, capture_output=True).stdout)
    return [worker["received"] for worker in stats["workers"]]


def received_all(ctl, before):
    """Once all of a connection's datagrams have come; None if they do not."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        grown = [now - old for now, old in zip(received(ctl), before)]
        if sum(grown) >= DATAGRAMS:
            return grown
    return None


def main(connections, ctl, load):
    moved = lost = 0
    before = received(ctl)
    for cid in range(connections):
        # Datagrams 2 to 3 have migrated once, and so on.
        command = [word.format(port=FIRST_PORT + PORTS * cid, cid=cid) for word in load]
        command += ["--kind=quic", "--cids=1", "--rate=2000", "--migrations=1000",
                    f"--count={DATAGRAMS}"]
        subprocess.run(command, check=True, capture_output=True)
        grown = received_all(ctl, before)
        if grown is None:
            lost += 1
        else:
            moved += sum(1 for count in grown if count) > 1
        before = received(ctl)
    print(json.dumps({"connections": connections, "moved": moved, "incomplete": lost}))


if __name__ == "__main__":
    split = sys.argv.index("--")
    main(int(sys.argv[1]), sys.argv[2:split], sys.argv[split + 1:])
