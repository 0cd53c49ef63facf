"The app: answers are `predict`'s, each visitor gets their own, nothing stays, and what is hostile is refused in one sentence."
import http.client, signal, socket, subprocess, sys, threading, time, zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest, torch

import nbtest
from videos import needs_odd, ODD, write_long, write_model, write_video
from vidcls import predict
from vidcls.engine.answers import Answers, check_upload, plain_sentence
from vidcls.engine.cli import main
from vidcls.engine.video import VideoError

has_app = find_spec("gradio") is not None
needs_app = pytest.mark.skipif(not has_app, reason="the extra is missing: pip install 'vidcls[app]'")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    return write_model(tmp_path_factory.mktemp("app")/"model")


@pytest.fixture(scope="module")
def server(model):
    "A running app with small limits: its address and the folder of the uploads."
    from vidcls.engine.app import running_app
    with running_app(model, max_mb=2, max_minutes=1) as (address, folder): yield address, Path(folder)


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
    assert "This model has no map: m has no tokens." in looked and "/srv" not in looked
    assert last(Answers(model, method=None), next(data.glob("test/*/*.avi")))[3] == ""


def test_a_long_film_gets_a_timeline(model, tmp_path):
    film = write_long(tmp_path/"film.avi", 20)
    assert "<h3>When</h3>" in last(Answers(model), film)[4]
    with pytest.raises(VideoError, match="lasts 20.0 s and has 500 frames, and 6 s at 120"): check_upload(film, .1)


def test_labels_are_text(model, data):
    answers = Answers(model)
    answers.no_map = "<script>alert(1)</script>"
    assert "<script>" not in last(answers, next(data.glob("test/*/*.avi")))[3]


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


# -- with one --

@needs_app
def test_a_missing_folder_and_a_port_in_use(model, tmp_path, capsys):
    assert main(["app", str(tmp_path/"none")]) == 1 and "There is no model folder" in capsys.readouterr().err
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0)); s.listen()
        assert main(["app", str(model), "--port", str(s.getsockname()[1])]) == 1
        assert "cannot be used: choose another one" in capsys.readouterr().err


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


@needs_app
@pytest.mark.slow
def test_ctrl_c_ends_the_command(model, tmp_path):
    with subprocess.Popen([sys.executable, "-m", "vidcls", "app", str(model)], stderr=subprocess.PIPE, text=True) as p:
        try:
            lines = iter(p.stderr.readline, "")
            assert any("The app runs at http://127.0.0.1:" in l for l in lines)
            p.send_signal(signal.SIGINT)
            assert p.wait(20) == 130
            assert p.stderr.read() == "vidcls app: stopped.\n"
        finally: p.kill()
