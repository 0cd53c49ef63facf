"""Live sources: what a camera, a stream on a real server or a played film gives must be what `timeline` finds in the recording,
whatever happens on the way, and nothing may be left running afterwards."""
import functools, io, itertools, json, os, signal, socket, subprocess, sys, threading, time

import av, numpy as np, pytest, torch

from vidcls.clips import ClipSpec
from vidcls.engine import live
from vidcls.engine.finder import Rule
from vidcls.engine.live import live_rows, source_kind, stream, stream_frames
from vidcls.engine.video import iter_frames, VideoError
from vidcls.engine.windows import window_clips
from vidcls.infer import run_inference
from vidcls.when import timeline
from videos import remux, tiny_config, write_checkpoint, write_video

RULE, LABELS = Rule(share=.4, cost=.5), ["Nod", "Sit", "Wave"]
SPEC = ClipSpec(8, .8, 32, "crop", (.5,)*3, (.5,)*3)
OF = ["label", "start", "end", "score"]


def scene(i, h, w):
    "A picture whose brightness and stripes change every two seconds, so that answers change too."
    kind, a = i//50 % 3, np.full((h, w, 3), 30, np.uint8)
    if kind == 0: a[:, (i*2) % w:] = 200
    elif kind == 1: a[::4] = 250
    else: a[:, ::8] = (i*5) % 200 + 50
    return a


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    "Ten seconds, at 25 pictures a second."
    return write_video(tmp_path_factory.mktemp("film")/"film.mp4", 250, draw=scene, codec="libx264", size=(64, 48), preset="ultrafast")


@pytest.fixture(scope="module")
def model(tmp_path_factory, film):
    "Random weights, stretched so that they tell the scenes apart."
    from transformers import VideoMAEForVideoClassification
    torch.manual_seed(0)
    names = dict(enumerate(LABELS))
    net = VideoMAEForVideoClassification(tiny_config(id2label=names, label2id={v: k for k, v in names.items()})).eval()
    logits = run_inference(net, torch.stack([c for _, c in window_clips(film, SPEC)]), SPEC)
    with torch.no_grad():
        scale = 2/logits.std(0)
        net.classifier.weight *= scale[:, None]
        net.classifier.bias.copy_((net.classifier.bias - logits.mean(0))*scale)
    SPEC.save(folder := write_checkpoint(tmp_path_factory.mktemp("model"), net))
    return folder


@pytest.fixture(scope="module")
def offline(model, film):
    found = timeline(model, film, rule=RULE, batch_size=1, progress=False).segments[OF].values.tolist()
    assert len(found) > 2 and len({f[0] for f in found}) > 1
    return found


@pytest.fixture(autouse=True)
def nothing_is_left():
    "No thread survives a test."
    before = threading.active_count()
    yield
    until = time.monotonic() + 15 # One that hangs in a dead socket ends with its time limit
    while threading.active_count() > before and time.monotonic() < until: time.sleep(.05)
    assert threading.active_count() <= before, threading.enumerate()


def run(model, source, **kwargs): return list(stream(model, source, **dict(rule=RULE, waiting=1) | kwargs))
def segments(moments): return [s for m in moments for s in m.segments]


def same(found, expected):
    assert [f[0] for f in found] == [e[0] for e in expected]
    np.testing.assert_allclose([f[1:] for f in found], [e[1:] for e in expected], atol=2e-4)


# -- the recording's answer --------------------------------------------------------------------------------------------

def test_a_file_gives_what_timeline_finds(model, film, offline):
    moments = run(model, film)
    assert segments(moments) == offline
    assert [m.seconds for m in moments[:3]] == pytest.approx([.8, 1.3, 1.8]) and moments[-1].seconds == pytest.approx(10)
    assert any(m.segments for m in moments[:-1]) # Not only at the end
    for m in moments: assert all(end <= m.seconds + 1e-6 for _, _, end, _ in m.segments)


@pytest.mark.parametrize("stride", [.2, .37, 3.])
def test_at_any_stride(model, film, stride):
    expected = timeline(model, film, stride, RULE, 1, progress=False).segments[OF].values.tolist()
    assert segments(run(model, film, stride=stride)) == expected
    same(segments(run(model, iter_frames(film), stride=stride, live=False)), expected)


@pytest.mark.parametrize("pace", [5, 25.])
def test_a_film_that_is_played_gives_the_same(model, film, offline, pace):
    begin = time.monotonic()
    assert segments(run(model, film, pace=pace, live=False)) == offline
    assert time.monotonic() - begin > 10/pace - .1


def test_pictures_from_a_users_camera_give_the_same(model, film, offline):
    "Its clock starts anywhere, and it uses one buffer for all its pictures."
    def camera():
        for t, a in iter_frames(film):
            buffer[:] = a
            yield 1e6 + t, buffer
            buffer[:] = 0
    buffer = np.zeros((48, 64, 3), np.uint8)
    same(segments(run(model, camera(), live=False)), offline)


def test_several_windows_at_once_give_the_same(model, film, offline):
    same(segments(run(model, film, waiting=8)), offline)


def test_an_answer_waits_for_no_later_picture(model, film):
    "The moment of a window comes with the first picture behind its end, before the camera gives another one."
    pictures, allowed, given = list(iter_frames(film)), threading.Semaphore(0), []
    def camera():
        for t, a in pictures:
            assert allowed.acquire(timeout=60)
            given.append(t)
            yield t, a
    moments = stream(model, camera(), rule=RULE, timeout=60)
    for k in range(5):
        until = next(i for i, (t, _) in enumerate(pictures) if t >= .5*k + .8 - 1e-9)
        allowed.release(until + 1 - len(given)) if until + 1 > len(given) else None
        assert next(moments).seconds == pytest.approx(.5*k + .8)
        assert len(given) == until + 1
    allowed.release(len(pictures))
    moments.close()


# -- what goes wrong on the way ----------------------------------------------------------------------------------------

def lossy(film, keep): return [(t, a) for i, (t, a) in enumerate(iter_frames(film)) if keep(i)]


def test_dropped_and_irregular_pictures_still_make_the_right_clips(model, film):
    "Windows go by time: with a third of the pictures gone, a clip shows the pictures nearest in time, as of a file that lacks them."
    rng = np.random.default_rng(0)
    kept = lossy(film, lambda i: i in (0, 249) or rng.random() > .35)
    seen = []
    class Kept(live.Windows):
        def push(self, t, frame):
            out = super().push(t, frame)
            seen.extend(s for s, _ in out)
            return out
    with pytest.MonkeyPatch.context() as m:
        m.setattr(live, "Windows", Kept)
        moments = run(model, kept, live=False)
    assert seen == pytest.approx(np.arange(len(seen))*.5) # No window moves, none is missing
    thin = film.with_name("thin.mp4")
    ticks = [round(t*25) for t, _ in kept]
    write_video(thin, len(kept), draw=lambda i, h, w: scene(ticks[i], h, w), codec="libx264", pts=ticks, size=(64, 48), preset="ultrafast")
    expected = timeline(model, thin, rule=RULE, batch_size=1, progress=False)
    same(segments(run(model, thin)), expected.segments[OF].values.tolist())
    assert {s[0] for s in segments(moments)} <= set(LABELS) and moments[-1].seconds == pytest.approx(10)


def test_a_stall_changes_nothing(model, film, offline):
    def camera():
        for i, pair in enumerate(iter_frames(film)):
            if i in (100, 180): time.sleep(.7)
            yield pair
    same(segments(run(model, camera(), live=False, timeout=30)), offline)


def test_a_camera_that_hangs_ends_with_its_tail(model, film, caplog):
    hang = threading.Event()
    def camera():
        yield from itertools.islice(iter_frames(film), 130)
        hang.wait(60)
    moments = run(model, camera(), live=False, timeout=2)
    hang.set()
    assert moments[-1].seconds == pytest.approx(130/25) and segments(moments)[-1][2] == pytest.approx(130/25)
    assert [r.message for r in caplog.records if "sent nothing" in r.message] == ["The camera sent nothing for 2 s. The 5.2 s that it showed are used."]


def test_a_camera_that_never_sends_is_an_error(model):
    hang = threading.Event()
    with pytest.raises(VideoError, match="The camera sent no picture within 0.3 s: check that it is on"):
        run(model, iter(lambda: hang.wait(60), None), timeout=.3)
    hang.set()


@pytest.mark.parametrize("wrong", [(0, None), 3, (0, np.zeros((4, 4))), ("now", np.zeros((4, 4, 3), np.uint8)), np.zeros((4, 4, 3), np.uint8)])
def test_pictures_that_are_none_are_named(model, wrong):
    with pytest.raises(VideoError, match="gives pairs \\(seconds, uint8 array"): run(model, [wrong])


def test_a_change_of_size_ends_it_with_what_was_seen(model, film, caplog):
    pairs = list(iter_frames(film))[:60]
    moments = run(model, [*pairs, (2.4, np.zeros((96, 128, 3), np.uint8))], live=False)
    assert moments[-1].seconds == pytest.approx(2.4)
    assert "The camera has frames of different sizes: convert it. The 2.4 s that it showed are used." in caplog.text


def test_a_clock_that_is_set_back_goes_on(model, film, offline, caplog):
    pairs = [(t if i < 120 else t - 4.8, a) for i, (t, a) in enumerate(iter_frames(film))]
    same(segments(run(model, pairs, live=False)), offline)
    assert caplog.text.count("set its clock back after 4.8 s") == 1


def test_disorder_drops_pictures_only(model, film):
    pairs = list(iter_frames(film))
    for i in range(10, 240, 10): pairs[i], pairs[i+1] = pairs[i+1], pairs[i]
    moments = run(model, pairs, live=False)
    assert len(moments) == len(run(model, film)) and moments[-1].seconds == pytest.approx(10)


@pytest.mark.parametrize("how", ["frames", "played"])
def test_a_leap_of_an_hour_takes_no_hour(model, film, how):
    "No segment goes over it."
    ticks = [i if i < 120 else i + 90_000 for i in range(250)]
    pairs = [(t/25, a) for t, (_, a) in zip(ticks, iter_frames(film))]
    gap = write_video(film.with_name("leap.mkv"), 250, draw=scene, pts=ticks, codec="libx264", size=(64, 48), preset="ultrafast")
    expected = timeline(model, gap, rule=RULE, batch_size=1, progress=False).segments[OF].values.tolist()
    found = segments(run(model, pairs, live=False) if how == "frames" else run(model, gap, pace=20, live=False))
    same(found, expected) if how == "played" else None
    assert [f[0] for f in found] == [e[0] for e in expected]
    assert not any(start < 100 and end > 100 for _, start, end, _ in found) and found[-1][2] > 3600


def test_shorter_than_a_window(model, film):
    moments = run(model, lossy(film, lambda i: i < 5))
    assert moments[0].seconds == pytest.approx(.8) and len(moments) == 2
    with pytest.raises(VideoError, match="single picture"): run(model, lossy(film, lambda i: i < 1))
    with pytest.raises(VideoError, match="ended before its first picture"): run(model, [])


def test_an_error_of_the_users_camera_comes_after_the_answers(model, film):
    def camera():
        yield from itertools.islice(iter_frames(film), 100)
        raise OSError("the cable is gone")
    found = []
    with pytest.raises(OSError, match="the cable is gone"):
        for m in stream(model, camera(), rule=RULE, live=False): found += m.segments
    assert found[-1][2] == pytest.approx(4)


@pytest.mark.parametrize("source, says", [
    (93, "Camera 93 "), ("camera:/dev/nothing", "Camera /dev/nothing "), ("nowhere.mp4", "There is no video nowhere.mp4"),
    ("ftp://a/b", "is not a stream"), ("http://127.0.0.1:9/x.ts", "cannot be opened"), (None, "A source is a camera's number")])
def test_a_source_that_is_not_there_is_one_sentence(model, source, says):
    with pytest.raises(VideoError) as e: run(model, source, timeout=5)
    assert says in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize("wrong", [dict(stride=0), dict(timeout=0), dict(pace=-1), dict(waiting=0)])
def test_wrong_options_are_refused_at_once(model, film, wrong):
    with pytest.raises(ValueError, match="must be|above"): stream(model, film, rule=RULE, **wrong)


# -- delay and memory --------------------------------------------------------------------------------------------------

def test_a_model_that_is_too_slow_loses_the_oldest_windows(model, film, monkeypatch, caplog):
    "It is stopped until the camera has sent all; then only what waits is left, and the newest is among it."
    done, pictures = threading.Event(), [a for _, a in iter_frames(film)]
    def camera(): # It cannot wait: its stamps are those of the clock
        begin = time.monotonic()
        for a in pictures[:200]:
            time.sleep(.01)
            yield time.monotonic() - begin, a
        done.set()
    def slow(*args):
        assert done.wait(60)
        return run_inference(*args)
    monkeypatch.setattr(live, "run_inference", slow)
    moments = run(model, camera(), stride=.1, waiting=3)
    assert moments[-1].dropped > 0 and len(moments) <= 1 + 1 + 3 + 9 + 1 # Asked, waiting, the last windows, the end
    assert [m.seconds for m in moments] == sorted(m.seconds for m in moments)
    assert caplog.text.count("the model cannot keep up") == 1


def test_a_source_that_runs_ahead_of_the_clock_waits(model, film, offline, monkeypatch):
    "Pictures of ten seconds come at once, as on a clock that stands still: nothing is lost."
    monkeypatch.setattr(live, "Pace", functools.partial(live.Pace, now=lambda: 0.))
    moments = run(model, iter_frames(film))
    assert moments[-1].dropped == 0
    same(segments(moments), offline)


def test_memory_does_not_grow(model):
    "Ten minutes of pictures: what is held stays within a window and the ring."
    held, dark = [], np.zeros((48, 64, 3), np.uint8)
    feeds, real = [], live.Feed
    def camera():
        for i in range(3000):
            if feeds: held.append((len(feeds[0].windows.held), len(feeds[0].ring.items)))
            yield i/5, dark
    with pytest.MonkeyPatch.context() as m:
        m.setattr(live, "Feed", lambda *args: feeds.append(real(*args)) or feeds[0])
        run(model, camera(), stride=4., live=False)
    assert max(h for h, _ in held) <= (.8 + 2*4)*5 + 1 and max(r for _, r in held) <= 1 and len(held) > 2500


# -- the end -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("make", [lambda film: dict(source=film), lambda film: dict(source=film, pace=1), lambda film: dict(source=(
    (i/25, np.zeros((48, 64, 3), np.uint8)) for i in itertools.count()), live=False)])
def test_leaving_early_leaves_nothing_behind(model, film, make):
    before = threading.active_count()
    moments = stream(model, rule=RULE, **make(film))
    next(moments)
    moments.close()
    assert threading.active_count() == before
    stream(model, rule=RULE, **make(film)) # Never begun
    assert threading.active_count() == before


def test_ctrl_c_ends_with_what_is_certain(model, film, offline, monkeypatch, caplog):
    "While the model works, or between two moments."
    asked = []
    def interrupted(*args):
        asked.append(1)
        if len(asked) == 12: raise KeyboardInterrupt
        return run_inference(*args)
    monkeypatch.setattr(live, "run_inference", interrupted)
    moments = run(model, film)
    assert len(moments) == 12 and segments(moments)[0] == offline[0] and segments(moments)[-1][2] == pytest.approx(moments[-1].seconds)
    assert "stopped. What it showed until then is used." in caplog.text
    monkeypatch.setattr(live, "run_inference", run_inference)
    class Out(io.StringIO):
        def write(self, text):
            if not self.getvalue().count("\n"):
                super().write(text)
                if text.endswith("\n"): raise KeyboardInterrupt
            return super().write(text)
    rows = live_rows(model, film, out := Out(), rule=RULE)
    assert 1 <= len(rows) < len(offline) + 2 and out.getvalue()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
def test_ctrl_c_in_a_process_of_its_own(model, film):
    "As on the command line: a row that was open is printed, and the program goes on to its end."
    code = ("import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler) # Ignored where the tests run in the background\n"
            "from vidcls.engine.finder import Rule\nfrom vidcls.engine.live import live_rows\n"
            "rows = live_rows(sys.argv[1], sys.argv[2], rule=Rule(share=.4, cost=.5), pace=.5)\nprint('END', len(rows))\n")
    p = subprocess.Popen([sys.executable, "-c", code, str(model), str(film)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        first = json.loads(p.stdout.readline()) # The film lasts twenty seconds here, so it is far from its end
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=60)
    finally:
        p.kill()
        p.wait()
    *rows, end = out.splitlines()
    assert p.returncode == 0 and end == f"END {len(rows) + 1}" and "was stopped. What it showed" in err and "Traceback" not in err
    assert rows and all(json.loads(r)["start"] >= first["end"] for r in rows) and json.loads(rows[-1])["end"] < 9.9


def test_rows_come_as_json_when_they_are_certain(model, film, offline, capsys):
    rows = live_rows(model, film, rule=RULE, waiting=1)
    out, err = capsys.readouterr()
    assert [json.loads(r) for r in out.splitlines()] == rows
    assert [r["label"] for r in rows] == [f[0] for f in offline]
    np.testing.assert_allclose([[r[k] for k in OF[1:]] for r in rows], [f[1:] for f in offline], atol=6e-4)
    assert rows[0]["video"] == str(film) and "\r" not in err and err.count("\n") <= 5


def test_a_terminal_has_one_line(model, film, monkeypatch, capsys):
    monkeypatch.setattr(live, "on_terminal", lambda: True)
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((30, 5)))
    live_rows(model, film, rule=RULE)
    err = capsys.readouterr().err
    shown = err.split("\r\x1b[K")
    assert err.endswith("\r\x1b[K") and len(shown) > 20 and max(map(len, shown[1:])) < 30
    assert live_rows(model, film, show=False, rule=RULE) and not capsys.readouterr().err


# -- a real server, in a process of its own ------------------------------------------------------------------------------

SERVER = """
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
file, kind, rate, upto = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_GET(self):
        if self.path == "/silent": time.sleep(600)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        if self.path == "/empty": time.sleep(600)
        data = open(file, "rb").read()
        step = max(1, len(data)//100)
        for i in range(0, int(len(data)*upto), step): # A growing stream: a hundredth of it every `rate` seconds
            self.wfile.write(data[i:min(i + step, int(len(data)*upto))])
            self.wfile.flush()
            time.sleep(rate)
        if upto < 1: print("waiting", flush=True), time.sleep(600)
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def serve():
    "`serve(file, kind, rate, upto)`: (address, process) of a server of its own; it is killed at the end."
    running = []
    def _serve(file, kind="video/mp2t", rate=0., upto=1.):
        p = subprocess.Popen([sys.executable, "-c", SERVER, str(file), kind, str(rate), str(upto)], stdout=subprocess.PIPE, text=True)
        running.append(p)
        return f"http://127.0.0.1:{p.stdout.readline().strip()}", p
    yield _serve
    for p in running:
        if p.poll() is None: p.kill()
        p.wait()
        p.stdout.close()


@pytest.fixture(scope="module")
def broadcast(film): return remux(film, film.with_name("film.ts"))


def test_a_stream_from_a_server_gives_the_same(model, broadcast, offline, serve, caplog):
    "As MPEG-TS that grows, whose stamps start at 1.4 s."
    address, _ = serve(broadcast, rate=.01)
    moments = run(model, f"{address}/film.ts", live=False)
    same(segments(moments), offline)
    assert caplog.text.count("The 10.0 s that it showed are used.") == 1


@pytest.mark.parametrize("form, kind", [("mkv", "video/x-matroska"), ("mp4", "video/mp4")])
def test_other_containers_can_be_streamed(model, film, offline, serve, form, kind):
    "Matroska has stamps in milliseconds; MP4 comes in fragments."
    options = dict(movflags="frag_keyframe+empty_moov") if form == "mp4" else {}
    file = remux(film, film.with_name(f"streamed.{form}"), **options)
    moments = run(model, f"{serve(file, kind)[0]}/film", live=False)
    same(segments(moments), offline)


def test_a_server_that_is_killed_ends_with_what_is_certain(model, broadcast, offline, serve, caplog):
    "Its process is killed in the middle of the stream: the tail is flushed, and one sentence says so."
    address, server = serve(broadcast, upto=.6)
    found, moments = [], stream(model, f"{address}/film.ts", rule=RULE, live=False, waiting=1, timeout=30)
    for m in moments:
        found.append(m)
        if server.poll() is None and m.seconds > 3:
            assert server.stdout.readline() == "waiting\n"
            os.kill(server.pid, signal.SIGKILL)
            server.wait()
    last = segments(found)[-1]
    assert 4 < found[-1].seconds < 8 and last[2] == pytest.approx(found[-1].seconds)
    certain = [s for s in segments(found) if s[2] < found[-1].seconds - 1]
    same(certain, offline[:len(certain)])
    assert caplog.text.count("s that it showed are used.") == 1


def test_a_server_that_stalls_for_good_ends_with_what_is_certain(model, broadcast, serve, caplog):
    address, _ = serve(broadcast, upto=.6)
    moments = run(model, f"{address}/film.ts", live=False, timeout=3)
    assert 4 < moments[-1].seconds < 8 and segments(moments)[-1][2] == pytest.approx(moments[-1].seconds)
    assert caplog.text.count("sent nothing for 3 s. The ") == 1


@pytest.mark.parametrize("path", ["silent", "empty"])
def test_a_server_that_never_sends_is_an_error(model, broadcast, serve, path):
    address, _ = serve(broadcast)
    with pytest.raises(VideoError, match=f"{address}/{path} sent no picture within 1 s: check"): run(model, f"{address}/{path}", timeout=1)


def test_a_stream_can_be_left_while_it_stalls(model, broadcast, serve):
    address, _ = serve(broadcast, upto=.5)
    moments = stream(model, f"{address}/film.ts", rule=RULE, live=False, timeout=3)
    next(moments)
    moments.close()
    assert not [t for t in threading.enumerate() if t.name == "vidcls live"]


def test_what_is_no_video_is_named(model, serve, tmp_path):
    (tmp_path/"page.html").write_text("<html>"*500)
    address, _ = serve(tmp_path/"page.html", "text/html")
    with pytest.raises(VideoError, match=f"{address}/x cannot be opened .*: check the address"): run(model, f"{address}/x", timeout=5)


def test_pictures_without_stamps_get_their_time_of_arrival(serve, tmp_path):
    "A network camera that sends JPEGs, ten a second at most: FFmpeg would say twenty-five."
    from PIL import Image
    with open(tmp_path/"camera", "wb") as f:
        for i in range(100):
            jpeg = io.BytesIO()
            Image.fromarray(np.full((48, 64, 3), 100, np.uint8)).save(jpeg, "jpeg")
            f.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (jpeg.tell(), jpeg.getvalue()))
    address, _ = serve(tmp_path/"camera", "multipart/x-mixed-replace; boundary=frame", rate=.1)
    frames = stream_frames(f"{address}/camera", 10)
    times = [t for t, _ in itertools.islice(frames, 45)]
    frames.close()
    assert times == sorted(times) and times[-1] - times[24] > 1.5 # 20 pictures


def test_a_stream_that_is_cut_within_a_picture(model, broadcast, serve, tmp_path):
    (tmp_path/"cut.ts").write_bytes(broadcast.read_bytes()[:int(broadcast.stat().st_size*.57) + 77])
    moments = run(model, f"{serve(tmp_path/'cut.ts')[0]}/a.ts", live=False)
    assert 4 < moments[-1].seconds < 8


def test_an_udp_address_without_a_sender_ends(model):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with pytest.raises(VideoError, match="no picture within 1 s|cannot be opened"): run(model, f"udp://127.0.0.1:{port}", timeout=1)


needs_lavfi = pytest.mark.skipif("lavfi" not in av.formats_available, reason="this PyAV has no artificial camera")


@needs_lavfi
def test_a_camera_is_read_like_a_device(model, monkeypatch):
    "FFmpeg's artificial camera in the place of a real one: its stamps count, it has no end, and it can be left."
    monkeypatch.setattr(live, "camera_address", lambda source: ("lavfi", "testsrc=size=64x48:rate=25", {}))
    moments = stream(model, 0, rule=RULE, live=False)
    assert [next(moments).seconds for _ in range(4)] == pytest.approx([.8, 1.3, 1.8, 2.3])
    moments.close()
    assert not [t for t in threading.enumerate() if t.name == "vidcls live"]


@needs_lavfi
def test_a_camera_that_is_unplugged_ends_with_what_is_certain(model, monkeypatch, caplog):
    monkeypatch.setattr(live, "camera_address", lambda source: ("lavfi", "testsrc=size=64x48:rate=25:duration=4", {}))
    moments = run(model, 0, live=False)
    assert moments[-1].seconds == pytest.approx(4) and caplog.text.count("Camera 0 ended. The 4.0 s that it showed are used.") == 1


def test_a_camera_without_a_new_picture_is_asked_again(film):
    "Some say so with an error, after which PyAV's loop over the packets is over."
    with av.open(str(film)) as container:
        class Slow:
            asked = 0
            def demux(self, stream):
                for packet in container.demux(stream):
                    self.asked += 1
                    yield packet
                    if self.asked % 10 == 0: raise av.error.BlockingIOError(11, "no picture yet")
        assert len(list(live._pictures(Slow(), container.streams.video[0]))) == 250


def test_a_password_is_never_shown(model):
    with pytest.raises(VideoError) as e: run(model, "http://me:secret@127.0.0.1:9/x", timeout=3)
    assert "secret" not in str(e.value) and "http://127.0.0.1:9/x" in str(e.value)


def test_a_number_is_a_camera_unless_it_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert source_kind("0") == "camera"
    (tmp_path/"0").touch()
    assert source_kind("0") == "file" and source_kind(0) == "camera"
