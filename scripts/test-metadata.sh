#!/bin/sh
# Reads back with exiftool and Pillow what `scenescribe annotate` has put beside and inside photos.
set -eu

case "${1:-}" in -h|--help) cat <<'END'
usage: scripts/test-metadata.sh [PYTHON]

Makes photos with metadata of other programs (written by exiftool: EXIF with a maker's note as cameras write, IPTC, XMP, a
colour profile, PNG text), puts captions into them, and checks with exiftool and Pillow that the captions are there, that
all other tags and every pixel are as before, and that descriptions of people stay. PYTHON (python3) must have Pillow.
Needs Debian's package libimage-exiftool-perl.
END
exit 0 ;; esac

python=${1:-python3}
program=$(cd "$(dirname "$0")/.." && pwd)/target/release/scenescribe
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
exec "$python" - "$program" <<'END'
import json, subprocess, sys, xml.dom.minidom
from pathlib import Path
from PIL import Image, ImageCms, ImageDraw

program = sys.argv[1]
run = lambda *command: subprocess.run(command, check=True, capture_output=True, text=True).stdout
IGNORED = {"SourceFile", "ExifTool", "System", "File", "Composite"}
OURS = {"IFD0:ImageDescription", "IPTC:Caption-Abstract", "IPTC:ApplicationRecordVersion", "XMP-dc:Description",
        "Photoshop:IPTCDigest", "File:CurrentIPTCDigest", "PNG:RawProfileTypeIptc"}

def draw(name, **options):
    picture = Image.new("RGB", (320, 240), "white")
    ImageDraw.Draw(picture).ellipse((60, 40, 260, 200), fill="brown", outline="black", width=5)
    picture.save(name, **options)

def tags(path):
    found = json.loads(run("exiftool", "-j", "-G1", "-a", "-u", "-struct", "-b", str(path)))[0]
    other = lambda key: key.split(":")[0] not in IGNORED and key not in OURS and "scenescribe" not in key.lower()
    # x:xmptk and rdf:about are of the packet, ThumbnailOffset and the like are places, which may move in the file.
    return {key: value for key, value in found.items() if other(key) and not key.endswith(("Offset", "XMPToolkit"))}

def captions(path):
    names = ["XMP-dc:Description", "EXIF:ImageDescription", "IPTC:Caption-Abstract"]
    return run("exiftool", "-s3", *("-" + name for name in names), str(path)).splitlines()

profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
for name in ("plain.jpg", "camera.jpg", "human_exif.jpg", "human_iptc.jpg", "human_xmp.jpg", "progressive.jpg"):
    draw(name, quality=90, icc_profile=profile, progressive=name.startswith("prog"))
for name in ("plain.png", "tagged.png", "human_text.png"):
    draw(name, icc_profile=profile)
run("exiftool", "-overwrite_original", "-Make=Canon", "-Model=Canon EOS 5D", "-Orientation=Horizontal (normal)",
    "-DateTimeOriginal=2020:01:01 12:00:00", "-GPSLatitude=59.9", "-GPSLatitudeRef=N", "-Artist=Kari", "-Keywords=dog",
    "-City=Oslo", "-XMP:Rating=4", "-XMP-dc:Subject=holiday", "-XMP-dc:Title=A day", "-Comment=from a friend",
    "-UserComment=ordinary", "-IPTC:CodedCharacterSet=UTF8", "-IPTCDigest=new", "camera.jpg")
run("exiftool", "-overwrite_original", "-ThumbnailImage<=plain.jpg", "camera.jpg")
run("exiftool", "-overwrite_original", "-XMP:Rating=2", "-EXIF:Artist=Kari", "-PNG:Author=Kari", "tagged.png")
run("exiftool", "-overwrite_original", "-EXIF:ImageDescription=Grandma", "human_exif.jpg")
run("exiftool", "-overwrite_original", "-IPTC:Caption-Abstract=Grandma", "human_iptc.jpg")
run("exiftool", "-overwrite_original", "-XMP-dc:Description=Grandma", "human_xmp.jpg")
run("exiftool", "-overwrite_original", "-PNG:Description=Grandma", "human_text.png")

photos = sorted(Path(".").iterdir())
before = {photo: (tags(photo), Image.open(photo).tobytes(), photo.read_bytes()) for photo in photos}
known = {photo: run("exiftool", "-validate", "-warning", "-a", "-s3", str(photo)).splitlines() for photo in photos}
checks = 0
for overwrite in ((), ("--overwrite", "ours"), ("--overwrite", "human")):
    # With --overwrite human, what is ours stays as it is.
    run(program, "annotate", "--threads", "1", "--embed", "--sidecar", "xmp", *overwrite, *map(str, photos))
    expected = run(program, "caption", "--threads", "1", *map(str, photos)).splitlines()
    expected = dict(line.split("\t") for line in expected)
    for photo in photos:
        old_tags, pixels, file = before[photo]
        if photo.name.startswith("human") and "human" not in overwrite:
            assert photo.read_bytes() == file, f"{photo} was changed"
            checks += 1
            continue
        assert captions(photo) == [expected[str(photo)]] * 3, (photo, captions(photo))
        assert Image.open(photo).tobytes() == pixels, f"the pixels of {photo} are others"
        new = tags(photo)
        lost = {key: value for key, value in old_tags.items() if new.get(key) != value}
        allowed = {"IFD0:ImageDescription", "PNG:Description"} if photo.name.startswith("human") else set()
        assert set(lost) <= allowed, f"{photo} lost {lost}"
        checks += len(old_tags)
        # Pillow: EXIF tag 270, IPTC 2:120 (JPEG), XMP.
        with Image.open(photo) as picture:
            assert picture.getexif()[270] == expected[str(photo)]
            xmp = picture.info["xmp"] if photo.suffix == ".jpg" else picture.info["XML:com.adobe.xmp"].encode()
            document = xml.dom.minidom.parseString(xmp.split(b"?>", 1)[1].rsplit(b"<?", 1)[0] if xmp[:2] == b"<?" else xmp)
            [description] = document.getElementsByTagName("dc:description")
            item = description.getElementsByTagName("rdf:li")[0]
            assert item.firstChild.data == expected[str(photo)], photo
            checks += 3
        assert captions(f"{photo}.xmp") == [expected[str(photo)]]
        complaints = run("exiftool", "-validate", "-warning", "-a", "-s3", str(photo)).splitlines()
        complaints = [line for line in complaints if line not in known[photo]]
        assert complaints in ([], ["OK"]) or all("required" in line or "arning" in line for line in complaints), (photo, complaints)
print(f"{checks} checks passed over {len(photos)} photos")
END
