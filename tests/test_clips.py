"Reading clips: against a plain reader, against PyTorchVideo, on real and odd files, and at the edges."
import itertools, math, subprocess, sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np, pytest, torch
from hypothesis import example, given, HealthCheck, settings, strategies as st

from vidcls import clips
from vidcls.clips import (
    apply_view, clip_starts, ClipDataset, ClipSpec, eval_views, guide_transform, import_pytorchvideo, normalize,
    pick_frames, read_clip, read_views, repeated_frames, View
)
from vidcls.engine.audit import check_videos
from vidcls.engine.cache import FrameCache
from vidcls.engine import machine, video as video_module
from vidcls.engine.video import in_span, probe_video, read_frames, VideoError
from vidcls.data import video_table
from vidcls.engine.archive import extract_archive
from videos import ODD, REAL, needs_odd, needs_real, needs_shared_memory, write_dataset, write_long, write_video

SPEC = ClipSpec(seconds=1., size=32)


def plain_clip(path, view, spec):
    "Decode everything, then pick by time stamp."
    frames, times = read_frames(path, 0, view.start + spec.seconds)
    inside = [i for i, t in enumerate(times) if in_span(t, view.start, view.start + spec.seconds)]
    return apply_view(frames[[inside[k] for k in pick_frames(len(inside), spec)]], view, spec)


def number(frames):
    "Which picture of `videos.picture` a frame is, by its grey level (for the first fifty)."
    return [round((f[0].float().median().item() - 20)/4) for f in frames]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    d = tmp_path_factory.mktemp("videos")
    irregular = np.cumsum(np.random.default_rng(0).integers(1, 4, 60)).tolist()
    return [write_video(d/"short_gop.avi"), write_video(d/"long_gop.avi", gop=300), write_video(d/"b_frames.mp4", codec="libx264", bframes=3),
            write_video(d/"vfr.mp4", codec="libx264", pts=irregular), write_video(d/"fifty.mkv", frames=120, fps=50, codec="libx264"),
            write_video(d/"a name with ' quotes\" and ünïcode: 50%.avi"), write_video(d/"-dash.avi")]


def test_seeking_gives_the_same_bytes_as_reading_everything(videos):
    for path in videos:
        info, rng = probe_video(path), np.random.default_rng(1)
        spec = replace(SPEC, seconds=1.2, num_frames=8)
        for start in [0, .04, .48, .5, *rng.uniform(0, info.duration - spec.seconds, 8)]:
            view = View(start, tuple(rng.uniform(.3, 1, 3)), bool(rng.integers(2)))
            assert torch.equal(read_clip(path, view, spec), plain_clip(path, view, spec)), (path.name, start)


def test_frames_are_those_of_the_moment(videos):
    frames, times = read_frames(videos[0], .4, .8)
    assert number(frames) == list(range(10, 20))
    assert np.allclose(times, np.arange(10, 20)/25)


def test_frames_are_picked_by_time_not_by_number(videos):
    slow, fast = (read_frames(p, .5, 1.5)[1] for p in (videos[0], videos[4]))
    assert (len(slow), len(fast)) == (25, 50) and slow[0] - fast[0] < .04


@pytest.mark.parametrize("wrong", [lambda t: [], lambda t: t[:-1], lambda t: t[3:], lambda t: t + [t[-1] + .04]])
def test_a_wrong_promise_of_the_packets_changes_nothing(videos, monkeypatch, wrong):
    files = [p for p in videos if p.name != "vfr.mp4"]
    right, real = [read_clip(p, View(.3), SPEC) for p in files], video_module.promised_times
    for module in (video_module, clips): monkeypatch.setattr(module, "promised_times", lambda *a: wrong(real(*a)))
    assert all(map(torch.equal, right, [read_clip(p, View(.3), SPEC) for p in files]))


def test_only_the_frames_of_the_clip_are_held(videos, monkeypatch):
    held, real = [], video_module._collect
    monkeypatch.setattr(video_module, "_collect", lambda *a: held.append(real(*a)) or held[-1])
    for p in videos[:3]: read_clip(p, View(.52), replace(SPEC, num_frames=4, seconds=1.))
    assert [(len(times), len(frames)) for times, frames, _ in held] == [(25, 4)]*3 # and nothing was decoded twice


def test_a_part_that_shows_nothing_is_an_error(videos):
    with pytest.raises(VideoError, match="has no frames between 100.00"): read_frames(videos[0], 100., 101.)


def test_equal_to_pytorchvideo_on_the_same_view(videos):
    D, _ = import_pytorchvideo()
    for path in videos:
        for start in map(Fraction, ("0", "0.3", "0.52", "0.28")): # also on a frame's very stamp
            clip = D.encoded_video.EncodedVideo.from_path(str(path), decode_audio=False, decoder="pyav")
            theirs = guide_transform(replace(SPEC, num_frames=8), train=False)(clip.get_clip(start, start + 1))["video"]
            frames, _ = read_frames(path, start, start + 1, lambda n: pick_frames(n, replace(SPEC, num_frames=8)))
            ours = guide_transform(replace(SPEC, num_frames=8), train=False)(dict(video=frames.permute(1, 0, 2, 3).float()))["video"]
            assert (ours - theirs).abs().max() <= 1e-5, (path.name, start)


@needs_real
def test_real_clips(tmp_path):
    "The guide's archive: 25 and 29.97 fps, packed B-frames, headers that promise too much."
    table = video_table(extract_archive(REAL, tmp_path, progress=False))
    assert table.groupby("split").size().to_dict() == dict(train=60, val=12, test=30)
    D, _ = import_pytorchvideo()
    rates, reordered = set(), 0
    for path in table.path[::2]:
        info = probe_video(path)
        rates.add(round(info.fps, 1))
        view, spec = View(.5*max(0, info.duration - 64/30)), ClipSpec(size=56)
        assert torch.equal(read_clip(path, view, spec), plain_clip(path, view, spec)), path
        clip = D.encoded_video.EncodedVideo.from_path(path, decode_audio=False, decoder="pyav")
        theirs = clip.get_clip(0, 1)["video"].permute(1, 0, 2, 3).to(torch.uint8)
        ours, _ = read_frames(path, 0, 1)
        if len(ours) == len(theirs) and torch.equal(ours, theirs): continue
        # Packed B-frames: their order follows guessed stamps. The right order is the smoother one.
        jerk = lambda x: (x[1:].float() - x[:-1].float()).abs().mean()
        assert jerk(ours) < jerk(theirs), path
        reordered += 1
    assert {25., 30.} <= rates and reordered < 20


@needs_odd
def test_odd_files_give_the_right_frames_or_a_reason():
    for path in sorted(ODD.iterdir()):
        try: clip = read_clip(path, View(), SPEC)
        except VideoError as e:
            assert path.name in str(e) and str(e).count("\n") == 0 and ": " in str(e)
        else:
            assert clip.shape == (16, 3, 32, 32) and torch.equal(clip, plain_clip(path, View(), SPEC)), path.name


@needs_odd
def test_a_film_without_time_stamps_is_counted():
    _, times = read_frames(ODD/"derived__raw_no_pts.h264")
    assert np.allclose(times, np.arange(40)/25)


def test_unusable_files_name_themselves(tmp_path):
    (tmp_path/"empty.avi").touch()
    (tmp_path/"text.avi").write_text("milk, eggs\n"*100)
    (tmp_path/"sound.wav").write_bytes(b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80>\0\0\2\0\x10\0data\0\0\0\0")
    for name, reason in {"empty.avi": "empty", "text.avi": "not a readable video", "sound.wav": "no video stream", "none.avi": "no video"}.items():
        with pytest.raises(VideoError, match=f"{name}.*{reason}|{reason}.*{name}"): read_clip(tmp_path/name, View(), SPEC)


def test_a_video_with_few_frames_repeats_them_evenly_or_is_refused(tmp_path):
    path = write_video(tmp_path/"nine.avi", frames=9)
    clip = read_clip(path, View(), SPEC)
    assert [len(list(g)) for _, g in itertools.groupby(f.numpy().tobytes() for f in clip)] == [2, 2, 2, 2, 2, 2, 2, 1, 1]
    assert repeated_frames(path, [View()], SPEC) == 7
    with pytest.raises(VideoError, match="nine.avi has 9 frames.*but a clip needs 16: allow repeated frames"): read_clip(path, View(), replace(SPEC, pad=False))


@pytest.mark.parametrize("seconds", [1.5, 2., 2.5])
def test_a_span_without_frames_shows_what_a_player_holds(tmp_path, seconds):
    "A film of one picture per five seconds."
    path = write_video(tmp_path/"slow.mp4", frames=6, pts=[0, 125, 250, 375, 500, 625], codec="libx264")
    frames, times = read_frames(path)
    assert np.allclose(times, np.arange(6)*5, atol=.01)
    spec = replace(SPEC, seconds=seconds)
    for start in (0., 2., 4.9, 5., 7.5, 12., 22.):
        inside = [i for i, t in enumerate(times) if in_span(t, start, start + seconds)] or [max(i for i, t in enumerate(times) if t <= start)]
        want = apply_view(frames[[inside[k] for k in pick_frames(len(inside), spec)]], View(start), spec)
        assert torch.equal(read_clip(path, View(start), spec), want), start
    many = [View(s) for s in (22., 2., 5., 12.)]
    assert torch.equal(read_views(path, many, spec), torch.stack([read_clip(path, v, spec) for v in many]))
    cache = FrameCache(tmp_path/"frames", 10**9)
    assert torch.equal(read_views(path, many, spec, cache), read_views(path, many, spec))
    assert repeated_frames(path, many, spec) == 15
    with pytest.raises(VideoError, match="has no frames in the .* from 40.00 s"): read_clip(path, View(40.), spec)


def test_a_still_is_not_a_video_and_one_frame_of_it_is(tmp_path):
    path = write_video(tmp_path/"still.avi", frames=1)
    with pytest.raises(VideoError, match="still.avi is a single picture"): read_clip(path, View(), SPEC)
    assert read_clip(path, View(), replace(SPEC, num_frames=1)).shape == (1, 3, 32, 32)


def test_a_model_saved_with_another_rule_for_few_frames_does_not_refuse(tmp_path):
    replace(SPEC, pad=False).save(tmp_path)
    assert ClipSpec.load(tmp_path) == SPEC and SPEC.pad


def test_views_and_workers_that_cannot_be_are_named(videos):
    for start in (-5., math.nan, math.inf):
        with pytest.raises(ValueError, match="must start at 0 s or later"): read_clip(videos[0], View(start), SPEC)
    with pytest.raises(ValueError, match="workers must be at least 0, not -1"): machine.clip_loader([1], -1)


def test_no_view_is_an_error_that_says_so(videos):
    with pytest.raises(ValueError, match="at least one view"): read_views(videos[0], [], SPEC)


def test_a_short_video_is_taken_whole(tmp_path):
    path = write_video(tmp_path/"short.avi", frames=20)
    spec = replace(SPEC, seconds=5.)
    assert eval_views(probe_video(path), spec, 3) == [View()]*3
    assert number(read_frames(path, 0, 5, lambda n: pick_frames(n, spec))[0]) == pick_frames(20, spec)


@pytest.mark.slow
def test_an_hour_is_read_without_loading_it(tmp_path):
    "Peak memory of reading one clip in the middle of an hour, in a process of its own."
    path = write_long(tmp_path/"hour.avi", 3600, size=(320, 240))
    code = f"""
import resource
from vidcls.clips import *
from vidcls.engine.video import *
from torchvision.transforms.v2 import functional
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024
read_clip({str(write_video(tmp_path/'warm.avi', size=(320, 240)))!r}, View(), ClipSpec(seconds=2.))
before = peak()
info = probe_video({str(path)!r})
clip = read_clip({str(path)!r}, View(1800.), ClipSpec(seconds=2.))
print(info.duration, tuple(clip.shape), peak() - before)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert abs(float(out[0]) - 3600) < 1 and float(out[-1]) < 200


def test_a_file_that_changes_is_looked_at_again(tmp_path):
    path = write_video(tmp_path/"a.avi", frames=30)
    assert probe_video(path).frames == 30
    write_video(path, frames=50)
    assert probe_video(path).frames == 50
    table = video_table(write_dataset(tmp_path/"set"))
    assert len(check_videos(table, SPEC, progress=False)[1]) == 0
    Path(table.path[0]).write_bytes(b"no film")
    assert check_videos(table, SPEC, progress=False)[1].path.tolist() == [table.path[0]]


def test_views_of_an_evaluation():
    assert clip_starts(10, 2, 5) == [0, 2, 4, 6, 8]
    assert clip_starts(10, 2, 1) == [4]
    assert clip_starts(1, 2, 3) == [0, 0, 0]


def test_a_spec_survives_the_disk_and_refuses_nonsense(tmp_path):
    spec = ClipSpec(8, 1.5, 112, "squash", (.5, .5, .5), (.5, .5, .5), "pixel_values_videos", True)
    spec.save(tmp_path)
    assert ClipSpec.load(tmp_path) == spec and hash(ClipSpec.load(tmp_path)) == hash(spec)
    for bad in (dict(num_frames=0), dict(seconds=0), dict(size=0), dict(resize="stretch")):
        with pytest.raises(ValueError): replace(spec, **bad)
    with pytest.raises(FileNotFoundError, match="clip_spec.json"): ClipSpec.load(tmp_path/"none")


def test_normalize_is_what_torchvision_does():
    from torchvision.transforms.v2 import functional as F
    clip = torch.randint(0, 256, (2, 4, 3, 8, 8), dtype=torch.uint8)
    theirs = F.normalize(clip.float()/255, SPEC.mean, SPEC.std)
    assert torch.allclose(normalize(clip, SPEC), theirs, atol=1e-6)


WORKERS = """
import faulthandler, sys, torch
from vidcls.clips import ClipDataset, ClipSpec, read_clip, View
from vidcls.data import video_table

class Random:
    def read(self, path, rng): return read_clip(path, View(rng.uniform(0, .5)), SPEC)

def watch(worker): faulthandler.dump_traceback_later(240, exit=True) # says where it hangs

SPEC = ClipSpec(seconds=1., size=32)
if __name__ == "__main__":
    ds, alone = ClipDataset(video_table(sys.argv[1]), SPEC, transform=Random()), []
    for epoch in (0, 1):
        ds.set_epoch(epoch)
        alone.append(torch.stack([ds[i]["pixel_values"] for i in range(len(ds))]))
    assert not torch.equal(*alone)
    dl = torch.utils.data.DataLoader(ds, batch_size=4, num_workers=2, persistent_workers=True,
                                     multiprocessing_context=sys.argv[2], worker_init_fn=watch)
    for epoch in (0, 1):
        ds.set_epoch(epoch)
        assert torch.equal(torch.cat([b["pixel_values"] for b in dl]), alone[epoch])
"""


@needs_shared_memory
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_same_clips_with_any_number_of_workers(tmp_path, context):
    "Also after the parent has converted frames itself, where PyAV 19 hangs, and in each epoch anew."
    (tmp_path/"workers.py").write_text(WORKERS)
    done = subprocess.run([sys.executable, tmp_path/"workers.py", write_dataset(tmp_path/"set"), context],
                          capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr


LEFT = """
import gc, sys, av, torch
from vidcls.clips import ClipDataset, ClipSpec
from vidcls.engine.machine import clip_loader
from vidcls.data import video_table

class Collecting(ClipDataset):
    def __getitem__(self, i): gc.collect(); return super().__getitem__(i)

if __name__ == "__main__":
    gc.disable()
    container = av.open(sys.argv[1]) # its decoder starts threads
    frames = container.decode(video=0)
    left = [container, frames, next(frames)]
    left.append(left)
    del left, container, frames
    loader = clip_loader(Collecting(video_table(sys.argv[2]), ClipSpec(seconds=1., size=32)), num_workers=1, timeout=60)
    assert len(list(loader)) == 12
"""


@needs_shared_memory
def test_a_worker_leaves_decoders_alone_that_it_inherited(tmp_path):
    "Their threads are not there, and the garbage collector would wait for them."
    (tmp_path/"left.py").write_text(LEFT)
    film = write_video(tmp_path/"h264.mp4", codec="libx264")
    done = subprocess.run([sys.executable, tmp_path/"left.py", film, write_dataset(tmp_path/"set")], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr


def test_a_data_set_keeps_no_table_for_its_workers(tmp_path):
    "Text in a table may live in Arrow, whose threads do not survive a fork."
    ds = ClipDataset(video_table(write_dataset(tmp_path)), SPEC)
    assert {type(p) for p in ds.paths} == {str} and ds.labels == [ds.label2id[l] for l in ds.table.label]
    want, ds.table = ds[0], None
    assert torch.equal(ds[0]["pixel_values"], want["pixel_values"]) and ds[0]["labels"] == want["labels"]


def test_check_videos_lists_what_cannot_be_used(tmp_path):
    root = write_dataset(tmp_path/"set")
    (root/"train"/"Nod"/"v_Nod_g90_c01.avi").write_text("no film")
    write_video(root/"test"/"Wave"/"v_Wave_g91_c01.avi", frames=5)
    good, bad = check_videos(video_table(root), SPEC, progress=False)
    assert len(good) == 13 and len(bad) == 1 and "not a readable video" in bad.reason[0]
    good, bad = check_videos(video_table(root), replace(SPEC, pad=False), progress=False)
    assert len(good) == 12 and len(bad) == 2
    assert "not a readable video" in bad.reason[1] and "has 5 frames" in bad.reason[0]


def test_all_frames_to_infinity(videos):
    frames, times = read_frames(videos[0], 0, math.inf)
    assert len(frames) == 60 and number(frames[:20]) == list(range(20))


# --- any moment of any file ---

@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    "Containers, codecs, key-frame distances, B-frames, and no time stamps at all."
    d = tmp_path_factory.mktemp("kinds")
    made = [write_video(d/f"b{b}g{g}.avi", 75, bframes=b, gop=g) for b in (0, 2) for g in (1, 12, 250)]
    made += [write_video(d/f"h{b}.mp4", 75, codec="libx264", bframes=b, gop=20) for b in (0, 3)]
    made += [write_video(d/"h.avi", 75, codec="libx264", bframes=3, gop=12), write_video(d/"m.mp4", 75, bframes=2), write_video(d/"f.mkv", 75, fps=Fraction(30000, 1001), codec="libx264"),
             write_video(d/"raw.h264", 75, codec="libx264", bframes=0)]
    pts = np.cumsum(np.random.default_rng(1).integers(1, 4, 75)).tolist()
    made += [write_video(d/"vfr.mp4", 75, codec="libx264", pts=pts, bframes=2), write_video(d/"vfr.mkv", 75, codec="libx264", pts=pts)]
    return [(p, *read_frames(p)) for p in made]


@pytest.mark.parametrize("gop", [1, 12])
def test_the_end_of_an_avi_with_b_frames(gop, tmp_path):
    "The last picture leaves the decoder without a stamp, and a seek may lead straight to it."
    path = write_video(tmp_path/"b.avi", 30, bframes=2, gop=gop)
    _, times = read_frames(path)
    for start in (1.1, times[-2], times[-2] + .01, times[-1]): assert read_frames(path, start)[1] == [t for t in times if t >= start - 1e-9]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 13), start=st.floats(0, 1), seconds=st.floats(.2, 1.5), n=st.integers(1, 24), on_stamp=st.booleans())
@example(which=8, start=0., seconds=.2, n=4, on_stamp=False) # H.264 in AVI: two packets until the first picture
def test_any_clip_equals_decoding_everything(kinds, which, start, seconds, n, on_stamp):
    path, frames, times = kinds[which]
    start *= times[-1]
    if on_stamp: start = min(times, key=lambda t: abs(t - start)) # exactly where a frame begins
    spec, view = ClipSpec(n, seconds, 24), View(start)
    inside = [i for i, t in enumerate(times) if in_span(t, start, start + seconds)]
    if len(inside) < n:
        with pytest.raises(VideoError, match=f"has {len(inside)} frames"): read_clip(path, view, replace(spec, pad=False))
    inside = inside or [max((i for i, t in enumerate(times) if t < start), default=0)]
    assert repeated_frames(path, [view], spec) == n - len(set(pick_frames(len(inside), spec)))
    want = apply_view(frames[[inside[k] for k in pick_frames(len(inside), spec)]], view, spec)
    assert torch.equal(read_clip(path, view, spec), want)
