#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "pillow"]
# ///
"""Measures when `scenescribe watch` speaks: photos become scenes of a stream, with noise, shaking and exposure added.

Each photo stands for some frames, each of which is moved, brightened, made noisy and compressed anew. The script counts,
by the log of the program, on which frame of its scene a caption was told. A scene should have one caption, on its first or
second frame; every further one is a false alarm. `--patch SHARE` then lets a square of another photo enter each scene half
way, over that share of the picture, and counts the scenes in which the network looked, and those that got a new caption.
"""
import argparse
import collections
import io
import pathlib
import random
import re
import subprocess
import sys
import threading

import numpy as np
from PIL import Image

SIDE = 224
MARGIN = 16
CONDITIONS = {  # shaking in pixels of 224, noise in grey levels, exposure as gain and offset
    "still": (0, 2, 0.0, 0),
    "light": (2, 4, 0.1, 8),
    "heavy": (3, 6, 0.2, 15),
}
LINE = re.compile(r"frame (\d+): changed ([\d.]+).*: (\w+)$")


def main():
    args = arguments()
    photos = sorted(path for path in args.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    photos = random.Random(args.seed).sample(photos, min(args.scenes, len(photos)))
    print(f"{len(photos)} scenes of {args.frames} frames")
    if args.patch:
        print("condition   looked at   told anew")
        for name in args.conditions:
            patched(args, name, photos)
        return
    print("condition  told on frame 1   2   3   later  never   false alarms  precision  frames to the network")
    for name in args.conditions:
        steady(args, name, photos)


def steady(args, name, photos):
    """One photo after another."""
    verdicts = watch(args, scenes(args, name, photos, 0.0))
    told = collections.defaultdict(list)
    for frame, (_, verdict) in verdicts.items():
        if verdict == "told":
            told[frame // args.frames].append(frame % args.frames)
    first = collections.Counter(min(frames[0], 3) for frames in told.values())
    false_alarms = sum(len(frames) - 1 for frames in told.values())
    looked = sum(verdict != "gated" for _, verdict in verdicts.values())
    precision = len(told) / max(len(told) + false_alarms, 1)
    print(f"{name:<10} {first[0]:>15} {first[1]:>3} {first[2]:>3} {first[3]:>7} {len(photos) - len(told):>6}"
          f" {false_alarms:>14} {precision:>10.3f} {looked / len(verdicts):>22.1%}", flush=True)


def patched(args, name, photos):
    """Something enters each scene half way."""
    verdicts = watch(args, scenes(args, name, photos, args.patch))
    half = args.frames // 2
    looked, told = set(), set()
    for frame, (_, verdict) in verdicts.items():
        if frame % args.frames >= half:
            looked |= {frame // args.frames} if verdict != "gated" else set()
            told |= {frame // args.frames} if verdict == "told" else set()
    print(f"{name:<10} {len(looked) / len(photos):>10.1%} {len(told) / len(photos):>11.1%}", flush=True)


def scenes(args, name, photos, patch):
    """Yields the bytes of each frame."""
    rng = np.random.default_rng(args.seed)
    visitor = load(photos[-1])
    for photo in photos:
        scene = load(photo)
        visited = insert(rng, scene, visitor, patch)
        exposure = np.zeros(2)
        for frame in range(args.frames):
            exposure = 0.8 * exposure + 0.6 * rng.uniform(-1, 1, 2)  # wanders, as automatic exposure does
            picture = visited if frame >= args.frames // 2 else scene
            yield disturbed(rng, picture, CONDITIONS[name], np.clip(exposure, -1, 1))
        visitor = scene


def load(photo):
    picture = Image.open(photo).convert("RGB").resize((SIDE + 2 * MARGIN,) * 2, Image.BILINEAR)
    return np.asarray(picture, np.float32)


def insert(rng, scene, visitor, share):
    """Covers a share of the visible picture with the middle of another."""
    side = int(SIDE * share**0.5)
    y, x = rng.integers(MARGIN, MARGIN + SIDE - side + 1, 2)
    middle = (SIDE + 2 * MARGIN - side) // 2
    visited = scene.copy()
    visited[y:y + side, x:x + side] = visitor[middle:middle + side, middle:middle + side]
    return visited


def disturbed(rng, picture, condition, exposure):
    shake, noise, gain, offset = condition
    y, x = MARGIN + rng.integers(-shake, shake + 1, 2)
    picture = picture[y:y + SIDE, x:x + SIDE] * (1 + gain * exposure[0]) + offset * exposure[1]
    picture = picture + rng.normal(0, noise, picture.shape)
    compressed = io.BytesIO()
    Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(compressed, "JPEG", quality=75)
    return np.asarray(Image.open(compressed)).tobytes()


def watch(args, frames):
    """Runs the program over the frames: frame number to (share changed, verdict)."""
    command = [args.program, "watch", "-vv", "--threads", "1", "--input", "-", "--all-frames", "--format", "rgb24"]
    command += ["--size", f"{SIDE}x{SIDE}", *args.options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        feeder = threading.Thread(target=feed, args=(child.stdin, frames))
        feeder.start()
        log = child.stderr.read().decode()
        feeder.join()
    if child.returncode:
        sys.exit(log)
    found = (LINE.search(line) for line in log.splitlines())
    return {int(match[1]): (float(match[2]), match[3]) for match in found if match}


def feed(stdin, frames):
    with stdin:
        for frame in frames:
            stdin.write(frame)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=pathlib.Path, help="folder of photos, one scene each")
    parser.add_argument("--program", default="target/release/scenescribe")
    parser.add_argument("--scenes", type=int, default=500, help="photos to take (default: 500)")
    parser.add_argument("--frames", type=int, default=20, help="frames of each scene (default: 20)")
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--patch", type=float, default=0.0, metavar="SHARE", help="let something enter each scene")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("options", nargs="*", help="options for `watch`, behind --")
    return parser.parse_args()


if __name__ == "__main__":
    main()
