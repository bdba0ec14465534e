#!/bin/sh
# Kills `scenescribe annotate` at random moments and compares what it has written in the end with an undisturbed run's.
set -eu

usage() {
    cat <<'END'
usage: scripts/test-resume.sh PHOTOS [KILLS [SEED]]

Copies the photos of the folder PHOTOS twice, annotates one copy without disturbance and the other with KILLS (50) kills
(SIGKILL) at random moments (SEED, 1), with JSON lines, CSV, both sidecars and captions inside the photos. The outputs
must be equal, the times left out, and no temporary file may be left. A broken photo is added to each copy.
END
}
case "${1:-}" in -h|--help) usage; exit 0 ;; '') usage >&2; exit 2 ;; esac

photos=$1 kills=${2:-50} seed=${3:-1}
program=$(cd "$(dirname "$0")/.." && pwd)/target/release/scenescribe
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for copy in undisturbed killed; do
    mkdir "$work/$copy"
    cp -r "$photos" "$work/$copy/photos"
    echo "no picture" > "$work/$copy/photos/broken.jpg"
    find "$work/$copy/photos" -exec touch -d 2020-01-01 {} +
done

annotate() {
    "$program" annotate --threads 1 --jobs 2 --skip-similar 2 --jsonl out.jsonl --csv out.csv \
        --sidecar xmp --sidecar txt --embed --keep-mtime --overwrite human photos 2>errors.txt
}

cd "$work/undisturbed"
annotate || true
cd "$work/killed"
python3 - "$program" "$kills" "$seed" <<'END'
import random, subprocess, sys, time
from pathlib import Path

program, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
generator = random.Random(seed)
command = [program, "annotate", "--threads", "1", "--jobs", "2", "--skip-similar", "2", "--jsonl", "out.jsonl", "--csv",
           "out.csv", "--sidecar", "xmp", "--sidecar", "txt", "--embed", "--keep-mtime", "--overwrite", "human", "photos"]
records = lambda: Path("out.jsonl").read_bytes().count(b"\n") if Path("out.jsonl").exists() else 0
total = sum(1 for path in Path("photos").rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
torn, stops = 0, []
for number in range(kills):
    # Up to the record that this kill is due at, so that the kills are spread over the run whatever the machine's speed;
    # then a random moment more, shorter than two photos take.
    goal = (number + 1) * total // (kills + 2)
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while child.poll() is None and records() < goal:
        time.sleep(0.0005)
    time.sleep(generator.uniform(0, 0.03))
    child.kill()
    child.wait()
    stops.append(records())
    torn += Path("out.jsonl").exists() and not Path("out.jsonl").read_bytes().endswith(b"\n")
left = list(Path("photos").glob(".scenescribe-*"))
print(f"{kills} kills, after {min(stops)} to {max(stops)} of {total} photos; {torn} torn lines, {len(left)} temporary files left")
END
annotate || true

python3 - "$work" <<'END'
import csv, json, sys
from pathlib import Path

work = Path(sys.argv[1])

def outputs(copy):
    root = work / copy
    lines = [json.loads(line) for line in (root / "out.jsonl").read_text().splitlines()]
    rows = list(csv.DictReader((root / "out.csv").open()))
    for record in lines + rows:
        record.pop("time_ms")
    files = {path.relative_to(root): path.read_bytes() for path in sorted((root / "photos").rglob("*")) if path.is_file()}
    return lines, rows, files

undisturbed, killed = outputs("undisturbed"), outputs("killed")
for name, one, other in zip(("JSON lines", "CSV rows", "files"), undisturbed, killed):
    others = [pair for pair in zip(one, other) if pair[0] != pair[1]]
    assert one == other, f"{name} differ: {len(one)} and {len(other)}, {others[:3]}"
    print(f"{len(one)} {name} are equal")
left = [path for path in killed[2] if path.name.startswith(".scenescribe")]
assert not left, left
END
