# What script/run and script/test share: the virtual environment and the system's packages.
# Sourced with $root set. Everything is said on stderr: stdout belongs to the program.

venv=$root/.venv
stamp=$venv/complete

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# system_packages NAME...: install what is missing through apt, if we may. Else say what to run, and fail.
system_packages() {
    command -v apt-get >/dev/null || { say "No apt-get here; install yourself what stands for: $*"; return 1; }
    missing=
    for package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "Installing$missing (apt) ..."
    if become_root; then
        apt_update
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 \
            install -y --no-install-recommends $missing >/dev/null && return 0
    fi
    say "Not installed. As root, run:"
    say "    apt-get update && apt-get install -y --no-install-recommends$missing"
    return 1
}

# Sets $sudo to what lets a command run as root; asks for a password only on a terminal. Fails where we may not.
become_root() {
    sudo=
    [ "$(id -u)" -ne 0 ] || return 0
    sudo=sudo
    command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }
}

# Refresh apt's lists; up to two minutes' wait while another program does. A failure shows when installing.
apt_update() {
    waited=0
    until errors=$($sudo apt-get -qq update 2>&1); do
        case $errors in */lock*) [ "$waited" -lt 120 ] || return 0 ;; *) say "$errors"; return 0 ;; esac
        sleep 5
        waited=$((waited + 5))
    done
}

# What the environment was made by and for: it does not survive another Python, nor a move of the checkout.
origin() { printf '%s %s' "$("$venv/bin/python" -IS -c 'import sys; print(sys.implementation.cache_tag)' 2>/dev/null)" "$root"; }
wanted() { printf '%s %s' "$(origin)" "$(cat "$root/pyproject.toml" "$root/constraints.txt" | cksum)"; }

# is_ready PART: the environment holds the project and what this part needs: run, test, train, or dev for all of them.
is_ready() {
    [ -f "$stamp" ] || return 1
    read -r installed <"$stamp"
    case $installed in
        "$(wanted) $1" | "$(wanted) dev") ;;
        "$(wanted) "?*) [ "$1" = run ] ;;
        *) return 1 ;;
    esac
}

# set_up PART: install the project, editable, with the pinned packages that this part needs.
set_up() {
    previous=$(cat "$stamp" 2>/dev/null || :)
    rm -f "$stamp" # written again when all is there: an environment without it is created again
    case $previous in
        "$(origin) "*) say "Updating $venv ..." ;;
        *) say "Setting up $venv; this happens once and takes a minute ..." && make_environment ;;
    esac
    extras=
    [ "$1" = run ] || extras="[$1]"
    cd_back=$(pwd)
    cd "$root"
    # The constraints also hold for what builds the package, under the name that each version of pip knows.
    quietly "Installing Python packages" env PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
        PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
        "$venv/bin/python" -m pip install --no-input --progress-bar off --editable ".$extras" ||
        die "cannot install the Python packages; is the network there? The next call tries again."
    cd "$cd_back"
    printf '%s %s\n' "$(wanted)" "$1" >"$stamp"
}

# quietly LABEL COMMAND...: run it with one line of progress on a terminal; show its output only if it fails.
quietly() {
    label=$1 output=$(mktemp) began=$(date +%s) status=0
    shift
    "$@" >"$output" 2>&1 &
    job=$!
    trap 'kill $job 2>/dev/null; rm -f "$output"; exit 130' INT TERM
    while kill -0 $job 2>/dev/null; do
        [ ! -t 2 ] || printf '\r%s: %s found, %s s ' "$label" "$(grep -cE '^(Collecting|Processing)' "$output")" \
            "$(($(date +%s) - began))" >&2
        sleep 1
    done
    wait $job || status=$?
    trap - INT TERM
    [ ! -t 2 ] || printf '\n' >&2
    [ $status -eq 0 ] || cat "$output" >&2
    rm -f "$output"
    return $status
}

make_environment() {
    find_python || { system_packages python3 && find_python; } || die "Python 3.11 or newer is needed."
    "$python" -c 'import ensurepip' 2>/dev/null ||
        system_packages "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" ||
        die "Python's venv module is needed."
    rm -rf "$venv"
    "$python" -m venv "$venv" >&2 || die "cannot make $venv; may you write there?"
}

find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    done
    return 1
}
