# Sourced by setup-arm.sh and setup-board.sh: Debian packages unpacked below $prefix, without root and without touching the system.

suite=bookworm
own_mirror() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v '^ *#' |
        grep -oE 'https?://[^ ]+/debian(/| |$)' | head -n 1 | sed 's|/debian[/ ]*$||'
}

# Debian's packages come from the mirror that apt uses here, or from MIRROR, the part of its address before /debian.
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
