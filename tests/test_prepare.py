"A copy of a data set for training: the same frames at the same times, nothing missing, nothing half done."
import errno, json, os, signal, subprocess, sys, tarfile, time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av, numpy as np, pandas as pd, pytest, torch

from vidcls.clips import ClipSpec, eval_views, random_view, read_clip, View
from vidcls.data import sample_videos, video_table
from vidcls.engine import cli, prepare as P, video as V
from vidcls.engine.audit import check_videos
from vidcls.engine.manifest import make_manifest
from vidcls.engine.prepare import CopySettings, PREPARED, prepare_videos, prepared_facts, read_prepared
from vidcls.engine.recipes import RECIPES
from vidcls.engine.record import load_record
from vidcls.engine.video import probe_video, promised_times, VideoError
from vidcls.synthetic.phone import phone_frames, ROUNDS, write_phone
from vidcls.train import finetune
from videos import needs_odd, ODD, spoil, tiny_config, write_checkpoint, write_dataset, write_video

ROOT = Path(__file__).resolve().parents[1]
SPEC = ClipSpec(seconds=1., size=32)
JITTER = np.cumsum(np.random.default_rng(0).integers(1, 3, 60)).tolist()


def coded(i, h, w):
    "A frame that tells its number in eight stripes, black or white, which survive any encoder."
    bits = np.array([i >> k & 1 for k in range(8)], np.uint8)
    return np.broadcast_to((bits*200 + 20)[np.arange(w)*8//w][None, :, None], (h, w, 3)).copy()


def numbers(frames):
    "The numbers of `coded` frames [T, C, H, W] that are seen whole."
    w = frames.shape[-1]
    seen = frames.float().mean((1, 2))[:, [w*(2*k + 1)//16 for k in range(8)]] > 120
    return [int(sum(2**k for k in range(8) if f[k])) for f in seen]


def times(path): return promised_times(probe_video(path), -1e9, 1e9)
def small(src, out, **settings): return P._copy_video(str(src), Path(out), CopySettings(**settings))
def psnr(a, b): return float(10*torch.log10(255**2/((a.float() - b.float())**2).mean()))


# -- the reader that skips ---------------------------------------------------------------------------------------------

INTRA = {"jpeg.avi": dict(codec="mjpeg", fmt="yuvj420p"), "jpeg.mov": dict(codec="mjpeg", fmt="yuvj422p"), "jpeg.mkv": dict(codec="mjpeg", fmt="yuvj444p"),
         "intra.mp4": dict(codec="libx264", gop=1), "intra.avi": dict(codec="libx264", gop=1), "intra.mkv": dict(codec="libx264", gop=1),
         "irregular.mp4": dict(codec="libx264", gop=1, pts=JITTER, fps=50), "late.mp4": dict(codec="libx264", gop=1, pts=[k + 10**6 for k in range(60)]),
         "ten_bit.mov": dict(codec="prores_ks", fmt="yuv422p10le"), "huff.avi": dict(codec="huffyuv", fmt="yuv422p")}
OTHER = {"gop.mp4": dict(codec="libx264"), "b.mp4": dict(codec="libx264", bframes=2), "mpeg4.avi": dict(), "refresh.mp4": dict(codec="libx264", **{"x264-params": "intra-refresh=1"}),
         "gif.gif": dict(codec="gif", fmt="rgb8"), "flat.mov": dict(codec="qtrle", fmt="argb"), "vp8.webm": dict(codec="libvpx")}


def both_ways(path, monkeypatch):
    "What views show, with the reader that skips and without, and how often it skipped."
    def seen():
        out = []
        for start in (0, .1, .33, .5, max(0, probe_video(path).duration - 1), 1.999999999):
            try: out.append(read_clip(path, View(start), SPEC))
            except VideoError as e: out.append(str(e))
        return out
    used, real = [], V._skim
    monkeypatch.setattr(V, "_skim", lambda *a: used.append(real(*a)) or used[-1])
    fast = seen()
    monkeypatch.setattr(V, "_skim", lambda *a: None)
    return fast, seen(), sum(u is not None for u in used)


def same(a, b): return all(x == y if isinstance(x, str) or isinstance(y, str) else torch.equal(x, y) for x, y in zip(a, b))


@pytest.mark.parametrize("name", INTRA)
def test_a_file_of_key_frames_is_read_faster_and_the_same(name, tmp_path, monkeypatch):
    path = write_video(tmp_path/name, **INTRA[name])
    fast, plain, used = both_ways(path, monkeypatch)
    assert probe_video(path).alone and used >= 5 and same(fast, plain)


@pytest.mark.parametrize("name", OTHER)
def test_other_files_are_read_as_before(name, tmp_path, monkeypatch):
    fast, plain, used = both_ways(write_video(tmp_path/name, **OTHER[name]), monkeypatch)
    assert used == 0 and same(fast, plain)


def test_real_files_are_read_the_same(monkeypatch):
    for path in sample_videos().path:
        with monkeypatch.context() as m: fast, plain, _ = both_ways(path, m)
        assert same(fast, plain), path


@needs_odd
def test_odd_files_are_read_the_same(monkeypatch):
    for path in sorted(ODD.iterdir()):
        try: probe_video(path)
        except VideoError: continue
        with monkeypatch.context() as m: fast, plain, _ = both_ways(path, m)
        assert same(fast, plain), path.name


def test_only_the_wanted_pictures_are_decoded(tmp_path, monkeypatch):
    path, decoded = write_video(tmp_path/"intra.mp4", codec="libx264", gop=1), []
    real = V._single_frames
    monkeypatch.setattr(V, "_single_frames", lambda *a: (decoded.append(x) or x for x in real(*a)))
    read_clip(path, View(.4), replace(SPEC, num_frames=5))
    assert len(decoded) == 5


def test_what_the_decoder_calls_no_key_frame_is_read_in_full(tmp_path, monkeypatch):
    "A file that marks every packet as a key frame, although most are not."
    path = write_video(tmp_path/"gop.mp4", codec="libx264")
    want = [read_clip(path, View(s), SPEC) for s in (0, .5, 1.)]
    monkeypatch.setattr(V, "_stands_alone", lambda c, keys, ticks: True)
    V._probe.cache_clear()
    assert probe_video(path).alone
    assert all(torch.equal(read_clip(path, View(s), SPEC), w) for s, w in zip((0, .5, 1.), want))
    V._probe.cache_clear()


def test_a_check_still_decodes_every_picture(tmp_path, monkeypatch):
    path = write_video(tmp_path/"train"/"Nod"/"intra.mp4", codec="libx264", gop=1)
    table, seen, real = pd.DataFrame([dict(path=str(path), split="train", label="Nod", group="a", clip="c01", start=.2, end=1.2)]), [], V.frame_times
    monkeypatch.setattr(V, "frame_times", lambda *a: (seen.append(x[0]) or x for x in real(*a)))
    check_videos(table, SPEC, "full", workers=0, progress=False)
    assert {round(25*t) for t in seen} >= set(range(5, 30))
    spoil(path, lambda i, p: i == 7)
    assert len(check_videos(table.drop(columns=["start", "end"]), SPEC, "full", workers=0, progress=False)[1]) == 1


# -- the same frames ---------------------------------------------------------------------------------------------------

KINDS = {"mpeg4.avi": {}, "b_frames.mp4": dict(codec="libx264", bframes=2), "ntsc.avi": dict(fps=Fraction(30000, 1001)),
         "irregular.mp4": dict(codec="libx264", bframes=2, pts=JITTER, fps=50), "irregular.mkv": dict(codec="libx264", pts=JITTER, fps=50),
         "late.mkv": dict(codec="libx264", pts=[k + 10**4 for k in range(60)]), "negative.mkv": dict(codec="libx264", pts=[k - 5 for k in range(60)]),
         "raw.h264": dict(codec="libx264"), "alpha.webm": dict(codec="libvpx-vp9", fmt="yuva420p"), "alpha.mov": dict(codec="qtrle", fmt="argb"),
         "ten_bit.mp4": dict(codec="libx264", fmt="yuv420p10le"), "odd.avi": dict(codec="png", fmt="rgb24", size=(65, 49)), "tiny.avi": dict(codec="png", fmt="rgb24", size=(17, 5)),
         "slow.mp4": dict(codec="libx264", fps=4), "two.mp4": dict(codec="libx264", frames=2), "one.mp4": dict(codec="libx264", frames=1), "gif.gif": dict(codec="gif", fmt="rgb8")}


@pytest.mark.parametrize("how", [dict(), dict(every=8), dict(codec="mjpeg")], ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_views_of_copy_and_original_show_the_same_frames(name, how, tmp_path):
    path = write_video(tmp_path/name, draw=coded, **KINDS[name])
    copy, note = small(path, tmp_path/"a copy.mp4", size=40, **how)
    a, b = probe_video(path), probe_video(copy)
    assert not note and (b.frames, min(b.width, b.height)) == (a.frames, min(40, 2*round(min(a.width, a.height)/2)))
    exact = name != "raw.h264"  # Without time stamps, times are sums of a float
    assert times(copy) == times(path) if exact else np.allclose(times(copy), times(path), rtol=0, atol=1e-9)
    assert a.duration == b.duration if exact else abs(a.duration - b.duration) < 1e-9
    assert b.alone == (how.get("every", 1) == 1 or b.frames == 1)
    if a.frames < 2 or min(a.width, a.height) < 16: return
    shape = replace(SPEC, num_frames=8, size=40, resize="squash")
    for i in range(4):
        va, vb = (random_view(x, shape, np.random.default_rng(i), (1., 1.), 0.) for x in (a, b))
        assert va == vb or not exact
        seen = numbers(read_clip(path, va, shape))
        assert seen == numbers(read_clip(copy, vb, shape)) and len(set(seen)) > 1


@needs_odd
def test_odd_files_have_copies_with_the_same_times_or_a_reason(tmp_path):
    refused = []
    for path in sorted(ODD.iterdir()):
        out = tmp_path/f"{path.name}.mp4"
        try: copy, note = small(path, out, size=64)
        except VideoError as e:
            refused.append(path.name)
            assert path.name in str(e) and not out.exists()
            continue
        if note: assert copy.read_bytes() == path.read_bytes()
        else: assert np.allclose(times(copy), times(path), rtol=0, atol=1e-9), path.name
    assert "derived__zero_byte.avi" in refused and "derived__vfr.mp4" not in refused
    assert not list(tmp_path.glob(".*"))


def test_a_phone_film_is_turned_and_loses_its_sound(tmp_path):
    path = write_phone(tmp_path/"film.mp4", phone_frames(ROUNDS["first"][0], 0, frames=40))
    copy, note = small(path, tmp_path/"copy.mp4", size=120)
    info = probe_video(copy)
    assert (info.width, note) == (120, "") and abs(info.height - 120*426/240) <= 2
    with av.open(str(copy)) as c: assert len(c.streams) == 1 and not c.streams.video[0].metadata.get("rotate")
    assert times(copy) == times(path)
    view, spec = eval_views(probe_video(path), replace(SPEC, size=96))[0], replace(SPEC, size=96)
    assert psnr(read_clip(path, view, spec), read_clip(copy, view, spec)) > 30


def test_what_an_mp4_file_cannot_say_is_kept_as_it_is(tmp_path):
    path = write_video(tmp_path/"b.avi", bframes=2)
    copy, note = small(path, tmp_path/"copy.mp4", size=40)
    assert copy.name == "copy.avi" and copy.read_bytes() == path.read_bytes() and "kept as it is" in note
    assert not (tmp_path/"copy.mp4").exists()


def test_a_large_video_becomes_small_and_stays_similar(tmp_path):
    path = next(p for p in sample_videos().path if "sign_want" in p)
    shape, sizes = ClipSpec(size=84), {}
    for how in (dict(), dict(every=8), dict(codec="mjpeg")):
        copy, _ = small(path, tmp_path/"copy.mp4", size=120, **how)
        view = eval_views(probe_video(path), shape)[0]
        sizes[str(how)] = copy.stat().st_size
        assert psnr(read_clip(path, view, shape), read_clip(copy, view, shape)) > 33, how
    assert sizes["{'every': 8}"] < sizes["{}"] < sizes["{'codec': 'mjpeg'}"]


def test_the_same_video_gives_the_same_bytes(tmp_path):
    path = write_video(tmp_path/"a.avi")
    a, b = (small(path, tmp_path/n, size=40)[0].read_bytes() for n in ("1.mp4", "2.mp4"))
    assert a == b


# -- data sets ---------------------------------------------------------------------------------------------------------

def make(data, out, **kw): return prepare_videos(data, out, **dict(size=40, workers=0, progress=False) | kw)


@pytest.fixture
def films(tmp_path): return write_dataset(tmp_path/"films", rooms=True)


def test_labels_splits_groups_and_nothing_missing(films, tmp_path):
    (films/"train"/"Nod"/"broken.avi").write_bytes(b"no film")
    damaged = write_video(films/"test"/"Wave"/"v_Wave_g99_c01.avi", gop=1)
    spoil(damaged, lambda i, p: i == 20)
    done = make(films, tmp_path/"out")
    was, now = video_table(films), video_table(tmp_path/"out")
    assert len(done.videos) == len(was) == 14 and len(now) == 12
    assert [any(n in p for p in done.problems) for n in ("broken.avi", "v_Wave_g99_c01.avi")] == [True, True]
    merged = now.assign(stem=[Path(p).stem for p in now.path]).merge(was.assign(stem=[Path(p).stem for p in was.path]), on="stem")
    assert len(merged) == 12 and all((merged[f"{k}_x"] == merged[f"{k}_y"]).all() for k in ("label", "split", "group"))
    assert done.facts["finished"] and "PyAV" in done.facts["versions"][0] and all(done.videos.sha256[done.videos.problem == ""].str.len() == 64)
    assert str(tmp_path) in str(done) and "12 of 14 videos" in str(done)


def test_processes_give_the_same_copy(films, tmp_path):
    a, b = make(films, tmp_path/"a"), make(films, tmp_path/"b", workers=2)
    files = lambda d: {p.relative_to(d.folder): p.read_bytes() for p in d.folder.rglob("*.mp4")}
    assert files(a) == files(b) and len(files(a)) == 12


def test_a_second_call_does_only_what_has_changed(films, tmp_path):
    done = make(films, tmp_path/"out")
    stamp = lambda: {p.name: p.stat().st_mtime_ns for p in (tmp_path/"out").rglob("*.mp4")}
    was, paths = stamp(), sorted(films.rglob("*.avi"))
    changed, touched, gone = paths[0], paths[1], paths[2]
    write_video(changed, frames=30)
    os.utime(touched)
    gone.unlink()
    write_video(films/"train"/"Nod"/"v_Nod_g77_c01.avi", frames=20)
    (tmp_path/"out"/"train"/"Nod"/".1-left.tmp").write_text("left by a killed process")
    done, now = make(films, tmp_path/"out"), stamp()
    assert {n for n in {*was, *now} if was.get(n) != now.get(n)} == {f"{changed.stem}.mp4", f"{gone.stem}.mp4", "v_Nod_g77_c01.mp4"}
    assert f"{gone.stem}.mp4" not in now and len(done.videos) == len(video_table(tmp_path/"out")) == 12
    assert not list((tmp_path/"out").rglob(".*.tmp"))


def test_lists_manifests_and_segments(films, tmp_path):
    "Labels, groups, and the times of segments come from the list; two videos of one name get two copies."
    odd = write_video(films.parent/"elsewhere"/"a.avi")
    more = write_video(films.parent/"elsewhere"/"a.mov", codec="libx264")
    pd.DataFrame([dict(path=odd, label="Nod", group="g1", split="train", start="0.2", end="1.2"), dict(path=odd, label="Wave", group="g1", split="train", start="1.2", end=""),
                  dict(path=more, label="Wave", group="g2", split="test", start="", end="")]).to_csv(tmp_path/"list.csv", index=False)
    make(tmp_path/"list.csv", tmp_path/"out")
    t = video_table(tmp_path/"out")
    assert [Path(p).name for p in t.path] == ["a.mp4", "a.mp4", "a.mov.mp4"]
    assert t.start.tolist()[:2] == [.2, 1.2] and t.group.tolist() == ["g1", "g1", "g2"] and t.split.tolist() == ["train", "train", "test"]
    with tarfile.open(tmp_path/"shard.tar", "w") as tar:
        for i, label in enumerate(("Nod", "Wave")):
            tar.add(odd, f"x/{i}.avi")
            (tmp_path/"cls").write_text(label)
            tar.add(tmp_path/"cls", f"x/{i}.cls")
    make_manifest(tmp_path/"shard.tar", tmp_path/"m.parquet", progress=False)
    make(tmp_path/"m.parquet", tmp_path/"tar")
    t = video_table(tmp_path/"tar")
    assert sorted(t.label) == ["Nod", "Wave"] and {Path(p).relative_to(tmp_path/"tar").as_posix() for p in t.path} == {"shard/x/0.mp4", "shard/x/1.mp4"}


def test_refusals_are_one_sentence(films, tmp_path):
    (tmp_path/"empty").mkdir()
    (tmp_path/"mine").mkdir()
    (tmp_path/"mine"/"notes.txt").write_text("mine")
    (tmp_path/"file").write_text("a file")
    write_video(tmp_path/"junk"/"train"/"Nod"/"a.avi").write_bytes(b"junk")
    make(films, tmp_path/"out")
    for data, out, kw, says in ((tmp_path/"empty", tmp_path/"o", {}, "does not contain any videos"), (films, films/"small", {}, "inside each other"), (films, films, {}, "inside each other"),
                                (films, tmp_path, {}, "inside each other"), (films, tmp_path/"mine", {}, "is not empty"), (films, tmp_path/"file", {}, "is not empty"),
                                (films, tmp_path/"out", dict(size=64), "was made with size 40, not 64"), (films, tmp_path/"out", dict(every=4), "was made with every 1, not 4"),
                                (films/"train", tmp_path/"out", {}, "was made with data"), (films, tmp_path/"o", dict(codec="vp9"), "codec must be"), (films, tmp_path/"o", dict(size=1), "size must be"),
                                (films, tmp_path/"o", dict(codec="mjpeg", every=4), "every frame is a key frame"), (tmp_path/"junk", tmp_path/"o", {}, "None of the 1 videos can be used")):
        with pytest.raises((ValueError, OSError)) as e: make(data, out, **kw)
        assert says in str(e.value) and "\n" not in str(e.value), e.value
    assert len(video_table(tmp_path/"out")) == 12  # Untouched


def test_another_process_is_waited_for(films, tmp_path, monkeypatch):
    from filelock import FileLock
    make(films, tmp_path/"out")
    monkeypatch.setattr(P, "_PATIENCE", .1)
    with FileLock(tmp_path/"out"/".lock"), pytest.raises(ValueError, match="Another process is writing"): make(films, tmp_path/"out")


def test_a_full_disk_is_one_sentence_and_a_second_call_goes_on(films, tmp_path, monkeypatch):
    real, n = P._write_copy, []
    def full(file, *a):
        n.append(file)
        if len(n) < 5: return real(file, *a)
        Path(file).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(P, "_write_copy", full)
    with pytest.raises(OSError, match="The disk is full while writing to .*: free space, then run again"): make(films, tmp_path/"out")
    whole = list((tmp_path/"out").rglob("*.mp4"))
    assert len(whole) == 4 and not list((tmp_path/"out").rglob(".*.tmp")) and all(probe_video(p).frames == 40 for p in whole)
    with pytest.raises(FileNotFoundError): video_table(tmp_path/"out")  # Not complete
    with pytest.raises(ValueError, match="not complete"): prepared_facts(tmp_path/"out")
    monkeypatch.setattr(P, "_write_copy", lambda *a: n.append(a[0]) or real(*a))
    n.clear()
    assert len(make(films, tmp_path/"out").videos) == 12 and len(n) == 8


def test_an_encoder_s_full_disk_is_not_blamed_on_the_video():
    from av.error import FFmpegError
    with pytest.raises(OSError) as e, P._encoding("a.avi"): raise FFmpegError(errno.ENOSPC, "No space left on device")
    assert e.value.errno == errno.ENOSPC and not isinstance(e.value, FFmpegError)
    with pytest.raises(VideoError, match="a.avi cannot be encoded"), P._encoding("a.avi"): raise FFmpegError(1094995529, "Invalid data")


@pytest.mark.slow
def test_a_killed_call_leaves_whole_files_and_goes_on(tmp_path):
    films = write_dataset(tmp_path/"films", per_split=dict(train=8, val=2, test=2), frames=250, size=(320, 240))
    code = f"from vidcls.engine.prepare import prepare_videos as p\nif __name__ == '__main__': p({str(films)!r}, {str(tmp_path/'out')!r}, 120, workers=2, progress=False)"
    script = tmp_path/"run.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, str(script)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    journal, end = tmp_path/"out"/PREPARED, time.monotonic() + 240
    while time.monotonic() < end and not (journal.exists() and journal.read_text().count("\n") > 3): time.sleep(.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = list((tmp_path/"out").rglob("*.mp4"))
    assert 0 < len(done) < 24 and all(probe_video(p).frames == 250 for p in done)
    with pytest.raises(FileNotFoundError): video_table(tmp_path/"out")
    with open(journal, "a") as f: f.write('{"source": "train/No')  # Killed while writing a line
    listed = journal.read_text().count("\n") - 1
    stamps = {p: p.stat().st_mtime_ns for p in done}
    again = make(films, tmp_path/"out", size=120)
    assert len(again.videos) == 24 and not again.problems and not list((tmp_path/"out").rglob(".*.tmp"))
    assert sum(p.stat().st_mtime_ns == t for p, t in stamps.items()) >= listed
    once = make(films, tmp_path/"once", size=120)
    assert all((again.folder/p.relative_to(once.folder)).read_bytes() == p.read_bytes() for p in once.folder.rglob("*.mp4"))


def test_a_damaged_journal_says_so(films, tmp_path):
    make(films, tmp_path/"out")
    (tmp_path/"out"/PREPARED).write_text("???")
    with pytest.raises(ValueError, match="is damaged: delete its folder"): read_prepared(tmp_path/"out")


# -- who knows about it ------------------------------------------------------------------------------------------------

def run(capsys, *args):
    status = cli.main(list(map(str, args)))
    return status, capsys.readouterr()


def test_the_command_and_check_data(films, tmp_path, capsys):
    (films/"train"/"Nod"/"broken.avi").write_bytes(b"no film")
    status, said = run(capsys, "prepare", films, tmp_path/"out", "--size", 40, "--workers", 0, "--json")
    found = json.loads(said.out)
    assert status == 1 and found["videos"] == 12 and len(found["unusable"]) == 1 and 0 < found["bytes"]
    status, said = run(capsys, "check-data", tmp_path/"out", "--workers", 0)
    assert status == 1 and "a copy for training: 12 of 13 videos" in said.out and "left out of the copy: " in said.out and "broken.avi" in said.out
    (films/"train"/"Nod"/"broken.avi").unlink()
    assert run(capsys, "prepare", films, tmp_path/"out", "--size", 40, "--workers", 0)[0] == 0
    status, said = run(capsys, "check-data", tmp_path/"out", "--workers", 0, "--json")
    assert json.loads(said.out)["left_out"] == [] and "short side at most 40" in json.loads(said.out)["copy"]
    for bad in (("--codec", "vp9"), ("--every", 0), ("--size", 1), ("--codec", "mjpeg", "--every", 2)):
        assert run(capsys, "prepare", films, tmp_path/"o", *bad)[0] == 2


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    from transformers import VideoMAEForPreTraining
    torch.manual_seed(0)
    start = write_checkpoint(tmp_path_factory.mktemp("start"), VideoMAEForPreTraining(tiny_config()))
    return replace(RECIPES["stick"], name="tiny", checkpoint=str(start), epochs=1, batch_size=2, eval_clips=2, sampling_rate=3)


def test_a_training_on_the_copy_says_so_and_is_as_good(films, tmp_path, recipe):
    "The same seed and the same frames: losses and accuracies of a pair of runs lie close together."
    make(films, tmp_path/"out")
    records = []
    for data in (films, tmp_path/"out"):
        done = finetune(replace(recipe, data=str(data), epochs=2), tmp_path/f"model-{data.name}", workers=0, progress=False)
        records.append(load_record(done.model_dir))
    plain, copied = records
    assert "prepared" not in plain
    facts = copied["prepared"]
    assert (facts["size"], facts["codec"], facts["every"], facts["left_out"]) == (40, "h264", 1, 0)
    assert len(facts["source_hash"]) == 16 and facts["versions"][0].startswith("PyAV")
    losses = [[h["eval_loss"] for h in r["history"] if "eval_loss" in h] for r in records]
    assert np.allclose(*losses, atol=.05), losses
    assert abs(plain["metrics"]["video_accuracy"] - copied["metrics"]["video_accuracy"]) <= .25


def test_another_copy_is_another_run(films, tmp_path, recipe):
    from vidcls.engine.run import difference
    make(films, tmp_path/"a")
    now = dict(task="finetune", recipe={}, **prepared_facts(tmp_path/"a"))
    assert not difference(now, now)
    make(films, tmp_path/"b", size=44)
    assert difference(now, dict(task="finetune", recipe={}, **prepared_facts(tmp_path/"b"))) == "its videos are a copy that was made differently"


def test_finetune_makes_the_copy_or_says_what_it_would_save(films, tmp_path, recipe, monkeypatch, caplog):
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))
    mine = replace(recipe, data=str(films))
    with caplog.at_level("INFO"):
        finetune(mine, tmp_path/"none", workers=0, progress=False)
        assert "smaller copy" not in caplog.text  # Too little to read
        monkeypatch.setattr(P, "copy_saving", lambda *a: P.Saving(7200., 300., 600.))
        finetune(mine, tmp_path/"told", workers=0, progress=False)
        assert "--prepare (prepare=True), or run vidcls prepare" in caplog.text and "FOLDER --size" in caplog.text
        done = finetune(mine, tmp_path/"made", prepare=True, workers=0, progress=False)
    record = load_record(done.model_dir)
    assert record["prepared"]["size"] == P.copy_size(32, mine.scale) and len(list((tmp_path/"home"/"prepared").iterdir())) == 1
    for kw in (dict(method="probe"), dict(budget="10m")):
        with pytest.raises(ValueError, match="cannot be used here"): finetune(mine, tmp_path/"no", prepare=True, workers=0, progress=False, **kw)


def test_the_estimate_reads_a_few_videos_only(films, recipe):
    table, spec = video_table(films), ClipSpec(8, .8, 16)
    assert P.copy_saving(table, spec, recipe) is None
    found = P.copy_saving(table, spec, replace(recipe, epochs=10), least=0)
    assert found.before > 0 and found.after > 0 and found.making > 0
    broken = table.assign(path=[str(films/"no.avi")]*len(table))
    assert P.copy_saving(broken, spec, recipe, least=0) is None
