"What features and probes cost: memory that does not depend on the number of videos, and no waiting that could be avoided."
import json, subprocess, sys, threading, time
from pathlib import Path

import numpy as np, pytest, torch

import vidcls.backbones as backbones
from vidcls.bench import Elsewhere, feature_race
from vidcls.clips import ClipSpec
from videos import variant, write_video

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
SPEC = ClipSpec(4, .5, 32, "crop", (.5,)*3, (.5,)*3)
START = """
import json, sys, threading, time
sys.path[:0] = [{tests!r}]
import numpy as np, pandas as pd, torch
from torch import nn

class Peak:
    "The largest private memory of this process while a block runs, beyond what it had before, in bytes."
    def now(self): return int(next(l for l in open("/proc/self/status") if l.startswith("RssAnon")).split()[1])*1024
    def __enter__(self):
        self.most, self.over = (start := self.now()), threading.Event()
        def watch():
            while not self.over.wait(.002): self.most = max(self.most, self.now())
        self.start, self.thread = start, threading.Thread(target=watch, daemon=True)
        self.thread.start()
        return self
    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.bytes = max(self.most, self.now()) - self.start
"""


def run(code, timeout=3000, **values):
    "What a script prints last, as JSON; it runs in a process of its own."
    code = (START + code).format(tests=str(Path(__file__).parent), **values)
    r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout.splitlines()[-1])


MANY = """
import vidcls.engine.features as f
from pathlib import Path
from vidcls.backbones import extract_features, load_backbone
from vidcls.clips import ClipSpec
from videos import write_video
f.FeatureStore.__init__.__defaults__ = (2**20, 15.) # Files of one MiB, so that many of them are merged
class Tokens(nn.Module):
    def forward(self, x): return nn.functional.adaptive_avg_pool3d(x.movedim(1, 2), (4, 8, 8)).flatten(2).mT.repeat(1, 1, 128)
root = Path({root!r})
whole = write_video(root/"a.avi").read_bytes()
for i in range(470): (root/f"{{i}}.avi").write_bytes(whole + i.to_bytes(4, "big")) # Other content for the store, the same video
backbone = load_backbone(Tokens(), spec=ClipSpec(16, 1., 96, "crop", (.5,)*3, (.5,)*3), steps=4)
def extract(first, n): return extract_features(backbone, [root/f"{{i}}.avi" for i in range(first, first + n)], tokens="all", workers={workers},
    store=root/f"store{{first}}", batch_size=4, progress=False)
extract(0, 20)
out = []
for first, n in ((20, 50), (70, 400)):
    with Peak() as peak: found = extract(first, n)
    out.append(dict(n=n, peak=peak.bytes, stored=found.array.nbytes, clips=n*16*3*96*96))
print(json.dumps(out))
"""


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_extracting_takes_the_memory_of_a_few_batches_whatever_the_number_of_videos(workers, tmp_path, monkeypatch):
    "400 videos have 177 MB of clips and 79 MB of tokens; what they need more than 50 videos is a fraction of either."
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))
    few, many = run(MANY, root=str(tmp_path), workers=workers)
    assert (few["n"], many["n"]) == (50, 400) and many["stored"] > 70e6 and many["clips"] > 170e6
    assert many["peak"] < few["peak"] + 45e6, (few, many) # The allocator keeps a few batches, sometimes more of them


PROBE = """
import tempfile, time
from dataclasses import replace
from pathlib import Path
import vidcls.backbones as b
from vidcls.clips import ClipSpec
from vidcls.engine.features import FeatureStore
class Net(nn.Module):
    def forward(self, x): return x.mean((1, 3, 4)).repeat(1, {dim}//3)
rows, dim, kind, rng = {rows}, {dim}, np.dtype({kind!r}), np.random.default_rng(0)
shape = (1, dim) if kind == np.float32 else (1, 4, dim) # One clip per video; the mean of its tokens, or one token for each of four frames
y, root = np.arange(rows) % 10, Path({root!r})
def features(n, name):
    store = FeatureStore(root/name, dict(kind=name))
    for a in range(0, n, 1000):
        x = rng.standard_normal((1000, *shape), np.float32)
        x[..., :10] += (y[a:a + 1000, None] == np.arange(10)).reshape(1000, *[1]*(len(shape) - 1), 10)
        for i, row in enumerate(x.astype(kind)): store.add(f"{{a + i:032x}}", row)
    store.flush(); store.merge()
    table = pd.DataFrame(dict(path=[f"{{i}}.mp4" for i in range(n)], label=[f"c{{k}}" for k in y[:n]], group=[f"g{{i//5}}" for i in range(n)],
        split=np.array(["train"]*8 + ["val", "test"])[np.arange(n)//5 % 10]))
    array = store.rows([f"{{i:032x}}" for i in range(n)])
    return b.Features(table, array, b.load_backbone(Net(), spec=ClipSpec(2, 1., 8)), "mean" if kind == np.float32 else "frames", store.folder)
b.fit_probe(features(1000, "small"), output_dir=root/"m", progress=False) # All modules are loaded
f = features(rows, "large")
start, used = time.time(), time.process_time()
with Peak() as peak: done = b.fit_probe(f, output_dir=root/"m", progress=False)
print(json.dumps(done.metrics | dict(share=peak.bytes/f.array.nbytes, wall=time.time() - start, cpu=time.process_time() - used, stored=f.array.nbytes)))
"""


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param("float32", marks=variant), "float16"])
def test_a_linear_probe_on_100_000_features_loads_no_more_than_twice_their_size(kind, tmp_path, monkeypatch):
    """Private memory beside the store's own pages, which the system can take back; a tenth each is for validation and test.

    Means are stored with four bytes. Tokens have two, and the four of a clip become one mean of four bytes."""
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))
    said = run(PROBE, rows=100_000 if kind == "float32" else 25_000, dim=768, kind=kind, root=str(tmp_path))
    print(said)
    assert said["share"] < 2 and said["video_accuracy"] > .25 and said["stored"]/np.dtype(kind).itemsize == 100_000*768, said


# -- time --

@pytest.fixture
def slow_videos(tmp_path, monkeypatch):
    "Videos that take a while to read, but no core: (files, a backbone that takes as long, on a device of its own)."
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))
    whole = write_video(tmp_path/"a.avi").read_bytes()
    files = [tmp_path/f"{i}.avi" for i in range(40)]
    for i, f in enumerate(files): f.write_bytes(whole + bytes([i]))
    read = backbones.seen_views
    def slowly(*args):
        time.sleep(.05)
        return read(*args)
    monkeypatch.setattr(backbones, "seen_views", slowly)
    return files, backbones.load_backbone(Elsewhere(.08), spec=SPEC)


@pytest.mark.slow
def test_reading_and_a_device_of_its_own_do_not_wait_for_each_other(slow_videos):
    "One after the other would be 0.6 of the best, and before clips were read ahead it was; the start of four videos remains."
    shares = feature_race(slow_videos[1], slow_videos[0], workers=0, shared=False, rounds=3, batch_size=4)["share of the best"]
    assert shares.max() > .75, shares


def test_features_are_the_same_whoever_reads_and_however_many_at_once(slow_videos):
    files, backbone = slow_videos[0][:9], backbones.load_backbone(Elsewhere(0), spec=SPEC)
    def extract(store, **how): return backbones.extract_features(backbone, files, store=store, progress=False, **how).array[:]
    found = [extract(files[0].parent/f"s{w}{b}", workers=w, batch_size=b) for w, b in ((0, 1), (0, 16), (2, 4))]
    assert all((f == found[0]).all() for f in found)


def test_an_error_ends_the_thread_that_reads_ahead(slow_videos):
    class Broken(Elsewhere):
        def forward(self, x): raise RuntimeError("the device is gone")
    backbone = backbones.load_backbone(Elsewhere(0), spec=SPEC)
    backbone.net.net = Broken(0)
    for workers in (0, 1):
        with pytest.raises(RuntimeError, match="the device is gone"):
            backbones.extract_features(backbone, slow_videos[0], workers=workers, batch_size=4, progress=False)
        assert "ahead" not in [t.name for t in threading.enumerate()]


def test_bytes_travel_to_the_device_and_not_floats(monkeypatch):
    "A device of its own gets a quarter of the data, and normalises it itself."
    seen = []
    monkeypatch.setattr(backbones, "normalize", lambda clips, spec: seen.append(clips))
    monkeypatch.setattr(backbones.Backbone, "tokens", lambda self, frames: torch.zeros(2, 1, 2))
    backbone = backbones.load_backbone(torch.nn.Sequential(torch.nn.Conv3d(4, 2, (3, 32, 32)), torch.nn.Flatten()), spec=SPEC)
    backbone.net.to("meta")
    backbone.features(torch.zeros(2, 4, 3, 32, 32, dtype=torch.uint8))
    assert [(x.dtype, x.device.type) for x in seen] == [(torch.uint8, "meta")]


def test_looking_how_frames_are_turned_keeps_none_of_them(tmp_path):
    "PyAV ties a frame to its side data, so frames whose side data were looked at stayed until a garbage collection."
    import gc
    import av
    from vidcls.clips import read_views, View
    from vidcls.engine.windows import window_clips
    path = write_video(tmp_path/"a.avi", 60)
    alive = lambda: sum(type(o) is av.VideoFrame and o.width > 16 for o in gc.get_objects())
    gc.collect()
    gc.disable()
    try:
        before = alive()
        for k in range(10): read_views(path, [View(.1*k)], SPEC)
        list(window_clips(path, SPEC, .25))
        assert alive() - before <= 2
    finally: gc.enable()
