"Probes: fitted on stored features, saved as a model like any other, and loaded without running what a folder names."
import json, os, sys
from pathlib import Path

import numpy as np, pytest, torch
from torch import nn

from vidcls.backbones import extract_features, fit_probe, load_backbone, load_probe
from vidcls.clips import ClipSpec
from vidcls.data import video_table
from vidcls.engine.archive import extract_archive
from vidcls.engine.batch import predict_files
from vidcls.engine.cli import main
from vidcls.engine.fitting import fit_linear, GRID
from vidcls.engine.loading import load_weights
from vidcls.engine.probe import _FACTORIES, use_factory
from vidcls.engine.record import load_record
from vidcls.infer import load_trained, predict
from vidcls.scoring import evaluate_videos
from videos import needs_real, REAL, tiny_config, write_checkpoint, write_dataset

SPEC = ClipSpec(4, .5, 32, "crop", (.5,)*3, (.5,)*3)
MOVINET = Path(__file__).resolve().parents[2]/"shared"/"models"/"movinet_a0"/"movinet_a0_stream_int8.tflite"


class Net(nn.Module):
    "A module of the user: [B, C, T, H, W] to tokens [B, 4, 12]."
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv3d(3, 12, (1, 16, 16), (1, 16, 16))
    def forward(self, x): return self.conv(x).mean((3, 4)).mT


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    "Features and models are kept in a folder of this test, and no function is handed over by another one."
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))
    monkeypatch.setattr("vidcls.engine.probe._FACTORIES", {})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from transformers import VideoMAEForVideoClassification
    torch.manual_seed(0)
    return write_checkpoint(tmp_path_factory.mktemp("tiny")/"net", VideoMAEForVideoClassification(tiny_config()))


def extract(what, data, **kwargs): return extract_features(what, data, **{"workers": 0, "progress": False, "device": "cpu", **kwargs})
def fit(features, kind="linear", out="probe", **kwargs): return fit_probe(features, kind, Path(os.environ["VIDCLS_HOME"])/out, progress=False, **kwargs)


@pytest.mark.parametrize("kind, tokens", [("linear", "mean"), ("linear", "all"), ("attentive", "all"), ("attentive", "frames")])
def test_a_probe_is_a_model_like_any_other(checkpoint, data, tmp_path, kind, tokens):
    "`evaluate_videos`, `predict`, `predict_files` and transformers' pipeline give the scores that fitting has given."
    from transformers import pipeline
    from vidcls.engine.pipeline import VidclsPipeline
    f = extract(str(checkpoint), data, tokens=tokens, num_clips=2)
    done = fit(f, kind, **dict(epochs=2, depth=2) if kind == "attentive" else {})
    s = evaluate_videos(done.model_dir, data, progress=False, device="cpu")
    assert (s.accuracy, s.clip_accuracy, len(s.predictions)) == tuple(done.metrics[k] for k in ("video_accuracy", "clip_accuracy", "videos"))
    assert "2 clips" in s.protocol  # As many as it was fitted with
    path = s.predictions.path[0]
    one = predict(done.model_dir, path, device="cpu")
    assert one[0]["label"] == s.predictions.predicted[0] and one[0]["score"] == pytest.approx(s.predictions.score[0], abs=1e-5)
    row, = predict_files(done.model_dir, [path], tmp_path/"out.jsonl", device="cpu", progress=False)
    assert row["predictions"][0]["score"] == pytest.approx(one[0]["score"], abs=1e-5)
    pipe = pipeline("video-classification", str(done.model_dir), pipeline_class=VidclsPipeline, device="cpu")
    assert pipe(path)[0]["score"] == pytest.approx(one[0]["score"], abs=1e-5)


def test_the_head_sees_what_it_was_fitted_on(checkpoint, data):
    "The model's logits are those of the head on the stored features, scaling included."
    f = extract(str(checkpoint), data)
    net, spec = load_trained(fit(f).model_dir, device="cpu")
    from vidcls.infer import run_inference, video_clips
    want = net.head(torch.from_numpy(f.array[:])).detach()
    for i in (0, 7): assert torch.allclose(run_inference(net, video_clips(f.table.path[i], spec), spec)[0], want[i], atol=1e-4)


def test_the_record_says_where_it_comes_from(checkpoint, data):
    done = fit(extract(str(checkpoint), data))
    record = load_record(done.model_dir)
    bb = load_backbone(str(checkpoint))
    assert record["task"] == "probe" and record["backbone"]["fingerprint"] == bb.fingerprint and record["backbone"]["name"] == str(checkpoint)
    assert record["metrics"] == done.metrics and record["labels"] == ["Nod", "Wave"] and record["history"][0]["C"] in GRID
    assert {"config.json", "clip_spec.json", "model.safetensors", "vidcls.json", "README.md"} <= {f.name for f in done.model_dir.iterdir()}


def test_a_local_backbone_is_in_the_folder(data, tmp_path):
    "It may move, and its checkpoint may go."
    from transformers import VideoMAEForVideoClassification
    import shutil
    net = VideoMAEForVideoClassification(tiny_config())
    with torch.no_grad():
        for p in net.parameters(): p.normal_(std=.1)  # Also the query's and value's biases
    write_checkpoint(tmp_path/"net", net)
    done = fit(extract(str(tmp_path/"net"), data))
    want = predict(done.model_dir, video_table(data).path[0], device="cpu")
    shutil.rmtree(tmp_path/"net")
    shutil.move(done.model_dir, tmp_path/"moved")
    assert predict(tmp_path/"moved", video_table(data).path[0], device="cpu") == want


def test_own_module_and_its_function(data):
    "The folder has a name, and only a function that the user hands over is called."
    f = extract(load_backbone(Net(), spec=SPEC, layout="BCTHW", steps=4), data)
    done = fit(f)
    path = f.table.path[0]
    with pytest.raises(ValueError, match="made by test_probe:Net, which vidcls does not import for you"): predict(done.model_dir, path)
    want = None
    for make in (Net, lambda: Net()):
        net, spec = load_probe(done.model_dir, make, device="cpu")
        now = predict(done.model_dir, path, device="cpu")
        assert want in (None, now)
        want = now
    use_factory(lambda: nn.Linear(2, 2), "test_probe:Net")
    done.model_dir.joinpath("config.json").touch()  # `predict` keeps models in memory
    with pytest.raises(ValueError, match="do not fit .*pass the function"): predict(done.model_dir, path, device="cpu")


def test_a_function_is_remembered_with_its_name(data):
    done = fit(extract_features(Mean, data, SPEC, workers=0, progress=False, device="cpu"))
    assert predict(done.model_dir, video_table(data).path[0], device="cpu")  # Handed over by extract_features
    import vidcls.engine.probe as probe
    assert [*probe._FACTORIES] == ["test_probe:Mean"] and _FACTORIES is not probe._FACTORIES


class Mean(nn.Module):
    "A network without weights, and one that differs from it in what it does."
    times = 1
    def forward(self, x): return self.times*x.mean((1, 3, 4))


class Twice(Mean): times = 2


def test_another_network_without_weights_is_noticed(data):
    done = fit(extract_features(Mean, data, SPEC, workers=0, progress=False, device="cpu"))
    with pytest.raises(ValueError, match="makes a different network from the one"): load_probe(done.model_dir, Twice)


def test_nothing_is_imported(data, tmp_path, monkeypatch):
    "Not even a module that is there and would be found."
    (tmp_path/"evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    done = fit(extract(Mean, data, spec=SPEC))
    config = json.loads((done.model_dir/"config.json").read_text())
    config["backbone"]["factory"] = "evil:make"
    (done.model_dir/"config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="made by evil:make, which vidcls does not import"): load_weights(done.model_dir, "it")
    assert "evil" not in sys.modules


@pytest.mark.parametrize("change", [dict(name="../../etc"), dict(name="a/b"), dict(name="a/b", revision=None), dict(name=None, revision="x")])
def test_a_folder_cannot_name_another_place(checkpoint, data, change):
    done = fit(extract(str(checkpoint), data))
    config = json.loads((done.model_dir/"config.json").read_text())
    del config["backbone"]["config"]
    config["backbone"] |= change
    (done.model_dir/"config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="does not say where its backbone is"): load_weights(done.model_dir, "it")


@pytest.mark.parametrize("spoil", ["head", "weights", "kind", "missing"])
def test_a_damaged_probe_is_one_sentence(checkpoint, data, spoil):
    from safetensors.torch import load_file, save_file
    done = fit(extract(str(checkpoint), data))
    file, config = done.model_dir/"model.safetensors", json.loads((done.model_dir/"config.json").read_text())
    state = load_file(file)
    if spoil == "head": save_file({k: v for k, v in state.items() if "head.out.weight" not in k}, file)
    if spoil == "weights": save_file({k: v for k, v in state.items() if "query" not in k}, file)
    if spoil == "missing": file.unlink()
    if spoil == "kind": (done.model_dir/"config.json").write_text(json.dumps(config | dict(head=dict(kind="none", dim=24))))
    with pytest.raises(ValueError, match="copy the model again|are missing") as e: load_weights(done.model_dir, "the model")
    assert "\n" not in str(e.value)


def test_a_probe_is_not_a_checkpoint(checkpoint, data, tmp_path):
    from vidcls.model import load_model
    done = fit(extract(str(checkpoint), data))
    with pytest.raises(ValueError, match="is a probe itself: name its backbone"): load_backbone(str(done.model_dir))
    with pytest.raises(ValueError, match="is a probe, whose backbone is frozen"): load_model(str(done.model_dir), dict(A=0, B=1, C=2))


def test_what_a_probe_cannot_learn_from_is_one_sentence(data):
    f = extract(Mean, data, spec=SPEC)
    def of(**columns):
        from dataclasses import replace
        return replace(f, table=f.table.assign(**columns))
    test = f.table.split == "test"
    for features, kwargs, says in (
            (of(label=""), {}, "has no label"), (of(label="Nod"), {}, "at least two classes"),
            (of(label=f.table.label.where(~test, "Jump")), {}, "'Jump' has no training videos"), (of(group="one"), {}, "is in both train and test"),
            (f, dict(kind="attentive"), "needs tokens"), (f, dict(kind="other"), "kind must be 'linear' or 'attentive'"),
            (f, dict(kind="attentive", depth=5), "1 to 4 blocks")):
        with pytest.raises(ValueError, match=says): fit(features, **kwargs)


def test_without_validation_and_without_test_videos(tmp_path):
    data = write_dataset(tmp_path/"set", per_split=dict(train=3))
    f = extract(Mean, data, spec=SPEC)
    assert set(fit(f).metrics) == {"seconds"}
    f = extract(load_backbone(Net(), spec=SPEC, layout="BCTHW"), data, tokens="all")
    with pytest.raises(ValueError, match="chosen on validation videos"): fit(f, "attentive")


def test_one_recording_per_class_says_how_c_was_chosen(tmp_path):
    data = write_dataset(tmp_path/"set", per_split=dict(train=1, val=1, test=1))
    assert "fewer than two recordings" in fit(extract(Mean, data, spec=SPEC)).history[0]["chosen"]


@pytest.mark.slow
def test_memory_of_a_linear_probe():
    "Less than twice the features, in a process of its own; 20,000 rows keep the test short."
    code = ("import numpy as np, resource, sys\nfrom vidcls.engine.fitting import fit_linear\nimport sklearn.linear_model, sklearn.metrics, sklearn.model_selection\n"
            "n, d = 20_000, 768\nrng = np.random.default_rng(0)\ny = np.arange(n) % 3\n"
            "fit_linear(rng.normal(size=(90, 8)).astype('f'), y[:90], np.arange(90))\n"
            "x = rng.standard_normal((n, d), np.float32)\nx[:, 0] += 3*y\n"
            "peak = lambda: int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])*1024\nbefore = peak()\n"
            "import vidcls.engine.fitting as f\nf.MOST, f.GRID = 2000, (1e-3, 1e-2)\nf.fit_linear(x, y, np.arange(n)//5)\nprint((peak() - before)/x.nbytes)")
    if not Path("/proc/self/status").exists(): pytest.skip("needs Linux' /proc")
    import subprocess
    r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    assert float(r.stdout) < 1.  # Beside the features themselves


def test_the_best_c_is_found_by_recordings():
    "Features that tell the recording and nothing else: a strong penalty is best."
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 10)
    x = (rng.normal(size=(30, 40))[groups] + .01*rng.normal(size=(300, 40))).astype(np.float32)
    assert fit_linear(x, groups % 2, groups)[2]["C"] <= GRID[1]


def test_the_command(data, capsys, tmp_path):
    args = ["finetune", "--recipe", "smoke", "--data", str(data), "--method", "probe", "--out", str(tmp_path/"m"), "--workers", "0", "--json"]
    assert main(args) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["video_accuracy"] >= 0 and said["videos"] == 4
    assert load_record(tmp_path/"m")["recipe"]["checkpoint"] == "videomae-stick"
    assert main(["predict", str(tmp_path/"m"), str(video_table(data).path[0]), "--json"]) == 0
    assert main([*args, "--method", "other"]) == 2


@pytest.mark.parametrize("name", ["r2plus1d_18", "swin3d_t"])
def test_torchvision(name, data):
    "Its video models take [B, C, T, H, W] and return features once their classifier is gone."
    import torchvision.models.video as models
    def make():
        torch.manual_seed(0)
        net = getattr(models, name)(weights=None)
        setattr(net, *("fc" if name == "r2plus1d_18" else "head", nn.Identity()))
        return net
    spec = ClipSpec(8, .6, 32, "crop", (.43216, .394666, .37645), (.22803, .22145, .216989))
    backbone = load_backbone(make, spec=spec, layout="BCTHW", name=name)
    table = video_table(data)
    table = table.groupby(["split", "label"]).head(1)
    done = fit(extract(backbone, table))
    assert len(predict(done.model_dir, table.path.iloc[0], device="cpu")) == 2


# -- real data --

class MoViNet(nn.Module):
    "MoViNet-A0 of a .tflite file: one frame at a time, the logits after the last one are the features."
    def __init__(self):
        super().__init__()
        from ai_edge_litert.interpreter import Interpreter
        self.run = Interpreter(str(MOVINET)).get_signature_runner()
        self.start = {k: np.zeros(v["shape"], v["dtype"]) for k, v in self.run.get_input_details().items() if k != "image"}
    def clip(self, frames, state):
        for frame in frames: state = self.run(image=frame[None, None], **{k: v for k, v in state.items() if k != "logits"})
        return state["logits"][0]
    def forward(self, clips): return torch.stack([torch.from_numpy(self.clip(c, self.start)) for c in clips.movedim(2, -1).numpy()])


@needs_real
@pytest.mark.skipif(not MOVINET.exists(), reason="MoViNet-A0 is not beside the checkout (../shared/models)")
def test_real_clips_with_a_real_backbone(tmp_path):
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    root = extract_archive(REAL, tmp_path/"real")
    spec = ClipSpec(16, 3.2, 172, "crop", (0,)*3, (1,)*3)
    done = fit(extract(MoViNet, root, spec=spec))
    assert done.metrics["video_accuracy"] >= .9, done.metrics
    assert evaluate_videos(done.model_dir, root, progress=False).accuracy == done.metrics["video_accuracy"]
