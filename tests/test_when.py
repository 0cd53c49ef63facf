"What happens when: windows that go on after an interruption, rules, files of results, a page, and scores from the command line."
import json, os, signal, subprocess, sys, time
from pathlib import Path

import numpy as np, pandas as pd, pytest, torch

from vidcls.clips import ClipSpec, read_clip, View
from vidcls.engine.cli import main
from vidcls.engine.finder import Finder, load_rule, Rule, save_rule
from vidcls.engine.segments import segment_table
from vidcls.engine.timelines import kept_timeline, timelines
from vidcls.engine.video import decoded_frames, to_rgb, VideoError
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
    file, = kept.iterdir()
    before = file.read_bytes()
    b = kept_timeline(model, film, kept, progress=False)
    assert file.read_bytes() == before and b.segments.equals(a.segments)
    assert len(kept_timeline(model, film, kept, stride=1., progress=False).starts) < len(a.starts)
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
    while time.monotonic() < until and not any(len(f.read_bytes().splitlines()) > 4 for f in (hidden.iterdir() if hidden.exists() else ())): time.sleep(.02)
    assert p.poll() is None, "it was too fast to be killed"
    p.kill()
    p.wait()
    assert not (tmp_path/"a.jsonl").exists()
    kept = next(hidden.iterdir()).read_bytes()
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
    (["VIDEO", "--out", "nowhere/a.csv"], 2, "there is no folder"), (["VIDEO", "--stride", "0"], 1, "stride must be above 0"),
    (["VIDEO", "--share", "7"], 1, "between 0 and 1"), (["nowhere.mp4"], 1, "There is no video nowhere.mp4"),
    (["VIDEO", "--truth", "nowhere.json"], 1, "nowhere.json"), (["VIDEO", "--live", "0"], 2, "--live takes only"),
    (["--live", "nowhere.mp4"], 1, "nowhere.mp4")])
def test_wrong_arguments(model, film, capsys, args, status, say):
    got, out, err = command(capsys, model, *(film if a == "VIDEO" else a for a in args))
    assert (got, out) == (status, "") and say in err and "Traceback" not in err


def test_overlapping_or_inverted_truth_is_refused(model, film, tmp_path, capsys):
    for segments, say in (([[5, 1]], "later end"), ([[1, 5], [4, 8]], "overlap"), ([[1, 50]], "after the end of the video")):
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
    assert main(["predict", str(model), str(film), "--reject", "2"]) == 1
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
