"Several processes do what one does, and a killed run goes on as if nothing had happened."
import json, os, shutil, signal, subprocess, sys, time

import numpy as np, pytest, torch
from safetensors.torch import load_file, save_file
from transformers import VideoMAEForPreTraining

from vidcls.engine.batch import Journal, predict_files
from vidcls.engine.record import load_record
from vidcls.scoring import evaluate_videos
from videos import tiny_config, variant, write_checkpoint, write_dataset

pytestmark = pytest.mark.slow # Most start several processes, and the others need what these have made
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "VIDCLS_RECIPE": "stick"}
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vidcls"]
ONE = [sys.executable, "-m", "vidcls"]


@pytest.fixture(scope="module")
def set10(tmp_path_factory):
    "Ten training videos: three batches of four, the last half full. Five to validate, with three clips each: the last batch has three."
    root = write_dataset(tmp_path_factory.mktemp("data")/"set", per_split=dict(train=5, val=3, test=2))
    next((root/"val"/"Nod").glob("*.avi")).unlink()
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), VideoMAEForPreTraining(tiny_config()))


def run(who, *args):
    r = subprocess.run([*who, *map(str, args)], env=ENV, capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, r.stderr[-3000:]
    return r.stdout


def train(who, set10, checkpoint, out, *more):
    out_text = run(who, "finetune", "--data", set10, "--checkpoint", checkpoint, "--out", out, "--epochs", 3, "--batch-size", 4,
                   "--learning-rate", 1e-3, "--eval-clips", 3, "--workers", 0, "--json", *more)
    return json.loads(out_text), load_record(out), load_file(out/"model.safetensors")


@pytest.fixture(scope="module")
def alone(set10, checkpoint, tmp_path_factory): return train(ONE, set10, checkpoint, tmp_path_factory.mktemp("one")/"m")


@pytest.fixture(scope="module")
def together(set10, checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp("two")/"m"
    return *train(TWO, set10, checkpoint, out), out


def test_two_processes_learn_what_one_learns(alone, together):
    (one, a, wa), (two, b, wb, _) = alone, together
    losses = lambda r: [h["eval_loss"] for h in r["history"] if "eval_loss" in h]
    assert np.allclose(losses(a), losses(b), rtol=1e-5)
    assert all(torch.allclose(wa[k], wb[k], atol=2e-5) for k in wa)
    assert [one[k] for k in ("videos", "clips", "video_accuracy", "clip_accuracy")] == [two[k] for k in ("videos", "clips", "video_accuracy", "clip_accuracy")]


def test_a_batch_that_cannot_be_shared_is_refused(set10, checkpoint, tmp_path):
    r = subprocess.run([*TWO, "finetune", "--data", str(set10), "--checkpoint", str(checkpoint), "--out", str(tmp_path/"m"), "--batch-size", "3"],
                       env=ENV, capture_output=True, text=True, timeout=300)
    assert r.returncode and "A batch of 3 cannot be shared by 2 processes" in r.stderr


def test_two_processes_pretrain_one_model_and_name_a_bad_video_once(set10, checkpoint, tmp_path):
    videos = shutil.copytree(set10/"train", tmp_path/"videos")
    (videos/"broken.avi").write_text("no film")
    r = subprocess.run([*TWO, "pretrain", str(videos), "--checkpoint", str(checkpoint), "--out", str(tmp_path/"m"), "--epochs", "2",
                        "--batch-size", "4", "--workers", "0", "--json"], env=ENV, capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, r.stderr[-3000:]
    said, record = json.loads(r.stdout), load_record(tmp_path/"m")
    assert said["videos"] == record["metrics"]["videos"] == 10 and (r.stdout + r.stderr).count("Left out: ") == 1
    assert [s for s, _ in record["losses"]] == list(range(6)) and record["skipped"] == ["broken.avi"]
    assert not (tmp_path/"m"/"checkpoints").exists() and VideoMAEForPreTraining.from_pretrained(tmp_path/"m")


def test_two_processes_score_what_one_scores(together, set10, tmp_path):
    model = together[3]
    for who, name in ((ONE, "a"), (TWO, "b")):
        run(who, "evaluate", model, set10, "--out", tmp_path/f"{name}.jsonl", "--predictions", tmp_path/f"{name}.csv")
    assert (tmp_path/"a.csv").read_bytes() == (tmp_path/"b.csv").read_bytes()
    rows = {n: [json.loads(l) for l in (tmp_path/f"{n}.jsonl").read_text().splitlines()] for n in "ab"}
    assert [r["video"] for r in rows["a"]] == [r["video"] for r in rows["b"]] and len(rows["a"]) == 4
    assert all(np.allclose(x["logits"], y["logits"], atol=1e-5) for x, y in zip(rows["a"], rows["b"]))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "a.jsonl", "b.csv", "b.jsonl"]


def test_two_processes_predict_a_folder_once(together, set10, tmp_path):
    model, out = together[3], tmp_path/"answers.jsonl"
    said = json.loads(run(TWO, "predict", model, set10/"train", "--out", out, "--json"))
    assert said == dict(file=str(out), videos=10, failed=0)
    rows = [json.loads(l) for l in out.read_text().splitlines()]
    assert len({r["video"] for r in rows}) == len(rows) == 10 and all(len(r["predictions"]) == 2 for r in rows)


def test_what_is_written_is_not_done_again_and_a_cut_line_is(together, set10, tmp_path, monkeypatch):
    model, out = together[3], tmp_path/"answers.jsonl"
    videos = sorted(map(str, (set10/"train").rglob("*.avi")))
    whole = predict_files(model, videos, tmp_path/"whole.jsonl", progress=False)
    lines = (tmp_path/"whole.jsonl").read_text().splitlines()
    (tmp_path/".answers.jsonl.abc123abc123.part").write_text("\n".join(lines[:4]) + "\n" + lines[4][:50])
    done, real = [], Journal.write
    monkeypatch.setattr(Journal, "write", lambda self, v, **k: (done.append(v), real(self, v, **k))[1])
    assert predict_files(model, videos, out, progress=False) == whole and done == videos[4:]
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["answers.jsonl", "whole.jsonl"]
    done.clear()
    assert predict_files(model, videos, out, progress=False) == whole and not done


def test_lines_of_another_run_are_refused(together, set10, tmp_path):
    model, videos = together[3], [str(next((set10/"test").rglob("*.avi")))]
    predict_files(model, videos, tmp_path/"a.jsonl", progress=False)
    before = (tmp_path/"a.jsonl").read_bytes()
    with pytest.raises(ValueError, match="to another run .top_k was 5, is now 1"): predict_files(model, videos, tmp_path/"a.jsonl", top_k=1, progress=False)
    with pytest.raises(FileNotFoundError, match="no folder"): predict_files(model, videos, tmp_path/"none"/"a.jsonl", progress=False)
    assert (tmp_path/"a.jsonl").read_bytes() == before


def test_an_evaluation_that_was_cut_goes_on_and_ends_the_same(together, set10, tmp_path):
    model = together[3]
    whole = evaluate_videos(model, set10, out=tmp_path/"a.jsonl", progress=False)
    lines = (tmp_path/"a.jsonl").read_text().splitlines()
    (tmp_path/".b.jsonl.0123456789ab.part").write_text(lines[1] + "\n")
    again = evaluate_videos(model, set10, out=tmp_path/"b.jsonl", progress=False)
    assert np.allclose(whole.probabilities, again.probabilities, atol=1e-6) and np.allclose(evaluate_videos(model, set10, progress=False).probabilities, whole.probabilities, atol=1e-6)


def answers(path): return [json.loads(l) for l in path.read_text().splitlines()]


def test_results_of_another_model_kind_or_view_are_refused(together, set10, tmp_path):
    model, videos, out = together[3], [str(next((set10/"test").rglob("*.avi")))], tmp_path/"a.jsonl"
    predict_files(model, videos, out, progress=False)
    shutil.copytree(model, tmp_path/"other"/model.name)
    weights = load_file(model/"model.safetensors")
    save_file({k: v + .01 for k, v in weights.items()}, tmp_path/"other"/model.name/"model.safetensors", metadata=dict(format="pt"))
    before = out.read_bytes()
    with pytest.raises(ValueError, match="to another run .weights was"): predict_files(tmp_path/"other"/model.name, videos, out, progress=False)
    with pytest.raises(ValueError, match="to another run"): evaluate_videos(model, set10, out=out, progress=False)
    with pytest.raises(ValueError, match="changed clips are not kept"): evaluate_videos(model, set10, out=tmp_path/"b.jsonl", change=lambda v: v, progress=False)
    assert out.read_bytes() == before and not (tmp_path/"b.jsonl").exists()


def test_a_second_folder_is_added_and_what_failed_is_tried_again(together, set10, tmp_path):
    model, videos, out = together[3], sorted(map(str, (set10/"train").rglob("*.avi"))), tmp_path/"run[1].jsonl"
    broken = tmp_path/"v.avi"
    broken.write_text("no film")
    assert "error" in predict_files(model, [*videos[:2], broken], out, progress=False)[2]
    shutil.copy(videos[0], broken)
    [again] = predict_files(model, [broken], out, progress=False)
    assert again["predictions"] == answers(out)[0]["predictions"]
    predict_files(model, videos[2:4], tmp_path/"run", progress=False)
    assert len(predict_files(model, videos[2:4], out, progress=False)) == 2
    assert {a["video"] for a in answers(out)} == {*videos[:4], str(broken)} and len(answers(out)) == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "run[1].jsonl", "v.avi"]


def test_parts_of_a_file_with_a_like_name_are_left_alone(together, set10, tmp_path):
    model, videos = together[3], sorted(map(str, (set10/"train").rglob("*.avi")))[:1]
    part = tmp_path/".res.jsonl.0123456789ab.part"
    part.write_text('{"video": "x"}\n')
    predict_files(model, videos, tmp_path/"res", progress=False)
    assert part.exists()


@pytest.mark.parametrize("content", [b"milk", b"milk\neggs\n", b"17\n{}\n", b'{"video": ["a"]}\n{}\n', b"\xff\xfe\n\0\n"])
def test_a_file_that_holds_no_results_is_kept(together, set10, tmp_path, content):
    (tmp_path/"notes.txt").write_bytes(content)
    with pytest.raises(ValueError, match="notes.txt is not a list of results .line 1"): predict_files(together[3], ["a.avi"], tmp_path/"notes.txt", progress=False)
    with pytest.raises(IsADirectoryError, match="name a file"): predict_files(together[3], ["a.avi"], tmp_path, progress=False)
    assert (tmp_path/"notes.txt").read_bytes() == content


@pytest.mark.parametrize("seed", [pytest.param(0, marks=variant), 1])
def test_a_killed_run_ends_as_one_that_was_not(alone, set10, checkpoint, tmp_path, seed):
    "Kill -9 at random moments, resume, until it is done; with workers, blended clips and smaller steps below, too, if `seed`."
    more = ["--mix", "--layer-decay", "0.7"] if seed else []
    right, record = reversed((train(ONE, set10, checkpoint, tmp_path/"right", *more) if seed else alone)[1:])
    out, rng = tmp_path/"m", np.random.default_rng(seed)
    args = [*ONE, "finetune", "--data", set10, "--checkpoint", checkpoint, "--out", out, "--epochs", 3, "--batch-size", 4,
            "--learning-rate", 1e-3, "--eval-clips", 3, "--workers", seed, *more]
    kills, late = 0, .1
    while kills < 2: # after the first checkpoint, then after the second
        resume = ["--resume"] if kills else []
        p = subprocess.Popen(list(map(str, args + resume)), env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        have = set((out/"checkpoints").glob("checkpoint-*")) if kills else set()
        end = time.time() + 120
        while time.time() < end and p.poll() is None and not set((out/"checkpoints").glob("checkpoint-*")) - have: time.sleep(.002)
        time.sleep(rng.uniform(0, late)) # in the middle of a checkpoint or of the next epoch
        if p.poll() is None: os.kill(p.pid, signal.SIGKILL)
        p.wait(); kills += 1
        whole = [d for d in (out/"checkpoints").glob("checkpoint-*") if (d/"trainer_state.json").exists()]
        if kills == 1 and not whole: # Not even the first was whole: begin again, and wait longer
            kills, late = 0, 2*late
            shutil.rmtree(out, ignore_errors=True)
    assert not (out/"model.safetensors").exists()
    run(args[:3], *args[3:], "--resume")
    found = load_file(out/"model.safetensors")
    assert all(torch.equal(found[k], right[k]) for k in right)
    losses = lambda r: [h["eval_loss"] for h in r["history"] if "eval_loss" in h] # of every epoch, not of the best alone
    assert losses(load_record(out)) == losses(record)
    assert json.loads(run(args[:3], *args[3:], "--resume", "--json")) # there is nothing left to do
