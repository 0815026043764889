#!/usr/bin/env bash
# Run a command with a screen: the one there is, else Xvfb, else without (viewer tests skip).
set -euo pipefail
if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || [ "$(uname)" != Linux ]; then
    exec "$@"
elif command -v xvfb-run >/dev/null; then
    # Qt must use xcb: the offscreen platform cannot show a napari canvas.
    unset QT_QPA_PLATFORM
    exec xvfb-run -a -s "-screen 0 1400x900x24" "$@"
else
    echo "No screen and no xvfb-run: tests of the real viewer will be skipped." >&2
    exec "$@"
fi
