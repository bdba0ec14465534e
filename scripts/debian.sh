# Sourced by setup-arm.sh and setup-board.sh: Debian packages unpacked below $prefix, without root and without touching the system.
# Each says by `usage` what it makes, and ends that with `from_debian`.

suite=bookworm

from_debian() {
    cat <<'TEXT'

Needs an x86-64 Debian or Ubuntu with apt, dpkg, python3-venv and debian-archive-keyring; downloads about 300 MB. What is
there already is kept. Debian's packages come from the mirror that apt uses here, or from MIRROR, the part of its address
before /debian.
TEXT
}

# take_prefix ARGUMENT...: the first is the folder to work in, or --help.
take_prefix() {
    case "${1:-}" in
        -h|--help) usage; exit 0 ;;
        ''|-*) usage >&2; exit 2 ;;
    esac
    mkdir -p "$1"
    prefix=$(cd "$1" && pwd)
}

own_mirror() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v '^ *#' |
        grep -oE 'https?://[^ ]+/debian(/| |$)' | head -n 1 | sed 's|/debian[/ ]*$||'
}

private_apt() {
    mirror=${MIRROR:-$(own_mirror)}
    [ -n "$mirror" ] || { echo "apt names no Debian mirror here: set MIRROR" >&2; exit 1; }
    apt=$prefix/apt
    mkdir -p "$apt/etc/parts" "$apt/etc/preferences.d" "$apt/state/lists/partial" "$apt/cache/archives/partial" "$prefix/debs"
    : > "$apt/state/status"
    cat > "$apt/apt.conf" <<TEXT
Dir "$apt"; Dir::Etc "etc/"; Dir::Etc::sourcelist "sources.list"; Dir::Etc::main "apt.conf"; Dir::Etc::parts "parts";
Dir::Etc::sourceparts "parts"; Dir::State "state"; Dir::State::status "$apt/state/status"; Dir::Cache "cache";
APT::Architecture "amd64"; APT::Architectures { "amd64"; "arm64"; };
Acquire::Languages "none"; Acquire::Retries "3"; APT::Sandbox::User "root";
TEXT
    from="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg arch=amd64,arm64]"
    cat > "$apt/etc/sources.list" <<TEXT
deb $from $mirror/debian $suite main
deb $from $mirror/debian-security $suite-security main
TEXT
    APT_CONFIG=$apt/apt.conf
    export APT_CONFIG
    apt-get -qq update
}

# unpack FOLDER PACKAGE...: downloads packages and unpacks them below FOLDER, unless that was done before.
unpack() {
    folder=$prefix/$1
    shift
    for package in "$@"; do
        mark=$prefix/debs/$(echo "$package" | tr ':=+~/' '_____').done
        [ ! -e "$mark" ] || continue
        download=$(mktemp -d "$prefix/debs/XXXXXX")
        (cd "$download" && apt-get -qq download "$package")
        mkdir -p "$folder"
        dpkg -x "$download"/*.deb "$folder"
        rm -r "$download"
        touch "$mark"
    done
}
