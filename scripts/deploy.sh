#!/bin/sh
# Puts the program, its service and a board's profile on a board over ssh.
set -eu

usage() {
    cat <<'TEXT'
usage: scripts/deploy.sh ARCH HOST [--board NAME] [--program FILE] [--under FOLDER] [--start]

Copies to HOST, a name that ssh knows, as root or as a user who may call sudo without a password:
  /usr/local/bin/scenescribe             the program, replaced in one step, also while it runs
  /etc/systemd/system/scenescribe.service
  /etc/scenescribe/watch.args            the profile targets/ARCH/NAME.args; one that is there already is kept
and shows that the program runs there. ARCH is aarch64, armv7 or armv6.

--board    profile (default: pi-zero-2w, pi-2 or pi-zero)
--program  program to copy (default: built by scripts/build.sh ARCH)
--under    put all that below this folder of HOST, to look at it
--start    enable and start the service, or start it anew
SSH=COMMAND  instead of ssh, such as "ssh -p 2222 -i key"
TEXT
}

refuse() {
    echo "deploy.sh: $1" >&2
    exit 2
}

case "${1:-}" in
    -h|--help) usage; exit 0 ;;
    aarch64) board=pi-zero-2w ;;
    armv7) board=pi-2 ;;
    armv6) board=pi-zero ;;
    *) usage >&2; exit 2 ;;
esac
[ $# -ge 2 ] || { usage >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
arch=$1 host=$2 program='' under='' start=no
shift 2
while [ $# -gt 0 ]; do
    case "$1" in
        --start) start=yes; shift; continue ;;
        --board) board=${2:?} ;;
        --program) program=${2:?} ;;
        --under) under=${2:?} ;;
        *) refuse "unknown argument $1" ;;
    esac
    shift 2
done
case "$under" in *[!A-Za-z0-9/._-]*) refuse "--under $under: letters, digits and /._- only" ;; esac
profile=$root/targets/$arch/$board.args
[ -r "$profile" ] || refuse "no profile $profile"
if [ -z "$program" ]; then
    program=$root/target/$arch/scenescribe
    "$root/scripts/build.sh" "$arch" "$program"
fi

bundle=$(mktemp -d)
trap 'rm -r "$bundle"' EXIT
install -m 755 "$program" "$bundle/scenescribe"
cp "$profile" "$bundle/watch.args"
"$root/scripts/unit.sh" "$profile" /usr/local/bin/scenescribe > "$bundle/scenescribe.service"
cat > "$bundle/install.sh" <<'TEXT'
set -eu
under=$1 start=$2
mkdir -p "$under/usr/local/bin" "$under/etc/systemd/system" "$under/etc/scenescribe"
install -m 755 scenescribe "$under/usr/local/bin/scenescribe.new"
mv "$under/usr/local/bin/scenescribe.new" "$under/usr/local/bin/scenescribe"
install -m 644 scenescribe.service "$under/etc/systemd/system/"
if [ -e "$under/etc/scenescribe/watch.args" ]; then
    echo "$under/etc/scenescribe/watch.args kept as it was"
else
    install -m 644 watch.args "$under/etc/scenescribe/"
fi
if [ -z "$under" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    [ "$start" = no ] || { systemctl enable scenescribe.service; systemctl restart scenescribe.service; }
fi
echo "$(uname -m): $("$under/usr/local/bin/scenescribe" --version), $(wc -c < "$under/usr/local/bin/scenescribe") bytes"
TEXT
# One connection: the files as a tar archive, the commands as the remote shell's words.
tar -C "$bundle" -czf - . | ${SSH:-ssh} "$host" 'folder=$(mktemp -d) && cd "$folder" && tar -xzf - && root= &&
    { [ "$(id -u)" = 0 ] || root="sudo -n"; } && { $root sh install.sh "'"$under"'" '"$start"'; status=$?; rm -r "$folder"; exit $status; }'
