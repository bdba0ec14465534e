#!/bin/sh
# Installs a package in a Debian of the board's architecture, runs the program there, upgrades, removes and purges it.
set -eu

case "${1:-}" in
    -h|--help|'')
        cat <<'TEXT'
usage: scripts/test-package.sh DEB [ROOT.tar]

Unpacks a small Debian bookworm of DEB's architecture (made by mmdebstrap, or ROOT.tar), and there installs DEB, captions
the README's picture, installs it once more over a changed profile, removes and purges it. Then asks lintian.

Needs root, mmdebstrap and arch-test, lintian, and qemu-user-static with binfmt_misc for a foreign architecture.
TEXT
        [ -n "${1:-}" ] || exit 2
        exit 0 ;;
esac

root=$(cd "$(dirname "$0")/.." && pwd)
package=$1
work=$(mktemp -d)
trap 'umount "$work/root/proc" 2>/dev/null; rm -rf "$work"' EXIT
mkdir "$work/root"
if [ -n "${2:-}" ]; then
    tar -C "$work/root" -xf "$2"
else
    mmdebstrap --quiet --architectures="$(dpkg-deb -f "$package" Architecture)" --variant=essential bookworm "$work/root.tar"
    tar -C "$work/root" -xf "$work/root.tar"
fi
mount --bind /proc "$work/root/proc"
cp "$package" "$work/root/tmp/package.deb"
cp "$root/tests/fixtures/photos/dog.jpg" "$work/root/tmp/"
cat > "$work/root/tmp/test" <<'TEXT'
set -eu
dpkg -i /tmp/package.deb
echo "$(uname -m): $(scenescribe --version): $(scenescribe caption /tmp/dog.jpg)"
test -s /usr/share/man/man1/scenescribe-watch.1.gz -a -s /lib/systemd/system/scenescribe.service
echo '# changed' >> /etc/scenescribe/watch.args
dpkg -i /tmp/package.deb
tail -n 1 /etc/scenescribe/watch.args | grep -qx '# changed'
dpkg -r scenescribe
test ! -e /usr/bin/scenescribe -a -e /etc/scenescribe/watch.args
dpkg -P scenescribe
test ! -e /etc/scenescribe
echo "installed, run, upgraded, removed and purged"
TEXT
chroot "$work/root" sh /tmp/test
lintian --no-cfg --fail-on none "$package"
