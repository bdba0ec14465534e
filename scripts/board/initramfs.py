#!/usr/bin/env python3
# /// script
# requires-python = ">=3.9"
# ///
"""Writes an initial file system for an emulated board: a newc cpio archive of busybox, kernel modules and given files.

Needs no root, cpio or depmod. Modules are unpacked and listed in /etc/modules in the order in which they can be loaded,
each after those it depends on.
"""

import argparse
import lzma
import pathlib
import re
import stat

FOLDERS = ["bin", "dev", "etc", "lib", "lib/modules", "photos", "proc", "run", "sys", "tmp"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, help="archive to write")
    parser.add_argument("--kernel", type=pathlib.Path, required=True, help="folder with the kernel's modules")
    parser.add_argument("--busybox", type=pathlib.Path, required=True, help="static busybox for the board")
    parser.add_argument("--module", action="append", default=[], help="module to take, with what it depends on")
    parser.add_argument("files", nargs="*", metavar="FILE=PLACE", help="file to take, and where to")
    return parser.parse_args()


class Archive:
    """A newc cpio archive that grows in memory."""

    def __init__(self):
        self.bytes = bytearray()
        self.count = 0

    def add(self, name, mode, content=b"", device=(0, 0)):
        self.count += 1
        encoded = name.encode() + b"\0"
        fields = [self.count, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(encoded), 0]
        self.bytes += b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self.pad()
        self.bytes += content
        self.pad()

    def pad(self):
        self.bytes += b"\0" * (-len(self.bytes) % 4)


class Modules:
    """The kernel's loadable modules."""

    def __init__(self, kernel):
        self.paths = {path.name.split(".ko")[0].replace("-", "_"): path for path in kernel.rglob("*.ko*")}
        self.ordered = {}

    def take(self, name):
        name = name.replace("-", "_")
        if name in self.ordered or name not in self.paths:
            return  # taken already, or part of the kernel itself
        content = self.paths[name].read_bytes()
        if self.paths[name].suffix == ".xz":
            content = lzma.decompress(content)
        needs = re.search(rb"\0depends=([^\0]*)\0", content)
        for need in needs[1].decode().split(",") if needs and needs[1] else []:
            self.take(need)
        self.ordered[name] = content


def main():
    given = arguments()
    modules = Modules(given.kernel)
    for name in given.module:
        modules.take(name)
    archive = Archive()
    for folder in FOLDERS:
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("bin/busybox", stat.S_IFREG | 0o755, given.busybox.read_bytes())
    archive.add("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    for name, content in modules.ordered.items():
        archive.add(f"lib/modules/{name}.ko", stat.S_IFREG | 0o644, content)
    archive.add("etc/modules", stat.S_IFREG | 0o644, "".join(f"{name}\n" for name in modules.ordered).encode())
    for pair in given.files:
        path, place = pair.split("=", 1)
        archive.add(place.lstrip("/"), stat.S_IFREG | 0o755, pathlib.Path(path).read_bytes())
    archive.add("TRAILER!!!", 0)
    given.out.write_bytes(archive.bytes)
    print(f"{given.out}: {len(archive.bytes) / 1e6:.1f} MB, modules {' '.join(modules.ordered)}")


if __name__ == "__main__":
    main()
