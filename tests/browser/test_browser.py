"""Chapters, README and report as a reader sees them, in a real browser: `make test-browser`, or `CHAPTERS=all` for every chapter.

Each is looked at in the light and the dark theme and in a narrow window; the screenshots stay in `runs/browser`."""
import csv, itertools, json, os, re, shutil, sys
from pathlib import Path

import nbformat, pytest

import nbtest, run_chapters
from nbtest import NBS

EVERY = run_chapters.chapters(NBS)
WANTED = os.environ.get("CHAPTERS", "02 04 08 index").split()
CHAPTERS = EVERY if WANTED == ["all"] else run_chapters.choose(EVERY, WANTED)
WIDE, NARROW, SLICE = 1280, 480, 2000
MINUTES = 15  # For one chapter with the smoke recipe on a slow machine
NO_CURVE = {"09_pretrain": {"c766d610"}, "14_scale": {"db22bfc9"}}  # Cells whose curve needs more than the one epoch of this recipe


# -- chapters ---------------------------------------------------------------------------------------------------------

FINISHED = """() => {
  if (document.querySelector('.jp-Dialog')) return true;
  const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(e => e.textContent);
  return prompts.some(t => /\\d/.test(t)) && !prompts.some(t => t.includes('*'))
    && document.querySelector('.jp-Notebook-ExecutionIndicator').dataset.status == 'idle';
}"""


def choose(page, menu, *items):
    "Choose from JupyterLab's menu bar with the mouse."
    page.get_by_role("menuitem", name=menu, exact=True).click()
    for item in items: page.locator(".lm-Menu-itemLabel").get_by_text(item, exact=True).click()


def run_all(page, path):
    "Run → Run All Cells, wait, save; returns the saved notebook."
    choose(page, "Run", "Run All Cells")
    page.wait_for_function(FINISHED, timeout=MINUTES*60_000)
    assert (asked := page.locator(".jp-Dialog").all_inner_texts()) == [], f"JupyterLab asks: {asked}"
    with page.expect_response(lambda r: r.request.method == "PUT" and "/api/contents/" in r.url) as answer: choose(page, "File", "Save Notebook")
    assert answer.value.ok
    return nbformat.read(path, 4)


def pictures(nb):
    "How many pictures each cell with any has put out, those within HTML included, by the cell's id."
    def _count(data): return data["text/html"].count("<img") if "text/html" in data else any(k.startswith("image/") for k in data)
    found = {c.id: sum(_count(o.data) for o in c.outputs if "data" in o) for c in nb.cells if c.cell_type == "code"}
    return {k: n for k, n in found.items() if n}


SEEN = """async i => {
  for (let n = 0; n < 25; n++) {  // Cells get their height only when they come near, on a busy machine after seconds
    i.scrollIntoView({block: 'center'});
    await new Promise(done => setTimeout(done, 20*n));
    const r = i.getBoundingClientRect();
    if (i.naturalWidth && i.checkVisibility() && r.width && r.top < innerHeight && r.bottom > 0 && r.left >= 0 && r.right <= innerWidth) return true;
  }
}"""


def see(image):
    "The picture is loaded, comes into sight, and fits into the window."
    from playwright.sync_api import expect
    assert image.evaluate(SEEN), f"not shown, or cut off: {image.evaluate('i => i.outerHTML.slice(0, 200)')}"
    expect(image).to_be_in_viewport()


def shoot(page, stem, width):
    "Screenshots of the whole notebook in a window of this width."
    inside = page.locator(".jp-WindowedPanel-outer")
    page.set_viewport_size(dict(width=width, height=SLICE))
    page.wait_for_timeout(1000)
    step = inside.evaluate("e => e.clientHeight")
    for i in itertools.count():
        inside.evaluate("(e, y) => e.scrollTop = y", i*step)
        page.wait_for_timeout(300)
        page.screenshot(path=f"{stem}-{i}.png")
        if inside.evaluate("e => e.scrollHeight - e.scrollTop - e.clientHeight") < step/4: break  # What is left is empty


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_runs_and_shows_its_pictures(name, lab, page, shots):
    from playwright.sync_api import expect
    path = lab.nbs/f"{name}.ipynb"
    stored = pictures(nbformat.read(path, 4))
    page.goto(f"{lab.url}/lab/workspaces/{name}/tree/{name}.ipynb?token={lab.token}")
    page.locator("#jp-bottom-panel, .jp-StatusBar-Widget").get_by_text(re.compile(r"\| Idle$")).wait_for(timeout=120_000)
    page.keyboard.press("Control+b")  # The list of files takes half of a narrow window
    nb = run_all(page, path)
    code = [c for c in nb.cells if c.cell_type == "code" and c.source.strip()]
    if any(o.output_type == "error" for c in code for o in c.outputs):
        page.screenshot(path=shots/f"{name}-failed.png")
        pytest.fail(run_chapters.ANSI.sub("", run_chapters.explain(name, nb, "")), pytrace=False)
    assert all(c.execution_count for c in code), "some cells did not run"
    expect(page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']")).to_have_count(0)
    assert stored.keys() - pictures(nb).keys() == NO_CURVE.get(name, set()), "cells that have a picture in the repository show none"
    shown = page.locator(".jp-OutputArea-output img")
    expect(shown).to_have_count(sum(pictures(nb).values()))
    for theme, width in (("Light", WIDE), ("Dark", WIDE), ("Light", NARROW)):
        choose(page, "Settings", "Theme", f"JupyterLab {theme}")
        expect(page.locator("body")).to_have_attribute("data-jp-theme-light", str(theme == "Light").lower())
        page.set_viewport_size(dict(width=width, height=900))
        shoot(page, shots/f"{name}-{'narrow' if width == NARROW else theme.lower()}", width)
        for image in shown.all(): see(image)
        page.set_viewport_size(dict(width=WIDE, height=900))
    page.request.delete(f"{lab.url}/api/sessions/{session(page, lab, name)}?token={lab.token}")


def session(page, lab, name):
    "The chapter's session, whose end frees its memory for the next."
    found = page.request.get(f"{lab.url}/api/sessions?token={lab.token}").json()
    return next(s["id"] for s in found if s["path"] == f"{name}.ipynb")


# -- pages ------------------------------------------------------------------------------------------------------------

STYLE = """body{font:16px/1.5 sans-serif;max-width:1012px;margin:2em auto;padding:0 2em;color-scheme:light dark;color:#1f2328;background:#fff}
img{max-width:100%}pre{overflow:auto;padding:1em;background:#8882}table{display:block;overflow:auto;border-collapse:collapse}td,th{padding:6px 13px;border:1px solid #8886}
@media(prefers-color-scheme:dark){body{color:#f0f6fc;background:#0d1117}a{color:#4493f8}}"""  # As on GitHub


def look(page, file, stem):
    "Open a page in both colour schemes and in a narrow window, with screenshots."
    page.goto(file.as_uri())
    for scheme, width in (("light", WIDE), ("dark", WIDE), ("light", NARROW)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(dict(width=width, height=900))
        for image in page.locator("img").all(): see(image)
        page.screenshot(path=f"{stem}-{'narrow' if width == NARROW else scheme}.png", full_page=True)
        wide = page.evaluate("document.scrollingElement.scrollWidth")
        assert wide <= width, f"the page is {wide} pixels wide in a window of {width}"


def test_readme_shows_its_pictures_and_its_links_lead_somewhere(checkout, page, shots):
    from markdown_it import MarkdownIt
    md = MarkdownIt("commonmark", dict(html=True)).enable("table")
    file = checkout/"README.html"
    file.write_text(f"<!doctype html><meta charset='utf-8'><title>README</title><style>{STYLE}</style>{md.render((checkout/'README.md').read_text(encoding='utf-8'))}",
                    encoding="utf-8")
    look(page, file, shots/"README")
    local = [a for tag, at in (("img", "src"), ("a", "href")) for e in page.locator(tag).all() if not re.match(r"\w+:|#", a := e.get_attribute(at))]
    assert any(a.endswith(".gif") for a in local) and sum(a.endswith(".ipynb") for a in local) > 9
    assert [a for a in local if not (checkout/a).exists()] == []  # A folder is somewhere, too


@pytest.fixture(scope="session")
def model(checkout, env):
    "The tutorial's model, as the chapters find or make it."
    rc, out = nbtest.run([sys.executable, "-c", "from vidcls.engine.recipes import get_recipe; from vidcls.train import tutorial_model; tutorial_model(get_recipe(), progress=False)"],
                         env=env, cwd=checkout)
    assert rc == 0, out
    return Path(env["VIDCLS_HOME"])/"tutorial"/"model"


def evaluate(model, data, file, env, cwd):
    "`vidcls evaluate MODEL DATA --report FILE`."
    rc, out = nbtest.run([sys.executable, "-m", "vidcls", "evaluate", model, data, "--report", file], env=env, cwd=cwd)
    assert rc == 0, out


def videos(env): return sorted(Path(env["VIDCLS_HOME"]).glob("data/StickUCF-*/test/*/*"))


def test_report_shows_every_mistake(model, checkout, env, page, shots, tmp_path):
    evaluate(model, videos(env)[0].parents[2], tmp_path/"report.html", env, checkout)
    look(page, tmp_path/"report.html", shots/"report")
    assert page.locator("figure img").count() and page.locator("h2").count() == 4


def test_report_shows_a_class_name_with_html_in_it_as_text(model, checkout, env, page, tmp_path):
    name, old = "<img src=x onerror=\"document.title='ran'\"><b>Push & Pull", "PushUps"
    shutil.copytree(model, tmp_path/"model", ignore=shutil.ignore_patterns("checkpoints"))
    config = tmp_path/"model"/"config.json"
    config.write_text(config.read_text().replace(json.dumps(old), json.dumps(name)))
    with open(tmp_path/"videos.csv", "w", newline="") as f:
        csv.writer(f).writerows([("path", "label"), *((v, name if v.parent.name == old else v.parent.name) for v in videos(env))])
    evaluate(tmp_path/"model", tmp_path/"videos.csv", tmp_path/"report.html", env, checkout)
    page.goto((tmp_path/"report.html").as_uri())
    assert page.locator("th").get_by_text(name, exact=True).count() >= 3  # Classes, and both sides of the confusions
    assert page.title() != "ran"
    assert page.locator("img[src=x], th b").count() == 0


def test_look_shows_pairs_and_what_the_model_makes_of_them(model, checkout, env, page, shots, tmp_path):
    import imageio.v3 as iio
    from vidcls.synthetic.stick import write_video
    shutil.copytree(videos(env)[0].parents[2], tmp_path/"set")
    first = min((tmp_path/"set"/"train").glob("*/*.avi"))
    other = max((tmp_path/"set"/"test").glob("*/*.avi")).parent
    write_video(other/"copy.mp4", iio.imread(first, plugin="pyav")[:, ::2, ::-2], fps=25)
    rc, out = nbtest.run([sys.executable, "-m", "vidcls", "look", tmp_path/"set", "--out", tmp_path/"look.html", "--model", model], env=env, cwd=checkout)
    assert rc == 0, out
    look(page, tmp_path/"look.html", shots/"look")
    pair = page.locator("figure.pair").filter(has_text="copy.mp4").first
    assert "mirrored back" in pair.inner_text() and all(td.bounding_box()["height"] > 110 for td in pair.locator("td").all())
    assert [h.inner_text() for h in page.locator("h3").all()[-3:]] == ["The most confident mistakes", "The most confident correct answers", "The least confident answers"]
    page.set_viewport_size(dict(width=WIDE, height=900))
    assert len({round(s.bounding_box()["y"]) for s in page.locator(".f > section").all()}) == 1  # Four tables in one row
