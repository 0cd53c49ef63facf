"Inference: batches, revisions, arrays, short videos, and what importing and loading costs."
import json, logging, os, subprocess, sys
from dataclasses import replace
from pathlib import Path

import numpy as np, pytest, torch
from hub_server import Hub, run_client

from vidcls import infer
from vidcls.engine.cli import main
from vidcls.clips import ClipSpec
from vidcls.engine.video import read_frames
from vidcls.engine.batch import predict_files
from vidcls.engine.pipeline import VidclsPipeline
from vidcls.infer import load_trained, model_folder, predict, run_inference, video_clips
from vidcls.engine.record import RECORD
from videos import needs_shared_memory, write_dataset, write_model, write_video


def with_record(folder, clips):
    "A model folder whose record says how many clips its test took."
    (folder/RECORD).write_text(json.dumps(dict(recipe=dict(eval_clips=clips))))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    return with_record(write_model(tmp_path_factory.mktemp("model")/"m", "ABCDE"), 3)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    "Videos of different lengths that look different."
    folder = tmp_path_factory.mktemp("videos")
    return [str(write_video(folder/f"{i}.avi", frames=n, first=40*i)) for i, n in enumerate((40, 90, 61, 25, 130))]


# ---------------------------------------------------------------------------------------------- transformers' pipeline

@pytest.mark.parametrize("kw", [dict(batch_size=2), pytest.param(dict(batch_size=3, num_workers=2), marks=needs_shared_memory),
                                dict(batch_size=4, num_crops=3), pytest.param(dict(num_workers=1), marks=needs_shared_memory)])
def test_a_batched_pipeline_answers_as_a_single_one(model, videos, kw):
    from transformers import pipeline
    pipe = pipeline("video-classification", str(model), device="cpu", pipeline_class=VidclsPipeline)
    crops = kw.get("num_crops", 1)
    array = read_frames(videos[0])[0].permute(0, 2, 3, 1).numpy()
    items = [*videos, array]
    singly, batched = [pipe(v, top_k=5, num_crops=crops) for v in items], pipe(items, top_k=5, **kw)
    wanted = [predict(model, v, num_crops=crops, device="cpu") for v in items]
    for answers in (singly, batched):
        for a, w in zip(answers, wanted, strict=True):
            assert [r["label"] for r in a] == [r["label"] for r in w]
            assert [r["score"] for r in a] == pytest.approx([r["score"] for r in w], abs=1e-5)
    assert len({str(w) for w in wanted}) == len(items) # All different, or a mix-up would not show


def test_a_pipeline_takes_a_generator(model, videos):
    from transformers import pipeline
    pipe = pipeline("video-classification", str(model), device="cpu", pipeline_class=VidclsPipeline)
    for a, v in zip(pipe((v for v in videos), batch_size=2), videos, strict=True):
        assert [r["label"] for r in a] == [r["label"] for r in predict(model, v, device="cpu")]


# ---------------------------------------------------------------------------------------------- revisions

def ask_for_revisions(commits, video):
    "In a process of its own: what predictions and pipelines of two commits see, and how often the Hub is asked."
    from transformers import pipeline
    from vidcls.infer import model_folder, predict
    out = {}
    for c in (*commits, None):
        pipe = pipeline("video-classification", "tester/moving", revision=c, device="cpu", pipeline_class=VidclsPipeline)
        out[c or "main"] = dict(predict=list(predict("tester/moving", video, revision=c)), pipe=list(pipe(video)), seconds=pipe.spec.seconds,
                                folder=model_folder("tester/moving", c).name)
    return out


def ask_often(video):
    "How predictions of one process ask the Hub: the first, and four more."
    from vidcls.infer import predict
    return [len(predict("tester/moving", video)) for _ in range(5)]


@pytest.mark.slow
def test_weights_and_spec_are_of_one_commit(tmp_path, videos):
    "`main` has moved on to other weights and other clips; a revision still gives its own of both."
    folders = []
    for i, seconds in enumerate((.8, 1.6)):
        torch.manual_seed(i)
        folders.append(write_model(tmp_path/str(i), "ABCDE", seconds=seconds))
    local = [list(predict(f, videos[1], device="cpu")) for f in folders]
    assert local[0] != local[1]
    (tmp_path/"home").mkdir()
    with Hub() as hub:
        commits = [hub.add_repo("tester/moving", {p.name: p for p in f.iterdir()}, commit=c*40) for f, c in zip(folders, "ab")]
        got = run_client(ask_for_revisions, commits, videos[1], hub=hub, home=tmp_path/"home").value
        before = len(hub.log)
        assert run_client(ask_often, videos[1], hub=hub, home=tmp_path/"home").value == [5]*5
        once = [r for r in hub.log[before:] if "/revision/" in r.path or "/api/models/" in r.path]
    for name, i in ((commits[0], 0), (commits[1], 1), ("main", 1)):
        assert got[name]["seconds"] == (.8, 1.6)[i] and got[name]["folder"] == commits[i]
        for way in ("predict", "pipe"):
            assert [r["label"] for r in got[name][way]] == [r["label"] for r in local[i]]
            assert [r["score"] for r in got[name][way]] == pytest.approx([r["score"] for r in local[i]], abs=1e-5)
    assert len(once) == 1, [r.path for r in once]


def pipeline_of(name, seconds):
    "In a process of its own: the error of a pipeline whose commit cannot be told, and the way out that it names."
    from transformers import pipeline
    from vidcls.infer import model_folder
    for c in "cd": model_folder(name, c*40)
    try: pipeline("video-classification", name, device="cpu", pipeline_class=VidclsPipeline)
    except ValueError as e: error = str(e)
    given = ClipSpec.load(model_folder(name, "c"*40))
    pipe = pipeline("video-classification", name, device="cpu", pipeline_class=VidclsPipeline, spec=given)
    return error, pipe.spec.seconds


@pytest.mark.slow
def test_of_two_specs_for_the_same_weights_none_is_guessed(tmp_path):
    (tmp_path/"home").mkdir()
    folder = write_model(tmp_path/"m", "AB")
    with Hub() as hub:
        for c, seconds in zip("cd", (.8, 1.6)):
            replace(ClipSpec.load(folder), seconds=seconds).save(folder)
            hub.add_repo("tester/twice", {p.name: p for p in folder.iterdir()}, commit=c*40)
        error, seconds = run_client(pipeline_of, "tester/twice", .8, hub=hub, home=tmp_path/"home").value
    assert "2 commits" in error and "pass spec=" in error and seconds == .8


def test_a_folder_has_no_revision(model, videos, capsys):
    with pytest.raises(ValueError, match="a folder has no revisions"): predict(model, videos[0], revision="abc")
    for command in (["predict", model, videos[0]], ["evaluate", model, Path(videos[0]).parent]):
        assert main([*map(str, command), "--revision", "abc"]) == 1
        assert "a folder has no revisions" in capsys.readouterr().err


def test_only_trouble_with_the_hub_is_called_so(monkeypatch):
    import huggingface_hub
    def broken(*_, **__): raise TypeError("a mistake of ours")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", broken)
    with pytest.raises(TypeError, match="a mistake of ours"): model_folder("nobody/nothing")
    def away(*_, **__): raise ConnectionError("no route")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", away)
    with pytest.raises(OSError, match="could not be downloaded: no route"): model_folder("nobody/nothing")


# ---------------------------------------------------------------------------------------------- arrays, and the spec

def test_an_array_is_one_clip_and_more_are_refused(model, videos):
    array = read_frames(videos[1])[0].permute(0, 2, 3, 1).numpy()
    assert predict(model, array) == predict(model, array, num_clips=1)
    with pytest.raises(ValueError, match="one clip, not 5"): predict(model, array, num_clips=5)
    from transformers import pipeline
    pipe = pipeline("video-classification", str(model), device="cpu", pipeline_class=VidclsPipeline)
    with pytest.raises(ValueError, match="one clip, not 5"): pipe(array, num_clips=5)


def test_crops_of_an_array_are_those_of_its_file(model, videos):
    spec = ClipSpec.load(model)
    whole = replace(spec, seconds=3.7) # All 90 frames at 25 per second
    array = read_frames(videos[1])[0].permute(0, 2, 3, 1).numpy()
    assert torch.equal(video_clips(array, whole, num_crops=3), video_clips(videos[1], whole, num_crops=3))
    assert len(video_clips(array, spec, num_crops=3).unique(dim=0)) == 3


def test_pixels_are_normalised_as_the_model_wants_or_not_at_all(model, videos):
    net, spec = load_trained(model, device="cpu")
    clip = video_clips(videos[0], spec)[0]
    assert torch.equal(run_inference(net, clip), run_inference(net, clip, spec))
    assert not torch.allclose(run_inference(net, clip), run_inference(net, clip, replace(spec, mean=(.485, .456, .406))))
    from transformers import AutoModelForVideoClassification
    bare = AutoModelForVideoClassification.from_pretrained(model)
    with pytest.raises(ValueError, match="which mean and std"): run_inference(bare, clip)


# ---------------------------------------------------------------------------------------------- videos with few frames

def test_a_short_video_is_answered_and_the_answer_says_how(model, tmp_path, caplog, capsys):
    short = write_video(tmp_path/"short.avi", frames=5)
    with caplog.at_level(logging.WARNING): answer = predict(model, short, device="cpu")
    assert answer.repeated_frames == 3 and "3 of 8 repeat others" in caplog.text and str(short) in caplog.text
    assert main(["predict", str(model), str(short), "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["repeated_frames"] == 3
    row, = predict_files(model, [short], tmp_path/"out.jsonl", device="cpu", progress=False)
    assert row["repeated_frames"] == 3 and row["predictions"] == answer


def test_a_long_video_repeats_nothing(model, videos, tmp_path, caplog):
    with caplog.at_level(logging.WARNING): assert predict(model, videos[0], device="cpu").repeated_frames == 0
    row, = predict_files(model, videos[:1], tmp_path/"out.jsonl", device="cpu", progress=False)
    assert "repeated_frames" not in row and not caplog.text


def test_a_scored_video_with_few_frames_is_marked(model, tmp_path):
    from vidcls.data import video_table
    from vidcls.scoring import evaluate_videos
    root = write_dataset(tmp_path/"set", "AB", dict(test=2))
    write_video(root/"test"/"A"/"v_A_g09_c01.avi", frames=5)
    s = evaluate_videos(model, video_table(root), device="cpu", progress=False)
    marked = s.predictions.set_index(s.predictions.path.map(lambda p: Path(p).name)).repeated_frames
    assert marked.to_dict() == {Path(p).name: 3*("g09" in p) for p in s.predictions.path} and "1 video has too few frames, so some are repeated" in str(s)


def test_a_still_stays_an_error(model, tmp_path):
    still = write_video(tmp_path/"still.avi", frames=1)
    with pytest.raises(ValueError, match="still.avi"): predict(model, still)
    with pytest.raises(ValueError, match="at least 2"): predict(model, np.zeros((1, 8, 8, 3), np.uint8))


# ---------------------------------------------------------------------------------------------- what loading costs

@pytest.mark.parametrize("command", [["predict"], ["evaluate", "--report"]])
def test_a_command_loads_the_model_once(model, command, tmp_path, monkeypatch):
    root, loads, really = write_dataset(tmp_path/"set", "AB", dict(test=2)), [], infer.load_trained
    def counted(*args, **kw):
        loads.append(args)
        return really(*args, **kw)
    from vidcls import scoring
    from vidcls.engine import batch
    for module in (infer, scoring, batch): monkeypatch.setattr(module, "load_trained", counted)
    infer._loaded.cache_clear()
    args = [command[0], str(model), str(root), "--device", "cpu"]
    if "--report" in command: args += ["--report", str(tmp_path/"page.html")]
    assert main(args) == 0 and len(loads) == 1


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_asking_a_model_does_not_import_the_pipelines():
    assert python("import sys\nfrom vidcls.infer import predict\nprint('transformers.pipelines' in sys.modules)") == "False"
    assert python("from vidcls import VidclsPipeline\nprint(VidclsPipeline.__module__)") == "vidcls.engine.pipeline"


SIDE_EFFECTS = """
import gc, os, warnings
env, filters = dict(os.environ), list(warnings.filters)
import vidcls, torch
own = set(map(str, warnings.filters)) - set(map(str, filters))
import vidcls.clips
print(dict(os.environ) == env, [f for f in own if 'IProgress' in f], end=' ')
pid = os.fork()
if not pid:
    print(gc.get_freeze_count(), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_importing_leaves_the_program_as_it_was():
    assert python(SIDE_EFFECTS) == "True [] 0"


# ---------------------------------------------------------------------------------------------- results that are kept

def test_results_of_a_video_that_has_changed_are_not_taken(model, tmp_path):
    from vidcls.data import video_table
    from vidcls.scoring import evaluate_videos
    root = write_dataset(tmp_path/"set", "AB", dict(test=1))
    table, out = video_table(root), tmp_path/"logits.jsonl"
    score = lambda **kw: evaluate_videos(model, table, device="cpu", progress=False, **kw).probabilities
    first = score(out=out)
    written = out.read_text()
    assert np.array_equal(score(out=out), first) and out.read_text() == written
    write_video(Path(table.path[0]), frames=100, first=77)
    again = score(out=out)
    assert np.allclose(again, score(), atol=1e-6) and not np.allclose(again[0], first[0], atol=1e-4) and np.allclose(again[1], first[1], atol=1e-6)
    assert len(out.read_text().splitlines()) == 2
    row, = predict_files(model, [table.path[0]], tmp_path/"answers.jsonl", device="cpu", progress=False)
    write_video(Path(table.path[0]), frames=90, first=5)
    changed, = predict_files(model, [table.path[0]], tmp_path/"answers.jsonl", device="cpu", progress=False)
    assert changed["predictions"] != row["predictions"] and changed["predictions"] == predict(model, table.path[0], device="cpu")


@pytest.mark.parametrize("args", [["--top-k", 0], ["--clips", 0], ["--crops", -1]])
def test_wrong_options_are_not_a_videos_fault(model, videos, args, capsys):
    assert main(["predict", str(model), videos[0], *map(str, args)]) == 2
    said = capsys.readouterr()
    assert "at least 1" in said.err and not said.out
