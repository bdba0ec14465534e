#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["pyspark>=4.0"]
# ///
"""Check the Spark job on this machine, and measure how it scales.

Runs `annotate.py` on the photos of a folder with one and with two workers of a local cluster, and once with two of which
one is killed (SIGKILL) while it works. Every result must equal that of one `scenescribe annotate`, row for row, the times
left out. Prints the seconds of each run, without the start of Spark, and their ratio.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from pyspark.sql import SparkSession

sys.path.insert(0, str(Path(__file__).parent))
from annotate import FIELDS, annotate  # noqa: E402

PROGRAM = Path(__file__).resolve().parents[2] / "target/release/scenescribe"


def executors() -> list[int]:
    """Executor processes that this process has started."""
    own = os.getpid()
    parents, commands = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                parents[int(folder.name)] = int(stat[1])
                commands[int(folder.name)] = (folder / "cmdline").read_bytes()
            except OSError:
                continue

    def is_ours(pid: int) -> bool:
        while pid > 1:
            if pid == own:
                return True
            pid = parents.get(pid, 0)
        return False

    return [pid for pid, command in commands.items() if b"CoarseGrainedExecutorBackend" in command and is_ours(pid)]


def session(workers: int) -> SparkSession:
    builder = SparkSession.builder.master(f"local-cluster[{workers},1,1024]").appName("test")
    spark = builder.config("spark.ui.enabled", "false").config("spark.executor.memory", "512m").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    spark.sparkContext.addPyFile(str(Path(__file__).with_name("annotate.py")))
    # All executors are up and have their Python before the clock starts.
    spark.sparkContext.parallelize(range(8 * workers), 8 * workers).map(lambda i: time.sleep(0.2)).count()
    return spark


def without_time(record: dict) -> dict:
    return {name: record.get(name) for name, _ in FIELDS if name not in ("row", "time_ms")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", help="folder of photos")
    parser.add_argument("--photos-a-task", type=int, default=100)
    args = parser.parse_args()
    options = ["--threads=1", "--jobs=1"]
    with tempfile.TemporaryDirectory() as work:
        listing = Path(work) / "list.txt"
        photos = sorted(str(path) for path in Path(args.photos).rglob("*.jpg"))
        photos.insert(len(photos) // 2, str(Path(work) / "missing.jpg"))
        listing.write_text("".join(path + "\n" for path in photos))
        start = time.monotonic()
        single = subprocess.run([PROGRAM, "annotate", "--list", listing, "--jsonl", "-", *options], capture_output=True)
        alone = time.monotonic() - start
        expected = []
        for line in single.stdout.splitlines():
            record = json.loads(line)
            expected.append(without_time({**record, "cut": record.get("cut", False)}))
        assert len(expected) == len(photos) and expected[len(photos) // 2]["error"], single.stderr
        print(f"one program: {len(photos)} photos in {alone:.1f} s")
        seconds = {}
        for name, workers, kills in (("1 worker", 1, False), ("2 workers", 2, False), ("2 workers, one killed", 2, True)):
            spark = session(workers)
            killed = []
            if kills:
                def kill() -> None:
                    time.sleep(seconds["2 workers"] / 3)
                    killed.append(executors()[0])
                    os.kill(killed[0], signal.SIGKILL)
                threading.Thread(target=kill, daemon=True).start()
            start = time.monotonic()
            rows = annotate(spark, str(listing), str(PROGRAM), options, args.photos_a_task).collect()
            seconds[name] = time.monotonic() - start
            spark.stop()
            rows = [without_time(row.asDict()) for row in sorted(rows, key=lambda row: row.row)]
            assert rows == expected, f"{name}: other rows"
            assert bool(killed) == kills
            print(f"{name}: {seconds[name]:.1f} s, all {len(rows)} rows equal", flush=True)
        print(f"2 workers take {seconds['2 workers'] / seconds['1 worker']:.2f} of the time of 1")


if __name__ == "__main__":
    main()
