#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# ///
"""Break one thing at a time under `scenescribe` and check what is promised for it.

Prints `fault | promise | figure | ok` for each fault; a broken promise is FAILED and makes the exit code 1. Full disks,
read-only ones, and systems without /proc and /sys are made in a mount namespace of the script's own (`unshare`, as root or
where users may have namespaces); the clock is moved by a small library (`cc`, a program that is linked dynamically). What
cannot be made on this machine is said to be skipped, and why. The tiny model of the tests is used, and the release build.
"""

import argparse
import json
import os
import pty
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import termios
import threading
import time
import xml.dom.minidom
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "tests/fixtures/tiny"
TIME_LIMIT_S = 60
MARK = "SCENESCRIBE_FAULTS_IN_NAMESPACE"

# Moves CLOCK_REALTIME by the seconds that the file CLOCK_SHIFT names holds; the monotonic clock stays.
CLOCK_SHIM = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME) {
        FILE *file = fopen(getenv("CLOCK_SHIFT"), "r");
        long shift = 0;
        if (file) { if (fscanf(file, "%ld", &shift) != 1) shift = 0; fclose(file); }
        now->tv_sec += shift;
    }
    return failed;
}
"""


class Skipped(Exception):
    """This fault cannot be made here."""


def require(condition: bool, what: str) -> None:
    """Breaks off a check whose promise is not kept."""
    if not condition:
        raise AssertionError(what)


class Faults:
    """Each method is a fault: its docstring is `fault: promise`, what it returns the figure."""

    def __init__(self, program: Path, kills: int, work: Path) -> None:
        self.program, self.kills, self.work = program, kills, work
        self.pixels = self.make_pictures()

    # Faults, in the order of the table.

    def disk_full_while_annotating(self) -> str:
        """the disk fills up while `annotate` writes: it says so, exit code 1; nothing is torn or left over; goes on when there is room"""
        disk = self.mount("annotate", "192k")
        photos = self.photos(120)
        command = ["annotate", photos, "--jsonl", disk / "out.jsonl", "--csv", self.work / "out.csv"]
        stopped = self.run(*command)
        require(stopped.returncode == 0, f"exit code {stopped.returncode} with room: {stopped.stderr}")
        shutil.move(disk / "out.jsonl", self.work / "whole.jsonl")
        (self.work / "out.csv").unlink()
        filler = (disk / "filler").open("wb")
        free = shutil.disk_usage(disk).free
        filler.write(bytes(max(0, free - 12_000)))
        filler.flush()
        command = ["annotate", photos, "--jsonl", disk / "out.jsonl"]
        stopped = self.run(*command)
        require(stopped.returncode == 1 and "out.jsonl" in stopped.stderr, f"{stopped.returncode}: {stopped.stderr}")
        before = (disk / "out.jsonl").read_bytes()
        self.no_temporary_files(disk)
        (disk / "filler").unlink()
        filler.close()
        resumed = self.run(*command)
        require(resumed.returncode == 0, f"exit code {resumed.returncode} with room again: {resumed.stderr}")
        records = self.records(disk / "out.jsonl")
        require(records == self.records(self.work / "whole.jsonl"), "the records differ from an undisturbed run's")
        return f"stopped after {before.count(10)} of 120 records, in the end all equal"

    def disk_full_with_sidecars(self) -> str:
        """the disk fills up while sidecars are written: photos that fail are named, no sidecar is torn; tried again when there is room"""
        disk = self.mount("sidecars", "1M")
        photos = disk / "photos"
        shutil.copytree(self.photos(60), photos)
        filler = disk / "filler"
        filler.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - 40_000)))
        command = ["annotate", photos, "--sidecar", "xmp", "--sidecar", "txt", "--embed", "--jsonl", self.work / "side.jsonl"]
        stopped = self.run(*command)
        require(stopped.returncode == 1 and "No space" in stopped.stderr + (self.work / "side.jsonl").read_text(), f"{stopped.returncode}: {stopped.stderr}")
        self.no_temporary_files(photos)
        before = self.whole_sidecars(photos)
        filler.unlink()
        resumed = self.run(*command, "--retry-errors")
        require(resumed.returncode == 0, f"exit code {resumed.returncode} with room again: {resumed.stderr}")
        require(self.whole_sidecars(photos) == 120, "sidecars are missing")
        return f"{before} of 120 sidecars whole when it was full, all in the end"

    def disk_full_while_keeping_frames(self) -> str:
        """the disk fills up while `watch` keeps pictures: a warning, every caption is told, no picture is torn"""
        disk = self.mount("frames", "24k")
        clip = self.clip(40)
        options = ["--all-frames", "--hold", "1"]
        calm = self.run("watch", "--input", clip, *options)
        full = self.run("watch", "--input", clip, *options, "--log-frames", disk)
        require(full.returncode == 0, f"exit code {full.returncode}: {full.stderr}")
        require("cannot keep pictures" in full.stderr, f"no warning: {full.stderr}")
        require(full.stdout == calm.stdout, "captions are lost")
        kept = self.whole_pictures(disk)
        require(0 < kept < 40, f"{kept} pictures kept: the disk was not full")
        return f"{len(full.stdout.splitlines())} of {len(calm.stdout.splitlines())} captions, {kept} pictures kept, none torn"

    def sink_that_blocks(self) -> str:
        """a serial line that takes nothing any more: standard output goes on, the program ends with the stream"""
        master, slave = pty.openpty()
        termios.tcflow(slave, termios.TCOOFF)
        clip = self.clip(300)
        start = time.monotonic()
        run = self.run("watch", "--input", clip, "--all-frames", "--hold", "1", "--serial", os.ttyname(slave), "--framing", "json")
        seconds = time.monotonic() - start
        calm = self.run("watch", "--input", clip, "--all-frames", "--hold", "1")
        os.close(master), os.close(slave)
        require(run.returncode in (0, 1), f"exit code {run.returncode}: {run.stderr}")
        require(run.stdout == calm.stdout, "captions on standard output are lost")
        return f"{len(run.stdout.splitlines())} of {len(calm.stdout.splitlines())} captions on standard output, ended after {seconds:.1f} s"

    def standard_output_that_blocks(self) -> str:
        """nobody reads standard output: a camera's frames go on, SIGTERM ends the program with exit code 0"""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        while self.takes(writer):
            pass
        os.set_blocking(writer, True)
        command = self.command("watch", "--input", "-", "--format", "y4m", "--heartbeat", "0.1", "--health", "1")
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=writer, stderr=subprocess.PIPE, text=True)
        os.close(writer)
        clip = self.clip(20).read_bytes()
        threading.Thread(target=self.film, args=(child.stdin.buffer, clip), daemon=True).start()
        counts = []
        for line in child.stderr:
            counts += map(int, re.findall(r"up [\d:]+, (\d+) frames", line))
            if len(counts) == 4:
                break
        start = time.monotonic()
        child.terminate()
        child.stderr.read()
        require(child.wait(TIME_LIMIT_S) == 0, f"exit code {child.returncode}")
        seconds = time.monotonic() - start
        os.close(reader)
        require(len(counts) == 4 and counts == sorted(set(counts)), f"frames stopped: {counts}")
        return f"{counts[0]} to {counts[-1]} frames over 3 s, ended {seconds:.1f} s after SIGTERM"

    def sink_that_errors(self) -> str:
        """standard output is full (/dev/full): exit code 1 and one line that says so"""
        photo = ROOT / "tests/fixtures/photos/dog.jpg"
        for arguments in (["caption", photo], ["annotate", photo, "--jsonl", "-"], ["watch", "--input", self.clip(8), "--hold", "1"], ["inspect"]):
            with open("/dev/full", "w") as full:
                run = subprocess.run(self.command(*arguments), stdout=full, stderr=subprocess.PIPE, text=True, timeout=TIME_LIMIT_S)
            require(run.returncode == 1 and "No space left" in run.stderr and "panicked" not in run.stderr, f"{arguments[0]}: {run.returncode}: {run.stderr}")
        return "caption, annotate, watch and inspect end with exit code 1"

    def camera_that_dies(self) -> str:
        """a camera dies in the middle of a frame: the captions of whole frames are told, the torn frame is named, exit code 0"""
        clip = self.clip(20).read_bytes()
        frame_len = (len(clip) - clip.index(b"\n") - 1) // 20
        cuts, told = 25, 0
        generator = random.Random(1)
        for _ in range(cuts):
            whole = generator.randrange(3, 20)
            cut = len(clip) - frame_len * (20 - whole) + generator.randrange(7, frame_len)
            fifo = self.work / "camera.fifo"
            os.mkfifo(fifo)
            child = subprocess.Popen(self.command("watch", "--input", fifo, "--format", "y4m", "--all-frames", "--hold", "1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            with fifo.open("wb") as camera:
                camera.write(clip[:cut])
            output, errors = child.communicate(timeout=TIME_LIMIT_S)
            fifo.unlink()
            require(child.returncode == 0, f"exit code {child.returncode}: {errors}")
            require(f"ends in the middle of frame {whole + 1}" in errors, f"cut in frame {whole + 1}: {errors}")
            require(bool(output), "no caption")
            told += len(output.splitlines())
        return f"{cuts} cuts, {told} captions, each torn frame named"

    def clock_that_jumps(self) -> str:
        """the clock jumps by years, forth and back: every caption is told and numbered, latencies stay, pictures stay in order"""
        compiler = shutil.which("cc")
        if not compiler:
            raise Skipped("no C compiler for the library that moves the clock")
        source, shim, shift = self.work / "clock.c", self.work / "clock.so", self.work / "shift"
        source.write_text(CLOCK_SHIM)
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", shim, source], check=True)
        kept, clip = self.work / "kept", self.clip(60)
        options = ["--input", clip, "--all-frames", "--hold", "1"]
        calm = self.run("watch", *options, "--json").stdout.splitlines()
        shift.write_text("0")
        environment = {**os.environ, "LD_PRELOAD": str(shim), "CLOCK_SHIFT": str(shift)}
        command = self.command("watch", *options, "--json", "--log-frames", kept, "--health", "1")
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        errors = []
        reading = threading.Thread(target=lambda: errors.append(child.stderr.read()))
        reading.start()
        lines, year = [], 365 * 86400
        for line in child.stdout:
            lines.append(json.loads(line))
            shift.write_text(str([0, 10 * year, -20 * year, year // 2][len(lines) % 4]))
        child.wait(TIME_LIMIT_S)
        reading.join()
        require(child.returncode == 0, f"exit code {child.returncode}: {errors}")
        years = sorted({line["time"][:4] for line in lines})
        if len(years) < 2:
            raise Skipped("the library does not reach this program: it is linked statically")
        require([line["caption"] for line in lines] == [json.loads(line)["caption"] for line in calm], "captions differ")
        sequences = [line["sequence"] for line in lines]
        require(sequences == sorted(set(sequences)), f"sequence numbers {sequences}")
        slowest = max(line["latency_ms"]["total"] for line in lines)
        require(0 <= slowest < 10_000, f"a latency of {slowest} ms")
        names = sorted(path.name for path in kept.iterdir())
        order = [int(name.split("-")[1]) for name in names]
        require(order == sorted(order), f"pictures are out of order: {names}")
        return f"{len(lines)} captions between the years {years[0]} and {years[-1]}, {len(names)} pictures in order"

    def kill_while_annotating(self) -> str:
        """SIGKILL while photos, sidecars and records are written: under its final name every file is whole; the next run goes on"""
        photos = self.work / "killed"
        shutil.copytree(self.photos(500), photos)
        original = {path.name: path.read_bytes() for path in photos.iterdir()}
        out, checked, in_the_middle, stops = self.work / "killed.jsonl", 0, 0, []
        command = self.command("annotate", photos, "--jsonl", out, "--sidecar", "xmp", "--sidecar", "txt", "--embed")
        generator = random.Random(2)
        for _ in range(self.kills):
            child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # Once it writes, a random moment, up to some photos later.
            written = len(stops) and stops[-1]
            while child.poll() is None and (not out.exists() or out.read_bytes().count(b"\n") <= written):
                time.sleep(0.0002)
            time.sleep(generator.uniform(0, 0.04))
            in_the_middle += child.poll() is None
            child.kill()
            child.wait()
            checked += self.whole_sidecars(photos)
            for name, before in original.items():
                self.whole_jpeg((photos / name).read_bytes(), before, name)
            if out.exists():
                *lines, _ = out.read_bytes().split(b"\n")
                stops.append(len(lines))
                for line in lines:
                    json.loads(line)
        end = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT_S)
        require(end.returncode == 0, f"exit code {end.returncode} in the end: {end.stderr}")
        require(len(self.records(out)) == 500, "records are missing or double")
        self.no_temporary_files(photos)
        return f"{self.kills} kills, {in_the_middle} of them before the end, after {min(stops)} to {max(stops)} of 500 photos, {checked} looks at sidecars, none torn"

    def kill_while_keeping_frames(self) -> str:
        """SIGKILL while `watch` keeps pictures: each is whole, the numbers go on"""
        kept, looked = self.work / "pictures", 0
        generator = random.Random(3)
        command = self.command("watch", "--input", self.clip(60), "--all-frames", "--hold", "1", "--log-frames", kept, "--keep", "50")
        for _ in range(self.kills):
            child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(generator.uniform(0.01, 0.15))
            child.kill()
            child.wait()
            looked += self.whole_pictures(kept) if kept.exists() else 0
        end = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT_S)
        require(end.returncode == 0, f"exit code {end.returncode} in the end: {end.stderr}")
        left = [path.name for path in kept.iterdir() if not re.fullmatch(r"\d+-\d+-\d+\.jpg", path.name)]
        require(not left, f"left over: {left}")
        return f"{self.kills} kills, {looked} looks at pictures, none torn, {self.whole_pictures(kept)} kept in the end"

    def read_only_disk(self) -> str:
        """a read-only file system: what must be written is named, exit code 1, no photo is harmed; captions need no writing"""
        disk = self.mount("readonly", "4M")
        photos = disk / "photos"
        shutil.copytree(self.photos(10), photos)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        before = {path: path.read_bytes() for path in photos.iterdir()}
        plain = self.run("caption", photos)
        require(plain.returncode == 0 and len(plain.stdout.splitlines()) == 10, f"caption: {plain.stderr}")
        for arguments, named in (
            (["annotate", photos, "--jsonl", disk / "out.jsonl"], "out.jsonl"),
            (["annotate", photos, "--sidecar", "txt"], ""),
            (["annotate", photos, "--embed"], ""),
            (["watch", "--input", photos, "--log-frames", disk / "kept"], "kept"),
        ):
            run = self.run(*arguments)
            require(run.returncode == 1 and "Read-only file system" in run.stderr + run.stdout and named in run.stderr, f"{arguments}: {run.returncode}: {run.stderr}")
        require(before == {path: path.read_bytes() for path in photos.iterdir()}, "photos have changed")
        return "10 of 10 captions; annotate and watch --log-frames end with exit code 1"

    def no_proc(self) -> str:
        """no /proc and no /sys: the same captions, everything runs; what cannot be told is left out"""
        photo, clip = ROOT / "tests/fixtures/photos/dog.jpg", self.clip(20)
        cover = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys && mount -t tmpfs none /proc && exec "$@"', "-"]
        commands = (
            ["caption", photo],
            ["caption", "--memory", "16M", photo],
            ["watch", "--input", clip, "--all-frames", "--hold", "1", "--health", "1"],
            ["annotate", photo, "--csv", "-"],
            ["inspect", "--verify"],
        )
        for arguments in commands:
            with_proc = self.run(*arguments)
            without = subprocess.run([*cover, *self.command(*arguments)], capture_output=True, text=True, timeout=TIME_LIMIT_S)
            require(without.returncode == with_proc.returncode == 0, f"{arguments}: {without.returncode}: {without.stderr}")
            same = [re.sub(r",[\d.]+$", "", run.stdout, flags=re.M) for run in (with_proc, without)]
            require(same[0] == same[1] or arguments[0] == "annotate", f"{arguments}: {same}")
        for arguments in (["inspect"], ["bench", photo, "--frames", "5"]):
            without = subprocess.run([*cover, *self.command(*arguments)], capture_output=True, text=True, timeout=TIME_LIMIT_S)
            require(without.returncode == 0, f"{arguments}: {without.stderr}")
        return f"{len(commands) + 2} commands, the same output"

    def few_open_files(self) -> str:
        """64 open files at most: everything runs"""
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        photos, out = self.photos(200), self.work / "few.jsonl"
        for arguments in (
            ["annotate", photos, "--jsonl", out, "--jobs", "16"],
            ["caption", photos],
            ["watch", "--input", photos, "--hold", "1", "--log-frames", self.work / "few"],
        ):
            run = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=TIME_LIMIT_S, preexec_fn=limit)
            require(run.returncode == 0, f"{arguments[0]}: exit code {run.returncode}: {run.stderr}")
        require(len(self.records(out)) == 200, "records are missing")
        return "200 of 200 photos with 16 threads"

    # What they share.

    def command(self, *arguments) -> list[str]:
        first, *rest = map(str, arguments)
        return [str(self.program), first, "--model", str(MODEL), "--threads", "1", *rest]

    def run(self, *arguments) -> subprocess.CompletedProcess:
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=TIME_LIMIT_S)

    def takes(self, pipe: int) -> bool:
        """Writes to a pipe that does not block; whether there was room."""
        try:
            return os.write(pipe, bytes(512)) > 0
        except BlockingIOError:
            return False

    def film(self, camera, clip: bytes) -> None:
        """Writes frames as a camera does, until nobody reads them."""
        header, frames = clip.split(b"\n", 1)
        try:
            camera.write(header + b"\n")
            while True:
                camera.write(frames)
                camera.flush()
                time.sleep(0.05)
        except OSError:
            pass

    def make_pictures(self) -> list[bytes]:
        """Raw 64 x 64 pictures of 4:4:4 that look different to the tiny model: squares of several colours on others."""
        colours = [(81, 90, 240), (145, 54, 34), (41, 240, 110), (210, 16, 146)]
        pictures = []
        for inner in colours:
            for outer in colours:
                inside = lambda at: 16 <= at % 64 < 48 and 16 <= at // 64 < 48
                pictures.append(b"".join(bytes((inner if inside(at) else outer)[plane] for at in range(4096)) for plane in range(3)))
        return pictures

    def clip(self, frames: int) -> Path:
        """A y4m clip in which each frame is another scene."""
        path = self.work / f"{frames}.y4m"
        if not path.exists():
            content = b"".join(b"FRAME\n" + self.pixels[at * 5 % len(self.pixels)] for at in range(frames))
            path.write_bytes(b"YUV4MPEG2 W64 H64 F10:1 Ip A1:1 C444\n" + content)
        return path

    def photos(self, count: int) -> Path:
        """A folder of small photos."""
        folder = self.work / f"photos-{count}"
        if not folder.exists():
            folder.mkdir()
            for number in range(count):
                shutil.copy(ROOT / "tests/fixtures/pictures/cmyk.jpg", folder / f"{number:04}.jpg")
        return folder

    def mount(self, name: str, size: str) -> Path:
        """A small disk of its own."""
        if MARK not in os.environ:
            raise Skipped("no mount namespaces: be root, or allow users namespaces")
        disk = self.work / name
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", disk], check=True)
        return disk

    def records(self, path: Path) -> list[tuple]:
        """What the records say, without what differs from run to run."""
        found = [json.loads(line) for line in path.read_text().splitlines()]
        records = sorted((Path(record["path"]).name, record.get("caption"), record.get("error")) for record in found)
        require(len({record[0] for record in records}) == len(records), "a photo has two records")
        return records

    def no_temporary_files(self, folder: Path) -> None:
        left = [path.name for path in folder.rglob("*") if path.name.endswith(".tmp")]
        require(not left, f"left over: {left}")

    def whole_sidecars(self, folder: Path) -> int:
        """Checks every sidecar; gives their number."""
        xmp, txt = list(folder.glob("*.xmp")), list(folder.glob("*.txt"))
        for path in xmp:
            xml.dom.minidom.parse(str(path))
        for path in txt:
            require(path.read_text().endswith("\n") and len(path.read_text().splitlines()) >= 2, f"{path} is torn")
        return len(xmp) + len(txt)

    def whole_jpeg(self, now: bytes, before: bytes, name: str) -> None:
        scan = before[before.index(b"\xff\xda"):]
        require(now == before or (now.startswith(b"\xff\xd8") and now.endswith(scan)), f"{name} is torn")

    def whole_pictures(self, folder: Path) -> int:
        """Checks every picture kept; gives their number."""
        pictures = list(folder.glob("*.jpg"))
        for path in pictures:
            content = path.read_bytes()
            require(content.startswith(b"\xff\xd8") and content.endswith(b"\xff\xd9"), f"{path} is torn")
        return len(pictures)


FAULTS = [name for name, value in vars(Faults).items() if callable(value) and ": " in (value.__doc__ or "").split("\n")[0] and name != "make_pictures"]


def enter_namespace() -> None:
    """Starts this script again in a mount namespace of its own, where that is allowed."""
    for options in (["-m"], ["-rm"]):
        if subprocess.run(["unshare", *options, "true"], capture_output=True).returncode == 0:
            os.execvpe("unshare", ["unshare", *options, sys.executable, *sys.argv], {**os.environ, MARK: "1"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", metavar="FAULT", choices=[[], *FAULTS], help=f"only these: {', '.join(FAULTS)}")
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/scenescribe", help="[the release build]")
    parser.add_argument("--kills", type=int, default=50, help="kills of each kind [50]")
    options = parser.parse_args()
    if MARK not in os.environ and shutil.which("unshare"):
        enter_namespace()
    failed = 0
    for name in options.faults or FAULTS:
        with tempfile.TemporaryDirectory() as work:
            fault, promise = getattr(Faults, name).__doc__.split(": ", 1)
            try:
                figure, verdict = getattr(Faults(options.program.resolve(), options.kills, Path(work)), name)(), "ok"
            except Skipped as why:
                figure, verdict = str(why), "skipped"
            except (AssertionError, subprocess.TimeoutExpired, OSError, ValueError) as problem:
                figure, verdict = f"{type(problem).__name__}: {problem}", "FAILED"
                failed += 1
            print(f"{fault} | {promise} | {figure} | {verdict}", flush=True)
            subprocess.run(f"mount | grep -o 'on {work}[^ ]*' | cut -c4- | xargs -r umount", shell=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
