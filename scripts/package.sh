#!/bin/sh
# Makes a Debian package for a board: program, manual, completions, service, profile.
set -eu

usage() {
    cat <<'TEXT'
usage: scripts/package.sh ARCH [--board NAME] [--program FILE] [--out DIR]

Makes OUT/scenescribe_VERSION_DEBIANARCH.deb (default OUT: target/ARCH) for ARCH: aarch64 (arm64), armv7 or armv6 (both
armhf; Raspberry Pi OS calls ARMv6 that too, the version says which). It holds
  /usr/bin/scenescribe                  the program, static
  /etc/scenescribe/watch.args           what the service watches: the profile targets/ARCH/NAME.args, kept on upgrades
  /lib/systemd/system/                  the service, not enabled; its MemoryMax is the profile's --memory and 24M
  /lib/udev/rules.d/                    hints for names of cameras and serial ports
  /usr/share/scenescribe/boards/        the profiles of all boards of ARCH
  manual pages and completions for bash, zsh and fish

--board    profile to install (default: pi-zero-2w, pi-2 or pi-zero)
--program  program to package (default: built by scripts/build.sh ARCH)

Needs dpkg-deb, and cargo to write the manual. No root.
MAINTAINER='NAME <ADDRESS>'  who answers for the package
TEXT
}

refuse() {
    echo "package.sh: $1" >&2
    exit 2
}

case "${1:-}" in
    -h|--help) usage; exit 0 ;;
    aarch64) debian=arm64 board=pi-zero-2w suffix='' ;;
    armv7) debian=armhf board=pi-2 suffix='' ;;
    armv6) debian=armhf board=pi-zero suffix=+armv6 ;;
    *) usage >&2; exit 2 ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
arch=$1 program='' out=$root/target/$arch
shift
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || refuse "$1 needs a value"
    case "$1" in
        --board) board=$2 ;;
        --program) program=$2 ;;
        --out) out=$2 ;;
        *) refuse "unknown argument $1" ;;
    esac
    shift 2
done
profile=$root/targets/$arch/$board.args
[ -r "$profile" ] || refuse "no profile $profile"
if [ -z "$program" ]; then
    program=$root/target/$arch/scenescribe
    "$root/scripts/build.sh" "$arch" "$program"
fi

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)$suffix-1
date=$(cd "$root" && git log -1 --format=%aD 2>/dev/null || date -R)
maintainer=${MAINTAINER:-scenescribe developers <scenescribe@localhost>}
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
doc=$tree/usr/share/doc/scenescribe

# put MODE FROM PLACE
put() {
    install -D -m "$1" "$2" "$tree/$3"
}

manual() {
    (cd "$root" && cargo run --quiet --release --example manual -- "$tree/manual")
    for page in "$tree"/manual/*.1; do
        put 644 "$page" "usr/share/man/man1/${page##*/}"
    done
    gzip -9n "$tree"/usr/share/man/man1/*
    put 644 "$tree/manual/scenescribe.bash" usr/share/bash-completion/completions/scenescribe
    put 644 "$tree/manual/_scenescribe" usr/share/zsh/vendor-completions/_scenescribe
    put 644 "$tree/manual/scenescribe.fish" usr/share/fish/vendor_completions.d/scenescribe.fish
    rm -r "$tree/manual"
}

documents() {
    mkdir -p "$doc"
    {
        printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n'
        printf 'Files: *\nCopyright: the scenescribe developers\nLicense: MIT or Apache-2.0\n\nLicense: MIT\n'
        sed 's/^$/./; s/^/ /' "$root/LICENSE-MIT"
        printf '\nLicense: Apache-2.0\n On Debian systems: /usr/share/common-licenses/Apache-2.0\n'
        printf '\nComment: the model inside the program is for research and education; see its card, model.md\n'
    } > "$doc/copyright"
    cp "$root/models/default/README.md" "$doc/model.md"
    printf 'scenescribe (%s) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- %s  %s\n' \
        "$version" "$maintainer" "$date" | gzip -9n > "$doc/changelog.Debian.gz"
    gzip -9nc "$root/CHANGELOG.md" > "$doc/changelog.gz"
    chmod 644 "$doc"/*
    mkdir -p "$tree/usr/share/lintian/overrides"
    printf '# One file for every system that a board may have, whatever its libc.\nscenescribe: statically-linked-binary [usr/bin/scenescribe]\n' \
        > "$tree/usr/share/lintian/overrides/scenescribe"
    chmod 644 "$tree/usr/share/lintian/overrides/scenescribe"
}

scripts() {
    mkdir -p "$tree/DEBIAN"
    cat > "$tree/DEBIAN/control" <<TEXT
Package: scenescribe
Version: $version
Architecture: $debian
Maintainer: $maintainer
Installed-Size: $(du -ks --exclude=DEBIAN "$tree" | cut -f 1)
Section: video
Priority: optional
Pre-Depends: init-system-helpers (>= 1.54~)
Description: captions of photos and of what a camera sees
 Says in a sentence what is in a picture, on the board itself: no GPU, no
 network, no Python. Photos are captioned by hand, a camera is followed by a
 service that writes its captions to a serial port or to the log.
TEXT
    echo /etc/scenescribe/watch.args > "$tree/DEBIAN/conffiles"
    cat > "$tree/DEBIAN/postinst" <<'TEXT'
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
    if [ -n "$2" ]; then
        deb-systemd-invoke try-restart scenescribe.service >/dev/null || true
    fi
fi
TEXT
    cat > "$tree/DEBIAN/prerm" <<'TEXT'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    deb-systemd-invoke stop scenescribe.service >/dev/null || true
fi
TEXT
    cat > "$tree/DEBIAN/postrm" <<'TEXT'
#!/bin/sh
set -e
if [ "$1" = purge ] && command -v deb-systemd-helper >/dev/null; then
    deb-systemd-helper purge scenescribe.service >/dev/null || true
fi
if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
fi
TEXT
    chmod 755 "$tree/DEBIAN/postinst" "$tree/DEBIAN/prerm" "$tree/DEBIAN/postrm"
    (cd "$tree" && find usr lib -type f -exec md5sum {} +) > "$tree/DEBIAN/md5sums"
}

put 755 "$program" usr/bin/scenescribe
put 644 "$profile" etc/scenescribe/watch.args
for board in "$root/targets/$arch"/*.args; do
    put 644 "$board" "usr/share/scenescribe/boards/${board##*/}"
done
put 644 "$root/targets/60-scenescribe.rules" lib/udev/rules.d/60-scenescribe.rules
"$root/scripts/unit.sh" "$profile" /usr/bin/scenescribe > "$tree/unit"
put 644 "$tree/unit" lib/systemd/system/scenescribe.service
rm "$tree/unit"
manual
documents
scripts
chmod 755 "$tree"
mkdir -p "$out"
dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/scenescribe_${version}_$debian.deb"
