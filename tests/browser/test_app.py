"The app in a real browser with a camera that plays a film: uploads, examples, the webcam, errors; screenshots stay in `runs/browser`."
import re
from importlib.util import find_spec

import av, numpy as np, pytest

from conftest import chromium
from vidcls import get_recipe, video_table
from vidcls.engine.video import iter_frames
from vidcls.train import tutorial_model

pytestmark = pytest.mark.skipif(find_spec("gradio") is None, reason="the extra is missing: pip install 'vidcls[app]'")
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


def recode(frames, path, codec, fmt, size, form=None):
    "Frames as another film, at 25 per second."
    with av.open(str(path), "w", format=form) as c:
        s = c.add_stream(codec, rate=25)
        (s.width, s.height), s.pix_fmt = size, fmt
        for f in frames: c.mux(s.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(f), format="rgb24").reformat(*size, fmt)))
        c.mux(s.encode())
    return path


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    "A test video three times over as MP4, which the browser plays, and as a camera's MJPEG; its label."
    table, folder = video_table(), tmp_path_factory.mktemp("films")
    row = table[table.split == "test"].iloc[0]
    frames = [f for _, f in iter_frames(row.path)]
    return (recode(frames*3, folder/"film.mp4", "libx264", "yuv420p", (320, 240)),
            recode(frames, folder/"camera.mjpeg", "mjpeg", "yuvj420p", (640, 480), "mjpeg"), row.label)


@pytest.fixture(scope="module")
def app():
    from vidcls.engine.app import running_app
    with running_app(tutorial_model(get_recipe()), video_table(), max_mb=5) as (address, _): yield address


@pytest.fixture
def visit(browser, films, app, pytestconfig):
    "`visit(scheme)`: a page of the app in a browser with a camera; it asks nothing of any other server."
    camera = browser.browser_type.launch(executable_path=chromium(must=pytestconfig.getoption("markexpr") != "slow"),
                                         args=[*CAMERA, f"--use-file-for-fake-video-capture={films[1]}"])
    elsewhere, raised = [], []
    def _visit(scheme="light"):
        page = camera.new_context(viewport=dict(width=1280, height=900), color_scheme=scheme, permissions=["camera"]).new_page()
        page.on("request", lambda r: elsewhere.append(r.url) if not r.url.startswith((app, "data:", "blob:")) else None)
        page.on("pageerror", lambda e: raised.append(str(e)))
        page.goto(app)
        page.locator("#examples img").first.wait_for()
        return page
    yield _visit
    camera.close()
    assert not elsewhere and not raised


def test_an_upload_is_answered(visit, films, shots):
    from playwright.sync_api import expect
    page = visit()
    page.set_input_files("#upload input[type=file]", films[0])
    for title in ("What the model saw", "What it looked at", "When"): page.get_by_role("heading", name=title, exact=True).wait_for(timeout=60_000)
    expect(page.locator(".vidcls").filter(has_text="film.mp4").first).to_contain_text("frames of 320 × 240 pixels")
    page.wait_for_timeout(1000)
    page.screenshot(path=shots/"app-wide.png", full_page=True)
    assert page.evaluate("[...document.querySelectorAll('#examples figcaption')].every(c => c.scrollWidth <= c.clientWidth)") # No name is cut off
    page.set_viewport_size(dict(width=400, height=900))
    page.wait_for_timeout(500)
    page.screenshot(path=shots/"app-narrow.png", full_page=True)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 400


def test_a_recording_is_answered(visit, shots):
    "Filmed in the page with the webcam: a WebM without a duration."
    page = visit()
    page.locator("#upload .source-selection button").last.click()
    page.locator("#upload").get_by_text("Click to Access Webcam").click()
    button = page.locator("#upload .button-wrap button").first
    button.wait_for()
    page.wait_for_timeout(1000)
    button.click()
    page.wait_for_timeout(3000)
    button.click()
    said = page.locator(".vidcls").filter(has_text="frames of 640 × 480 pixels").first
    said.wait_for(timeout=60_000)
    page.get_by_role("heading", name="What it looked at", exact=True).wait_for(timeout=60_000)
    page.screenshot(path=shots/"app-recording.png", full_page=True)
    seconds, frames = re.search(r"webm: ([\d.]+) s, (\d+) frames", said.inner_text()).groups()
    assert 1.5 < float(seconds) < 10 and int(frames) > 5


def test_the_webcam_says_its_rate_and_delay(visit, shots):
    page = visit()
    page.get_by_role("tab", name="Webcam").click()
    page.locator("#webcam").get_by_text("Click to Access Webcam").click()
    page.locator("#webcam").get_by_text("Record").click()
    said = page.locator(".vidcls").filter(has_text="after the last frame")
    said.first.wait_for(timeout=30_000)
    page.wait_for_timeout(3000)
    text = said.first.inner_text()
    page.screenshot(path=shots/"app-webcam.png")
    rate, span, delay = (float(re.search(p, text)[1]) for p in (r"([\d.]+) frames per second", r"spans ([\d.]+) of", r"came ([\d.]+) s after"))
    assert rate > 2 and span > 1 and delay < 5, text
    page.locator("#webcam").get_by_text("Stop").click()


def test_an_example_in_the_dark_and_an_error(visit, shots, tmp_path):
    page = visit("dark")
    page.locator("#examples img").first.click()
    page.get_by_role("heading", name="What it looked at", exact=True).wait_for(timeout=60_000)
    page.wait_for_timeout(1500)
    page.screenshot(path=shots/"app-dark.png", full_page=True)
    (tmp_path/"bomb.mp4").write_bytes(b"PK\x03\x04" + bytes(1000))
    page.set_input_files("#upload input[type=file]", tmp_path/"bomb.mp4")
    page.get_by_text("bomb.mp4 is not a readable video").wait_for(timeout=30_000)
    page.screenshot(path=shots/"app-error.png")
    assert "/tmp" not in page.inner_text("body")
    page.reload()
    with open(tmp_path/"huge.mp4", "wb") as f: f.truncate(6_000_000)
    page.set_input_files("#upload input[type=file]", tmp_path/"huge.mp4")
    page.get_by_text(re.compile("maximum|too large", re.I)).first.wait_for(timeout=30_000)
    page.screenshot(path=shots/"app-huge.png")
