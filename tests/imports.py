"""What the modules of the package import, read from their source."""

from __future__ import annotations

import ast
from pathlib import Path

import napari_dinov3_sim

PACKAGE = "napari_dinov3_sim"
ROOT = Path(napari_dinov3_sim.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))


def module_name(path: Path) -> str:
    """Return the full name of the module in a file of the package."""
    parts = [PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(source: str, module: str, is_package: bool) -> set[str]:
    """Every module that a source names in an import, absolute; the public API by its home.

    An import inside a function or for type checking counts like any other.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = module.split(".") if is_package else module.split(".")[:-1]
                here = here[: len(here) - node.level + 1]
                base = ".".join([*here, base] if base else here)
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            function = getattr(node.func, "attr", getattr(node.func, "id", ""))
            target = node.args[0]
            if function in ("import_module", "__import__") and isinstance(target, ast.Constant):
                found.add(str(target.value))
    homes = napari_dinov3_sim._HOMES
    api = {f"{PACKAGE}.{name}": f"{PACKAGE}.{home}" for name, home in homes.items()}
    return {api.get(name, name) for name in found}
