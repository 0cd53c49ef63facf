"The feature store, and the one pass over the videos that fills it."
import json, os, signal, subprocess, sys, warnings
from pathlib import Path

import numpy as np, pytest, torch
from torch import nn

from vidcls.backbones import extract_features, load_backbone
from vidcls.clips import ClipSpec, eval_views, normalize, read_views
from vidcls.data import video_table
from vidcls.engine.cli import main
from vidcls.engine.features import FeatureStore, FileHashes, read_shard
from vidcls.engine.video import probe_video, VideoError
from videos import tiny_config, write_checkpoint, write_video

ROOT = Path(__file__).resolve().parents[1]
SPEC = ClipSpec(4, .5, 32, "crop", (.5,)*3, (.5,)*3)


class Net(nn.Module):
    "A module of the user: [B, T, C, H, W] to [B, 6]."
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.out = nn.Linear(3*8*8, 6)
    def forward(self, x): return self.out(nn.functional.adaptive_avg_pool2d(x.mean(1), 8).flatten(1))


class Counted(Net):
    "The same, which counts the clips that it sees."
    seen = 0
    def forward(self, x):
        type(self).seen += len(x)
        return super().forward(x)


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    "Features are kept in a folder of this test."
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))
    Counted.seen = 0


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from transformers import VideoMAEForVideoClassification
    torch.manual_seed(0)
    return write_checkpoint(tmp_path_factory.mktemp("tiny")/"net", VideoMAEForVideoClassification(tiny_config()))


def extract(what, data, **kwargs): return extract_features(what, data, **{"workers": 0, "progress": False, "device": "cpu", **kwargs})


@pytest.mark.parametrize("tokens, shape", [("mean", (24,)), ("frames", (4, 24)), ("all", (16, 24))])
def test_features_are_those_of_the_network(checkpoint, data, tokens, shape):
    "From the views of the evaluation, by the base model of transformers, without its head."
    from transformers import AutoModel
    bb = load_backbone(str(checkpoint))
    f = extract(bb, data, tokens=tokens, num_clips=2, batch_size=3)
    assert f.array.shape == (len(video_table(data)), 2, *shape) and not f.skipped
    net = AutoModel.from_pretrained(checkpoint).eval()
    for i in (0, 5):
        path = f.table.path[i]
        views = normalize(read_views(path, eval_views(probe_video(path), bb.spec, 2), bb.spec), bb.spec)
        with torch.no_grad(): want = net(views).last_hidden_state
        want = dict(all=want, mean=want.mean(1), frames=want.unflatten(1, (4, 4)).mean(2))[tokens]
        assert np.abs(f.array[i] - want.numpy()).max() < (1e-5 if tokens == "mean" else 2e-3)


def test_a_second_call_only_reads(data):
    first = extract(Counted, data, spec=SPEC, num_clips=2)
    n = len(video_table(data))
    assert Counted.seen == 2*n + 1  # One clip of noise tells one module from another
    again = extract(Counted(), data, spec=SPEC, num_clips=2)
    assert Counted.seen == 2*n + 2
    assert np.array_equal(first.array[:], again.array[:]) and first.fingerprint == again.fingerprint
    assert sum(f.suffix == ".safetensors" for f in first.store.iterdir()) == 1


def test_a_copy_of_a_video_is_not_computed_again(tmp_path):
    a = write_video(tmp_path/"a.mp4")
    (tmp_path/"b.mp4").write_bytes(a.read_bytes())
    write_video(tmp_path/"c.mp4", first=20)
    f = extract(Counted, [a, tmp_path/"b.mp4", tmp_path/"c.mp4"], spec=SPEC)
    assert Counted.seen == 2 + 1 and np.array_equal(f.array[0], f.array[1]) and not np.array_equal(f.array[0], f.array[2])
    write_video(tmp_path/"c.mp4", first=30)  # Another video under the same name
    assert not np.array_equal(extract(Counted, [tmp_path/"c.mp4"], spec=SPEC).array[0], f.array[2])


def test_other_weights_spec_or_views_are_other_features(data, tmp_path):
    other = Net()
    with torch.no_grad(): other.out.weight.mul_(2)
    spec = ClipSpec(4, .5, 64, "crop", (.5,)*3, (.5,)*3)
    found = [extract(n, data, spec=s, num_clips=c) for n, s, c in ((Net, SPEC, 1), (other, SPEC, 1), (Net, spec, 1), (Net, SPEC, 2))]
    assert len({f.fingerprint for f in found}) == len({f.store for f in found}) == 4
    extract(Net, data, spec=SPEC, store=tmp_path/"mine")
    with pytest.raises(ValueError, match=r"another kind \(spec.size was 32, is now 64\): name another folder"):
        extract(Net, data, spec=spec, store=tmp_path/"mine")


def test_a_damaged_video_is_named_and_left_out(data, tmp_path):
    (tmp_path/"bad.mp4").write_bytes(b"no video")
    good = list(video_table(data).path[:3])
    with pytest.warns(UserWarning, match="2 of 5 videos have no features") as said:
        f = extract(Net, [good[0], tmp_path/"bad.mp4", *good[1:], tmp_path/"nowhere.mp4"], spec=SPEC)
    assert list(f.table.path) == good and len(f.array) == 3
    assert "bad.mp4" in str(said[0].message) and "nowhere.mp4" in str(said[0].message) and len(f.skipped) == 2
    with pytest.raises(VideoError, match="None of the 1 videos can be read"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extract(Net, [tmp_path/"bad.mp4"], spec=SPEC)


def test_a_cut_store_is_one_sentence_and_removing_the_file_helps(data):
    f = extract(Net, data, spec=SPEC)
    want, file = f.array[:], next(f.store.glob("*.safetensors"))
    f = None
    whole = file.read_bytes()
    for size in (len(whole) - 5, 20, 3, 0):
        file.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="damaged or was cut short: remove it") as e: extract(Net, data, spec=SPEC)
        assert file.name in str(e.value)
    file.unlink()
    assert np.array_equal(extract(Net, data, spec=SPEC).array[:], want)


@pytest.mark.parametrize("kwargs, says", [
    (dict(backbone=Net), r"pass spec=ClipSpec"), (dict(backbone=nn.Flatten(0), spec=SPEC), r"must return features \[B, D\]"),
    (dict(backbone=Net, spec=SPEC, tokens="some"), "tokens must be 'mean', 'frames' or 'all'"),
    (dict(backbone=Net, spec=SPEC, tokens="frames"), "among an unknown number of moments"),
    (dict(backbone="no/such/net/at/all"), "There is no checkpoint"),
    (dict(backbone=Net, spec=SPEC, max_bytes=10), "keep less with tokens='mean'")])
def test_what_cannot_be_is_said_in_one_sentence(kwargs, says, data):
    with pytest.raises((ValueError, OSError), match=says): extract(kwargs.pop("backbone"), data, **kwargs)


def test_nan_is_not_stored(data):
    class Broken(Net):
        def forward(self, x): return super().forward(x)*float("nan")
    with pytest.raises(ValueError, match="Broken returns NaN"): extract(Broken(), data, spec=SPEC)


def test_a_text_model_and_one_without_a_processor(tmp_path):
    from transformers import BertConfig, BertModel, VideoMAEForVideoClassification
    BertModel(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=20)).save_pretrained(tmp_path/"text")
    VideoMAEForVideoClassification(tiny_config()).save_pretrained(tmp_path/"bare")
    with pytest.raises(ValueError, match="'bert', which does not classify videos"): load_backbone(str(tmp_path/"text"))
    with pytest.raises(FileNotFoundError, match="has no preprocessor_config.json"): load_backbone(str(tmp_path/"bare"))


@pytest.mark.parametrize("layout", ["BTCHW", "BCTHW"])
def test_layouts(layout):
    class Order(nn.Module):
        def forward(self, x): return x.mean((2, 3, 4)) if layout == "BCTHW" else x.mean((1, 3, 4))
    bb = load_backbone(Order(), spec=SPEC, layout=layout)
    clips = torch.randn(2, 4, 3, 32, 32)
    assert torch.allclose(bb.tokens(clips)[:, 0], clips.mean((1, 3, 4)), atol=1e-6)


KILLED = """
import sys, time, torch
sys.path[:0] = [{tests!r}]
import test_features
from vidcls.backbones import extract_features
import vidcls.engine.features as f
f.FeatureStore.__init__.__defaults__ = (64*2**20, 0.) # Write after each batch
class Slow(test_features.Net):
    def forward(self, x):
        time.sleep(.2)
        print(len(x), flush=True)
        return super().forward(x)
Slow.__module__, Slow.__qualname__ = "test_features", "Counted" # The same name, so that it is the same backbone
extract_features(Slow(), {data!r}, spec=test_features.SPEC, workers=0, batch_size=1, progress=False, device="cpu")
"""


@pytest.mark.slow
def test_a_killed_run_loses_only_what_it_was_doing(data):
    code = KILLED.format(tests=str(ROOT/"tests"), data=str(data))
    p = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    for _ in range(5): p.stdout.readline()  # The noise, and four videos
    p.send_signal(signal.SIGKILL)
    p.wait()
    f = extract(Counted, data, spec=SPEC)
    n = len(video_table(data))
    assert n - 5 <= Counted.seen - 1 <= n - 3 and len(f.array) == n


def test_the_command(data, checkpoint, capsys, tmp_path):
    assert main(["features", str(checkpoint), str(data), "--clips", "2", "--workers", "0", "--store", str(tmp_path/"s"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["shape"] == [12, 2, 24] and said["skipped"] == [] and Path(said["store"]).is_dir()


# -- the store --

def test_many_rows_in_few_files_and_little_memory(tmp_path):
    store = FeatureStore(tmp_path/"s", dict(kind="test"), shard_bytes=2**16)
    for i in range(3000): store.add(f"{i:032x}", np.full(64, i, np.float32))
    store.flush()
    store.merge()
    files = list(store.folder.glob("*.safetensors"))
    assert len(files) <= 3000*256/2**16*2 and max(len(a)*256 for a in store.arrays) <= 2**16
    rows = store.rows([f"{i:032x}" for i in range(2999, -1, -1)])
    assert (rows[:][:, 0] == np.arange(2999, -1, -1)).all() and all(isinstance(a, np.memmap) for a in store.arrays)
    again = FeatureStore(tmp_path/"s", dict(kind="test"), shard_bytes=2**16)
    assert (again.find([f"{i:032x}" for i in range(3000)]) >= 0).all() and (again.find(["f"*32]) < 0).all()


def test_a_merge_that_was_killed_leaves_every_row_once(tmp_path):
    store = FeatureStore(tmp_path/"s", dict(kind="test"))
    for i in range(4):
        store.add(f"{i:032x}", np.full(3, i, np.float32))
        store.flush()
    old = {f.name: f.read_bytes() for f in store.folder.glob("*.safetensors")}
    store.merge()
    for name, b in old.items(): (store.folder/name).write_bytes(b)  # They had not been removed yet
    again = FeatureStore(tmp_path/"s", dict(kind="test"))
    assert (again.rows([f"{i:032x}" for i in range(4)])[:][:, 0] == range(4)).all()
    again.merge()
    file, = again.folder.glob("*.safetensors")
    assert len(read_shard(file)[0]) == 4


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path/"photos").mkdir()
    (tmp_path/"photos"/"a.jpg").touch()
    with pytest.raises(ValueError, match="is not empty and does not contain features"): FeatureStore(tmp_path/"photos", {})


def test_hashes_are_kept_and_a_broken_database_does_no_harm(tmp_path):
    (tmp_path/"a").write_text("a")
    hashes = FileHashes(tmp_path/"db")
    one = hashes([tmp_path/"a"], progress=False)
    assert hashes._known({str(tmp_path/"a"): (1, os.stat(tmp_path/"a").st_mtime_ns)})
    (tmp_path/"db").write_bytes(b"not a database at all"*100)
    assert hashes([tmp_path/"a"], progress=False) == one
