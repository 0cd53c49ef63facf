"The app: answers are `predict`'s, each visitor gets their own, nothing stays, and what is hostile is refused in one sentence."
import http.client, os, re, shutil, signal, socket, subprocess, sys, threading, time, zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import av, numpy as np, pandas as pd, pytest, torch

import nbtest
from test_families import publish as publish_video, SPEEDY
from test_frozen import publish, recipe_for
from videos import needs_odd, ODD, write_long, write_model, write_recording, write_video
from vidcls import ClipSpec, extract_features, fit_probe, load_model, predict, timeline
from vidcls.backbones import load_backbone
from vidcls.engine.answers import Answers, Camera, check_upload, plain_sentence
from vidcls.engine.cli import main
from vidcls.engine.look import look
from vidcls.engine.video import probe_video, read_frames, VideoError
from vidcls.when import plot_film

has_app = find_spec("gradio") is not None
needs_app = pytest.mark.skipif(not has_app, reason="the extra is missing: pip install 'vidcls[app]'")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    return write_model(tmp_path_factory.mktemp("app")/"model")


@pytest.fixture(scope="module")
def server(model, data):
    "A running app with examples and small limits: its address and the folder of the uploads."
    from vidcls.engine.app import running_app
    with running_app(model, data, max_mb=2, max_minutes=1) as (address, folder): yield address, Path(folder)


@needs_app
def test_the_app_of_a_space_starts(model, monkeypatch, tmp_path):
    "The very file that is pushed, with the model where the Hub would have put it."
    import gradio, runpy
    from vidcls.engine import hub, loading
    monkeypatch.setattr(hub, "vidcls_requirement", lambda: "vidcls[app] @ ...")
    asked, started = [], []
    monkeypatch.setattr(loading, "model_folder", lambda *a: asked.append(a) or model)
    monkeypatch.setattr(gradio.Blocks, "launch", lambda self, **how: started.append((self.title, how)))
    (tmp_path/"app.py").write_text(hub.space_files("me/mine", "0"*40, "Mine")["app.py"])
    runpy.run_path(str(tmp_path/"app.py"), run_name="__main__")
    assert asked == [("me/mine", "0"*40)] and started[0][0] == "me/mine" and started[0][1]["max_file_size"] > 0


def last(answers, video):
    *_, found = answers.pieces(video)
    return found


def scores(video, model): return {p["label"]: p["score"] for p in predict(model, video)}


def send(address, video):
    "Upload a file and ask nothing. Returns where the server keeps it."
    import httpx
    return httpx.post(f"{address}gradio_api/upload", files=dict(files=(video.name, video.read_bytes()))).json()[0]


def ask(address, path, **more):
    "Ask about what the server is said to have: (status, answer)."
    import httpx
    file = dict(path=str(path), meta=dict(_type="gradio.FileData"), **more)
    asked = httpx.post(f"{address}gradio_api/call/answer", json=dict(data=[file]), timeout=60)
    if asked.status_code != 200: return asked.status_code, asked.text
    return 200, httpx.get(f"{address}gradio_api/call/answer/{asked.json()['event_id']}", timeout=60).text


def files(folder): return [f for f in folder.rglob("*") if f.is_file()]


# -- without a server --

def test_an_answer_is_that_of_predict(model, data):
    answers = Answers(model)
    for video in sorted(data.glob("test/*/*.avi")):
        found, *texts = last(answers, video)
        assert found == scores(video, model)
        assert not any(str(data) in t for t in texts) and "data:image/png" in texts[1]


def test_a_model_without_a_map_says_so(model, data, monkeypatch):
    def no_map(*args, **kwargs): raise ValueError("/srv/models/m has no tokens.")
    monkeypatch.setattr("vidcls.engine.answers.check_method", no_map)
    looked = last(Answers(model), next(data.glob("test/*/*.avi")))[3]
    assert "There is no heat map for this model: m has no tokens." in looked and "/srv" not in looked
    assert last(Answers(model, method=None), next(data.glob("test/*/*.avi")))[3] == ""


def test_a_long_film_gets_a_timeline(model, tmp_path):
    film = write_long(tmp_path/"film.avi", 20)
    assert "<h3>When</h3>" in last(Answers(model), film)[4]
    with pytest.raises(VideoError, match="lasts 20.0 s and has 500 frames, but at most 6 s at 120"): check_upload(film, .1)


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_a_browsers_recording_is_a_video_for_everything(codec, model, tmp_path):
    "Without a duration in its header, with sound from the start, pictures that come late and at uneven times, and a pause."
    times = .2 + np.cumsum(np.random.default_rng(0).choice([.033, .067, .1], 90)) + 2*(np.arange(90) > 60)
    film = write_recording(tmp_path/"films"/"Nod"/"film.webm", codec, times)
    with av.open(str(film)) as c: assert c.duration is None and [s.type for s in c.streams] == ["video", "audio"]
    pictures, shown = read_frames(film)
    assert np.allclose(shown, times - times[0], atol=.002) and probe_video(film).frames == 90
    assert abs(probe_video(film).duration - (times[-1] - times[0])) < .1
    level = [(i*4) % 200 + 20 for i in range(90)]
    assert np.abs(np.median(pictures.numpy(), (1, 2, 3)) - level).max() < 6
    found, note, *texts = last(Answers(model), film)
    assert found == scores(film, model) and "90 frames of 64 × 48 pixels" in note and "<h3>When</h3>" in texts[-1]
    assert timeline(model, film, progress=False).starts[-1] > 6
    seen = look(tmp_path/"films", workers=0, progress=False)
    assert not len(seen.bad) and seen.infos[0].frames == 90 and "data:image/gif" in seen.page


def test_labels_are_text(model, data):
    answers = Answers(model)
    answers.no_map = "<script>alert(1)</script>"
    assert "<script>" not in last(answers, next(data.glob("test/*/*.avi")))[3]


@pytest.mark.parametrize("labels", [("$\\undefined$", "_5 $ or 6 $"), ("<script>alert(1)</script>", "x\ny"), ("", "Ünïcode")], ids=["formulas", "code", "empty"])
def test_labels_are_neither_formulas_nor_code(labels, tmp_path):
    film = write_long(tmp_path/"film.avi", 20)
    found, *texts = last(Answers(write_model(tmp_path/"model", labels)), film)
    assert set(found) == set(labels) and "<h3>When</h3>" in texts[-1] and "<script" not in "".join(texts)
    fig = plot_film(film, dict(found=pd.DataFrame(dict(label=labels, start=[0, 1], end=[1, 2], score=1.))))
    fig.savefig(tmp_path/"film.png")
    assert [t.get_text() for t in fig.legends[0].get_texts()] == sorted(labels)


@needs_odd
@pytest.mark.parametrize("video", sorted(ODD.glob("*")) if ODD.exists() else [], ids=lambda p: p.name)
def test_odd_files_have_an_answer_or_a_sentence_without_a_place(video, model):
    answers = Answers(model, method=None)
    try: texts = last(answers, video)[1:]
    except Exception as e:
        assert isinstance(e, ValueError), e
        texts = [plain_sentence(e, video)]
        assert video.name in texts[0] and "\n" not in texts[0]
    assert not any(str(video.parent) in t for t in texts)


def test_a_missing_extra_is_one_sentence(model, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["app", str(model)]) == 1
    assert capsys.readouterr().err.endswith("vidcls app: The app needs Gradio: pip install 'vidcls[app]'.\n")


@pytest.mark.parametrize("args, says", [(["--max-mb", "0"], "--max-mb must be above 0"), (["--port", "70000"], "--port must be"),
                                        (["--explain", "magic"], "--explain must be one of"), (["--reject", "2"], "--reject must be")])
def test_wrong_options(args, says, model, capsys):
    assert main(["app", str(model), *args]) == 2 and says in capsys.readouterr().err


def test_a_camera_keeps_few_and_small_pictures(model):
    "However fast and large they come."
    clock, answers, picture = iter(np.arange(10**5)/1000), Answers(model), np.zeros((480, 640, 3), np.uint8)
    with ThreadPoolExecutor(1) as pool:
        camera = Camera(answers, pool, now=lambda: next(clock))
        for _ in range(5000): camera.push(picture)
    assert len(camera.windows.held) <= 5*answers.spec.num_frames and len(camera.times) <= 5*answers.spec.num_frames
    assert all(frame is None and small.nbytes == 3*32*32 for _, frame, small in camera.windows.held)


# -- any kind of model, through the page's own functions --

def long_clips(tmp_path, data):
    "A V-JEPA 2 whose clips have 64 frames."
    path = publish_video(tmp_path/"published", "vjepa2")
    spec = ClipSpec.from_checkpoint(path, replace(SPEEDY, num_frames=64))
    net = load_model(str(path), {"Nod": 0, "Wave": 1}, spec=spec)
    net.save_pretrained(tmp_path/"m"); spec.save(tmp_path/"m")
    return tmp_path/"m"


def frozen(tmp_path, data):
    "A probe on a frozen backbone for single pictures."
    path = publish(tmp_path/"published", "dinov2")
    features = extract_features(load_backbone(str(path), recipe=recipe_for("dinov2", path)), data, workers=0, progress=False, store=tmp_path/"features")
    return fit_probe(features, "linear", tmp_path/"probe", progress=False).model_dir


@needs_app
@pytest.mark.parametrize("make, method", [(long_clips, "gradcam"), (frozen, "occlusion"), (frozen, "gradcam")], ids=["64 frames", "probe", "probe without a map"])
def test_every_kind_of_model_answers_or_says_why_not(make, method, tmp_path, data, monkeypatch):
    import gradio
    from vidcls.engine.app import make_app
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))
    model = make(tmp_path, data)
    page = {f.api_name: f.fn for f in make_app(model, data, method=method).fns.values()}
    film = write_long(write_video(tmp_path/"films"/"short.mp4", 35).with_name("film.avi"), 20)
    for upload in (tmp_path/"a"/"short.mp4", tmp_path/"b"/"film.avi"):
        upload.parent.mkdir()
        shutil.copy(tmp_path/"films"/upload.name, upload)
        *_, (found, note, frames, looked, when) = page["answer"](str(upload))
        assert found == scores(tmp_path/"films"/upload.name, model) and "data:image/png" in frames and not upload.exists()
        assert ("29 of 64 repeat others" in note) == (make is long_clips and upload.name == "short.mp4")
        assert ("no heat map for this model: This model&#x27;s backbone does not have" if (make, method) == (frozen, "gradcam") else "<img") in looked
        assert ("<h3>When</h3>" in when) == (upload.name == "film.avi") and str(tmp_path) not in note + looked + when
    assert [*page["example"](0)][-1][0]
    with pytest.raises(gradio.Error, match="one.mp4 is a single picture: a clip needs a video."): [*page["answer"](str(write_video(tmp_path/"one.mp4", 1)))]
    pictures, camera, said = [p.permute(1, 2, 0).numpy() for p in read_frames(film, 0, 5)[0]], None, None
    clock = iter(np.arange(2000)/25)
    monkeypatch.setattr("vidcls.engine.app.Camera", lambda *a: Camera(*a, now=lambda: next(clock)))
    for p in pictures: camera, labels, said = page["watch"](p, camera)
    for _ in range(100):
        if camera.asked is None or camera.asked.done(): break
        time.sleep(.1)
    camera, labels, said = page["watch"](pictures[0], camera)
    assert set(labels) <= {"Nod", "Wave"} and "This answer came" in said and ("Too few frames" in said) == (make is long_clips)


# -- with one --

@needs_app
def test_a_missing_folder_and_a_port_in_use(model, tmp_path, capsys):
    assert main(["app", str(tmp_path/"none")]) == 1 and "There is no model folder" in capsys.readouterr().err
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0)); s.listen()
        assert main(["app", str(model), "--port", str(s.getsockname()[1])]) == 1
        assert re.search(r"cannot be used \(.+\): choose another one", capsys.readouterr().err)


@needs_app
def test_an_address_that_is_none_is_named_before_the_model_is_loaded(model, monkeypatch, capsys):
    "Instead of a hundred ports being tried at it."
    from vidcls.engine import app
    monkeypatch.setattr(app, "make_app", lambda *a, **k: pytest.fail("began to work"))
    for host in ("999.1.1.1", "nowhere.invalid"):
        assert main(["app", str(model), "--host", host]) == 1
        assert capsys.readouterr().err == f"vidcls app: {host} is not an address: name one of this machine's, or 0.0.0.0 for all of them.\n"


@needs_app
def test_a_broken_example_is_left_out_and_a_part_is_a_part(model, data, tmp_path, caplog):
    from vidcls.engine.app import launch_options, make_app
    caplog.set_level("INFO", "vidcls")
    (tmp_path/"broken.avi").write_text("no film")
    film = write_video(tmp_path/"film.avi", 100)
    (tmp_path/"list.csv").write_text("path,label,start,end\nbroken.avi,Nod,,\nfilm.avi,Nod,1,3\nfilm.avi,Wave,3,4\n")
    app = make_app(model, tmp_path/"list.csv", method=None)
    assert "broken.avi is not a readable video" in caplog.text and "left out of the examples" in caplog.text
    page = {f.api_name: f.fn for f in app.fns.values()}
    said = [[*page["example"](k)][-1] for k in range(2)]
    assert ["2.0 s" in s[1] for s in said] == [False, True] and said[0][0] != scores(film, model)
    assert launch_options(1e300)["max_file_size"] == 2**53


@needs_app
@pytest.mark.slow
def test_twenty_visitors_at_once(server, model, tmp_path):
    import psutil
    from gradio_client import Client, handle_file
    address, folder = server
    videos = [write_video(tmp_path/f"v{i}.avi", 30 + i, first=7*i) for i in range(20)]
    clients = [Client(address, verbose=False, download_files=False) for _ in videos]
    me, most, over = psutil.Process(), [0], threading.Event()
    before = me.memory_info().rss
    def watch():
        while not over.wait(.05): most[0] = max(most[0], me.memory_info().rss)
    (watcher := threading.Thread(target=watch)).start()
    def ask(client, video): return client.predict(handle_file(str(video)), api_name="/answer")
    start = time.monotonic()
    with ThreadPoolExecutor(20) as pool: found = list(pool.map(ask, clients, videos))
    seconds = time.monotonic() - start
    over.set(); watcher.join()
    print(f"20 users: {seconds:.1f} s, RSS {before/1e6:.0f} MB before, {most[0]/1e6:.0f} MB at most")
    for (labels, note, *_), video in zip(found, videos):
        assert video.name in note
        want = scores(video, model)
        assert labels["confidences"] == [dict(label=k, confidence=pytest.approx(v, abs=1e-5)) for k, v in want.items()]
    assert files(folder) == []
    assert most[0] - before < 600e6


@needs_app
@pytest.mark.slow
def test_the_same_file_twice_is_answered_twice(server, model, tmp_path):
    from gradio_client import Client, handle_file
    video = write_video(tmp_path/"same.avi", 40)
    clients = [Client(server[0], verbose=False, download_files=False) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda c: c.predict(handle_file(str(video)), api_name="/answer")[0]["label"], clients))
    assert set(found) == {predict(model, video)[0]["label"]} and files(server[1]) == []


@needs_app
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bomb", "text", "empty", "long", "odd name"])
def test_hostile_uploads_are_refused_in_one_sentence(kind, server, tmp_path):
    from gradio_client import Client, handle_file
    video = tmp_path/("film.mp4" if kind != "odd name" else "<img src=x onerror=alert(1)>.mp4")
    if kind == "bomb":
        with zipfile.ZipFile(video, "w", zipfile.ZIP_DEFLATED) as z: z.writestr("a", b"\0"*10**8)
    elif kind == "long": write_long(video, 61, size=(32, 32))
    else: video.write_text("" if kind == "empty" else "#EXTM3U\n/etc/passwd\n")
    with pytest.raises(Exception) as e: Client(server[0], verbose=False).predict(handle_file(str(video)), api_name="/answer")
    said = str(e.value)
    print(said)
    assert ".mp4" in said and "\n" not in said and str(server[1]) not in said and "/tmp" not in said
    assert files(server[1]) == []


@needs_app
@pytest.mark.slow
def test_what_is_too_large_is_refused_before_it_is_read(server):
    at = urlsplit(server[0])
    for headers, status in (({"Content-Length": str(3*10**9)}, 413), ({"Transfer-Encoding": "chunked"}, 411)):
        c = http.client.HTTPConnection(at.hostname, at.port, timeout=10)
        c.putrequest("POST", "/gradio_api/upload")
        for k, v in {"Content-Type": "multipart/form-data; boundary=x", **headers}.items(): c.putheader(k, v)
        c.endheaders()
        answer = c.getresponse()
        assert answer.status == status and "/" not in answer.read().decode()
        c.close()
    assert files(server[1]) == []


@needs_app
@pytest.mark.slow
def test_a_sparse_file_beyond_the_limit(server, tmp_path):
    from gradio_client import Client, handle_file
    with open(tmp_path/"huge.mp4", "wb") as f: f.truncate(50_000_000)
    with pytest.raises(Exception, match="413|too large|exceed"): Client(server[0], verbose=False).predict(handle_file(str(tmp_path/"huge.mp4")), api_name="/answer")
    assert files(server[1]) == []


@needs_app
@pytest.mark.slow
def test_the_server_shows_no_files_and_no_places(server, model):
    at = urlsplit(server[0])
    def get(path):
        c = http.client.HTTPConnection(at.hostname, at.port, timeout=10)
        c.request("GET", path)
        answer = c.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    for place in ("/etc/passwd", str(model/"config.json"), str(Path.cwd()/"settings.ini"), f"{server[1]}/../x"):
        assert get(f"/gradio_api/file={place}")[0] in (403, 404), place
    for page in ("/", "/config", "/gradio_api/info"):
        status, text = get(page)
        assert status == 200 and str(model.parent) not in text and str(server[1]) not in text and str(nbtest.ROOT) not in text, page
        assert "fonts.googleapis" not in text
        assert page.endswith("info") or text.count("data:image/jpeg") >= 4 # The examples, which are not files
    assert files(server[1]) == []


@needs_app
@pytest.mark.slow
def test_only_uploads_can_be_asked_about(server, model, data, monkeypatch):
    "Nobody reads or removes another file of the server, or lets it load something from another one."
    from gradio import processing_utils
    loaded = []
    async def load(url, *args): loaded.append(url); raise OSError("no network")
    for name in ("async_ssrf_protected_get", "async_ssrf_protected_download"): monkeypatch.setattr(processing_utils, name, load)
    video = next(data.glob("test/*/*.avi"))
    for path in ("/etc/passwd", video, model/"config.json", "http://example.com/x.mp4", "https://huggingface.co/x.mp4", "file:///etc/passwd",
                 f"{server[1]}/../passwd", server[1], "", "x.mp4", "a\0b", "/"*5000):
        for more in ({}, dict(is_stream=True), dict(url="http://example.com/x.mp4")):
            status, said = ask(server[0], path, **more)
            assert status == 403 and "/" not in said, (path, said)
    at = urlsplit(server[0])
    for method, route, status in (("GET", "file=http://example.com/x.mp4", 403), ("GET", "proxy=http://example.com/", 403),
                                  ("POST", "process_recording", 403), ("POST", "component_server", 403), ("POST", "queue/join", 403)):
        c = http.client.HTTPConnection(at.hostname, at.port, timeout=10)
        c.request(method, f"/gradio_api/{route}", b"{" if method == "POST" else None)
        assert c.getresponse().status == status, route
    assert loaded == [] and video.exists()
    sent = send(server[0], video)
    assert ask(server[0], sent)[0] == 200 and files(server[1]) == []


@needs_app
@pytest.mark.slow
def test_a_small_message_does_not_become_a_huge_picture(server):
    "27 kilobytes of PNG are 500 MB of pixels; an ordinary picture of the webcam is taken."
    import base64, httpx, io
    from PIL import Image
    page = httpx.get(f"{server[0]}config").json()["dependencies"]
    watch = next(d["id"] for d in page if d["api_name"] == "watch")
    for side, status in ((13_000, 403), (480, 200)):
        Image.new("1", (side, side)).save(file := io.BytesIO(), "PNG")
        picture = dict(path=None, url=f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}", meta=dict(_type="gradio.FileData"))
        asked = httpx.post(f"{server[0]}gradio_api/queue/join", json=dict(data=[picture, None], fn_index=watch, session_hash="s"), timeout=60)
        assert asked.status_code == status and len(file.getvalue()) < 30_000, asked.text


@needs_app
@pytest.mark.slow
def test_uploads_without_questions_do_not_fill_the_disk(server, tmp_path):
    import httpx
    from vidcls.engine.app import sweep
    status = [httpx.post(f"{server[0]}gradio_api/upload", files=dict(files=(f"{k}.mp4", bytes([k])*1_900_000))).status_code for k in range(12)]
    assert status == [200]*10 + [503]*2 and sum(f.stat().st_size for f in files(server[1])) <= 20_000_000
    sweep(server[1], -1)
    assert files(server[1]) == [] and send(server[0], write_video(tmp_path/"a.avi"))
    sweep(server[1], -1)


@needs_app
@pytest.mark.slow
@pytest.mark.parametrize("how, status, says", [("SIGINT", 130, "vidcls app: stopped.\n"), ("SIGTERM", 143, "")])
def test_a_server_that_is_ended_leaves_nothing(how, status, says, model, tmp_path):
    "The temporary folder goes with it, together with an upload about which nobody has asked."
    # A job in the background ignores Ctrl-C, and its children do so too unless they are told otherwise
    as_in_a_terminal = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); runpy.run_module('vidcls', run_name='__main__')"
    with subprocess.Popen([sys.executable, "-c", as_in_a_terminal, "app", str(model)], stderr=subprocess.PIPE, text=True,
                          env=os.environ | dict(TMPDIR=str(tmp_path/"tmp"))) as p:
        try:
            (tmp_path/"tmp").mkdir()
            address = next(m[1] for l in iter(p.stderr.readline, "") if (m := re.search(r"The app runs at (http://127.0.0.1:\d+/)", l)))
            send(address, write_video(tmp_path/"a.avi"))
            assert [f.name for f in files(tmp_path/"tmp")] == ["a.avi"]
            p.send_signal(getattr(signal, how))
            assert p.wait(60) == status
            assert p.stderr.read() == says and list((tmp_path/"tmp").iterdir()) == []
        finally: p.kill()
