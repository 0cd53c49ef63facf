"The web site: no link that leads nowhere, nothing that comes from a network, no page too large, text shown as text."
import json, re
from html.parser import HTMLParser

import nbformat, pytest

import make_site, run_chapters, site_api, site_links, translations
from make_site import Page, Site
from nbtest import NBS, ROOT

MAX_BYTES = 3*2**20  # Of a page with its pictures
VOID = set("area base br col embed hr img input link meta source track wbr circle line path polygon polyline rect".split())


class Tree(HTMLParser):
    "Whether each element that is opened is closed, and which elements there are."
    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.tags = [], [], []
        self.feed(text)
        self.wrong += self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID and tag not in ("p", "li"): self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in VOID or tag in ("p", "li"): return
        if self.open and self.open[-1] == tag: self.open.pop()
        else: self.wrong.append(f"/{tag} at {self.getpos()}")


def pages(out): return {p.relative_to(out).with_suffix("").as_posix(): p.read_text(encoding="utf-8") for p in sorted(out.rglob("*.html"))}
def rows(out): return json.loads((out/"assets"/"search.js").read_text(encoding="utf-8").partition("=")[2])


def complaints(out):
    "What is wrong with the pages of a site, one sentence each."
    for name, text in pages(out).items():
        tree = Tree(text)
        if tree.wrong: yield f"{name}: {tree.wrong[:3]}"
        if bad := {t for t, _ in tree.tags} & {"iframe", "object", "embed", "base"}: yield f"{name}: has {bad}"
        scripts = [a.get("src") for t, a in tree.tags if t == "script"]
        if [s for s in scripts if s and not s.endswith("assets/site.js")] or len(scripts) != 2: yield f"{name}: other scripts {scripts}"
        loads = {a["src"] for _, a in tree.tags if a.get("src")} | {a["href"] for t, a in tree.tags if t == "link" and a["rel"] == "stylesheet"}
        files = [(out/name).parent/l for l in loads]
        size = len(text.encode()) + sum(f.resolve().stat().st_size for f in files)
        if size > MAX_BYTES: yield f"{name}: {size/2**20:.1f} MB"
        rest = re.sub(r"<(pre|code)\b.*?</\1>", "", text, flags=re.S)
        if re.search(r"url\((?!#)", rest): yield f"{name}: url()"
        if without := [a for t, a in tree.tags if t == "img" and "alt" not in a]: yield f"{name}: pictures without words {without[:2]}"
        if "$" in rest and not name.startswith("api/"): yield f"{name}: a formula that is not shown"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    "A site of four notebooks, without the API."
    site = Site(tmp_path_factory.mktemp("site")/"out", only=["index", "00_start", "11_see", "engine/video"], with_api=False)
    broken = site.build(say=lambda s: None)
    return site, broken


def test_small_site_is_sound(built):
    site, broken = built
    assert not broken and not list(complaints(site.out))
    assert set(pages(site.out)) == {"index", "00_start", "11_see", "engine/video", "ja/index", "ja/00_start", "ja/11_see"}
    assert not re.search(r"url\(|@import|https?:", (site.out/"assets"/"style.css").read_text(encoding="utf-8"))
    assert "fetch(" not in (site.out/"assets"/"site.js").read_text(encoding="utf-8")


def test_outputs_links_and_formulas_are_there(built):
    site, _ = built
    start, see, video = (pages(site.out)[n] for n in ("00_start", "11_see", "engine/video"))
    assert start.count('<img class="shown"') == 4 and 'href="#Now-with-a-folder-of-your-own"' in start
    assert "validation loss</th>" in start and "video_accuracy" in start and "colab-badge" not in start
    assert see.count("<math") > 3 and 'display="block"' in see
    assert re.search(r'href="\.\./[^"]*"', video) and not re.search(r'href="(?!https:)[^"]*\.ipynb', video)
    assert re.search(r'<a href="https://github.com/[^"]*/nbs/solutions/00_start.ipynb">Worked answers', start), "what is no page here is on GitHub"
    assert "#| export" not in video and 'class="module">vidcls.engine.video<' in video


def test_search_finds_prose_code_and_japanese(built):
    found = rows(built[0].out)
    def where(word): return {u for u, _, _, _, text in found if word in text}
    assert "00_start.html#Train" in where("fine-tuning") and "00_start.html#Train" in where("finetune(resume=True)")
    assert "ja/00_start.html#Train" in where("ファインチューニング"), "Japanese headings have the anchors of the English ones"
    assert not [t for *_, t in found if re.search(r"</?(p|span|div|code)\b", t)]


def test_languages_lead_to_each_other(built):
    text = pages(built[0].out)
    assert '<a id="lang" href="ja/00_start.html" hreflang="ja"' in text["00_start"] and '<html lang="ja"' in text["ja/00_start"]
    assert '<a id="lang" href="../00_start.html" hreflang="en"' in text["ja/00_start"]
    if not translations.load(ROOT, "11_see"): assert "まだ日本語に翻訳されていません" in text["ja/11_see"] and 'href="../11_see.html"' in text["ja/11_see"]
    assert 'id="lang"' not in text["engine/video"]


@pytest.mark.parametrize("name", [n for n in run_chapters.chapters(NBS, floors=["course"]) if n != "index"])
def test_every_chapter_says_how_many_minutes_it_takes(name):
    text = "\n".join(translations.prose(ROOT, name).values())
    assert make_site.minutes(text, "") == make_site.minutes(text, "x\n"*10_000), "it is estimated"
    assert 5 <= make_site.minutes(text, "") <= 60


BAD = "<script>alert(1)</script>"


@pytest.fixture
def hostile(tmp_path):
    "A site of two notebooks whose outputs try to be more than text."
    root = tmp_path/"root"
    (root/"nbs"/"_ja").mkdir(parents=True)
    (root/"settings.ini").write_text((ROOT/"settings.ini").read_text(encoding="utf-8"), encoding="utf-8")
    v4 = nbformat.v4
    html = f'{BAD}<iframe src="https://example.org"></iframe><table border="1"><tr><td>7</td></tr></table>'
    outputs = [v4.new_output("stream", name="stdout", text=f"\x1b[31m{BAD}\x1b[0m"), v4.new_output("execute_result", {"text/plain": BAD}),
               v4.new_output("display_data", {"text/html": html, "text/plain": "x"}), v4.new_output("display_data", {"text/html": "<iframe></iframe>"})]
    cells = [v4.new_markdown_cell(f"# A & B < C\n\n> It's `x<y>` & more.\n\nSee [it](#A-&-B-<-C). Text `{BAD}`.\n\n## 95 % sure?", id="aa"),
             v4.new_code_cell(f"print({BAD!r})", id="bb", outputs=outputs)]
    for name in ("index", "00_bad"): nbformat.write(v4.new_notebook(cells=cells), root/"nbs"/f"{name}.ipynb")
    site = Site(tmp_path/"out", root=root, with_api=False)
    return site, site.build(say=lambda s: None)


def test_text_is_shown_as_text(hostile):
    site, broken = hostile
    assert not broken and not list(complaints(site.out))
    text = pages(site.out)["00_bad"]
    assert BAD not in text and "example.org" not in text and "<td>7</td>" in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 4 and "\x1b" not in text
    assert "<title>A &amp; B &lt; C · vidcls</title>" in text
    assert 'id="95-%-sure?"' in text and text.count('href="#95-%25-sure%3F"') == 2, "a browser refuses to decode % alone"
    assert BAD in rows(site.out)[0][4], "the search shows it as text, too"


def test_links_that_lead_nowhere_are_found(tmp_path):
    (tmp_path/"a.html").write_text('<h1 id="x">X</h1><a href="#x">1</a><a href="#y">2</a><a href="b.html#z">3</a><a href="c.html">4</a>'
                                   '<img src="d.png"><img src="https://e.org/f.png"><a href="https://e.org">5</a>', encoding="utf-8")
    (tmp_path/"b.html").write_text("<p>", encoding="utf-8")
    broken, external = site_links.check(tmp_path)
    assert [b.partition(" ")[2].split()[-1] for b in broken] == ["d.png", "elsewhere", "#y", "b.html#z", "c.html"]
    assert external == {"https://e.org/f.png", "https://e.org"}


def test_only_a_site_is_overwritten(tmp_path):
    (tmp_path/"mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(SystemExit, match="not a site"): make_site.main(["--out", str(tmp_path)])
    assert (tmp_path/"mine.txt").exists()


class Site_:
    names = {"View": "api/clips.html#View"}


def test_reference_has_signature_docstring_and_parameters():
    from vidcls.clips import ClipSpec, clip_starts
    page = Page("api/clips", "vidcls.clips")
    e = site_api.entry("ClipSpec", ClipSpec, Site_, page)
    assert e["kind"] == "class" and "num_frames=16" in e["signature"] and e["doc"][0].startswith("What a clip is")
    assert ("num_frames", "int", "16", "Frames in a clip") in e["rows"]
    load = next(i for i in e["inner"] if i["name"] == "load")
    assert load["id"] == "ClipSpec.load" and load["doc"]
    f = site_api.entry("clip_starts", clip_starts, Site_, page)
    assert f["signature"].startswith("clip_starts(") and all(meaning for *_, meaning in f["rows"])
    assert site_api.text("A `View` <b>.", Site_, page) == ['A <a class="api" href="../api/clips.html#View"><code>View</code></a> &lt;b&gt;.']


def test_every_public_name_has_a_place():
    import vidcls
    places, modules = site_api.places(), site_api.modules()
    assert set(vidcls.__all__) - {"__version__"} <= set(places)
    for name in set(vidcls.__all__) - {"__version__"}:
        module = places[name].removeprefix("api/").partition(".html")[0]
        assert name in modules[module], name
    assert site_api.cells("clips")["ClipSpec"] and len(modules) > 60


@pytest.mark.slow
def test_whole_site(tmp_path):
    "As `make site` makes it."
    site = Site(tmp_path/"site")
    assert not site.build(say=print)
    assert not list(complaints(site.out))
    text = pages(site.out)
    assert {n for n in run_chapters.chapters(NBS, solutions=True)} <= set(text) and len([n for n in text if n.startswith("api/")]) > 60
    assert 'id="predict"' in text["api/infer"] and 'href="api/clips.html#ClipSpec"' in text["05_model"]
    assert (site.out/"assets"/"search.js").stat().st_size < MAX_BYTES
