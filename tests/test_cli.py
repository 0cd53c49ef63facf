"The command line as a process: streams, exit statuses, and one sentence for everything that is wrong."
import json, os, re, resource, shutil, subprocess, sys

import pytest

from vidcls.engine.cli import main
from videos import REAL, needs_real, write_dataset, write_video


def vidcls(*args, cwd=None, limit=None, **env):
    "Run the command; `limit` is the size that a file may have, in bytes, as on a disk that is full."
    small = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None
    r = subprocess.run([sys.executable, "-m", "vidcls", *map(str, args)], capture_output=True, text=True, cwd=cwd,
                       env=os.environ | {"VIDCLS_RECIPE": "smoke"} | env, preexec_fn=small)
    assert "Traceback" not in r.stderr
    return r


@pytest.fixture(scope="module")
def data(tmp_path_factory): return write_dataset(tmp_path_factory.mktemp("data")/"mine", frames=60)


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("model")/"mine"
    r = vidcls("finetune", "--data", data, "--out", out, "--workers", 0, "--json")
    assert r.returncode == 0, r.stderr
    assert json.loads(r.stdout)["videos"] == 4 and "the weights of videomae-stick" in r.stderr
    return out


def test_help_and_version():
    for args in (["--help"], ["predict", "--help"], ["--version"]):
        r = vidcls(*args)
        assert r.returncode == 0 and r.stdout and not r.stderr


@pytest.mark.parametrize("args, what", [
    (["fly"], "no command 'fly'"), ([], ""), (["predict"], "required"), (["finetune", "--epochs", "many"], "invalid int"),
    (["finetune", "--speed", "9"], "unrecognized"), (["stick", "x", "--per-class", "a,b"], "--per-class"),
    (["finetune", "--check", "nonsense"], "--check must be one of"), (["check-data", "x", "--check", "nonsense"], "--check must be one of")])
def test_called_wrongly(args, what):
    r = vidcls(*args)
    assert r.returncode == 2 and what in r.stderr


def here(capsys, *args):
    "Run the command in this process: what it imports is imported already."
    status = main([str(a) for a in args])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_what_fails_says_so_in_one_sentence(tmp_path, data, capsys):
    (tmp_path/"empty"/"train"/"Nod").mkdir(parents=True)
    (tmp_path/"file").touch()
    cases = [(["finetune", "--recipe", "ucf"], "'ucf'.*choose one of"),
             (["finetune", "--data", "nowhere"], "no folder 'nowhere'"),
             (["finetune", "--data", tmp_path/"empty"], "Nod does not contain a video"),
             (["finetune", "--data", data, "--out", tmp_path/"file"/"model"], "Cannot write to"),
             (["finetune", "--data", data, "--checkpoint", tmp_path/"none"], "no checkpoint .*none"),
             (["predict", "nowhere", "a.avi"], "no model folder nowhere"),
             (["check-data", tmp_path/"none"], "no folder")]
    for args, what in cases:
        status, out, err = here(capsys, *args)
        assert status == 1 and not out and re.search(what, err.strip().splitlines()[-1]), (args, err)


@pytest.mark.parametrize("what", ["finetune", "pretrain"])
def test_a_run_without_data_leaves_no_folder(tmp_path, capsys, what):
    data = ["--data", tmp_path/"nowhere"] if what == "finetune" else [tmp_path/"nowhere"]
    assert here(capsys, what, *data, "--out", tmp_path/"new"/"model")[0] == 1
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_predict_answers_what_it_can(model, data, tmp_path):
    good = next(data.glob("test/*/*.avi"))
    text, short = tmp_path/"text.avi", write_video(tmp_path/"short.avi", frames=5)
    text.write_text("no film")
    r = vidcls("predict", model, good, text, short, tmp_path/"none.avi", "--json", "--device", "cpu")
    answers = json.loads(r.stdout)
    assert r.returncode == 1 and "predictions" in answers[0]
    for a, what in zip(answers[1::2], ("not a readable video", "no video")): assert what in a["error"] and what in r.stderr
    assert answers[2]["repeated_frames"] == 11 and "11 of 16 repeat others" in r.stderr


@pytest.mark.slow
def test_a_reading_process_answers_in_one_sentence(model, data, tmp_path):
    root = shutil.copytree(data, tmp_path/"set")
    bad = sorted(root.glob("test/*/*.avi"))[0]
    bad.write_text("no film")
    r = vidcls("evaluate", model, root, "--workers", 1, "--device", "cpu")
    assert r.returncode == 1 and r.stderr.strip().splitlines()[-1].startswith(f"vidcls evaluate: {bad} is not a readable video") and "Caught" not in r.stderr


@pytest.mark.slow
def test_names_that_a_terminal_cannot_show_are_shown_as_codes(model, data, tmp_path):
    video = shutil.copy(next(data.glob("test/*/*.avi")), tmp_path/"übung.avi")
    r = vidcls("predict", model, video, "--device", "cpu", PYTHONIOENCODING="ascii")
    assert r.returncode == 0 and "\\xfcbung.avi" in r.stdout and "codec" not in r.stderr


def test_a_device_that_does_not_exist_is_named(model, data, capsys):
    status, out, err = here(capsys, "predict", model, next(data.glob("test/*/*.avi")), "--device", "foo")
    assert status == 1 and not out and "There is no device 'foo'" in err


def test_a_model_without_its_spec_is_refused(model, data, tmp_path, capsys):
    shutil.copytree(model, tmp_path/"model")
    (tmp_path/"model"/"clip_spec.json").unlink()
    status, out, err = here(capsys, "predict", tmp_path/"model", next(data.glob("test/*/*.avi")))
    assert status == 1 and not out and "clip_spec.json" in err


@pytest.mark.slow
def test_a_full_disk_leaves_no_half_model(data, tmp_path):
    r = vidcls("finetune", "--data", data, "--out", tmp_path/"model", "--workers", 0, limit=1_000_000)
    assert r.returncode == 1 and "vidcls finetune: The disk is full" in r.stderr, r.stderr
    assert not (tmp_path/"model"/"vidcls.json").exists() and not (tmp_path/"model"/"model.safetensors").exists()


def test_check_data_finds_leaks_and_junk(data, tmp_path, capsys):
    root = write_dataset(tmp_path/"set", frames=60, rooms=True)
    assert here(capsys, "check-data", root)[0] == 0
    assert here(capsys, "check-data", data)[0] == 1 and json.loads(here(capsys, "check-data", data, "--json")[1])["look_alikes"] # Shared frames
    same = next((root/"train"/"Nod").iterdir())
    (root/"test"/"Nod"/"v_Nod_g99_c01.avi").write_bytes(same.read_bytes())
    (root/"val"/"Nod"/same.name.replace("c01", "c02")).write_bytes(next((root/"val"/"Wave").iterdir()).read_bytes())
    (root/"test"/"Wave"/"._v_Wave_g05_c01.avi").write_bytes(b"\0\5\26\7")
    with pytest.warns(UserWarning, match=r"1 file is not a video and was skipped: 1 hidden \(the first is test/Wave/._v_Wave"):
        status, out, _ = here(capsys, "check-data", root, "--json")
    found = json.loads(out)
    assert status == 1 and not found["ok"] and len(found["groups_in_two_splits"]) == 1 and len(found["identical_files"]) == 4


@pytest.mark.slow
@needs_real
def test_real_videos_the_whole_way(tmp_path):
    "The guide's archive of real clips: unpack, fine-tune, predict."
    from vidcls.engine.archive import extract_archive
    root = extract_archive(REAL, tmp_path, progress=False)
    r = vidcls("finetune", "--data", root, "--out", tmp_path/"model", "--epochs", 1, "--eval-clips", 1, "--json")
    assert r.returncode == 0, r.stderr
    done = json.loads(r.stdout)
    assert done["videos"] == 30 and not done["skipped"]
    r = vidcls("predict", tmp_path/"model", next((root/"test"/"Surfing").iterdir()), "--json")
    best = json.loads(r.stdout)[0]["predictions"]
    assert r.returncode == 0 and len(best) == 5 and abs(sum(p["score"] for p in best)) <= 1


def test_an_evaluation_does_not_replace_the_list_that_it_reads(data, tmp_path, capsys):
    (tmp_path/"list.csv").write_text(text := f"path,label\n{next(data.rglob('*.avi'))},Nod\n")
    for option in ("predictions", "report", "out"):
        status, _, said = here(capsys, "evaluate", "any", tmp_path/"list.csv", f"--{option}", tmp_path/"list.csv")
        assert status == 2 and said == f"vidcls evaluate: --{option} would replace {tmp_path/'list.csv'}.\n"
    assert here(capsys, "evaluate", "any", data, "--report", tmp_path/"a", "--predictions", tmp_path/"a")[0] == 2
    assert (tmp_path/"list.csv").read_text() == text
