"""Follow the links of the built documentation: each leads to a file, and to a place in it.

Links to other computers are not followed, so that no network is needed; they have to be https.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ATTRIBUTES = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "srcset"}
OUTSIDE = ("https", "mailto", "data")


class Page(HTMLParser):
    """The links of a page, and the places that others may lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a link, and of a place."""
        found = dict(attrs)
        for name in ("id", "name"):
            if found.get(name):
                self.places.add(str(found[name]))
        link = found.get(ATTRIBUTES.get(tag, ""))
        if link and found.get("rel") != "canonical":
            self.links.append(link)


def broken_links(folder: Path) -> list[str]:
    """Return a line for each link of a folder of pages that leads nowhere."""
    pages = {
        path: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))
    }
    found = []
    for path, page in pages.items():
        for link in dict.fromkeys(page.links):
            problem = _problem(link, path, folder, pages)
            if problem:
                found.append(f"{path.relative_to(folder)}: {link} {problem}")
    return found


def _problem(link: str, path: Path, folder: Path, pages: dict[Path, Page]) -> str:
    parts = urlsplit(link)
    if parts.scheme:
        return "" if parts.scheme in OUTSIDE else "is no https address"
    target = path
    if parts.path:
        start = folder if parts.path.startswith("/") else path.parent
        target = (start / unquote(parts.path).lstrip("/")).resolve()
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return "leads to no file"
    if target in pages and unquote(parts.fragment) not in pages[target].places:
        return "leads to no place of the page"
    return ""


def main(folder: Path) -> int:
    """Print what leads nowhere; return the exit status."""
    folder = folder.resolve()
    found = broken_links(folder)
    count = len(list(folder.rglob("*.html")))
    print("\n".join(found) or f"The links of {count} pages lead somewhere.")
    return 1 if found or not count else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
