#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["pyspark>=4.0"]
# ///
"""Caption a list of photos on a Spark cluster.

Each executor task starts one `scenescribe annotate --list - --jsonl -`, feeds it the paths of its partition and reads a
record for each: the model is loaded once a task, the scheduling, retries and lost executors are Spark's. The photos must be
readable under the same paths on every executor. The records are those of a run on one machine, in the order of the list.

The list is a text file of paths, one a line, or a Parquet table with a column `path`. Needs Java 17 on each machine.
"""

import argparse
import json
import subprocess
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import BooleanType, DoubleType, LongType, StringType, StructField, StructType

FIELDS = [
    ("row", LongType()), ("path", StringType()), ("size", LongType()), ("mtime_ms", LongType()), ("caption", StringType()),
    ("confidence", DoubleType()), ("cut", BooleanType()), ("error", StringType()), ("model", StringType()),
    ("model_hash", StringType()), ("time_ms", DoubleType()),
]
SCHEMA = StructType([StructField(name, kind) for name, kind in FIELDS])


def caption(rows: Iterable, program: str, options: list[str]) -> Iterator[tuple]:
    """Records of one partition's (row, path), in order, from one worker."""
    rows = list(rows)
    if not rows:
        return
    command = [program, "annotate", "--list", "-", "-0", "--jsonl", "-", *options]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    feeder = threading.Thread(target=feed, args=(worker, [path for _, path in rows]), daemon=True)
    feeder.start()
    try:
        for number, path in rows:
            line = worker.stdout.readline()
            if not line.endswith(b"\n"):
                # The task fails, and Spark gives its photos to another.
                raise RuntimeError(f"the worker ended before {path}, with exit code {worker.wait()}")
            record = json.loads(line)
            if record["path"] != path:
                raise RuntimeError(f"the worker answered for {record['path']}, not {path}")
            values = [record.get(name) for name, _ in FIELDS[1:]]
            values[FIELDS.index(("cut", BooleanType())) - 1] = record.get("cut", False)
            yield (number, *values)
    finally:
        worker.kill()
        worker.wait()


def feed(worker: subprocess.Popen, paths: list[str]) -> None:
    try:
        for path in paths:
            worker.stdin.write(path.encode() + b"\0")
        worker.stdin.close()
    except BrokenPipeError:
        pass  # the reader sees how the worker ended


def read_list(spark: SparkSession, source: str) -> list[tuple[int, str]]:
    if source.endswith(".parquet"):
        paths = [row.path for row in spark.read.parquet(source).select("path").collect()]
    else:
        paths = [path for path in Path(source).read_text().splitlines() if path]
    return list(enumerate(paths))


def annotate(spark: SparkSession, source: str, program: str, options: list[str], photos_a_task: int) -> DataFrame:
    rows = read_list(spark, source)
    tasks = max(1, -(-len(rows) // photos_a_task))
    partitions = spark.sparkContext.parallelize(rows, tasks)
    return spark.createDataFrame(partitions.mapPartitions(lambda part: caption(part, program, options)), SCHEMA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("list", help="text file of paths, or Parquet table with a column path")
    parser.add_argument("output", help="folder to be made")
    parser.add_argument("--format", choices=["parquet", "json"], default="parquet")
    parser.add_argument("--program", default="scenescribe", help="the program on each executor [scenescribe]")
    parser.add_argument("--option", action="append", default=[], help="option for the program, as --option=--threads=1")
    parser.add_argument("--photos-a-task", type=int, default=500, help="what is done again when an executor is lost [500]")
    parser.add_argument("--master", help="Spark master, such as local-cluster[2,1,1024] [as spark-submit says]")
    args = parser.parse_args()
    builder = SparkSession.builder.appName("scenescribe annotate").config("spark.speculation", "false")
    spark = (builder.master(args.master) if args.master else builder).getOrCreate()
    captions = annotate(spark, args.list, args.program, args.option, args.photos_a_task)
    captions.write.mode("error").format(args.format).save(args.output)
    spark.stop()


if __name__ == "__main__":
    main()
