"""A page as a test reads it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

LOADING = ("src", "href", "xlink:href", "srcset", "action", "data", "poster", "background")


class Page(HTMLParser):
    """Elements, attributes and text of a page."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def values(self, tag: str, name: str) -> list[str]:
        return [v for t, n, v in self.attributes if (t, n) == (tag, name)]


def loads_nothing(html: str) -> int:
    """Check that a page is whole and asks for nothing; the number of its pictures and links."""
    page = Page(html)
    assert page.open == []
    loading = [entry for entry in page.attributes if entry[1] in LOADING]
    assert [entry for entry in loading if not entry[2].startswith(("data:", "#"))] == []
    assert not {"script", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert not re.search(r"url\((?!#)|@import", html)
    addresses = re.findall(r"[a-z]+://[^\s\"'<]+", html)
    assert set(addresses) <= {"http://www.w3.org/1999/xlink"}
    policy = next(v for v in page.values("meta", "content") if "default-src" in v)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return len(loading)
