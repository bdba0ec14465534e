#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = []
# ///
"""Tell how much CPU time each thread of a program takes for each line that it prints.

For `scenescribe annotate --jsonl - DIR`: the first thread is the model, then come the decoding threads, the walk, the
writer. What takes longest tells the rate on a machine with a core for each, their sum the rate on one core; neither depends
on what else the machine does, as wall time would. Linux only (`/proc/PID/task/*/schedstat`).
"""

import argparse
import subprocess
import threading
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND...")
    command = parser.parse_args().command
    if not command:
        parser.error("a command is missing")
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(program.stdout))
    reader.start()
    seconds: dict[int, float] = {}
    while program.poll() is None:
        for task in Path(f"/proc/{program.pid}/task").glob("*"):
            try:
                seconds[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
            except OSError:
                continue  # it has ended meanwhile
        time.sleep(0.02)
    reader.join()
    times = " ".join(f"{1e3 * seconds[thread] / max(len(lines), 1):.2f}" for thread in sorted(seconds))
    print(f"{len(lines)} lines; ms of CPU a line, thread by thread: {times}")


if __name__ == "__main__":
    main()
