"A row may be a part of a file: what is trained, evaluated, predicted, kept and checked is then that part, and nothing else of the file."
import csv, json, logging, math, shutil
from pathlib import Path

import numpy as np, pandas as pd, pytest, torch

from vidcls.backbones import extract_features, fit_probe
from vidcls.clips import apply_view, ClipDataset, ClipSpec, eval_views, pick_frames, read_clip, read_views, repeated_frames
from vidcls.data import split_by_group, video_table
from vidcls.engine import audit
from vidcls.engine.audit import audit_leakage, check_videos
from vidcls.engine.batch import predict_files
from vidcls.engine.cache import frame_cache
from vidcls.engine.cli import main
from vidcls.engine.recipes import RECIPES
from vidcls.engine.report import report
from vidcls.engine.run import table_hash
from vidcls.engine.tables import sources
from vidcls.engine.video import probe_video, read_frames, Segment, VideoError
from vidcls.infer import predict
from vidcls.scoring import evaluate_videos
from vidcls.train import finetune
from vidcls.transforms import train_transform
from videos import spoil, write_model, write_video

SPEC = ClipSpec(8, .8, 32, "crop", (.5,)*3, (.5,)*3)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))
    return tmp_path/"home"


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    "Six films of four seconds, one of them with uneven time stamps, one an AVI, one without stamps."
    folder, uneven = tmp_path_factory.mktemp("films"), np.cumsum(np.random.default_rng(0).integers(1, 3, 100)) - 1
    for i in range(3): write_video(folder/f"{i}.mp4", 100, first=9*i)
    write_video(folder/"uneven.mp4", 100, pts=uneven.tolist())
    write_video(folder/"old.avi", 100, first=31)
    write_video(folder/"bare.h264", 100, codec="libx264")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory): return write_model(tmp_path_factory.mktemp("model"))


def write_csv(file, *rows, columns="path,label,start,end"):
    with open(file, "w", newline="") as f: csv.writer(f).writerows([columns.split(","), *rows])
    return file


@pytest.fixture
def marked(films):
    "Two classes by time: every film nods first and waves later, with some waiting between."
    rows = [(f.name, label, start, end) for f in sorted(films.glob("*.*")) if f.suffix != ".csv"
            for label, start, end in (("Nod", .2, 1.6), ("Wave", 2.1, ""))]
    return write_csv(films/"marked.csv", *rows)


def by_hand(file, view, spec):
    "Decode the whole file, then take what a view shows."
    frames, times = read_frames(file)
    end = min(view.start + spec.seconds, view.end)
    inside = [i for i, t in enumerate(times) if view.start - 1e-9 <= t < end - 1e-9]
    return apply_view(frames[[inside[k] for k in pick_frames(len(inside), spec)]], view, spec)


@pytest.mark.parametrize("name", ["0.mp4", "uneven.mp4", "old.avi", "bare.h264"])
def test_a_view_of_a_segment_is_that_view_of_the_file(films, name):
    "From random segments, short ones too: fixed and random views, byte for byte, with frames of the segment alone."
    file, rng = str(films/name), np.random.default_rng(1)
    for _ in range(12):
        start = rng.uniform(0, 2.4)
        part = Segment(file, start, rng.choice([start + rng.uniform(.08, 1.5), math.inf]))
        info = probe_video(part)
        views = [*eval_views(info, SPEC, 3, 2), train_transform(SPEC).view(info, rng)]
        assert all(part.start <= v.start <= max(part.start, part.start + info.duration - SPEC.seconds + 1e-9) for v in views)
        got = read_views(part, views, SPEC)
        assert torch.equal(got, read_views(file, views, SPEC))
        for v, clip in zip(views, got): assert torch.equal(clip, by_hand(file, v, SPEC))


def test_a_segment_is_a_film_that_was_cut_there(tmp_path):
    "The pictures 30 to 49 of a film, as a segment and as a file of their own, give the same clips."
    long = write_video(tmp_path/"long.mkv", 100, codec="ffv1")
    cut = write_video(tmp_path/"cut.mkv", 20, codec="ffv1", first=30)
    part = Segment(str(long), 30/25, 50/25)
    for seconds in (.5, .8, 3.):
        spec = ClipSpec(8, seconds, 32)
        assert torch.equal(*(read_views(v, eval_views(probe_video(v), spec, 3), spec) for v in (part, cut)))
        assert repeated_frames(part, eval_views(probe_video(part), spec), spec) == repeated_frames(cut, eval_views(probe_video(cut), spec), spec)


@pytest.mark.parametrize("kind", [None, "disk", "ram"])
def test_a_data_set_of_segments_reads_the_same_with_and_without_a_cache(marked, kind):
    table = video_table(marked)
    with frame_cache(kind) or torch.no_grad() as cache:
        cache = cache if kind else None
        fixed, drawn = ClipDataset(table, SPEC, num_clips=2, cache=cache), ClipDataset(table, SPEC, transform=train_transform(SPEC), cache=cache)
        plain = ClipDataset(table, SPEC, transform=train_transform(SPEC))
        for i, s in enumerate(sources(table)):
            views = eval_views(probe_video(s), SPEC, 2)
            for k in range(2): assert torch.equal(fixed[2*i + k]["pixel_values"], read_clip(table.path[i], views[k], SPEC))
            assert torch.equal(drawn[i]["pixel_values"], plain[i]["pixel_values"])
        if cache: assert len(list(cache.folder.glob("*.times.npy"))) <= table.path.nunique() # One entry per file, not per part


def test_the_parts_of_a_file_are_one_recording(marked, tmp_path):
    "They never fall into different splits, unless a group says otherwise."
    table = video_table(marked)
    for seed in range(20): assert (split_by_group(table, .2, .2, seed).groupby("path").split.nunique() == 1).all()
    for n in "abcdef": write_video(tmp_path/f"{n}.mp4", 20)
    rows = [(f"{p}{n}.mp4", l, i, i + 1, g) for i, (n, l, g, p) in enumerate(
        [("a", "x", "g1", ""), ("a", "y", "", "./"), ("b", "x", "", ""), ("b", "y", " ", "../" + tmp_path.name + "/"), ("c", "x", "g1", ""), ("c", "y", "g2", "")])]
    file = write_csv(tmp_path/"some.csv", *rows, columns="path,label,start,end,group")
    groups = video_table(file).group.tolist()
    assert groups[:2] == ["g1", "g1"] and groups[4:] == ["g1", "g2"]
    assert groups[2] == "b.mp4"


def test_times_may_be_left_out(films, tmp_path):
    for f in ("0.mp4", "1.mp4"): shutil.copy(films/f, tmp_path/f)
    table = video_table(write_csv(tmp_path/"a.csv", ("0.mp4", "x", "", ""), ("1.mp4", "x", "", 2), ("1.mp4", "y", 2, ""), ("0.mp4", "x", 1, 3)))
    assert table.columns.tolist() == ["path", "split", "label", "group", "clip", "start", "end"]
    assert [str(s).rpartition("/")[2] for s in sources(table)] == ["0.mp4", "1.mp4#t=0,2", "1.mp4#t=2", "0.mp4#t=1,3"]
    assert isinstance(sources(table)[0], str)
    only = video_table(write_csv(tmp_path/"b.csv", ("0.mp4", "x", 1), columns="path,label,start"))
    assert math.isnan(only.end[0]) and str(sources(only)[0]).endswith("#t=1")
    for empty in (None, math.nan, pd.NA, "", " "): assert list(map(str, sources(pd.DataFrame(dict(path=["a.mp4"], start=[1], end=[empty]))))) == ["a.mp4#t=1"]
    assert "start" not in video_table(write_csv(tmp_path/"c.csv", ("0.mp4", "x"), columns="path,label"))


@pytest.mark.parametrize("start, end, says", [
    (2, 1, "cannot have a segment from 2 to 1 s"), (1, 1, "from 1 to 1 s"), (-1, 2, "from -1 to 2 s"), (math.inf, "", "from inf s on"),
    ("1:30", "", "the start '1:30', which is not a number of seconds"), (0, "nan", "the end 'nan'"), ("1,5", 2, "the start '1,5'")])
def test_times_that_cannot_be_are_named_with_their_line(films, start, end, says):
    file = write_csv(films/"wrong.csv", ("0.mp4", "x", 0, 1), ("1.mp4", "y", start, end))
    with pytest.raises(ValueError) as e: video_table(file)
    assert f"{file} line 3: {films/'1.mp4'}" in str(e.value) and says in str(e.value) and ("let it start" in str(e.value) or "correct it" in str(e.value))
    assert "\n" not in str(e.value)


def test_the_check_names_segments_outside_the_film_and_uses_the_others(films, capsys):
    file = write_csv(films/"outside.csv", ("0.mp4", "x", 0, 1), ("0.mp4", "y", 5, 6), ("1.mp4", "x", 3, 5), ("1.mp4", "y", 3, 4.05), ("2.mp4", "x", .5, .7))
    for how in ("full", "quick"):
        good, bad = check_videos(video_table(file), SPEC, how, workers=0, progress=False)
        assert bad.reason.tolist() == [
            f"line 3: {films/'0.mp4'} lasts 4.00 s, so it has no segment from 5 to 6 s: correct its start and end.",
            f"line 4: {films/'1.mp4'} lasts 4.00 s, so it has no segment from 3 to 5 s: correct its start and end."]
        assert good.repeated_frames.tolist()[:2] == [0, 0] and good.repeated_frames[2] >= 3 # Five frames for eight
    with pytest.raises(VideoError, match="no segment from 5 to 6 s"): read_clip(Segment(films/"0.mp4", 5, 6)), probe_video(Segment(films/"0.mp4", 5, 6))
    assert main(["check-data", str(file), "--workers", "0", "--num-frames", "8", "--seconds", ".8", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert len(found["unusable"]) == 2 and list(found["repeated_frames"]) == [f"{films/'2.mp4'}#t=0.5,0.7"]


def test_the_check_remembers_segments_apart_and_reads_only_them(films, tmp_path, monkeypatch):
    "What is damaged behind a segment does not make it unusable, and one that reaches into the damage is refused."
    hurt = tmp_path/"hurt.mp4"
    write_video(hurt, 100, gop=10)
    spoil(hurt, lambda i, p: i >= 80 and p.is_keyframe)
    asked, real = [], audit._check_video
    monkeypatch.setattr(audit, "_check_video", lambda path, *args: (asked.append(str(path)), real(path, *args))[1])
    table = video_table(write_csv(tmp_path/"t.csv", ("hurt.mp4", "x", .5, 2), ("hurt.mp4", "y", 2.5, 4), ("hurt.mp4", "x", 0, .4)))
    good, bad = check_videos(table, SPEC, "full", 0, False)
    assert good.start.tolist() == [.5, 0] and bad.start.tolist() == [2.5] and "line 3: " in bad.reason[0] and "damaged" in bad.reason[0]
    check_videos(table, SPEC, "full", 0, False)
    assert [a.rpartition("#")[2] for a in asked] == ["t=0.5,2", "t=2.5,4", "t=0,0.4", "t=2.5,4"] # Good ones are remembered
    check_videos(table.assign(end=[1.9, 4, .4]), SPEC, "full", 0, False)
    assert asked[4].endswith("t=0.5,1.9")


def test_overlapping_segments_are_said_and_audited(films, capsys):
    file = write_csv(films/"over.csv", ("0.mp4", "x", 0, 2, "train"), ("0.mp4", "y", 1.5, 3, "train"), ("1.mp4", "x", 0, 2, "train"),
                     ("1.mp4", "x", 1, 3, "test"), ("2.mp4", "x", 0, 2, "train"), ("2.mp4", "x", 1, 3, "train"), columns="path,label,start,end,split")
    with pytest.warns(UserWarning) as said: table = video_table(file)
    assert [str(w.message) for w in said] == [f"{file}: {films/'0.mp4'} has overlapping segments with the labels 'x' and 'y' (lines 2 and 3): "
                                              "correct the times, or leave one of them out."]
    leaks = audit_leakage(table)
    assert leaks.overlapping[["line", "other_line"]].values.tolist() == [[2, 3], [4, 5]] and not leaks.ok and "2 pairs of segments that overlap" in repr(leaks)
    with pytest.warns(UserWarning): assert main(["check-data", str(file), "--workers", "0", "--check", "quick"]) == 1
    out = capsys.readouterr().out
    assert "the labels 'x' and 'y' (lines 2 and 3): correct the times" in out and "the splits 'train' and 'test' (lines 4 and 5)" in out


def test_parts_of_one_file_are_neither_copies_nor_look_alikes(films):
    "Two labels by time are no conflict; the same part twice with two labels is one."
    file = write_csv(films/"still.csv", ("0.mp4", "x", 0, 2), ("0.mp4", "y", 2, 4), ("1.mp4", "x", 0, 2))
    leaks = audit_leakage(video_table(file), alike=True)
    assert not len(leaks.files) and not len(leaks.conflicts)
    assert not (leaks.alike.path == leaks.alike.other).any() # A camera that stands still is not a leak
    with pytest.warns(UserWarning, match="lines 2 and 3"): twice = video_table(write_csv(films/"twice.csv", ("0.mp4", "x", 0, 2), ("0.mp4", "y", 0, 2)))
    assert len(audit_leakage(twice).conflicts) == 2


def test_evaluation_tells_the_parts_apart_and_goes_on(marked, model, tmp_path, monkeypatch):
    "Scores, predictions and a second run that does only what is missing; each part has its own row."
    table, out = video_table(marked), tmp_path/"logits.jsonl"
    whole = evaluate_videos(model, table, 2, out=out, progress=False, device="cpu")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["video"] for r in rows] == list(map(str, sources(table))) and len({r["video"] for r in rows}) == len(table) == 12
    assert len({json.dumps(r["logits"]) for r in rows}) == 12
    for s, score in zip(sources(table), whole.predictions.score): assert abs(predict(model, s, num_clips=2, device="cpu")[0]["score"] - score) < 1e-6
    out.write_text("".join(json.dumps(r) + "\n" for r in rows[::2])) # As if it had been stopped
    read, real = [], read_views
    monkeypatch.setattr("vidcls.scoring.read_views", lambda path, *a: (read.append(str(path)), real(path, *a))[1])
    again = evaluate_videos(model, table, 2, out=out, progress=False, device="cpu")
    assert sorted(read) == sorted(r["video"] for r in rows[1::2]) and np.array_equal(again.probabilities, whole.probabilities)


def test_predictions_and_report_show_the_times(marked, model, tmp_path, capsys):
    files = [tmp_path/"p.csv", tmp_path/"r.html"]
    assert main(["evaluate", str(model), str(marked), "--predictions", str(files[0]), "--report", str(files[1]), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["class_videos"] == {"Nod": 6, "Wave": 6} and found["videos"] == 12
    p = pd.read_csv(files[0])
    assert p.start.tolist() == [.2, 2.1]*6 and p.end.isna().tolist() == [False, True]*6
    for wrong in p[~p.correct].itertuples(): assert f"{Path(wrong.path).name}#t={wrong.start:g}" in files[1].read_text()


def test_a_gallery_shows_the_segment(films, model, tmp_path, monkeypatch):
    parts = [Segment(films/"0.mp4", 0, 1), Segment(films/"0.mp4", 3, 4)]
    other = [dict(Nod="Wave", Wave="Nod")[predict(model, p, device="cpu")[0]["label"]] for p in parts]
    rows = pd.DataFrame(dict(path=[p.path for p in parts], split="", label=other, group="g", start=[0, 3], end=[1, 4]))
    s = evaluate_videos(model, rows, 1, progress=False, device="cpu")
    seen = []
    monkeypatch.setattr("vidcls.engine.report.read_views", lambda path, views, spec: (seen.append((str(path), views[0].start)), read_views(path, views, spec))[1])
    report(s, SPEC, tmp_path/"r.html")
    assert {path.rpartition("#")[2]: start for path, start in seen} == {"t=0,1": pytest.approx(.1), "t=3,4": pytest.approx(3.1)}


def test_files_and_segments_are_predicted_together(films, model, tmp_path):
    part, file = Segment(films/"0.mp4", 2, 3), str(films/"0.mp4")
    rows = predict_files(model, [file, part, part], tmp_path/"a.jsonl", device="cpu", progress=False)
    assert [r["video"] for r in rows] == [file, f"{file}#t=2,3"] and rows[0]["predictions"] != rows[1]["predictions"]
    table = pd.DataFrame(dict(path=[file]*2, start=[2, 9], end=[3, 10]))
    rows = predict_files(model, table, tmp_path/"a.jsonl", device="cpu", progress=False)
    assert "predictions" in rows[0] and "no segment from 9 to 10 s" in rows[1]["error"]
    assert len((tmp_path/"a.jsonl").read_text().splitlines()) == 3 # The whole file's row is kept


def test_features_are_kept_by_content_and_times(marked, films, model, tmp_path, monkeypatch):
    read, real = [], read_views
    monkeypatch.setattr("vidcls.infer.read_views", lambda path, *a: (read.append(str(path)), real(path, *a))[1])
    get = lambda data: extract_features(str(model), data, workers=0, progress=False, device="cpu")
    table = video_table(marked)
    f = get(table)
    assert len(read) == 12 and len(np.unique(f.array[:][:, 0], axis=0)) == 12 and f.table.start.tolist() == table.start.tolist()
    shutil.copy(films/"0.mp4", tmp_path/"renamed.mp4")
    more = pd.concat([table, table[:2].assign(path=str(tmp_path/"renamed.mp4")), table[:1].assign(end=1.5), table[:1].assign(start=None, end=None)], ignore_index=True)
    again = get(more)
    assert [Path(r).name for r in read[12:]] == ["0.mp4#t=0.2,1.5", "0.mp4"]
    listed = get([*sources(table)[:2], films/"0.mp4"])
    assert len(read) == 14 and np.array_equal(listed.array[:], again.array[[0, 1, 15]])
    assert np.array_equal(again.array[[0, 1]], again.array[[12, 13]]) and np.array_equal(again.array[:12], f.array[:])


def test_a_probe_learns_from_segments_and_scores_them_alike(marked, model, tmp_path):
    done = fit_probe(extract_features(str(model), str(marked), workers=0, progress=False, device="cpu"), output_dir=tmp_path/"probe", progress=False)
    table = split_by_group(video_table(marked))
    test = table[table.split == "test"]
    s = evaluate_videos(done.model_dir, test, 1, progress=False, device="cpu")
    assert s.accuracy == done.metrics["video_accuracy"] and len(test) == done.metrics["videos"]
    assert {k: v["recall"] for k, v in done.per_class.items()} == s.per_class.accuracy.to_dict()


def test_finetuning_on_segments_goes_on_only_with_the_same_times(marked, films, model, tmp_path, caplog):
    recipe = dict(RECIPES["smoke"].__dict__) | dict(name="cut", data=str(marked), checkpoint=str(model), per_class=None, batch_size=4, eval_clips=2)
    recipe = type(RECIPES["smoke"])(**recipe)
    options = dict(workers=0, progress=False)
    done = finetune(recipe, tmp_path/"out", **options)
    assert sum(c["train"] + c["test"] for c in done.per_class.values()) == 10 and done.metrics["videos"] == 2 # Two are for validation
    assert finetune(recipe, tmp_path/"out", resume=True, **options).metrics == done.metrics
    table = video_table(marked)
    other = table.assign(end=table.end.fillna(3.9))
    assert table_hash(other) != table_hash(table) == table_hash(table.sample(frac=1, random_state=0))
    assert table_hash(table.drop(columns=["start", "end"])) != table_hash(table)


def test_a_segment_shorter_than_a_clip_is_used_and_said(films, model, tmp_path, caplog):
    rows = [(f"{i}.mp4", label, start, start + .2, split) for i, split in enumerate(("train", "val", "test")) for label, start in (("Nod", .5), ("Wave", 2))]
    file = write_csv(films/"short.csv", *rows, columns="path,label,start,end,split")
    s = evaluate_videos(model, file, 1, progress=False, device="cpu")
    assert "2 videos have too few frames, so some are repeated" in str(s) and set(s.predictions.repeated_frames) == {3}
    with caplog.at_level(logging.WARNING): good, _ = audit.prepare_table(video_table(file), SPEC, workers=0, progress=False)
    assert "6 of 6 videos have fewer frames than a clip" in caplog.text and "0.mp4#t=0.5,0.7" in caplog.text
    row, = predict_files(model, [Segment(films/"0.mp4", .5, .7)], tmp_path/"a.jsonl", device="cpu", progress=False)
    assert row["repeated_frames"] == 3 and "0.mp4#t=0.5,0.7 has fewer frames than a clip needs: 3 of 8" in caplog.text
    with pytest.raises(VideoError, match="cannot be used"): audit.prepare_table(video_table(file), SPEC, strict=True, workers=0, progress=False)


def test_a_moment_between_two_frames_shows_the_frame_before(films):
    part = Segment(films/"0.mp4", 1.005, 1.02) # Frames are at 1.00 and 1.04
    clip = read_clip(part, eval_views(probe_video(part), SPEC)[0], SPEC)
    frames, times = read_frames(films/"0.mp4", 1., 1.01)
    assert len(times) == 1 and torch.equal(clip[0], apply_view(frames, eval_views(probe_video(part), SPEC)[0], SPEC)[0]) and (clip == clip[0]).all()
    for how in ("full", "quick"):
        good, _ = check_videos(pd.DataFrame(dict(path=[part.path], split="", label="x", group="g", start=[part.start], end=[part.end])), SPEC, how, 0, False)
        assert good.repeated_frames.tolist() == [7] == [repeated_frames(part, eval_views(probe_video(part), SPEC), SPEC)]


def test_a_file_whose_name_looks_like_a_segment_is_a_file(films, model, tmp_path):
    odd = tmp_path/"a.mp4#t=1,2"
    shutil.copy(films/"0.mp4", odd)
    assert probe_video(odd).duration == probe_video(films/"0.mp4").duration == probe_video(Segment(odd)).duration
    assert probe_video(Segment(odd, 1, 2)).duration == 1
