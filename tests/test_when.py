"What happens when: windows that go on after an interruption, rules, files of results, a page, and scores from the command line."
import json, os, signal, subprocess, sys, time
from pathlib import Path

import numpy as np, pandas as pd, pytest, torch

from vidcls.clips import ClipSpec, read_clip, View
from vidcls.engine.cli import main
from vidcls.engine.finder import Finder, load_rule, Rule, save_rule
from vidcls.engine.segments import segment_table
from vidcls.engine.timelines import kept_timeline, timeline_page, timelines
from vidcls.engine.video import decoded_frames, probe_video, to_rgb, VideoError
from vidcls.engine.windows import window_clips
from vidcls.infer import load_trained, run_inference
from vidcls.when import calibrate, labelled_parts, separation, timeline, window_count
from videos import write_long, write_model, write_video

SPEC = ClipSpec(8, .8, 32, "crop", (.5,)*3, (.5,)*3)


@pytest.fixture(scope="module")
def film(tmp_path_factory): return write_video(tmp_path_factory.mktemp("film")/"a.mp4", 500) # 20 s


@pytest.fixture(scope="module")
def model(tmp_path_factory, film):
    "A tiny model with random weights whose answers differ over the film."
    torch.manual_seed(0)
    folder = write_model(tmp_path_factory.mktemp("model"), ("Nod", "Wave", "nothing"))
    net, spec = load_trained(folder, device="cpu")
    clips = torch.stack([c for _, c in window_clips(film, spec, .5)])
    logits = run_inference(net, clips, spec)
    scale = 2/logits.std(0).clamp(min=1e-6)
    with torch.no_grad():
        net.classifier.weight *= scale[:, None]
        net.classifier.bias *= scale
        net.classifier.bias -= logits.mean(0)*scale
    net.save_pretrained(folder)
    return folder


@pytest.fixture
def truth(tmp_path, film):
    file = tmp_path/"truth.json"
    segments = [dict(label="Nod", segment=[1, 5]), dict(label="Wave", segment=[8, 12])]
    file.write_text(json.dumps(dict(database={"a": dict(subset="testing", duration=20., annotations=segments)})))
    return file


# -- windows and timelines ---------------------------------------------------------------------------------------------

def test_every_window_is_the_clip_that_the_model_would_get(model, film):
    "One way to a tensor: what the timeline says about a window is what the model says about that clip."
    t = timeline(model, film, .5, progress=False)
    net, spec = load_trained(model)
    assert len(t.starts) == window_count(20, spec, .5) == 40
    for k in (0, 7, 39):
        p = run_inference(net, read_clip(film, View(float(t.starts[k])), spec), spec).softmax(-1)[0].numpy()
        assert np.abs(t.probabilities[k] - p).max() < 1e-3
    assert (t.probabilities.argmax(1) != t.probabilities[0].argmax()).any() # The film is not all the same to it


@pytest.mark.parametrize("name, options", [("a.mp4", {}), ("a.avi", {}), ("b.mp4", dict(codec="libx264", bframes=2)), ("a.mpg", dict(codec="mpeg1video")),
    ("a.h264", dict(codec="libx264")), ("a.ts", dict(codec="libx264", bframes=2)), ("a.mkv", dict(codec="libx264", gop=250)), ("a.webm", dict(codec="libvpx"))])
def test_frames_from_the_middle_are_those_of_the_whole_file(tmp_path, name, options):
    path = write_video(tmp_path/name, 120, **options)
    whole = {round(t, 6): to_rgb([f], path)[0] for t, f, _ in decoded_frames(path)}
    for start in (.04, 1., 2.5, 4.7):
        part = {round(t, 6): to_rgb([f], path)[0] for t, f, _ in decoded_frames(path, start)}
        assert sorted(part) == [t for t in sorted(whole) if t >= start - 1e-6]
        assert all((part[t] == whole[t]).all() for t in part)


def test_a_film_shorter_than_a_window_is_one_window(model, tmp_path):
    t = timeline(model, write_video(tmp_path/"short.mp4", 10), progress=False)
    assert t.starts.tolist() == [0]
    assert all(0 <= r.start < r.end for r in t.segments.itertuples())


def test_time_stamps_that_leap_an_hour_end_a_segment(model, tmp_path):
    stamps = [*range(100), *range(90_000, 90_100)]
    path = write_video(tmp_path/"leap.mkv", 200, pts=stamps)
    t = timeline(model, path, rule=Rule("nothing", share=.01), progress=False)
    assert t.starts.max() > 3600 and not ((t.starts > 5) & (t.starts < 3598)).any()
    assert not any(r.start < 10 and r.end > 100 for r in t.segments.itertuples())


def test_windows_are_bounded_by_the_video(model, film):
    t = timeline(model, film, rule=Rule("nothing", share=.01, cost=0), progress=False)
    s = t.segments
    assert len(s) and s.start.min() >= 0 and s.end.max() <= 20 + 1e-6
    assert (s.start.to_numpy()[1:] >= s.end.to_numpy()[:-1] - 1e-9).all() # One answer at a time


def test_a_stride_or_a_rule_that_makes_no_sense_is_refused(model, film):
    with pytest.raises(ValueError, match="stride must be above 0"): timeline(model, film, 0, progress=False)
    with pytest.raises(ValueError, match="between 0 and 1"): Rule(share=0)
    with pytest.raises(VideoError, match="There is no video"): timeline(model, "nowhere.mp4", progress=False)


# -- the rule ----------------------------------------------------------------------------------------------------------

def test_numbers_and_labels_that_make_no_sense_are_named(model, film):
    with pytest.raises(ValueError, match="'zzz', which the model does not know: it knows"): timeline(model, film, rule=Rule("zzz"), progress=False)
    with pytest.raises(ValueError, match="'zzz', which the model does not know"): Finder(["a", "b"], 1., Rule("zzz"))
    with pytest.raises(ValueError, match="batch_size must be at least 1"): timeline(model, film, batch_size=0, progress=False)
    with pytest.raises(ValueError, match="at least one item ahead"): next(iter(window_clips(film, SPEC, ahead=0)))


def test_a_rule_is_stored_with_the_model_and_used(model, film, tmp_path):
    import shutil
    own = shutil.copytree(model, tmp_path/"own")
    save_rule(Rule("nothing", .9, 7.), own)
    assert timeline(own, film, progress=False).rule == Rule("nothing", .9, 7.)
    (own/"timeline.json").write_text('{"share": 2}')
    with pytest.raises(ValueError, match="is not a rule for this model"): timeline(own, film, progress=False)


def test_a_model_that_nobody_calibrated_says_so(tmp_path, caplog):
    assert load_rule(tmp_path, ["Nod"]) == Rule(None)
    assert "was not calibrated" in caplog.text


def test_a_higher_price_gives_fewer_segments():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([.5]*3, 300)
    def count(cost):
        finder = Finder(["a", "b", "nothing"], 2., Rule("nothing", cost=cost))
        return len([r for k, row in enumerate(p) for r in finder.push(.5*k, row)] + finder.flush())
    counts = [count(c) for c in (0, 1, 3, 6, 12)]
    assert counts == sorted(counts, reverse=True) and counts[0] > 3*counts[-1]


def test_the_best_rule_is_found_where_it_is_known(model, film):
    "Truth made with one rule is found best with that rule."
    t = timeline(model, film, rule=Rule("nothing", .4, 2.), progress=False)
    made = t.segments.assign(video="a")
    assert len(made) > 1
    best = calibrate([t], made, {"a": 20.}).iloc[0]
    assert best["F1@50"] == 100 and best.mAP == pytest.approx(1)


# -- training parts ----------------------------------------------------------------------------------------------------

def test_the_gaps_between_segments_are_parts_as_well():
    rows = [("v", "Nod", 3, 5, 1.), ("v", "Wave", 4, 6, 1.), ("v", "Nod", 6.5, 9, 1.)]
    parts = labelled_parts(segment_table(rows), {"v": 12., "w": 5.}, {"v": "v.mp4", "w": "w.mp4"}, seconds=2)
    assert parts[parts.label == "nothing"][["path", "start", "end"]].values.tolist() == [["v.mp4", 0, 3], ["v.mp4", 9, 12], ["w.mp4", 0, 5]]
    assert len(parts) == 6 and set(parts.group) == {"v", "w"}


def test_separation_against_hand_worked_numbers():
    auroc, false = separation(np.arange(20, 40), [0, 1, 21.5, 50]) # 20, 20, 18 and 0 of 20 are above; the threshold is 21
    assert auroc == pytest.approx((20 + 20 + 18 + 0)/80)
    assert false == pytest.approx(.5)


# -- many videos, interruptions ----------------------------------------------------------------------------------------

def test_a_bad_file_does_not_stop_the_others(model, film, tmp_path):
    (tmp_path/"bad.mp4").write_bytes(b"nothing")
    found, bad = timelines(model, [tmp_path/"bad.mp4", film], tmp_path/"kept", progress=False)
    assert [t.video for t in found] == [str(film)] and list(bad) == [str(tmp_path/"bad.mp4")]


def test_kept_windows_belong_to_one_model_and_one_stride(model, film, tmp_path):
    kept = tmp_path/"kept"
    a = kept_timeline(model, film, kept, progress=False)
    file, = kept.glob("*.jsonl")
    before = file.read_bytes()
    b = kept_timeline(model, film, kept, progress=False)
    assert file.read_bytes() == before and b.segments.equals(a.segments)
    assert len(kept_timeline(model, film, kept, stride=1., progress=False).starts) < len(a.starts)
    assert len(list(kept.glob("*.jsonl"))) == 2 and file.read_bytes() == before # Another stride, another file
    other = write_model(tmp_path/"other", ("Nod", "Wave", "nothing"))
    kept_timeline(other, film, kept, progress=False)
    assert file.read_bytes() != before


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_command_goes_on(model, tmp_path):
    film = write_long(tmp_path/"long.avi", 1800)
    command = [sys.executable, "-m", "vidcls", "timeline", str(model), str(film), "--out"]
    env = dict(os.environ, OMP_NUM_THREADS="1")
    p = subprocess.Popen([*command, str(tmp_path/"a.jsonl")], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    hidden = tmp_path/".a.jsonl.windows"
    until = time.monotonic() + 120
    while time.monotonic() < until and not any(len(f.read_bytes().splitlines()) > 4 for f in hidden.glob("*.jsonl")): time.sleep(.02)
    assert p.poll() is None, "it was too fast to be killed"
    p.kill()
    p.wait()
    assert not (tmp_path/"a.jsonl").exists()
    kept = next(hidden.glob("*.jsonl")).read_bytes()
    for name in ("a", "b"): subprocess.run([*command, str(tmp_path/f"{name}.jsonl")], env=env, check=True, capture_output=True)
    assert kept.count(b"\n") > 4
    assert (tmp_path/"a.jsonl").read_text() == (tmp_path/"b.jsonl").read_text() != ""
    assert not hidden.exists() # Nothing is left beside the result


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
def test_memory_does_not_depend_on_the_length(model, tmp_path):
    code = ("import sys\nfrom vidcls.when import timeline\nt = timeline(sys.argv[1], sys.argv[2], progress=False)\n"
            "print(len(t.starts), next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])")
    def peak(seconds):
        film = write_long(tmp_path/f"{seconds}.avi", seconds, size=(320, 240))
        out = subprocess.run([sys.executable, "-c", code, str(model), str(film)], capture_output=True, text=True, check=True,
                             env=dict(os.environ, OMP_NUM_THREADS="1")).stdout.split()
        return int(out[0]), int(out[1])/1024
    (n, short), (m, long) = peak(60), peak(1200)
    assert m > 19*n and long < short + 64 and long < 1024


# -- the command line --------------------------------------------------------------------------------------------------

def command(capsys, *args):
    status = main(["timeline", *map(str, args)])
    return status, *capsys.readouterr()


def test_all_formats(model, film, tmp_path, capsys):
    want = timeline(model, film, progress=False).segments
    for ending in ("csv", "jsonl", "json", "vtt"):
        status, _, err = command(capsys, model, film, "--out", tmp_path/f"out.{ending}")
        assert status == 0, err
    assert len(pd.read_csv(tmp_path/"out.csv")) == len((tmp_path/"out.jsonl").read_text().splitlines()) == len(want)
    assert list(json.loads((tmp_path/"out.json").read_text())["results"]) == ["a"]
    assert (tmp_path/"out.vtt").read_text().startswith("WEBVTT")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["out.csv", "out.json", "out.jsonl", "out.vtt"]


def test_the_page_and_the_subtitles(model, film, tmp_path, capsys):
    evil = tmp_path/"<img src=x onerror=alert(1)>.mp4"
    evil.write_bytes(film.read_bytes())
    status, out, err = command(capsys, model, evil, "--html", tmp_path/"page.html", "--subtitles", tmp_path/"subs", "--share", ".01")
    assert status == 0, err
    text = (tmp_path/"page.html").read_text()
    assert "<img src=x" not in text and "&lt;img src=x" in text
    assert "http://" not in text and "https://" not in text
    assert text.count("data:image/gif") == out.count("\n") - 1 > 0
    assert [f.name for f in (tmp_path/"subs").iterdir()] == [f"{evil.stem}.vtt"]


def test_scores_and_a_rule_that_is_stored(model, film, truth, tmp_path, capsys):
    import shutil
    own = shutil.copytree(model, tmp_path/"own")
    status, out, err = command(capsys, own, film, "--truth", truth, "--json")
    assert status == 0, err
    assert set(json.loads(out)["scores"]) == {"mAP", "mAP@.5", "edit", "F1@10", "F1@25", "F1@50", "time"}
    status, _, err = command(capsys, own, film, "--truth", truth, "--calibrate")
    assert status == 0 and "The rule is now" in err
    stored = json.loads((own/"timeline.json").read_text())
    assert stored["nothing"] == "nothing" and stored["about"]["films"] == 1


def test_other_videos_than_the_truth_has(model, film, truth, tmp_path, capsys):
    other = tmp_path/"other.mp4"
    other.write_bytes(film.read_bytes())
    status, _, err = command(capsys, model, other, "--truth", truth)
    assert status == 1 and "does not have other" in err


@pytest.mark.parametrize("args, status, say", [
    ([], 2, "name at least one video"), (["VIDEO", "--out", "a.txt"], 2, "--out must be one of"), (["VIDEO", "--calibrate"], 2, "needs --truth"),
    (["VIDEO", "--out", "nowhere/a.csv"], 2, "there is no folder"), (["VIDEO", "--stride", "0"], 2, "--stride must be above 0"),
    (["VIDEO", "--share", "7"], 2, "between 0 and 1"), (["VIDEO", "--cost", "nan"], 2, "cost must be at least 0"), (["nowhere.mp4"], 1, "There is no video nowhere.mp4"),
    (["VIDEO", "--truth", "nowhere.json"], 1, "nowhere.json"), (["VIDEO", "--live", "0"], 2, "--live takes only"), (["VIDEO", "--truth", "TRUTH", "--calibrate", "--share", ".2"], 2, "leave them out"),
    (["--live", "nowhere.mp4"], 1, "nowhere.mp4")])
def test_wrong_arguments(model, film, truth, capsys, args, status, say):
    got, out, err = command(capsys, model, *({"VIDEO": film, "TRUTH": truth}.get(a, a) for a in args))
    assert (got, out) == (status, "") and say in err and "Traceback" not in err


def test_overlapping_or_inverted_truth_is_refused(model, film, tmp_path, capsys):
    for segments, say in (([[5, 1]], "must end after its start"), ([[1, 5], [4, 8]], "overlap"), ([[1, 50]], "after the end of the video")):
        file = tmp_path/"wrong.json"
        rows = [dict(label="Nod", segment=s) for s in segments]
        file.write_text(json.dumps(dict(database={"a": dict(duration=20., annotations=rows)})))
        status, _, err = command(capsys, model, film, "--truth", file)
        assert status == 1 and say in err


# -- none of these -----------------------------------------------------------------------------------------------------

def test_a_video_that_shows_none_of_the_classes_is_rejected(model, film, tmp_path, capsys):
    from vidcls.engine.batch import predict_files
    from vidcls.infer import predict
    scores = {p["label"]: p["score"] for p in predict(model, film)}
    own = max(scores["Nod"], scores["Wave"])
    share = own/(own + scores["nothing"]) # Of the best class, against nothing
    assert not predict(model, film).rejected
    for least, rejected in ((share*.9, False), (share + (1 - share)*.1, True)):
        assert predict(model, film, reject=least).rejected == rejected
        assert predict_files(model, [film], tmp_path/f"{rejected}.jsonl", reject=least, progress=False)[0].get("rejected", False) == rejected
    assert predict(model, film, reject=True).rejected == (share <= .5) # The model's own rule
    assert main(["predict", str(model), str(film), "--reject", ".999999"]) == 0
    assert "none of these" in capsys.readouterr().out
    assert main(["predict", str(model), str(film), "--reject", "often"]) == 2
    assert main(["predict", str(model), "m.parquet", "--out", str(tmp_path/"o"), "--reject", "auto"]) == 2 # Not in silence
    assert main(["predict", str(model), str(film), "--reject", "2"]) == 2
    assert "between 0 and 1" in capsys.readouterr().err


def test_without_a_label_for_nothing_the_share_is_that_of_all(film, tmp_path):
    from vidcls.infer import predict
    model = write_model(tmp_path/"model")
    best = predict(model, film)[0]["score"]
    assert [predict(model, film, reject=s).rejected for s in (best*.99, best + (1 - best)*.1)] == [False, True]


def test_live_from_the_command_line_prints_what_the_timeline_has(model, film, capsys):
    want = timeline(model, film, progress=False).segments
    status, out, err = command(capsys, model, "--live", film)
    assert status == 0, err
    rows = [json.loads(l) for l in out.splitlines()]
    assert [r["label"] for r in rows] == want.label.tolist()
    assert np.allclose([[r["start"], r["end"]] for r in rows], want[["start", "end"]], atol=1e-6)


# -- what a clumsy user did --------------------------------------------------------------------------------------------

def test_nothing_that_is_read_is_overwritten(model, film, truth, tmp_path, capsys):
    own = tmp_path/"film.mp4"
    own.write_bytes(film.read_bytes())
    for args in (["--out", truth, "--truth", truth], ["--html", own], ["--out", tmp_path/"a.json", "--html", tmp_path/"a.json"]):
        before = own.read_bytes(), truth.read_bytes()
        status, _, err = command(capsys, model, own, *args)
        assert status == 2 and "would replace" in err
        assert (own.read_bytes(), truth.read_bytes()) == before


def test_videos_of_one_name_stay_apart(model, film, truth, tmp_path, capsys):
    for d in "xy": (tmp_path/d).mkdir() or (tmp_path/d/"a.mp4").write_bytes(film.read_bytes())
    two = tmp_path/"x/a.mp4", tmp_path/"y/a.mp4"
    status, out, err = command(capsys, model, *two, "--subtitles", tmp_path/"subs", "--out", tmp_path/"all.csv", "--html", tmp_path/"p.html")
    assert status == 0, err
    assert sorted(f.name for f in (tmp_path/"subs").iterdir()) == ["a-2.vtt", "a.vtt"]
    assert set(pd.read_csv(tmp_path/"all.csv").video) <= set(map(str, two))
    for args in (["--truth", truth], ["--out", tmp_path/"all.json"]):
        status, _, err = command(capsys, model, *two, *args)
        assert status == 2 and "same name" in err
    status, out, _ = command(capsys, model, two[0], tmp_path/"x/../x/a.mp4") # One file, named twice
    assert status == 0 and out.count("a.mp4") == 1


@pytest.mark.parametrize("stride", [.5, .37, 2.])
def test_every_interruption_can_be_continued(model, film, tmp_path, stride):
    "A run may stop after any line, also between the last windows and the line that says that they are the last."
    kept = tmp_path/"kept"
    whole = kept_timeline(model, film, kept, stride, batch_size=5, progress=False)
    file, = kept.glob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    for k in range(1, len(lines)):
        file.write_bytes(b"".join(lines[:k]))
        again = kept_timeline(model, film, kept, stride, batch_size=5, progress=False)
        assert np.allclose(again.starts, whole.starts) and again.segments.equals(whole.segments)


@pytest.mark.parametrize("spoilt", [b"[1, 2]", b"5", b"null", b'{"starts": [9.0], "probabilities": [[0.5]], "done": true}', b'{"more": 1}',
    b'{"starts": [90.0], "probabilities": [[NaN, 0.5, 0.5]], "done": true}', b'{"starts": [0.0], "probabilities": [[0.2, 0.3, 0.5]], "done": true}'])
def test_kept_windows_that_make_no_sense_are_made_anew(model, film, tmp_path, spoilt):
    whole = kept_timeline(model, film, tmp_path, progress=False)
    file, = tmp_path.glob("*.jsonl")
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([*lines[:2], spoilt, b""]))
    assert kept_timeline(model, film, tmp_path, progress=False).segments.equals(whole.segments)


def test_a_segment_ends_with_its_video(model, tmp_path):
    film = write_video(tmp_path/"two.mp4", 10)
    ends = timeline(model, film, rule=Rule("nothing", .01, 0.), progress=False).segments.end
    assert len(ends) and ends.max() <= probe_video(film).duration + 1e-9


def test_a_part_of_a_file_and_an_address_are_refused(model, film):
    from vidcls.engine.video import Segment
    with pytest.raises(VideoError, match="part of a file"): timeline(model, Segment(film, 1, 2), progress=False)
    with pytest.raises(VideoError, match="address"): list(window_clips("https://example.org/a.mp4", SPEC))


def test_a_damaged_video_does_not_cost_the_page(model, film, tmp_path):
    own = tmp_path/"own.mp4"
    own.write_bytes(film.read_bytes())
    found, _ = timelines(model, [own], tmp_path/"kept", rule=Rule("nothing", .01, 0.), progress=False)
    own.unlink() # It is gone when the page is written
    page = timeline_page(found, tmp_path/"page.html").read_text()
    assert "own.mp4" in page and "data:image/gif" not in page


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not allow such names")
def test_a_name_that_is_not_text(model, film, tmp_path, capsys):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.mp4")
    Path(odd).write_bytes(film.read_bytes())
    status, _, err = command(capsys, model, odd, film, "--out", tmp_path/"a.csv", "--html", tmp_path/"a.html", "--share", ".01")
    assert status == 0, err
    assert set(pd.read_csv(tmp_path/"a.csv").video) == {str(film), str(tmp_path/"bad\\udcff.mp4")}


def test_a_verdict_by_another_rule_is_not_reused(model, film, tmp_path):
    from vidcls.engine.batch import predict_files
    predict_files(model, [film], tmp_path/"a.jsonl", reject=.5, progress=False)
    for other in (.9, False):
        with pytest.raises(ValueError, match="another run"): predict_files(model, [film], tmp_path/"a.jsonl", reject=other, progress=False)


def test_labels_in_subtitles_stay_in_their_cue():
    from vidcls.engine.segments import as_vtt
    assert len(as_vtt(segment_table([("v", "a\n\n00:00 --> 00:09\nb", 0, 1, .5)])).strip().splitlines()) == 4


def test_calibration_needs_something_to_choose_by(model, film, tmp_path, capsys):
    for rows, say in (([], "no segments"), ([dict(label="Sleep", segment=[1, 5])], "that the model knows")):
        (tmp_path/"t.json").write_text(json.dumps(dict(database={"a": dict(duration=20., annotations=rows)})))
        status, _, err = command(capsys, model, film, "--truth", tmp_path/"t.json", "--calibrate")
        assert status == 1 and say in err and not (model/"timeline.json").exists()


@pytest.mark.parametrize("about", [dict(duration="x", annotations=[]), dict(duration=float("nan"), annotations=[]), dict(duration=0, annotations=[]), dict(duration=20),
    dict(duration=20, annotations=None), dict(duration=20, annotations=[dict(label=["x"], segment=[1, 2])]), dict(duration=20, annotations=[dict(label="x", segment=[1])])])
def test_annotations_that_cannot_be_true_name_file_and_video(tmp_path, about):
    from vidcls.engine.segments import read_annotations
    (tmp_path/"t.json").write_text(json.dumps(dict(database={"film": about})))
    with pytest.raises(ValueError, match="t.json .*(in|for) film"): read_annotations(tmp_path/"t.json")
