"""Make the web site from the notebooks' stored outputs: plain HTML that works from a folder, without a network.

Every notebook is a page, the course also in Japanese (`nbs/_ja`), and every module has a page in the API reference.
At the end all links within the site are followed. The exit status is 0, or 1 if one of them leads nowhere."""
import argparse, html, io, json, os, re, shutil, sys, time
from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(ROOT/"nbs"/"_tools"), str(HERE)]

import jinja2, nbformat  # noqa: E402
from fastcore.nbio import nb2str  # noqa: E402
from latex2mathml.converter import convert as mathml  # noqa: E402
from nbconvert import TemplateExporter  # noqa: E402
from nbconvert.filters.ansi import ansi2html  # noqa: E402
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath  # noqa: E402
from PIL import Image  # noqa: E402
from pygments import highlight  # noqa: E402
from pygments.formatters import HtmlFormatter  # noqa: E402
from pygments.lexers import get_lexer_by_name  # noqa: E402
from pygments.util import ClassNotFound  # noqa: E402

import make_readme, site_api, site_links, translations  # noqa: E402
from run_chapters import chapters  # noqa: E402

FLOORS = dict(course="The course", synthetic="Generated data", engine="The engine", solutions="Worked answers", api="API reference")
FLOORS_JA = dict(course="コース本編", synthetic="生成データ（英語）", engine="エンジン（英語）", solutions="演習の解答（英語）", api="API リファレンス（英語）")
NUMBERS = dict(zip("one two three four five six seven eight nine ten fifteen twenty thirty forty fifty sixty".split(),
                   [*range(1, 11), 15, 20, 30, 40, 50, 60]), **{"half an hour": 30, "an hour": 60})
NUMBER = rf"(\d+|{'|'.join(NUMBERS)})(?: minutes)?"
MINUTES = (rf"[Aa]bout {NUMBER} of reading", rf"[Rr]eading takes about {NUMBER}", rf"[Cc]hapter takes about {NUMBER}")
WORDS_A_MINUTE, LINES_A_MINUTE, LETTERS_A_MINUTE = 200, 12, 500
STYLES = dict(light="friendly", dark="github-dark")  # Of Pygments


@dataclass
class Page:
    "One page of the site; `name` is its address without `.html`."
    name: str
    title: str
    promise: str = ""
    floor: str = "course"
    lang: str = "en"
    nb: str = ""  # Its notebook's path below nbs/, if it has one
    body: str = ""
    minutes: int = 0
    module: str = ""
    toc: list = field(default_factory=list)       # (level, anchor, text)
    sections: list = field(default_factory=list)  # (anchor, heading, text) for the search
    other: str = ""  # The same page in the other language
    note: str = ""   # What kind of notice comes first: "", "none", "part"

    @property
    def up(self): return "../"*self.name.count("/")
    @property
    def label(self):
        "The title as in lists: `05 · VideoMAE by hand`."
        number = re.match(r"\d\d", self.name.rpartition("/")[2])
        return f"{number[0]} · {self.title}" if number else self.title


def minutes(text, code):
    "Minutes that a notebook says it takes to read, or an estimate from its text and its code."
    for pattern in MINUTES:
        if m := re.search(pattern, text): return int(m[1]) if m[1].isdigit() else NUMBERS[m[1]]
    return max(1, round(len(text.split())/WORDS_A_MINUTE + len(code.splitlines())/LINES_A_MINUTE))


def colours():
    "Pygments' colours for both schemes."
    light, dark = (HtmlFormatter(style=s) for s in STYLES.values())
    def css(f, top): return "\n".join(l for l in f.get_style_defs([f"{top} .hl"]).splitlines() if ".hl ." in l)
    night = css(dark, ":root[data-theme=dark]")
    auto = night.replace("[data-theme=dark]", ":not([data-theme=light])")
    return f"{css(light, '')}\n{night}\n@media(prefers-color-scheme:dark){{\n{auto}\n}}\n"


def plain(text, gap=" "): return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", gap, text))).strip()


def code(source, language="ipython3"):
    "Highlighted code."
    try: lexer = get_lexer_by_name(language, stripnl=False)
    except ClassNotFound: lexer = get_lexer_by_name("text")
    return f'<pre class="hl" lang="en"><code>{highlight(source.rstrip(), lexer, HtmlFormatter(nowrap=True))}</code></pre>'


class Renderer(IPythonRenderer):
    "Markdown as HTML for one page: own anchors, links to pages instead of notebooks, MathML, links to the API."
    def __init__(self, site, page, shown=False):
        super().__init__(escape=False)
        self.site, self.page, self.english, self.seen, self.shown = site, page, [], {}, shown

    def heading(self, text, level, **attrs):
        if self.shown: return f"<p><strong>{text}</strong></p>\n"  # In an output: no section of the page
        original = self.english.pop(0) if self.english else plain(text, "")
        a = translations.anchor(re.sub(r"[`*]", "", original))
        self.seen[a] = n = self.seen.get(a, 0) + 1
        a = html.escape(a if n == 1 else f"{a}-{n}")
        if level > 1: self.page.toc.append((level, html.unescape(a), plain(text, "")))
        self.page.sections.append([html.unescape(a) if level > 1 else "", plain(text, ""), ""])
        return f'<h{level} id="{a}">{text} <a class="anchor" href="#{quote(html.unescape(a))}" aria-label="#">#</a></h{level}>\n'

    def link(self, text, url, title=None): return f'<a href="{html.escape(self.site.href(url, self.page))}">{text}</a>'
    def image(self, text, url, title=None): return f'<img src="{html.escape(self.site.href(url, self.page))}" alt="{html.escape(plain(text))}">'
    def block_html(self, html): return self.site.rewritten(html, self.page)
    def inline_html(self, html): return self.site.rewritten(html, self.page)
    def inline_math(self, body): return mathml(body)
    def block_math(self, body): return f'<div class="math">{mathml(body, display="block")}</div>'
    def block_code(self, text, info=None): return code(text, (info or "text").split()[0]) + "\n"
    def table(self, text): return f'<div class="wide"><table>{text}</table></div>\n'

    def codespan(self, text):
        there = self.site.names.get(text.removesuffix("()").removeprefix("vidcls."))
        shown = f"<code>{html.escape(text)}</code>"
        return f'<a class="api" href="{self.page.up}{there}">{shown}</a>' if there else shown


class Site:
    "All pages, and what they need to know of each other."
    def __init__(self, out, root=ROOT, only=None, with_api=True):
        self.root, self.out, self.cfg = root, Path(out), make_readme.settings(root)
        self.names = site_api.places() if with_api else {}
        self.with_api, self.pages = with_api, {}
        for n in chapters(root/"nbs", solutions=True):
            if only and n not in only: continue
            floor = n.split("/")[0] if "/" in n else "course"
            title, promise = make_readme.promise(root/"nbs"/f"{n}.ipynb")
            title, promise = title.replace("`", ""), promise.replace("`", "")
            self.add(Page(n, title, promise, floor, nb=f"{n}.ipynb", other=f"ja/{n}" if floor == "course" else ""))
        for p in [p for p in self.pages.values() if p.floor == "course"]:
            title, promise = translations.promise(root, root/"nbs"/p.nb)
            note = "" if translations.load(root, p.name) else "none"
            self.add(Page(p.other, title.replace("`", ""), promise.replace("`", ""), "course", "ja", p.nb, other=p.name, note=note))
        self.github = f"https://github.com/{self.cfg['user']}/{self.cfg['repo']}"
        template = (HERE/"templates"/"notebook.html.j2").read_text(encoding="utf-8")
        # Not HTMLExporter, which parses each page once more
        self.exporter = TemplateExporter(raw_template=template, filters=dict(code=self.code, ansi=ansi2html, prose=self.prose, output=self.output))
        self.env = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE/"templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True)

    def add(self, page): self.pages[page.name] = page

    # -- links

    def href(self, url, page):
        "Where a link in a notebook leads on the site: another page, or a file of the repository on GitHub."
        if re.match(r"[a-zA-Z][\w+.-]*:|//", url): return url
        path, _, anchor = unquote(url).partition("#")
        anchor = f"#{quote(anchor)}" if anchor else ""
        if not path: return anchor
        path = os.path.normpath(f"nbs/{os.path.dirname(page.nb)}/{path}")
        if path in ("README.md", "README.ja.md"): return page.up + ("ja/index.html" if "ja" in path else "index.html")
        name = path.removeprefix("nbs/").removesuffix(".ipynb")
        if page.lang == "ja" and (there := self.pages.get(f"ja/{name}")) and not (there.note == "none" and anchor): name = there.name
        if name == "solutions": name = next((n for n in self.pages if n.startswith("solutions/")), name)
        if name in self.pages: return f"{page.up}{name}.html{anchor}"
        kind = "tree" if (self.root/path).is_dir() else "blob"
        return f"{self.github}/{kind}/{self.cfg['branch']}/{path}{anchor}"

    def rewritten(self, text, page):
        "HTML within Markdown: links and pictures as elsewhere, and a badge that does not come from the network."
        def there(url): return f"{page.up}assets/colab.svg" if url == f"{make_readme.COLAB}/assets/colab-badge.svg" else self.href(url, page)
        return re.sub(r'((?:href|src)=")([^"]*)', lambda m: m[1] + html.escape(there(html.unescape(m[2]))), text)

    # -- cells

    def prose(self, cell):
        "A cell's text as HTML."
        page = self.page
        self.render.english = list(cell.metadata.get("english", []))
        text = re.sub(r"<!-- badge -->.*\n?|^\[[^\]]*\]\(\.\./README(\.ja)?\.md\)$", "", cell.source, flags=re.M)  # They are at the top
        n = len(page.sections)
        done = MarkdownWithMath(self.render).render(text)
        for i, part in enumerate(re.split(r"<h\d .*?</h\d>", done, flags=re.S), n - 1): self.found(page, plain(part), i)
        untranslated = page.lang == "ja" and cell.metadata.get("lang") != "ja"
        return f'<div class="prose" lang="en">{done}</div>' if untranslated else f'<div class="prose">{done}</div>'

    def found(self, page, text, at=-1):
        "Let the search find this text in the section `at`."
        if page.sections and text: page.sections[at][2] += f" {text}"

    def code(self, source):
        self.found(self.page, re.sub(r"\s+", " ", source))
        return code(source)

    def save(self, name, mime, data, alt):
        "Write a picture to a file; returns its element."
        raw = b64decode(data)
        file = f"files/{name}.{make_readme.SUFFIX[mime]}"
        (self.out/file).parent.mkdir(parents=True, exist_ok=True)
        (self.out/file).write_bytes(raw)
        w, h = Image.open(io.BytesIO(raw)).size
        return f'src="{self.page.up}{file}" width="{w}" height="{h}" loading="lazy" alt="{html.escape(alt)}"'

    def output(self, output, cell):
        "A shown object as HTML: pictures in files, tables without pandas' style, nothing that runs or comes from a network."
        data, page = output.data, self.page
        stem = f"{page.nb.removesuffix('.ipynb').replace('/', '-')}-{cell.id}-{cell.outputs.index(output)}"
        for mime in data.keys() & make_readme.SUFFIX.keys():
            return f'<img class="shown" {self.save(stem, mime, data[mime], cell.alt)}>'
        if md := data.get("text/markdown"): return f'<div class="prose">{MarkdownWithMath(Renderer(self, page, shown=True)).render(md)}</div>'
        if h := data.get("text/html"):
            h = re.sub(r"<style scoped>.*?</style>|<(script|iframe)\b.*?</\1>|\sborder=\"1\"", "", h, flags=re.S)
            def picture(m):
                picture.n += 1
                name = f"{stem}-{picture.n}"
                old = re.search(r'\bwidth="(\d+)"', m[0])
                new = self.save(name, m[2], m[3], (re.search(r'\balt="([^"]*)"', m[0]) or ["", cell.alt])[1])
                if old: new = re.sub(r'width="\d+" height="\d+"', old[0], new)
                style = re.search(r'\bstyle="[^"]*"', m[0])
                return f"<img {new} {style[0] if style else ''}>"
            picture.n = 0
            h = re.sub(r'<img\b([^>]*?)src="data:(image/\w+);base64,([A-Za-z0-9+/=\s]+)"[^>]*>', picture, h)
            if plain(h) or "<img" in h or "<svg" in h: return f'<div class="shown wide">{h}</div>'
            return ""
        text = re.sub(" at 0x[0-9a-fA-F]+", "", data.get("text/plain", ""))
        return f'<pre class="text" lang="en">{html.escape(text)}</pre>' if text else ""

    def notebook(self, page):
        "Fill a page from its notebook."
        self.page, name = page, page.nb.removesuffix(".ipynb")
        nb = make_readme.filled(self.root, self.cfg, self.root/"nbs"/page.nb)
        text = "\n".join(c.source for c in nb.cells if c.cell_type == "markdown" and "<!-- engine -->" not in c.source)
        page.minutes = minutes(text, "\n".join(c.source for c in nb.cells if c.cell_type == "code"))
        if page.lang == "ja":
            translations.translated(self.root, self.cfg, nb, name)
            prose = [c for c in nb.cells if c.cell_type == "markdown"]
            done = sum(c.metadata.get("lang") == "ja" for c in prose)
            if page.note: nb.cells = []
            elif done < len(prose): page.note = "part"
        self.render = Renderer(self, page)
        module = ""
        cells = [(c, dict(c.directives)) for c in nb.cells if "hide" not in c.directives]
        node = nbformat.reads(nb2str(nb), 4)
        node.cells = [n for n in node.cells if n.id in {c.id for c, _ in cells}]
        for n, (_, d) in zip(node.cells, cells, strict=True):
            if n.cell_type != "code": continue
            if "default_exp" in d: module = page.module = "vidcls." + " ".join(d["default_exp"]) if isinstance(d["default_exp"], list) else f"vidcls.{d['default_exp']}"
            lines = [l for l in n.source.strip().splitlines() if not l.startswith("#|")]
            n.kind = "setup" if lines[:1] == ["try: import vidcls"] else "export" if d.keys() & {"export", "exporti", "exports"} else ""
            n.module, n.alt = module, d.get("fig-alt") or "Output of: " + "".join(lines[-1:])
            n.source = "" if d.get("echo") == "false" else "\n".join(lines)
            if d.get("output") == "false": n.outputs = []
        page.body, _ = self.exporter.from_notebook_node(node, dict(lang=page.lang))
        page.body = page.body.strip()

    # -- writing

    def write(self, page):
        "Write one page with its surroundings."
        lists, home = {}, "ja/" if page.lang == "ja" else ""
        for floor in FLOORS:
            lists[floor] = [p for p in self.pages.values() if p.floor == floor and p.lang == (page.lang if floor == "course" else "en")
                            and p.name.endswith("index") == (floor == "api")]
        around = [p for p in self.pages.values() if p.floor == page.floor and p.lang == page.lang]
        if page.floor == "course": around.sort(key=lambda p: not p.name.endswith("index"))
        i = around.index(page)
        colab = f"{make_readme.COLAB}/github/{self.cfg['user']}/{self.cfg['repo']}/blob/{self.cfg['branch']}/nbs/{page.nb}" if page.nb else ""
        text = self.env.get_template("page.html.j2").render(
            page=page, home=home, lists=lists, floors=FLOORS_JA if page.lang == "ja" else FLOORS, cfg=self.cfg, github=self.github, colab=colab,
            before=around[i - 1] if i else None, after=around[i + 1] if i + 1 < len(around) else None, other=self.pages.get(page.other),
            api=f"api/{page.module.removeprefix('vidcls.')}" if page.nb and page.module and self.with_api else "")
        file = self.out/f"{page.name}.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def index(self):
        "What the search looks through, as a script: a page that was opened from a folder must not fetch."
        rows = [[f"{p.name}.html{f'#{quote(a)}' if a else ''}", p.lang, p.label, h, t.strip()] for p in self.pages.values() for a, h, t in p.sections]
        (self.out/"assets"/"search.js").write_text(f"window.searchIndex = {json.dumps(rows, ensure_ascii=False, separators=(',', ':'))}\n", encoding="utf-8")

    def build(self, say=print):
        "Make everything anew; returns the links that lead nowhere."
        shutil.rmtree(self.out, ignore_errors=True)
        shutil.copytree(HERE/"assets", self.out/"assets")
        (self.out/".nojekyll").touch()  # GitHub would leave out some names; and by it we know the folder again
        with open(self.out/"assets"/"style.css", "a", encoding="utf-8") as f: f.write(colours())
        if self.with_api: site_api.add_pages(self, Page)
        for p in self.pages.values():
            if p.nb: self.notebook(p)
            self.write(p)
        self.index()
        broken, external = site_links.check(self.out)
        (self.out/"external-links.txt").write_text("".join(f"{l}\n" for l in sorted(external)), encoding="utf-8")
        files = [p.stat().st_size for p in self.out.rglob("*") if p.is_file()]
        say(f"{len(self.pages)} pages, {len(files)} files, {sum(files)/2**20:.1f} MB; {len(external)} addresses elsewhere, not tried")
        return broken


def main(argv=None):
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("--out", type=Path, default=ROOT/"runs"/"site", help="folder for the site; what is in it is removed")
    a.add_argument("--only", nargs="+", help="these notebooks alone, for example 05_model engine/video")
    a.add_argument("--no-api", action="store_true", help="leave out the API reference")
    a = a.parse_args(argv)
    if a.out.exists() and any(a.out.iterdir()) and not (a.out/".nojekyll").exists(): raise SystemExit(f"{a.out} is not a site: give an empty folder.")
    start = time.monotonic()
    broken = Site(a.out, only=a.only, with_api=not a.no_api).build()
    for b in broken: print(f"broken: {b}")
    print(f"{a.out/'index.html'}, in {time.monotonic() - start:.0f} s")
    return 1 if broken else 0


if __name__ == "__main__": sys.exit(main())
