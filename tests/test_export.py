"Exported networks: every family gives PyTorch's answers, a wrong export leaves nothing, and the rest of vidcls takes the folder."
import json, shutil, sys
from dataclasses import asdict
from pathlib import Path

import numpy as np, pytest, torch

from test_families import SPEEDY, publish as publish_video
from test_frozen import extract, IMAGES, publish, recipe_for
from videos import variant, write_dataset, write_model
from vidcls import explain, predict, predict_files, timeline
from vidcls.backbones import fit_probe, load_backbone, load_probe
from vidcls.clips import ClipSpec
from vidcls.engine import export as X
from vidcls.engine.batch import fingerprint
from vidcls.engine.cli import main
from vidcls.engine.families import FAMILIES
from vidcls.engine.loading import file_times, model_folder
from vidcls.engine.runtime import onnx_runtime, OnnxNet
from vidcls.infer import load_trained, run_inference
from vidcls.model import load_model
from vidcls.scoring import evaluate_videos
from vidcls.train import finetune


def needs_extra(f): return pytest.mark.skipif(not all(map(X.util.find_spec, X.EXTRA)), reason="the extra is missing: pip install 'vidcls[export]'")(f)


def export(model, out, data, **kwargs): return X.export_onnx(model, out, data, progress=False, **kwargs)
def clips_for(spec, n): return torch.randint(0, 256, (n, spec.num_frames, 3, spec.size, spec.size), dtype=torch.uint8)


def same_answers(model, exported, most=1e-4):
    "Any number of clips gives the same logits; returns the largest difference. On noise, a probe's may be in the hundreds."
    net, spec = load_trained(model, device="cpu")
    onnx, again = load_trained(exported, device="cpu")
    assert isinstance(onnx, OnnxNet) and again == spec
    apart = 0
    for n in (1, 2, 5):
        clips = clips_for(spec, n)
        ours, theirs = run_inference(net, clips), run_inference(onnx, clips)
        assert ours.shape == theirs.shape == (n, 2)
        apart = max(apart, float((ours - theirs).abs().max()/ours.abs().max().clamp(min=1)))
    assert apart <= most
    return apart


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    return write_model(tmp_path_factory.mktemp("export")/"model")


@pytest.fixture(scope="module")
def exported(model, data):
    return export(model, None, data, num_clips=2).model_dir


# --- families ---

@needs_extra
@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_gives_the_same_answers(name, tmp_path, data):
    path = publish_video(tmp_path/"published", name)
    spec = ClipSpec.from_checkpoint(path, SPEEDY)
    net = load_model(str(path), {"Nod": 0, "Wave": 1}, spec=spec)
    with torch.no_grad():
        for p in net.parameters(): p.copy_(torch.randn_like(p)*.2)
    net.save_pretrained(tmp_path/"m"); spec.save(tmp_path/"m")
    done = export(tmp_path/"m", None, data)
    assert done.model_dir == tmp_path/"m-onnx" and done.about["apart"] <= 1e-4 and done.about["videos"] == 4
    assert same_answers(tmp_path/"m", done.model_dir) <= 1e-4
    assert predict(done.file, next(data.glob("test/*/*.avi")))[0]["label"] in ("Nod", "Wave")


PROBES = [("clip_vision_model", "linear"), ("vjepa2", "linear"), ("videomae", "attentive"), ("dinov2", "attentive")] # All others weekly


@needs_extra
@pytest.mark.slow
@pytest.mark.parametrize("name, kind", [*PROBES, *(pytest.param(n, "linear", marks=variant) for n in [*FAMILIES, *IMAGES] if (n, "linear") not in PROBES)])
def test_a_probe_gives_the_same_answers(name, kind, tmp_path, data, monkeypatch):
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))
    path = publish(tmp_path/"published", name)
    features = extract(load_backbone(str(path), recipe=recipe_for(name, path)), data, tokens="all", store=tmp_path/"features")
    more = dict(depth=2, epochs=1) if kind == "attentive" else {}
    done = fit_probe(features, kind, tmp_path/"probe", progress=False, device="cpu", **more)
    # These videos are so alike that a head's weights are in the thousands, and float32 itself is up to 1e-4 away from float64
    same_answers(done.model_dir, export(done.model_dir, None, data, num_clips=1, tolerance=1e-3).model_dir)


class Own(torch.nn.Module):
    "A user's network."
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv3d(3, 8, (2, 8, 8), (2, 8, 8))
    def forward(self, x): return self.conv(x).flatten(2).mT.relu() # [B, N, D]


class Choosy(Own):
    "Its operations depend on the clips."
    def forward(self, x): return super().forward(x if x.mean() > 0 else -x)


@needs_extra
@pytest.mark.slow
@pytest.mark.parametrize("make, works", [(Own, True), (Choosy, False)])
def test_a_network_of_your_own_is_exported_or_refused_in_one_sentence(make, works, tmp_path, data, monkeypatch):
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))
    spec = ClipSpec(8, .8, 32, "crop", (.5,)*3, (.5,)*3)
    probe = fit_probe(extract(load_backbone(make, spec=spec, layout="BCTHW"), data), "linear", tmp_path/"probe", progress=False, device="cpu").model_dir
    load_probe(probe, make)
    if works: same_answers(probe, export(probe, None, data).model_dir)
    else:
        with pytest.raises(ValueError, match="PyTorch cannot export this network .*same operations whatever the clips show") as e: export(probe, None, data)
        assert "\n" not in str(e.value) and sorted(p.name for p in tmp_path.iterdir()) == ["home", "probe"]


# --- the rest of vidcls takes the folder ---

@needs_extra
def test_the_answers_are_pytorchs_everywhere(model, exported, data, tmp_path):
    videos = sorted(map(str, data.glob("test/*/*.avi")))
    same = lambda a, b: [x["label"] for x in a] == [x["label"] for x in b] and np.allclose([x["score"] for x in a], [x["score"] for x in b], atol=1e-5)
    for video in videos: assert same(predict(model, video, device="cpu"), predict(exported, video))
    assert same(predict(model, videos[0], num_clips=3, num_crops=2, device="cpu"), predict(exported/"model.onnx", videos[0], num_clips=3, num_crops=2))
    ours, theirs = (evaluate_videos(m, data, num_clips=2, progress=False, device="cpu") for m in (model, exported))
    assert (ours.accuracy, ours.protocol) == (theirs.accuracy, theirs.protocol) and np.allclose(ours.probabilities, theirs.probabilities, atol=1e-5)
    rows = predict_files(exported, videos, tmp_path/"rows.jsonl", progress=False)
    assert all(same(r["predictions"], predict(model, v, device="cpu")) for r, v in zip(rows, videos))
    a, b = (timeline(m, videos[0]) for m in (model, exported))
    assert a.segments.equals(b.segments)
    heat = [explain(m, videos[0], device="cpu").heat for m in (model, exported)]
    assert heat[0].shape == heat[1].shape and np.allclose(*heat, atol=1e-5)


@needs_extra
def test_the_pipeline_takes_it(model, exported, data):
    import transformers as tf
    from vidcls.engine.pipeline import VidclsPipeline
    videos = sorted(map(str, data.glob("test/*/*.avi")))[:3]
    ours, theirs = ([*tf.pipeline("video-classification", str(m), pipeline_class=VidclsPipeline, device="cpu")(videos, batch_size=2, num_workers=0)]
                    for m in (model, exported))
    assert [[a["label"] for a in v] for v in ours] == [[a["label"] for a in v] for v in theirs]
    assert np.allclose([[a["score"] for a in v] for v in ours], [[a["score"] for a in v] for v in theirs], atol=1e-5)


@pytest.mark.slow
@needs_extra
def test_the_command_line(model, data, tmp_path, capsys):
    assert main(["export", str(model), "--out", str(tmp_path/"m"), "--data", str(data), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model_dir"] == str(tmp_path/"m") and found["apart"] <= 1e-4 and found["weights"] == "float32" and found["int8"] is None
    scores = []
    for m in (model, tmp_path/"m"):
        assert main(["evaluate", str(m), str(data), "--device", "cpu", "--json"]) == 0
        scores.append(json.loads(capsys.readouterr().out))
    assert scores[0] == scores[1]
    assert main(["export", str(model), "--out", str(tmp_path/"m"), "--data", str(data)]) == 1
    assert "exists already: name another folder" in capsys.readouterr().err
    for args in (["--clips", "0"], ["--most-lost", "2"]): assert main(["export", str(model), *args]) == 2


@needs_extra
def test_it_answers_and_does_nothing_else(exported, data, tmp_path):
    video = next(data.glob("test/*/*.avi"))
    for method in ("gradcam", "rollout"):
        with pytest.raises(ValueError, match="returns neither tokens nor attention: .* use method='occlusion'"): explain(exported, video, method)
    with pytest.raises(ValueError, match="is an exported network, which cannot be trained: name the model that it was made from"):
        finetune(str(data), tmp_path/"m", checkpoint=str(exported), progress=False)
    with pytest.raises(ValueError, match="is an exported network itself: name the model"): load_backbone(str(exported))
    with pytest.raises(ValueError, match="is an exported network already: name the model that"): export(exported, tmp_path/"again", data)
    assert not list(tmp_path.iterdir())
    net, spec = load_trained(exported, device="cpu")
    with pytest.raises(ValueError, match="takes bytes"): run_inference(net, clips_for(spec, 1).float())
    other = ClipSpec(spec.num_frames, spec.seconds, spec.size, "crop", (.4,)*3, spec.std)
    with pytest.raises(ValueError, match="mean .* built in, but the ClipSpec says"): predict(exported, video, spec=other)


@needs_extra
def test_the_folder_is_a_model_of_its_own(model, exported, tmp_path):
    assert {f.name for f in exported.iterdir()} == {"model.onnx", "config.json", "clip_spec.json", "vidcls.json", "video_preprocessor_config.json"}
    about = json.loads((exported/"vidcls.json").read_text())["export"]
    assert about["fingerprint"] == fingerprint(model) != fingerprint(exported) and str(model.parent) not in json.dumps(about)
    copy = shutil.copytree(exported, tmp_path/"copy")
    assert model_folder(copy/"model.onnx") == copy and fingerprint(copy) == fingerprint(exported)
    before = file_times(copy), fingerprint(copy)
    with open(copy/"model.onnx", "ab") as f: f.write(b"\0")
    assert file_times(copy) != before[0] and fingerprint(copy) != before[1]
    (copy/"model.onnx").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="onnxruntime cannot load .*: export the model again"): load_trained(copy)
    (copy/"model.onnx").unlink()
    with pytest.raises(ValueError, match="has no model.onnx: copy the model again"): load_trained(copy)


@needs_extra
def test_threads_are_pytorchs(exported):
    net, spec = load_trained(exported, device="cpu")
    was = torch.get_num_threads()
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            run_inference(net, clips_for(spec, 1))
            assert net.session().get_session_options().intra_op_num_threads == n
    finally: torch.set_num_threads(was)


# --- what is refused, and what is left ---

def bent(net, spec, file, write=X.write_graph):
    "A graph that is not that of the network, which is changed after it was written."
    write(net, spec, file)
    with torch.no_grad(): net.classifier.bias += torch.tensor([0., .01])


@pytest.mark.slow
@needs_extra
def test_a_wrong_export_leaves_nothing(model, data, tmp_path, monkeypatch):
    monkeypatch.setattr(X, "write_graph", bent)
    with pytest.raises(ValueError, match=r"logits differ from PyTorch's by 1\.0e-02 of the largest one, .* was not kept") as e: export(model, tmp_path/"m", data)
    assert "\n" not in str(e.value) and not list(tmp_path.iterdir())
    monkeypatch.setattr(X, "_check_batches", lambda *_: None) # Then the videos tell
    with pytest.raises(ValueError, match=r"differ by up to 1\.0e-02 .* videos get another label"): export(model, tmp_path/"m", data)
    assert not list(tmp_path.iterdir())


def test_a_label_that_changes_is_refused_however_close_the_logits_are():
    ours = np.array([[0, 1e-6], [1, 0]], np.float32)
    with pytest.raises(ValueError, match="1 of 2 videos get another label"): X.parity(ours, ours[:, ::-1]*[[1, 1], [0, 0]] + ours*[[0, 0], [1, 1]], 1)
    assert X.parity(ours, ours + 1e-7, 1) < 1e-6


@needs_extra
def test_places_that_will_not_do(model, data, tmp_path):
    (tmp_path/"full").mkdir()
    (tmp_path/"full"/"file").touch()
    (tmp_path/"file").touch()
    for out, error, message in ((tmp_path/"full", FileExistsError, "exists already"), (tmp_path/"file", FileExistsError, "exists already"),
                                (model, ValueError, "own folder"), (model/"deep"/"er", OSError, "no folder for"), (model/"onnx", ValueError, "own folder"),
                                (tmp_path/"no"/"where", FileNotFoundError, "There is no folder for")):
        with pytest.raises(error, match=message): export(model, out, data)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "full"] and not (model/"onnx").exists()


@needs_extra
def test_a_folder_that_cannot_be_written_is_named_before_the_work(model, tmp_path, monkeypatch):
    monkeypatch.setattr(X, "_videos", lambda *a: pytest.fail("began to work"))
    def full(*a, **k): raise OSError(28, "No space left on device", "/a/.exporting-x")
    monkeypatch.setattr(X.tempfile, "TemporaryDirectory", full)
    with pytest.raises(OSError) as e: export(model, tmp_path/"m", None)
    assert str(e.value) == f"{tmp_path/'m'} cannot be written (No space left on device): name a folder in another place."


@needs_extra
def test_models_and_data_that_will_not_do(model, data, tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no model folder"): export(tmp_path/"nothing", tmp_path/"m", data)
    with pytest.raises((ValueError, OSError)) as e: export(data, tmp_path/"m", data)
    assert "\n" not in str(e.value)
    for numbers in (dict(most_lost=1.), dict(num_clips=0), dict(tolerance=0)):
        with pytest.raises(ValueError, match=next(iter(numbers))): export(model, tmp_path/"m", data, **numbers)
    with pytest.raises(ValueError, match="int8 needs test videos with labels"): export(model, tmp_path/"m", None, int8=True)
    other = write_dataset(tmp_path/"other", ("Sit", "Wave"), dict(train=1, val=1, test=1))
    with pytest.raises(ValueError, match="does not know the label 'Sit'"): export(model, tmp_path/"m", other, int8=True)
    assert [p.name for p in tmp_path.iterdir()] == ["other"]


def test_a_missing_extra_is_one_sentence(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(X.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"^Exporting needs onnx: pip install 'vidcls\[export\]'\.$"): X.export_onnx(model, tmp_path/"m")
    assert main(["export", str(model)]) == 1 and capsys.readouterr().err == "vidcls export: Exporting needs onnx: pip install 'vidcls[export]'.\n"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"^An exported model needs onnxruntime: pip install 'vidcls\[export\]'\.$"): onnx_runtime()


@needs_extra
def test_without_data_it_is_the_shipped_samples_or_the_generated_data(model, tmp_path, caplog):
    done = export(model, tmp_path/"m", None)
    assert done.about["videos"] == 9 and done.about["data"] == "the shipped samples" and "name your videos with --data" in caplog.text
    from vidcls.engine.recipes import RECIPES
    recipe = X._generated(dict(recipe=asdict(RECIPES["smoke"]) | dict(unknown=1)))
    assert recipe == RECIPES["smoke"] and X._generated(dict(recipe=dict(data="mine"))) is None


# --- int8 ---

def test_the_rule_for_int8():
    fast, nan = np.full(9, 1.2), float("nan")
    assert X.why_dropped((0., -.02, .01), fast) == ""
    assert X.why_dropped((0., -.021, .01), fast) == "it may lose 2.1 points of accuracy, but only 2.0 are allowed"
    assert X.why_dropped((0., -.021, .01), fast, .03) == ""
    assert "fewer than eight groups" in X.why_dropped((0., nan, nan), fast)
    assert X.why_dropped((.1, .05, .2), np.array([.9, .9, .9, 1.2, 1.2, 1.2, 1.2])) == "it was faster in only 4 of 7 rounds on this machine"
    assert X.why_dropped((.1, .05, .2), np.array([.9, 1.2, 1.2, 1.2, 1.2])) == ""


@needs_extra
@pytest.mark.parametrize("times, kept", [(dict(PyTorch=2, onnxruntime=2, int8=1), True), (dict(PyTorch=2, onnxruntime=1, int8=2), False)])
def test_int8_is_kept_only_where_it_pays(times, kept, model, tmp_path, monkeypatch):
    data = write_dataset(tmp_path/"data", per_split=dict(train=1, val=1, test=5), frames=20)
    monkeypatch.setattr(X, "time_nets", lambda nets, spec: {k: np.full(5, float(times[k])) for k in nets})
    done = export(model, tmp_path/"m", data, int8=True, most_lost=.99) # Ten videos say little
    about = json.loads((tmp_path/"m"/"vidcls.json").read_text())["export"]
    assert about["weights"] == ("int8" if kept else "float32") and bool(about["int8"]["dropped"]) is not kept
    assert about["bytes"] == (tmp_path/"m"/"model.onnx").stat().st_size and (about["bytes"] == about["int8"]["bytes"]) is kept
    assert ("\nint8             kept" in str(done)) is kept and ("dropped, because it was faster in only 0 of 5" in str(done)) is not kept
    clips = clips_for(load_trained(tmp_path/"m", device="cpu")[1], 4)
    ours, theirs = (run_inference(load_trained(m, device="cpu")[0], clips) for m in (model, tmp_path/"m"))
    assert (float((ours - theirs).abs().max()) > 1e-5) is kept # Eight bits are not quite the same
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "m"]


@needs_extra
def test_int8_that_loses_too_much_is_dropped(model, tmp_path, monkeypatch):
    data = write_dataset(tmp_path/"data", per_split=dict(train=1, val=1, test=5), frames=20)
    monkeypatch.setattr(X, "time_nets", lambda nets, spec: {k: np.full(5, 1. if k == "int8" else 2.) for k in nets})
    done = export(model, tmp_path/"m", data, int8=True)
    assert done.about["weights"] == "float32" and "points of accuracy, but only 2.0 are allowed" in done.about["int8"]["dropped"]


@needs_extra
def test_the_card_and_the_rule_come_along(model, data, tmp_path):
    source = shutil.copytree(model, tmp_path/"source")
    (source/"README.md").write_text("---\nlibrary_name: transformers\nlicense: cc-by-nc-4.0\n---\n")
    (source/"timeline.json").write_text('{"nothing": null, "share": 0.4, "cost": 3.0}')
    (source/"vidcls.json").write_text(json.dumps(dict(recipe=dict(eval_clips=3), labels=["Nod", "Wave"])))
    done = export(source, None, data)
    assert (done.model_dir/"README.md").read_text() == "---\nlibrary_name: onnx\nlicense: cc-by-nc-4.0\n---\n"
    assert (done.model_dir/"timeline.json").is_file() and done.about["clips"] == 12
    record = json.loads((done.model_dir/"vidcls.json").read_text())
    assert record["labels"] == ["Nod", "Wave"] and record["export"]["source"] == "source" and Path(done.model_dir).name == "source-onnx"
