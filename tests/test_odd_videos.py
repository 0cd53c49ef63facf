"""Broken, odd and hostile videos: the right frames, or a `VideoError` with the file's name and the reason; never a hang, a crash or other frames.

`python tests/test_odd_videos.py FOLDER 17 18` runs case 17 of the fuzz test alone, and leaves its file in FOLDER."""
import faulthandler, json, math, os, re, resource, subprocess, sys, traceback, tracemalloc
from dataclasses import replace
from pathlib import Path

import av, numpy as np, pandas as pd, pytest, torch, torchvision
from packaging.version import Version

from vidcls.engine import cli
from vidcls.clips import apply_view, ClipDataset, ClipSpec, pick_frames, read_clip, View
from vidcls.engine.audit import check_videos
from vidcls.engine.video import _short, in_span, probe_video, read_frames, VideoError
from vidcls.data import video_table
from vidcls.transforms import train_transform
from videos import (ODD, needs_odd, picture, remux, spoil, tiny_config, with_matrix, write_checkpoint, write_model,
                    write_packets, write_sound, write_video)

SPEC = ClipSpec(seconds=1., size=32)
CASES = int(os.environ.get("VIDCLS_FUZZ") or 100)
LIMIT = 30  # Seconds for a file that takes a tenth of one


def numbers(frames):
    "Which picture of `videos.picture` each frame is, by its grey level; fifty looks like zero."
    # Converting ten bits costs up to two levels downwards
    return [int((f[0].float().median().item() - 20)/4 + .7) % 50 for f in frames]


def due(times, start):
    "Numbers of the frames that the clip from `start` must show, where frame i is shown at times[i]."
    inside = [i for i, t in enumerate(times) if in_span(t, start, start + SPEC.seconds)]
    return [inside[k] % 50 for k in pick_frames(len(inside), SPEC)]


def refused(path, *uses):
    "What is said when a file is used; each use must raise a `VideoError` that is one line with the file's name and a reason."
    said = []
    for use in uses or (lambda: read_clip(path, View(), SPEC),):
        with pytest.raises(VideoError) as e: use()
        said.append(str(e.value))
        assert path.name in said[-1] and said[-1].isprintable() and len(said[-1]) > len(str(path)) + 10, said[-1]
    return said[-1]


def table(*paths, label="Nod"): return pd.DataFrame([dict(path=str(p), split="train", label=label, group=f"g{i}", clip="c01") for i, p in enumerate(paths)])


def predict(*args):
    from vidcls.infer import predict # here, since the processes that this file starts need no models
    return predict(*args, device="cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory): return write_model(tmp_path_factory.mktemp("model"))


# --- the right frames ---

def grey(i, h, w): return np.full((h, w, 3), i*4 % 200 + 20, np.uint8)


JITTER = np.cumsum(np.random.default_rng(0).integers(1, 3, 60)).tolist()
KINDS = {
    "mpeg1.mpg": dict(codec="mpeg1video"), "mpeg2.mpg": dict(codec="mpeg2video", bframes=2), "vp8.webm": dict(codec="libvpx"), "vp9.webm": dict(codec="libvpx-vp9"),
    "b_frames.mov": dict(codec="libx264", bframes=2), "mpeg4.mp4": dict(bframes=2), "raw.h264": dict(codec="libx264"), "raw.m4v": dict(), "thirty.mp4": dict(codec="libx264", fps=30),
    "alpha.webm": dict(codec="libvpx-vp9", fmt="yuva420p"), "alpha.mov": dict(codec="qtrle", fmt="argb"), "ten_bit.mp4": dict(codec="libx264", fmt="yuv420p10le"),
    "ten_bit.mkv": dict(codec="ffv1", fmt="yuv422p10le"), "irregular.mp4": dict(codec="libx264", bframes=2, pts=JITTER, fps=50), "irregular.mkv": dict(codec="libx264", pts=JITTER, fps=50),
    "late.mp4": dict(codec="libx264", pts=[k + 10**6 for k in range(60)]), "late.mkv": dict(codec="libx264", pts=[k + 10**6 for k in range(60)]),
    "a_pixel.avi": dict(codec="png", fmt="rgb24", size=(1, 1), draw=grey), "a_column.avi": dict(codec="png", fmt="rgb24", size=(1, 48), draw=grey),
    "a_row.avi": dict(codec="png", fmt="rgb24", size=(64, 1), draw=grey)}


@pytest.mark.parametrize("name", KINDS)
def test_the_clip_from_any_moment_shows_the_frames_of_that_moment(name, tmp_path):
    kw = KINDS[name]
    path, fps, pts = write_video(tmp_path/name, **kw), kw.get("fps", 25), kw.get("pts", range(60))
    times = [(p - pts[0])/fps for p in pts]
    info = probe_video(path)
    assert info.frames == 60 and abs(info.duration - times[-1]) <= 2.5/fps and (info.width, info.height) == kw.get("size", (64, 48))
    for start in (0., .04, .3, .5, .52, .76, .9):
        clip = read_clip(path, View(start), SPEC)
        assert clip.shape == (16, 3, 32, 32) and numbers(clip) == due(times, start), start


def corner(i, h, w):
    "A picture that looks different however it is turned or mirrored."
    a = picture(i, h, w)
    a[:h//3, :w//3] = 0
    return a


TURNS = dict(not_at_all=(1, 0, 0, 1, lambda x: x), right=(0, 1, -1, 0, lambda x: x.rot90(-1, (2, 3))), over=(-1, 0, 0, -1, lambda x: x.rot90(2, (2, 3))),
             left=(0, -1, 1, 0, lambda x: x.rot90(1, (2, 3))), mirrored=(-1, 0, 0, 1, lambda x: x.flip(3)), upside_down=(1, 0, 0, -1, lambda x: x.flip(2)),
             mirrored_and_turned=(0, 1, 1, 0, lambda x: x.transpose(2, 3)))


@pytest.mark.parametrize("name", TURNS)
def test_frames_are_turned_and_mirrored_as_the_file_says(name, tmp_path):
    *matrix, turned = TURNS[name]
    plain = write_video(tmp_path/"plain.mp4", codec="libx264", draw=corner)
    path, view = with_matrix(plain, tmp_path/f"{name}.mp4", *matrix), View(.5, (0., 1., .6))
    whole, _ = read_frames(plain)
    assert torch.equal(read_frames(path)[0], turned(whole))
    frames = whole[[13 + k for k in pick_frames(25, SPEC)]] # .5 s is after frame 12
    assert torch.equal(read_clip(path, view, SPEC), apply_view(turned(frames).contiguous(), view, SPEC))


def test_a_matrix_of_zeros_turns_nothing(tmp_path):
    plain = write_video(tmp_path/"plain.mp4", codec="libx264", draw=corner)
    assert torch.equal(read_frames(with_matrix(plain, tmp_path/"zero.mp4", 0, 0, 0, 0))[0], read_frames(plain)[0])


def test_a_title_in_another_encoding_is_no_reason_to_refuse(tmp_path):
    path = remux(write_video(tmp_path/"plain.mp4", codec="libx264"), tmp_path/"title.mkv", title="Cafexxxx")
    path.write_bytes(path.read_bytes().replace(b"Cafexxxx", b"Caf\xe9xxxx"[:8]))
    assert numbers(read_clip(path, View(), SPEC)) == due([i/25 for i in range(60)], 0)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux how much memory a process has had")
def test_a_clip_of_8k_frames_is_right_and_takes_little_memory(tmp_path):
    "In a process of its own. Four frames of 8K are 0.2 GB as the decoder hands them out, 0.4 GB in RGB, and what the crop keeps 0.2 GB."
    path = write_video(tmp_path/"8k.mp4", 4, codec="libx264", size=(7680, 4320), draw=grey, preset="ultrafast", crf="10")
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_odd_videos import *
peak = lambda: int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])/2**20
spec = replace(SPEC, num_frames=4, seconds=.16)
read_clip({str(write_video(tmp_path/'warm.avi'))!r}, View(), spec)
before = peak()
print(numbers(read_clip({str(path)!r}, View(), spec)), peak() - before, sep=";")
"""
    r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, r.stderr
    shown, gigabytes = r.stdout.strip().splitlines()[-1].split(";")
    older = Version(torchvision.__version__) < Version("0.24") # Resizes in float32 where there is AVX-512
    assert json.loads(shown) == list(range(4)) and float(gigabytes) < (1.8 if older else .9)


# --- names ---

NAMES = ["with space.avi", "it's \"quoted\".avi", "-dash.avi", "--help.avi", "日本語 ünï.avi", "50%d %03d.avi", "http:pipe|0.avi", "$(touch x);`x`.avi", "*?[a].avi", "new\nline.avi", "\x1b[31mred\r.avi"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_is_read_predicted_and_checked(name, model, tmp_path, capsys, monkeypatch):
    path = write_video(tmp_path/"set"/"Nod"/name)
    assert numbers(read_clip(path, View(), SPEC)) == due([i/25 for i in range(60)], 0)
    monkeypatch.chdir(path.parent)
    assert cli.main(["check-data", str(tmp_path/"set")]) == 0
    capsys.readouterr()
    status = cli.main(["predict", str(model), "--device", "cpu", "--", name])
    said = capsys.readouterr()
    assert status == 0 and "Wave" in said.out and "vidcls" not in said.err, said.err


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_whatever_its_name_a_broken_file_is_refused_in_one_line(name, model, tmp_path, capsys, monkeypatch):
    path = tmp_path/"set"/"Nod"/name
    write_video(tmp_path/"set"/"Wave"/"v_Wave_g01_c01.avi")
    path.parent.mkdir(parents=True)
    path.write_text("milk, eggs\n"*100)
    core = max(re.split("[\n\r\x1b]", name), key=len) # what can be printed
    with pytest.raises(VideoError) as e: read_clip(path, View(), SPEC)
    assert core in str(e.value) and str(e.value).isprintable()
    monkeypatch.chdir(path.parent)
    for args in (["check-data", str(tmp_path/"set")], ["predict", str(model), "--device", "cpu", "--", name]):
        assert cli.main(args) == 1
        said = capsys.readouterr()
        assert core in said.out + said.err and "not a readable video" in said.out + said.err and "Error:" not in said.err and "\x1b[31m" not in said.out + said.err


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no text")
def test_a_name_that_is_no_text_is_read_or_refused_by_name(model, tmp_path, capsys):
    path = write_video(tmp_path/"set"/"Nod"/os.fsdecode(b"caf\xe9.avi"))
    assert numbers(read_clip(path, View(), SPEC)) == due([i/25 for i in range(60)], 0)
    assert cli.main(["predict", str(model), str(path), "--device", "cpu"]) == 0 and "Wave" in capsys.readouterr().out
    status, said = cli.main(["check-data", str(tmp_path/"set")]), capsys.readouterr()
    assert status == 0 or "caf" in said.err, said.err
    path.write_text("milk, eggs\n"*100)
    with pytest.raises(VideoError) as e: read_clip(path, View(), SPEC)
    assert str(e.value).isprintable() and "caf" in str(e.value)
    assert cli.main(["predict", str(model), str(path), "--device", "cpu"]) == 1 and "not a readable video" in capsys.readouterr().err


# --- broken files ---

def index_first(src, path): return remux(src, path, movflags="faststart")


def write_whole(d, name):
    "A sound video of one of the kinds that are broken below."
    if name == "fast.mp4": return index_first(write_video(d/"slow.mp4", codec="libx264", bframes=2), d/name)
    return write_video(d/name, **{"a.avi": dict(), "a.mp4": dict(codec="libx264", bframes=2), "a.mkv": dict(codec="libx264", bframes=2), "a.webm": dict(codec="libvpx-vp9"), "a.mov": dict(codec="libx264", pts=JITTER),
        "a.mpg": dict(codec="mpeg2video"), "a.h264": dict(codec="libx264"), "hevc.mp4": dict(codec="libx265", frames=30, **{"x265-params": "log-level=none"})}[name])


@pytest.mark.parametrize("name", ["a.avi", "a.mp4", "fast.mp4", "a.mkv", "a.webm", "a.mpg", "a.h264"])
def test_a_file_cut_at_any_tenth_gives_only_frames_of_the_whole_one(name, tmp_path):
    whole = write_whole(tmp_path, name)
    data, frames, times = whole.read_bytes(), *read_frames(whole)
    for tenth in range(1, 10):
        path = whole.with_stem(f"cut_{tenth}")
        path.write_bytes(data[:len(data)*tenth//10])
        try: got, shown = read_frames(path)
        except VideoError: refused(path, lambda: read_frames(path)); continue
        wrong = [t for t, f in zip(shown, got) if not any(abs(t - u) < .002 and torch.equal(f, g) for u, g in zip(times, frames))]
        # Nothing in MPEG-2 says that the last picture goes on
        assert (not wrong or (path.suffix == ".mpg" and wrong == shown[-1:])) and shown == sorted(set(shown)), (tenth, wrong)
        assert abs(probe_video(path).duration - shown[-1]) < .2, "frames at the end that nobody speaks of"


def test_a_header_alone_holds_no_pictures(tmp_path, model):
    for name, mark in {"fast.mp4": b"mdat", "a.avi": b"movi", "a.mkv": bytes.fromhex("1f43b675")}.items():
        data = write_whole(tmp_path, name).read_bytes()
        path = tmp_path/f"header_{name}"
        path.write_bytes(data[:data.index(mark) + 4])
        refused(path, lambda: probe_video(path), lambda: read_clip(path, View(), replace(SPEC, pad=True)), lambda: ClipDataset(table(path), SPEC)[0], lambda: predict(model, path))


def test_sound_alone_is_refused(tmp_path, model):
    path = write_sound(tmp_path/"sound.mp4")
    assert "no video stream" in refused(path, lambda: probe_video(path), lambda: ClipDataset(table(path), SPEC)[0], lambda: predict(model, path))


def test_one_frame_is_too_few(tmp_path, model):
    path = write_video(tmp_path/"one.mp4", 1, codec="libx264", first=7)
    assert "single picture" in refused(path, lambda: read_clip(path, View(), SPEC), lambda: ClipDataset(table(path), SPEC)[0], lambda: predict(model, path))
    assert probe_video(path).frames == 1 and numbers(read_clip(path, View(), replace(SPEC, num_frames=1))) == [7]


def test_frames_whose_size_changes_are_refused_or_brought_to_one_size(tmp_path):
    parts = [write_video(tmp_path/f"{w}.h264", 30, codec="libx264", size=(w, h)) for w, h in ((64, 48), (96, 64))]
    path = tmp_path/"changing.h264"
    path.write_bytes(b"".join(p.read_bytes() for p in parts))
    try: clip = read_clip(path, View(.8), SPEC)
    except VideoError: refused(path, lambda: read_clip(path, View(.8), SPEC))
    else: assert numbers(clip) == [[*range(20, 30), *range(15)][k] for k in pick_frames(25, SPEC)]


LISTS = {"itself.mp4": "ffconcat version 1.0\nfile itself.mp4\n", "pipe.mp4": "ffconcat version 1.0\nfile pipe\n", "concat.avi": "ffconcat version 1.0\nfile other.avi\n", "concat.h264": "ffconcat version 1.0\nfile other.avi\n", "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.4,\nother.avi\n#EXT-X-ENDLIST\n",
         "net.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.4,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
         "sdp.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 15004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"}


@pytest.mark.parametrize("name", LISTS)
def test_a_file_that_names_other_files_does_not_show_them(name, tmp_path):
    "FFmpeg looks at the content, not at the suffix, and reads what a play list names."
    write_video(tmp_path/"other.avi")
    os.mkfifo(tmp_path/"pipe")
    (tmp_path/name).write_text(LISTS[name])
    refused(tmp_path/name, lambda: probe_video(tmp_path/name), lambda: read_clip(tmp_path/name, View(), SPEC))


def test_a_fine_clock_takes_no_memory():
    "Two frames that nearly coincide, and an hour in ticks of a 90,000th of a second."
    ticks = [0, 1, *(3000*k for k in range(1, 60)), 90_000*3600]
    tracemalloc.start()
    assert list(_short(ticks)) == ticks and list(_short([2**62, -2**62, 5])) == [-2**62, 5, 2**62] and not len(_short([]))
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()
    assert isinstance(_short(range(0, 3000, 3)), range)


def test_pixels_that_cannot_be_converted_are_named(tmp_path):
    path = write_packets(tmp_path/"odd.nut", "rawvideo", "bgr4", [bytes(32*32//2)]*40, (32, 32))
    refused(path, lambda: read_clip(path, View(), SPEC), lambda: read_frames(path))


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_the_end_of_a_transport_stream_is_found(codec, tmp_path):
    "A seek there may lead behind the last key frame, where nothing comes any more."
    path = write_video(tmp_path/"a.ts", 90, codec=codec)
    _, times = read_frames(path)
    for t in times[1:]: assert read_frames(path, t - .001)[1] == [u for u in times if u >= t - .001]


def with_gap(path): return write_video(path, 700, codec="libx264", pts=[*range(100), *range(350, 950)])


def with_hole(path):
    "A film of 40 s with one packet of noise, away from where a quick look would fall."
    write_video(path, 1000, codec="libx264", gop=50)
    return spoil(path, lambda i, p: p.pts is not None and float(p.pts*p.time_base) > 10)


@pytest.mark.parametrize("make", [with_gap, with_hole], ids=lambda f: f.__name__)
def test_training_never_meets_what_the_check_has_passed_over(make, tmp_path):
    t = table(make(tmp_path/f"{make.__name__}.mp4"))
    good, bad = check_videos(t, SPEC, progress=False)
    clips = ClipDataset(good, SPEC, transform=train_transform(SPEC)) if len(good) else []
    for epoch in range(80 if len(good) else 0):
        clips.set_epoch(epoch)
        clips[0]
    assert len(good) + len(bad) == 1


@pytest.mark.parametrize("pts", [[0, 125, 250, 375, 500, 625], [*range(100), *range(350, 450)]], ids=["slow", "with a gap"])
def test_the_check_takes_a_film_whose_pictures_are_held(pts, tmp_path):
    "A span in which no frame begins shows the picture before it: that is a repeat, no damage."
    t = table(write_video(tmp_path/"held.mp4", len(pts), codec="libx264", pts=pts))
    good, bad = check_videos(t, SPEC, progress=False)
    assert (len(good), len(bad)) == (1, 0)
    good, bad = check_videos(t, replace(SPEC, pad=False), progress=False)
    assert not len(good) and "allow repeated frames" in bad.reason[0]


def test_a_reading_process_names_the_file(tmp_path):
    (tmp_path/"text.avi").write_text("milk, eggs\n"*100)
    ds = ClipDataset(table(write_video(tmp_path/"fine.avi"), tmp_path/"text.avi"), SPEC)
    loader = torch.utils.data.DataLoader(ds, batch_size=1, num_workers=1, timeout=60)
    with pytest.raises(VideoError, match="text.avi is not a readable video"): list(loader)


@pytest.mark.slow
@needs_odd
def test_check_data_lists_the_odd_files_that_a_data_set_cannot_read(tmp_path, capsys):
    "All but one that takes long."
    root = tmp_path/"set"
    (root/"Odd").mkdir(parents=True)
    for p in ODD.iterdir():
        if p.suffix != ".wav" and p.name != "moviepy__no_duration.webm": (root/"Odd"/p.name).write_bytes(p.read_bytes())
    write_video(root/"Fine"/"v_Fine_g01_c01.avi")
    assert cli.main(["check-data", str(root), "--seconds", "1", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    t = video_table(root)
    for i, path in enumerate(t.path):
        ds = ClipDataset(t.iloc[[i]], replace(SPEC, size=8), num_clips=3)
        listed = [r for r in said["unusable"] if path in r]
        if not listed: assert all(len(ds[k]["pixel_values"]) == 16 for k in range(3))
        else:
            try: [ds[k] for k in range(3)]
            except VideoError: refused(Path(path), lambda: [ds[k] for k in range(3)])
            else: assert re.search("is damaged at|cannot be decoded after", listed[0]) # Elsewhere than these three clips
    assert said["videos"] == len(t) and 0 < len(said["unusable"]) < len(t)


def test_check_data_on_nothing_but_broken_files(tmp_path, capsys):
    for n in range(2):
        path = tmp_path/"Nod"/f"v_Nod_g{n}_c01.avi"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"no film {n}")
    assert cli.main(["check-data", str(tmp_path), "--json"]) == 1
    said = capsys.readouterr()
    assert said.out, said.err
    assert len(json.loads(said.out)["unusable"]) == 2


# --- training over a folder with bad files ---

def write_mixed(root, splits):
    "19 sound videos, and one that breaks off; returns its name."
    for i in range(20):
        label = ("Nod", "Wave")[i % 2]
        path = root/(("train", "train", "train", "val", "test")[i//2 % 5] if splits else "")/label/f"v_{label}_g{i:02}_c01.avi"
        write_video(path, 24, first=i)
        if i == 4: path.write_bytes(path.read_bytes()[:path.stat().st_size//4])
    return "v_Nod_g04_c01.avi"


@pytest.mark.parametrize("splits", [True, False], ids=["split folders", "no splits"])
def test_training_with_a_bad_file_equals_training_without_it(splits, tmp_path, capsys):
    from transformers import VideoMAEForPreTraining
    from vidcls.engine.recipes import RECIPES
    from vidcls.train import finetune
    torch.manual_seed(0)
    checkpoint = write_checkpoint(tmp_path/"checkpoint", VideoMAEForPreTraining(tiny_config()))
    bad = write_mixed(tmp_path/"set", splits)
    recipe = replace(RECIPES["stick"], name="tiny", data=str(tmp_path/"set"), checkpoint=str(checkpoint), from_scratch=False, epochs=1, batch_size=2, eval_clips=1, sampling_rate=3)
    assert cli.main(["finetune", "--data", str(tmp_path/"set"), "--checkpoint", str(checkpoint), "--out", str(tmp_path/"cli"), "--strict"]) == 1
    assert re.search(f"vidcls finetune: 1 of 20 .*{bad}", capsys.readouterr().err) and not list((tmp_path/"cli").rglob("*.safetensors"))
    with pytest.warns(UserWarning, match=f"1 of 20(.|\n)*{bad}"): with_bad = finetune(recipe, tmp_path/"a", workers=0, progress=False)
    assert len(with_bad.skipped) == 1 and bad in with_bad.skipped[0]
    next((tmp_path/"set").rglob(bad)).unlink()
    without = finetune(recipe, tmp_path/"b", workers=0, progress=False)
    losses = lambda run: [(k, v) for h in run.history for k, v in h.items() if k.endswith("loss")]
    assert len(losses(without)) >= 2 and losses(with_bad) == losses(without)


# --- files changed at random ---

BASES = ["a.avi", "a.mp4", "fast.mp4", "a.mov", "a.mkv", "a.webm", "a.mpg", "a.h264", "hevc.mp4"]


def mutate(data, rng):
    "The bytes with a few changes of the kinds that disks, networks and malice make."
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        if not data: break
        # Containers keep what they say about themselves at both ends: look there more often.
        low, high = [(0, len(data)), (0, 1500), (0, 200), (len(data) - 2500, len(data))][rng.integers(4)]
        at, n = int(rng.integers(max(0, low), max(1, min(high, len(data))))), int(2**rng.uniform(0, 11))
        match rng.integers(7):
            case 0:
                for k in rng.integers(max(0, low), max(1, min(high, len(data))), rng.integers(1, 40)): data[k] = rng.integers(256)
            case 1: data[at] ^= 1 << rng.integers(8)
            case 2: data[at:at + 4] = [b"\0\0\0\0", b"\xff"*4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\1", b"\1\0\0\0"][rng.integers(7)]
            case 3: del data[max(at, 20):]
            case 4: del data[at:at + n]
            case 5: data[at:at + n] = bytes(n) if rng.random() < .5 else rng.bytes(n)
            case 6: data[at:at] = data[at:at + n]
    return bytes(data)


def look_at(path):
    "Use a file in every way; whatever it holds, the answer is sound or a `VideoError`."
    def tried(use):
        try: return use()
        except VideoError as e: assert path.name in str(e) and str(e).isprintable(), f"bad message: {e}"
    info = tried(lambda: probe_video(path))
    if info is None: return
    assert info.frames > 0 and 0 < info.duration < math.inf and 0 < info.fps < math.inf, info
    for pad in (False, True):
        spec = replace(SPEC, pad=pad)
        ds = ClipDataset(table(path), spec, num_clips=3)
        for k in range(3):
            item = tried(lambda: ds[k])
            assert item is None or item["pixel_values"].shape == (16, 3, 32, 32)
        start = info.duration*.37
        clip = tried(lambda: read_clip(path, View(start), spec))
        shown = tried(lambda: read_frames(path, start, start + spec.seconds)[1]) if clip is not None else None
        if shown: assert shown[0] >= start - 1e-6 and shown[-1] < start + spec.seconds and (pad or len(shown) >= 16), shown
    whole = tried(lambda: read_frames(path)[1])
    if whole is None: return
    good, bad = decoded(path)
    assert len(whole) == good, f"the decoder shows {good} good and {bad} damaged frames, and {len(whole)} are handed out"
    assert bad <= (good + bad)/10, f"{bad} of {good + bad} frames are damaged, and the rest is handed out"


def decoded(path):
    "How many frames the decoder shows that are good, and how many that are damaged or build on a packet that it could not decode."
    good, lost = [], False
    with av.open(str(path), metadata_errors="replace") as c:
        c.streams.video[0].codec_context.thread_count = 1 # Of several, not all notice damage
        for other in c.streams:
            if other.index and hasattr(av.stream, "Discard"): other.discard = av.stream.Discard.all
        try:
            for packet in c.demux(video=0):
                try: frames = packet.decode()
                except av.error.FFmpegError: frames, lost = [], True
                for f in frames:
                    lost = lost and not f.key_frame
                    good.append(not lost and not f.is_corrupt)
        except av.error.FFmpegError: pass # The file ends here
    return sum(good), len(good) - sum(good)


def work(folder, first, last):
    "Look at the cases first ... last - 1; a case that takes too long ends the process."
    folder = Path(folder)
    wholes = [folder/n if (folder/n).exists() else write_whole(folder, n) for n in BASES]
    # What asks for more than 4 GB fails here, and not by taking the machine's memory.
    size = int(Path("/proc/self/statm").read_text().split()[0])*resource.getpagesize() if Path("/proc/self/statm").exists() else 2**40
    resource.setrlimit(resource.RLIMIT_AS, (size + 4*2**30, resource.RLIM_INFINITY))
    for case in range(first, last):
        whole, rng = wholes[case % len(wholes)], np.random.default_rng(case)
        path = folder/f"case_{case}{whole.suffix}"
        path.write_bytes(mutate(whole.read_bytes(), rng))
        print("case", case, flush=True)
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        try: look_at(path); path.unlink()
        except Exception as e: print("bad", case, path.suffix, type(e).__name__, str(e)[:300].replace("\n", " "), "|", traceback.format_exc().strip().splitlines()[-3].strip(), flush=True)
        faulthandler.cancel_dump_traceback_later()


def test_fuzzed_files_give_frames_or_a_reason(tmp_path):
    "VIDCLS_FUZZ says how many files; each has its own seed, so a longer run begins with those of a shorter one."
    first, bad = 0, []
    while first < CASES and len(bad) < 20:
        r = subprocess.run([sys.executable, __file__, tmp_path, str(first), str(CASES)], capture_output=True, text=True, errors="replace", timeout=120 + LIMIT*CASES)
        said = r.stdout.splitlines()
        bad += [l for l in said if l.startswith("bad")]
        if not r.returncode: break
        assert any(l.startswith("case") for l in said), r.stderr[-2000:]
        first = max(int(l.split()[1]) for l in said if l.startswith("case")) + 1
        bad.append(f"bad {first - 1} ended its process ({r.returncode}): {r.stderr[-1500:]}")
    assert not bad, f"run `python {Path(__file__).name} FOLDER N N+1` for one of\n" + "\n".join(bad)


if __name__ == "__main__":
    faulthandler.enable()
    work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
