#!/usr/bin/env bash
# Make .venv with everything that demo, tests, docs and checks need; on Debian as root also the
# system packages that a real napari window needs under Xvfb; these alone with --system-packages.
set -euo pipefail
cd "$(dirname "$0")/.."

display_packages=(xvfb xauth libegl1 libgl1 libdbus-1-3 libfontconfig1 libglib2.0-0
    libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxkbcommon-x11-0)

is_root_on_debian() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

install_system_packages() {
    local missing=()
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" \
            || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    echo "Installing system packages: ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" >/dev/null
}

find_python() {
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3 and run make again." >&2
    return 1
}

if [ "${1:-}" = --system-packages ]; then # nothing else
    install_system_packages "${display_packages[@]}"
    exit
fi
if is_root_on_debian; then
    install_system_packages "${display_packages[@]}" \
        || echo "The display packages could not be installed; viewer tests will be skipped." >&2
fi
python=$(find_python)
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null && is_root_on_debian; then
    install_system_packages python3-venv
fi

[ -x .venv/bin/python ] || "$python" -m venv .venv
# Dependency groups need pip 25.1.
.venv/bin/python -m pip install --quiet --upgrade "pip>=25.1" -c constraints.txt
.venv/bin/python -m pip install --quiet -c constraints.txt --group dev --editable .
touch .venv/.made
