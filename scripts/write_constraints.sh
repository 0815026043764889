#!/usr/bin/env bash
# Pin what .venv holds. Local version labels (torch's +cpu) are dropped: elsewhere the same pin
# takes the usual build.
set -euo pipefail
cd "$(dirname "$0")/.."
{
    echo "# Pins of the development and CI environment; written by 'make constraints'."
    .venv/bin/python -m pip freeze --exclude-editable --all \
        | grep -vE '^(pip|setuptools|wheel)==|@' | sed -E 's/\+[a-z0-9.]+$//' \
        | grep -vE '^(nvidia|cuda|triton)' | sort -f
} > constraints.txt
