"""Follow all links within the site: pages, anchors, pictures, styles and scripts."""
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

LOADED = {"src", "srcset", "poster", "data"}  # Attributes whose address a browser loads by itself


class Reader(HTMLParser):
    "The anchors of a page, its links, and what it loads."
    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loads = {"", "top"}, [], []
        self.feed(re.sub(r"(<pre\b[^>]*>).*?</pre>", r"\1</pre>", text, flags=re.S))  # Code has no links, but most of the elements

    def handle_starttag(self, tag, attrs):
        for k, v in attrs:
            if k in ("id", "name") and v: self.ids.add(v)
            elif k in LOADED or (k, tag) == ("href", "link"): self.loads.append(v or "")
            elif k in ("href", "xlink:href"): self.links.append(v or "")


def check(out):
    "What is broken in the site's folder, one sentence each, and the addresses elsewhere."
    out = Path(out).resolve()
    pages = {p: Reader(p.read_text(encoding="utf-8")) for p in sorted(out.rglob("*.html"))}
    broken, external = [], set()
    for p, r in pages.items():
        name = p.relative_to(out).as_posix()
        for url in r.loads + r.links:
            if url.startswith("data:"): continue
            if re.match(r"[a-zA-Z][\w+.-]*:|//", url):
                if url in r.loads: broken.append(f"{name} loads {url[:80]} from elsewhere")
                external.add(url)
                continue
            path, _, anchor = url.partition("#")
            there = (p.parent/unquote(path)).resolve() if path else p
            if not there.is_file(): broken.append(f"{name}: there is no {url}")
            elif anchor and unquote(anchor) not in pages[there].ids: broken.append(f"{name}: there is no anchor {url}")
    return broken, external
