"""The web site in Chromium, opened from its folder: the search, the theme, both languages, wide and narrow.

The screenshots stay in `runs/browser`. `CHAPTERS=all` looks at every page of the whole site."""
import os, re

import pytest

from make_site import Site
from test_browser import NARROW, WIDE, see

ALL = os.environ.get("CHAPTERS") == "all"
PAGES = ["index", "00_start", "05_model", "engine/video", "ja/index", "ja/00_start", "ja/05_model"]


@pytest.fixture(scope="module")
def site(browser, tmp_path_factory):
    out = tmp_path_factory.mktemp("site")/"out"
    broken = Site(out, only=None if ALL else [p for p in PAGES if "ja/" not in p], with_api=ALL).build(say=lambda s: None)
    assert not broken
    return out


@pytest.fixture
def offline(page):
    "Any request that leaves the machine fails the test."
    asked = []
    page.on("request", lambda r: asked.append(r.url) if not r.url.startswith(("file:", "data:")) else None)
    yield page
    assert not asked


def names(site): return sorted(p.relative_to(site).with_suffix("").as_posix() for p in site.rglob("*.html")) if ALL else PAGES


def test_pages_fit_and_show_their_pictures(site, offline, shots):
    for name in names(site):
        for scheme, width in (("light", WIDE), ("dark", WIDE), ("light", NARROW)):
            offline.emulate_media(color_scheme=scheme)
            offline.set_viewport_size(dict(width=width, height=900))
            offline.goto((site/f"{name}.html").as_uri())
            for image in offline.locator("main img").all():
                if image.is_visible(): see(image)
            wide = offline.evaluate("document.scrollingElement.scrollWidth")
            assert wide <= width, f"{name} is {wide} pixels wide in a window of {width}"
            offline.evaluate("scrollTo(0, 0)")
            offline.screenshot(path=shots/f"site-{name.replace('/', '-')}-{'narrow' if width == NARROW else scheme}.png", full_page=not ALL)


def test_search_finds_a_section_and_goes_there(site, offline):
    from playwright.sync_api import expect
    offline.goto((site/"engine"/"video.html").as_uri())
    offline.keyboard.press("/")
    offline.keyboard.type("Fine-Tuning epoch")
    first = offline.locator("#hits a").first
    expect(first).to_contain_text("fine-tuning", ignore_case=True)
    expect(offline.locator("#hits mark").first).to_be_visible()
    offline.keyboard.press("ArrowDown")
    offline.keyboard.press("Enter")
    offline.wait_for_url(re.compile(r"00_start\.html#Train"))
    offline.fill("#q", "zzzzzz")
    expect(offline.locator("#hits")).to_have_text("Nothing found")
    offline.keyboard.press("Escape")
    expect(offline.locator("#hits")).to_be_hidden()


def test_search_in_japanese_shows_japanese_first(site, offline):
    from playwright.sync_api import expect
    offline.goto((site/"ja"/"index.html").as_uri())
    offline.fill("#q", "学習　エポック")
    expect(offline.locator("#hits a").first).to_have_attribute("href", re.compile(r"^\.\./ja/00_start\.html#"))


def test_theme_is_kept_and_languages_keep_the_place(site, offline):
    from playwright.sync_api import expect
    back = "getComputedStyle(document.body).backgroundColor"
    offline.emulate_media(color_scheme="light")
    offline.goto((site/"00_start.html").as_uri() + "#Exercises")
    light = offline.evaluate(back)
    offline.click("#theme")
    dark = offline.evaluate(back)
    offline.click("#lang")
    offline.wait_for_url(re.compile(r"ja/00_start\.html#Exercises"))
    expect(offline.locator("#Exercises")).to_be_in_viewport()
    assert light != dark == offline.evaluate(back), "the choice holds on the next page"
    offline.click("#theme")
    assert offline.evaluate(back) == light


def test_menu_of_a_narrow_window(site, offline):
    from playwright.sync_api import expect
    offline.set_viewport_size(dict(width=NARROW, height=800))
    offline.goto((site/"05_model.html").as_uri())
    expect(offline.locator("#side")).to_be_hidden()
    offline.click("#menu")
    offline.locator("#side a", has_text="00").first.click()
    offline.wait_for_url(re.compile("00_start"))
