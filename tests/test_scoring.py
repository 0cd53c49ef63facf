"One view function, intervals that hold, and a report that can be trusted with any name."
import json, re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np, pandas as pd, pytest, torch

from vidcls import scoring as S
from vidcls.engine import cli
from vidcls.synthetic import stick
from vidcls.clips import (
    apply_view, ClipDataset, ClipSpec, eval_views, normalize, pick_frames, read_clip, read_views, View
)
from vidcls.engine.video import in_span, probe_video, read_frames, VideoError
from vidcls.data import video_table
from vidcls.engine.audit import audit_leakage, look_alikes
from vidcls.engine.pipeline import VidclsPipeline
from vidcls.infer import load_trained, video_clips
from vidcls.engine.recipes import RECIPES
from vidcls.train import finetune
from videos import REAL, write_video
from vidcls.engine import report as report_module
from vidcls.engine import video as video_module


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")/"set"
    return stick.make_stickucf(root, per_class=(2, 1, 1), progress=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory, data):
    return finetune(replace(RECIPES["smoke"], data=str(data)), tmp_path_factory.mktemp("model")/"m", workers=0, progress=False).model_dir


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    if not REAL.exists(): pytest.skip("needs the real clips in ../shared/data")
    from vidcls.engine.archive import extract_archive
    return video_table(extract_archive(REAL, tmp_path_factory.mktemp("real")/"set"))


# --- one view function ---

def plain(path, view, spec):
    "Decode everything, pick by time stamp."
    frames, times = read_frames(path)
    inside = [i for i, t in enumerate(times) if in_span(t, view.start, view.start + spec.seconds)]
    return apply_view(frames[[inside[k] for k in pick_frames(len(inside), spec)]], view, spec)


def same_bytes_everywhere(model, table):
    from transformers import pipeline
    net, spec = load_trained(model) # from the saved folder
    pipe = pipeline("video-classification", model=str(model), device="cpu", pipeline_class=VidclsPipeline)
    ids = {k: i for i, k in enumerate(sorted(set(table.label)))}
    for clips, crops in ((1, 1), (3, 1), (5, 3)):
        training, videos = ClipDataset(table, spec, ids, num_clips=clips, num_crops=crops), S.VideoViews(table, spec, clips, crops)
        for v, path in enumerate(table.path):
            want = torch.stack([plain(path, w, spec) for w in eval_views(probe_video(path), spec, clips, crops)])
            n = clips*crops
            assert torch.equal(torch.stack([training[v*n + k]["pixel_values"] for k in range(n)]), want)
            assert torch.equal(videos[v], want)
            assert torch.equal(video_clips(path, spec, clips, crops), want)
            assert torch.equal(pipe.preprocess(path, clips, crops)["pixel_values"], normalize(want, spec))


def test_training_evaluation_and_predict_feed_the_same_bytes(model, data):
    same_bytes_everywhere(model, video_table(data).query("split == 'test'").head(4))


def test_the_same_on_real_clips_of_both_frame_rates(model, real):
    fps = real.path.map(lambda p: round(probe_video(p).fps, 2))
    assert {25., 29.97} <= set(fps)
    same_bytes_everywhere(model, pd.concat([real[fps == 25.].head(2), real[fps == 29.97].head(2)]))


def test_views_in_any_order_equal_one_view_at_a_time(tmp_path):
    rng = np.random.default_rng(0)
    files = [write_video(tmp_path/f"{k}.avi", frames=120, gop=g) for k, g in enumerate((1, 12, 250))] + [write_video(tmp_path/"b.mp4", frames=120, codec="libx264", bframes=3)]
    spec = ClipSpec(8, .8, 32)
    for f in files:
        d = probe_video(f).duration
        views = [View(float(rng.uniform(0, d - spec.seconds)), tuple(rng.random(2)) + (float(rng.uniform(.3, 1)),), bool(rng.random() < .5)) for _ in range(9)]
        views += views[:2] # the same again
        got = read_views(f, views, spec)
        assert torch.equal(got, torch.stack([read_clip(f, v, spec) for v in views]))
        assert all(torch.equal(g, plain(f, v, spec)) for g, v in zip(got, views))


def test_frames_are_decoded_once_and_gaps_are_not_decoded(tmp_path, monkeypatch):
    file, spec, seen = write_video(tmp_path/"long.avi", frames=1500, gop=12), ClipSpec(8, .8, 32), []
    real = video_module.frame_times
    monkeypatch.setattr(video_module, "frame_times", lambda *a: ((seen.append(t), (t, f))[1] for t, f in real(*a)))
    read_views(file, eval_views(probe_video(file), spec, 3, 3), spec)
    assert len(seen) < 3*(20 + 12 + 3) # three spans of 20 frames, each from its key frame
    seen.clear(); read_views(file, [View(10 + .1*k) for k in range(10)], spec) # overlapping spans
    assert len(seen) < 45 + 12 + 3


# --- scores ---

def scores(right, groups=None, p=None):
    n = len(right)
    t = pd.DataFrame(dict(path=[f"v{i}.avi" for i in range(n)], split="test", label=["a", "b"]*(n//2), group=groups if groups is not None else [f"g{i}" for i in range(n)], clip="c01"))
    truth = t.label.map(dict(a=0, b=1)).to_numpy()
    logits = np.zeros((n, 2)); logits[np.arange(n), np.where(right, truth, 1 - truth)] = 2 if p is None else p
    return S.score(t, logits, {0: "a", 1: "b"}, "1 × 1")


def test_scores_are_those_of_scikit_learn():
    from sklearn.metrics import accuracy_score, f1_score
    rng = np.random.default_rng(1)
    t = pd.DataFrame(dict(path="x", split="test", label=rng.choice(list("abcdefgh"), 60), group=[f"g{i//3}" for i in range(60)], clip="c"))
    logits = rng.normal(size=(120, 8))
    s = S.score(t, logits, dict(enumerate("abcdefgh")), "2 × 1")
    assert s.accuracy == accuracy_score(t.label, s.predictions.predicted) and np.isclose(s.macro_f1, f1_score(t.label, s.predictions.predicted, average="macro"))
    best = np.argsort(-s.probabilities, 1)[:, :5]
    assert np.isclose(s.top5, np.mean([ord(l) - 97 in b for l, b in zip(t.label, best)])) and s.top5 > s.accuracy
    assert "2 × 1" in str(s) and np.allclose(s.probabilities.sum(1), 1)


def in_tens(n): return [10]*(n//20) + [1]*(n//2 + n//2 % 10) # half the videos in groups of ten, the others alone


CORNERS = { # accuracy, group sizes, correlation within a group: the hardest of the study in which the interval was chosen
    "as reported": (.947, [1]*65 + [2]*5, .5), "nearly always right": (.975, [1]*40, 0),
    "hardly ever a mistake": (.995, [1]*20, 0), "many videos": (.947, [1]*400, 0),
    "eight groups": (.9, [2, 3]*4, .8), "one large group": (.9, [10] + [1]*10, .8),
    "groups of ten": (.947, [10]*8, .8), "groups of ten, hardly a mistake": (.99, [10]*40, .8),
    "large and small": (.5, in_tens(75), .8), "large and small, better": (.75, in_tens(150), .8),
    "large and small, many": (.9, in_tens(400), .8)}


def draws(rng, p, sizes, correlation, n):
    "How many videos of each group are right, in `n` test sets; beta-binomial, so that a group's videos tend to agree."
    if not correlation: return rng.binomial(sizes, p, (n, len(sizes)))
    a = 1/correlation - 1
    return rng.binomial(sizes, rng.beta(p*a, (1 - p)*a, (n, len(sizes))))


@pytest.mark.parametrize("name", CORNERS)
def test_the_interval_contains_the_truth_in_at_least_93_percent(name):
    p, sizes, correlation = CORNERS[name]
    group = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes) # of a video in its group
    right = draws(np.random.default_rng(0), p, sizes, correlation, 2500)
    got = np.array([S.accuracy_interval(place < r[group], group) for r in right])
    assert np.mean((got[:, 0] <= p) & (p <= got[:, 1])) >= .93
    assert (got[:, 1] - got[:, 0]).min() > .005 and got.min() >= 0 and got.max() <= 1


@pytest.mark.parametrize("better, worse, sizes", [(.0, .0, [1]*75), (.03, 0, [1]*75), (.05, .02, [1]*40), (.03, 0, [1]*150),
                                                  (.2, 0, in_tens(400)), (.3, .1, [2, 3]*4)])
def test_the_paired_interval_contains_the_true_difference_in_at_least_93_percent(better, worse, sizes):
    "Only B gets a video right, or only A, or they agree; in four of five groups it is the same for all videos."
    rng, group = np.random.default_rng(0), np.repeat(np.arange(len(sizes)), sizes)
    draw = lambda n: rng.choice([1, -1, 0], (2000, n), p=[better, worse, 1 - better - worse])
    gains = np.where((rng.random((2000, len(sizes))) < .8)[:, group], draw(len(sizes))[:, group], draw(len(group)))
    got = np.array([S.paired_interval(g < 0, g > 0, group)[1:] for g in gains])
    assert np.mean((got[:, 0] <= better - worse) & (better - worse <= got[:, 1])) >= .93
    assert (got[:, 1] - got[:, 0]).min() > .005


def test_intervals_respect_groups():
    right = np.repeat(np.arange(20) % 2 == 0, 5)
    by_group, alone = (S.accuracy_interval(right, g) for g in (np.repeat(np.arange(20), 5), np.arange(100)))
    assert by_group[1] - by_group[0] > 1.8*(alone[1] - alone[0])
    assert S.accuracy_interval(right, np.arange(100), .8)[0] > alone[0]
    a = np.random.default_rng(0).random(100) < .6
    gain, low, high = S.paired_interval(a, ~a, np.arange(100))
    assert low <= gain <= high
    same, low, high = S.paired_interval(a, a, np.arange(100))
    assert same == 0 and -.06 < low < 0 < high < .06


def test_with_fewer_than_eight_groups_there_is_no_interval():
    right = np.arange(30) % 3 > 0
    assert np.isnan(S.accuracy_interval(right, np.arange(30) % 7)).all()
    assert np.isnan(S.paired_interval(right, ~right, np.arange(30) % 7)[1:]).all()
    assert not np.isnan(S.accuracy_interval(right, np.arange(30) % 8)).any()
    few, many = scores(right, [f"g{i % 7}" for i in range(30)]), scores(right, [f"g{i % 8}" for i in range(30)])
    assert few.interval is None and "(no interval: fewer than eight groups)" in str(few) and "nan" not in str(few)
    assert many.interval == S.accuracy_interval(right, np.arange(30) % 8) and "8 groups" in str(many)


def test_a_recording_under_two_labels_is_one_group():
    right = np.repeat(np.arange(10) % 3 > 0, 2) # labels a and b take turns
    s = scores(right, [f"person {i//2}" for i in range(20)])
    assert s.groups.nunique() == 10 and s.interval == S.accuracy_interval(right, np.repeat(np.arange(10), 2))


def test_a_label_that_the_model_does_not_know_is_refused(model, data):
    t = video_table(data).head(2).assign(label="Yodelling")
    with pytest.raises(ValueError, match="does not know the label 'Yodelling'"): S.evaluate_videos(model, t, progress=False)


def test_any_batch_size_and_workers_give_the_same(model, data):
    t = video_table(data).query("split == 'test'")
    a, b = S.evaluate_videos(model, t, 3, 2, batch_size=4, progress=False), S.evaluate_videos(model, t, 3, 2, batch_size=64, workers=2, progress=False)
    assert np.allclose(a.probabilities, b.probabilities, atol=1e-5) and list(a.predictions.predicted) == list(b.predictions.predicted)


def test_motion_probes_change_only_time():
    v = torch.arange(16, dtype=torch.uint8)[None, :, None, None, None].expand(2, 16, 3, 4, 4)
    frames = {k: (f(v) if f else v)[0, :, 0, 0, 0].tolist() for k, f in S.MOTION.items()}
    assert sorted(frames["shuffled"]) == list(range(16)) != frames["shuffled"] and frames["reversed"] == list(range(16))[::-1]
    assert frames["frozen"] == [8]*16 and frames["single frame"] == [128]*8 + [8] + [128]*7


# --- calibration ---

def test_temperature_repairs_confidence_and_changes_no_decision():
    rng = np.random.default_rng(0)
    right = rng.random(400) < .7
    sure = scores(right, p=4.) # says 0.98, is right 0.7
    t = S.fit_temperature(sure)
    p = S.with_temperature(sure.probabilities, t)
    assert t > 2 and (p.argmax(1) == sure.probabilities.argmax(1)).all() and np.allclose(p.sum(1), 1)
    assert S.calibration_error(p.max(1), right) < .02 < .2 < S.calibration_error(sure.probabilities.max(1), right)
    assert np.allclose(S.with_temperature(sure.probabilities, 1.), sure.probabilities)


def test_confidence_one_falls_into_the_last_bin(): assert S.calibration_error([1., 1.], [1, 0]) == .5


# --- the report ---

EVIL = '<img src=x onerror=alert(1)>&"\''


def test_report_escapes_names_and_needs_no_network(tmp_path):
    name = 'v_<script>alert(1)<&"\'_g01_c01.avi'.replace("/", "")
    file = write_video(tmp_path/name, frames=40)
    t = pd.DataFrame(dict(path=[str(file)]*2, split="test", label=[EVIL, "b"], group=["g1", "g2"], clip="c"))
    s = S.score(t, np.array([[0., 3.], [0., 3.]]), {0: EVIL, 1: "b"}, "1 × 1 <i>")
    page = report_module.report(s, ClipSpec(8, .8, 32), tmp_path/"r.html").read_text()
    assert EVIL not in page and "<script" not in page and "<img src=x" not in page and "&lt;img src=x" in page and "<i>" not in page
    tags = []
    class Tags(HTMLParser):
        def handle_starttag(self, tag, attrs): tags.append((tag, dict(attrs)))
    Tags().feed(page)
    images = [a for t, a in tags if t == "img"]
    assert len(images) == 2 and all(a["src"].startswith("data:image/gif;base64,") and a["alt"] == EVIL for a in images) # as a mistake and as a pair
    assert not {t for t, _ in tags} & {"script", "i", "link", "iframe"} and not any(k.startswith("on") or k == "href" for _, a in tags for k in a)
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)
    assert [f.name for f in tmp_path.iterdir() if f.suffix != ".avi"] == ["r.html"]


def test_a_report_that_fails_leaves_the_old_one(tmp_path):
    (tmp_path/"r.html").write_text("old")
    s = scores(np.array([True, False])) # its files do not exist
    with pytest.raises(VideoError): report_module.report(s, ClipSpec(8, .8, 32), tmp_path/"r.html")
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [("r.html", "old")]


def test_evaluate_writes_a_report(model, data, tmp_path, capsys):
    assert cli.main(["evaluate", str(model), str(data), "--report", str(tmp_path/"r.html"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"accuracy", "interval", "top5", "macro_f1", "protocol", "per_class"} <= set(found)
    assert found["interval"] is None or len(found["interval"]) == 2
    assert (tmp_path/"r.html").read_text().startswith("<!doctype html>")
    assert cli.main(["evaluate", str(model), str(data), "--report", str(tmp_path/"no"/"r.html")]) == 2


# --- leaks that have other bytes ---

def test_a_copy_with_other_bytes_is_found(data, tmp_path, capsys):
    import imageio.v3 as iio, shutil
    root = tmp_path/"set"; shutil.copytree(data, root, ignore=lambda d, names: [n for n in names if n.endswith(".json")])
    source = sorted((root/"train"/"JumpRope").glob("*.avi"))[0]
    stick.write_video(root/"test"/"Lunges"/"v_Lunges_g99_c01.mp4", iio.imread(source, plugin="pyav")[:, ::2, ::2])
    table = video_table(root)
    assert audit_leakage(table).ok # the bytes differ
    audit = audit_leakage(table, alike=True)
    assert not audit.ok and {audit.alike.label[0], audit.alike.other_label[0]} == {"JumpRope", "Lunges"}
    groups = table.set_index("path").group # It is like its source most of all, and perhaps like other clips of the same recording
    assert {frozenset((groups[a], groups[b])) for a, b in zip(audit.alike.path, audit.alike.other)} == {frozenset((groups[str(source)], "Lunges/g99"))}
    assert str(source) in (audit.alike.path[0], audit.alike.other[0])
    assert cli.main(["check-data", str(root)]) == 1
    assert "look-alikes: " in capsys.readouterr().out


def test_identical_files_are_reported_once(data, tmp_path):
    t = video_table(data)
    both = pd.concat([t, t[t.split == "train"].head(1).assign(split="test", group="g77")], ignore_index=True)
    audit = audit_leakage(both, alike=True)
    assert len(audit.crossing) == 2 and not audit.ok and not (audit.alike.path == audit.alike.other).any()
    assert {t.group[t.path == p].iloc[0] for p in (*audit.alike.path, *audit.alike.other)} <= {t.group[t.split == "train"].iloc[0]}


def test_different_rooms_do_not_look_alike(data): assert not len(look_alikes(video_table(data)))


def test_look_alikes_on_real_clips(real):
    "In the official split, one game was filmed by one camera and cut into two groups: they were looked at."
    found = look_alikes(real)
    assert [[Path(p).stem for p in sorted(pair, key=lambda p: Path(p).name)] for pair in zip(found.path, found.other)] == [["v_BasketballDunk_g01_c07", "v_BasketballDunk_g11_c02"]]
