"""Training over several hosts: network namespaces with their own addresses, joined by a bridge, and a folder that all see.

What the kernel gives apart here is the network, so a host can be cut off or lost. The disk is the same for all: what an NFS
client remembers for some seconds cannot be had without a server, so such cases are told apart by what each process reads."""
import json, os, shutil, signal, subprocess, sys, tarfile, time
from io import BytesIO
from pathlib import Path

import numpy as np, pytest, torch
from safetensors.torch import load_file
from transformers import VideoMAEForPreTraining

from vidcls.clips import ClipDataset, ClipSpec, eval_views, read_views
from vidcls.data import video_table
from vidcls.engine.audit import check_videos
from vidcls.engine.backbone import content_keys
from vidcls.engine.cache import frame_cache
from vidcls.engine.machine import clip_loader
from vidcls.engine.manifest import make_manifest, write_manifest
from vidcls.engine.members import split_member
from vidcls.engine.record import load_record
from vidcls.engine.run import Run, table_hash
from vidcls.engine.tables import sources
from vidcls.engine.video import probe_video, Segment, VideoError
from vidcls.scoring import evaluate_videos
from videos import needs_shared_memory, tiny_config, write_checkpoint, write_dataset, write_model, write_video

ROOT = Path(__file__).resolve().parents[1]


def pack(folder, tars, per_tar=5):
    "A data set of split/class/video in WebDataset's layout: a few videos in each tar file, and a .json beside each."
    tars.mkdir()
    videos = sorted(folder.rglob("*.avi"))
    for k in range(0, len(videos), per_tar):
        with tarfile.open(tars/f"s-{k//per_tar:03}.tar", "w") as tar:
            for v in videos[k:k + per_tar]:
                about = dict(label=v.parent.name, split=v.parts[-3], group=f"{v.parent.name}/{v.stem.split('_')[2]}")
                tar.add(v, v.name)
                (info := tarfile.TarInfo(f"{v.stem}.json")).size = len(data := json.dumps(about).encode())
                tar.addfile(info, BytesIO(data))
    return tars


# -- members of tar files ----------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    "The same videos as a folder, and as a manifest of tar files."
    root = tmp_path_factory.mktemp("packed")
    folder = write_dataset(root/"set", per_split=dict(train=6, val=1, test=2))
    make_manifest(pack(folder, root/"tars"), root/"m.parquet", progress=False)
    return folder, root/"m.parquet"


@pytest.mark.parametrize("name, codec", [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.mkv", "libx264"), ("a.mpg", "mpeg2video"),
                                         ("a.h264", "libx264"), ("a.gif", "gif"), ("a.webm", "libvpx")])
def test_a_member_is_the_file(tmp_path, name, codec):
    "Every container, read in one place and in another one, whole and in parts."
    fmt = "rgb8" if codec == "gif" else "yuv420p"
    video = write_video(tmp_path/name, 50, codec=codec, fmt=fmt, bframes=2 if name == "a.mp4" else 0)
    with tarfile.open(tmp_path/"s.tar", "w") as tar:
        for k in range(3): tar.add(video, f"x/{k}{video.suffix}")
    table = make_manifest(tmp_path/"s.tar", tmp_path/"m.parquet", progress=False)
    write_manifest(table.assign(label="a"), tmp_path/"m.parquet")
    member, spec = sources(video_table(tmp_path/"m.parquet"))[1], ClipSpec(8, .5, 32)
    a, b = probe_video(video), probe_video(member)
    assert (a.frames, a.duration, a.codec, a.stamps) == (b.frames, b.duration, b.codec, b.stamps)
    for v, m in ((video, member), (Segment(video, .6, 1.7), Segment(member, .6, 1.7))):
        views = eval_views(probe_video(m), spec, 3, 3)
        assert torch.equal(read_views(v, views, spec), read_views(m, views, spec))


@needs_shared_memory
def test_a_manifest_of_tar_files_is_the_folder_for_everything_that_reads(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path))
    a, b = (video_table(d) for d in packed)
    b = b.assign(name=[Path(p).name for p in b.path]).sort_values("name").reset_index(drop=True)
    a = a.assign(name=[Path(p).name for p in a.path]).sort_values("name").reset_index(drop=True)
    assert a[["name", "split", "label", "group"]].equals(b[["name", "split", "label", "group"]])
    assert content_keys(sources(a)) == content_keys(sources(b))
    assert len(check_videos(b, ClipSpec(8, .8, 32), "full", 2, False)[0]) == len(b)
    for cache in (None, "ram"):
        with frame_cache(cache) or open(os.devnull) as kept:
            sets = [ClipDataset(t, ClipSpec(8, .8, 32), cache=kept if cache else None) for t in (a, b)]
            for x, y in zip(*(clip_loader(s, 2, batch_size=None) for s in sets), strict=True):
                assert torch.equal(x["pixel_values"], y["pixel_values"]) and x["labels"] == y["labels"]
    model = write_model(tmp_path/"model")
    one, two = (evaluate_videos(model, d, progress=False) for d in packed)
    assert one.accuracy == two.accuracy and np.allclose(np.sort(one.probabilities, 0), np.sort(two.probabilities, 0), atol=1e-6)


def test_a_runs_identity_knows_the_members(packed, tmp_path):
    table = video_table(packed[1])
    assert table_hash(table) == table_hash(table[::-1])
    elsewhere = shutil.copytree(packed[1].parent/"tars", tmp_path/"tars")
    make_manifest(elsewhere, tmp_path/"m.parquet", progress=False)
    assert table_hash(video_table(tmp_path/"m.parquet")) == table_hash(table) != table_hash(table[1:])


def test_errors_name_the_member(packed, tmp_path):
    tars = shutil.copytree(packed[1].parent/"tars", tmp_path/"tars")
    make_manifest(tars, tmp_path/"m.parquet", progress=False)
    table = video_table(tmp_path/"m.parquet")
    tar, offset, size, name = split_member(table.path[1])
    data = bytearray(Path(tar).read_bytes())
    data[offset:offset + size] = bytes(size)
    Path(tar).write_bytes(data)
    with pytest.raises(VideoError, match=rf"^{tar}::{name} is not a readable video") as e: probe_video(table.path[1])
    assert "\n" not in str(e.value)
    Path(tar).write_bytes(data[offset:])
    with pytest.raises(VideoError, match=f"{tar} no longer has .* in the same place: make the manifest again"): probe_video(table.path[2])
    Path(tar).unlink()
    with pytest.raises(FileNotFoundError, match=f"m.parquet lists {tar}, which does not exist"): video_table(tmp_path/"m.parquet")
    with pytest.raises(VideoError, match=f"There is no tar file {tar}"): probe_video(table.path[1])


# -- one folder, two owners --------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = "import sys, time; from vidcls.engine.run import Run; run = Run(sys.argv[1]).claim(); print('mine', flush=True); time.sleep(99)"
    p = subprocess.Popen([sys.executable, "-c", code, str(tmp_path/"m")], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert p.stdout.readline() == "mine\n"
    with pytest.raises(ValueError, match=f"Process {p.pid} on .* is writing to"): Run(tmp_path/"m").claim()
    p.kill()
    p.wait()
    with Run(tmp_path/"m").claim(): pass
    assert not list((tmp_path/"m").rglob("*"))


# -- hosts -------------------------------------------------------------------------------------------------------------

def ip(*args): subprocess.run(["ip", *args], check=True, capture_output=True, text=True)


class Lab:
    "Two hosts and a switch, each a network namespace: `a` is 10.77.0.1, `b` is 10.77.0.2."
    def __init__(self, name):
        self.name, self.spaces = name, [f"{name}{k}" for k in ("sw", "a", "b")]
        switch = self.spaces[0]
        for n in self.spaces: ip("netns", "add", n)
        ip("-n", switch, "link", "add", "br0", "type", "bridge")
        ip("-n", switch, "link", "set", "br0", "up")
        for k, h in enumerate("ab", 1):
            ip("-n", name + h, "link", "add", "eth0", "type", "veth", "peer", "name", f"p{h}", "netns", switch)
            ip("-n", name + h, "addr", "add", f"10.77.0.{k}/24", "dev", "eth0")
            ip("-n", name + h, "link", "set", "lo", "up")
            ip("-n", name + h, "link", "set", "eth0", "up")
            ip("-n", switch, "link", "set", f"p{h}", "master", "br0")
            self.cable(h, "up")

    def cable(self, host, state): ip("-n", self.spaces[0], "link", "set", f"p{host}", state)

    def kill(self, *hosts):
        "SIGKILL for every process of these hosts: nobody says good-bye, but the kernel closes the connections."
        for h in hosts:
            pids = subprocess.run(["ip", "netns", "pids", self.name + h], capture_output=True, text=True).stdout.split()
            for p in map(int, pids):
                try: os.kill(p, signal.SIGKILL)
                except ProcessLookupError: pass

    def close(self):
        self.kill("a", "b")
        for n in self.spaces: subprocess.run(["ip", "netns", "del", n], capture_output=True)

    def start(self, host, *args, data, out, home, **env):
        "One host's `torchrun` of `vidcls finetune`."
        net = ["ip", "netns", "exec", self.name + host, sys.executable, "-m", "torch.distributed.run", "--nnodes", "2",
               "--nproc-per-node", "1", "--node-rank", str("ab".index(host)), "--master-addr", "10.77.0.1", "--master-port", "29511"]
        run = [*net, str(home/"logged.py"), "finetune", "--data", data, "--out", out, *args]
        env = ENV | dict(GLOO_SOCKET_IFNAME="eth0", VIDCLS_HOME=str(home/host), OPENED=str(home/"opened")) | env
        return subprocess.Popen(list(map(str, run)), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def ended(p, seconds=300):
    "(exit status, what it said, seconds it took)."
    start = time.monotonic()
    _, said = p.communicate(timeout=seconds)
    return p.returncode, said, time.monotonic() - start


ENV = {**os.environ, "OMP_NUM_THREADS": "1", "VIDCLS_RECIPE": "stick", "PYTHONPATH": str(ROOT)}
# Also writes down which videos each process checked and trained on
LOGGED = """
import os, sys, time
from vidcls.clips import ClipDataset
from vidcls.engine import audit, cli
def say(kind, path):
    with open(f"{os.environ['OPENED']}-{os.environ['RANK']}", "a") as f: f.write(f"{kind} {path}\\n")
clip, check = ClipDataset._random_clip, audit._check_video
ClipDataset._random_clip = lambda self, path, video: (say(int(self._epoch), path), clip(self, path, video))[1]
audit._check_video = lambda path, *how: (say("check", path), check(path, *how))[1]
# The second host's disk is slow, and the first one looks what is there when it writes a checkpoint's last file
from transformers import Trainer, TrainerState
own, last = Trainer._save_rng_state, TrainerState.save_to_json
def slow(self, folder):
    if os.environ["RANK"] == "1": time.sleep(.5)
    own(self, folder)
def listed(self, file):
    for name in os.listdir(os.path.dirname(file)): say("saved", name)
    last(self, file)
Trainer._save_rng_state, TrainerState.save_to_json = slow, listed
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture
def lab(request):
    if not hasattr(os, "geteuid") or os.geteuid() or not shutil.which("ip"): pytest.skip("network namespaces need root and `ip` (iproute2)")
    name = f"vh{os.getpid() % 100_000}"
    try: lab = Lab(name)
    except subprocess.CalledProcessError as e:
        for k in ("sw", "a", "b"): subprocess.run(["ip", "netns", "del", f"{name}{k}"], capture_output=True)
        pytest.skip(f"network namespaces are not allowed here: {e.stderr.strip()}")
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), VideoMAEForPreTraining(tiny_config()))


@pytest.fixture
def both(lab, packed, checkpoint, tmp_path):
    "A function that starts a training on hosts, by default on both, on the manifest of tar files."
    (tmp_path/"logged.py").write_text(LOGGED)
    def start(*args, out=tmp_path/"m", hosts="ab", data=None, epochs=4, **env):
        args = ["--checkpoint", checkpoint, "--epochs", epochs, "--batch-size", 4, "--learning-rate", 1e-3, "--workers", 0, *args]
        return [lab.start(h, *args, data=(data or {}).get(h, packed[1]), out=out, home=tmp_path, **env) for h in hosts]
    return start


@pytest.fixture(scope="module")
def alone(packed, checkpoint, tmp_path_factory):
    "What one process learns from the same manifest."
    out = tmp_path_factory.mktemp("one")/"m"
    run = [sys.executable, "-m", "vidcls", "finetune", "--data", packed[1], "--checkpoint", checkpoint, "--out", out, "--epochs", 4,
           "--batch-size", 4, "--learning-rate", 1e-3, "--workers", 0]
    done = subprocess.run(list(map(str, run)), env=ENV | dict(VIDCLS_HOME=str(out.parent)), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return load_record(out), load_file(out/"model.safetensors")


def curve(record, key): return [h[key] for h in record["history"] if key in h]


@pytest.mark.slow
def test_two_hosts_learn_what_one_process_learns_each_from_its_share(both, alone, packed, tmp_path):
    for p in both():
        status, said, _ = ended(p)
        assert status == 0, said[-3000:]
    one, two = alone[0], load_record(tmp_path/"m")
    # Each host adds up half of a batch, and then both halves are added: another order of float32 sums, and nothing else
    for key in ("loss", "eval_loss"): assert len(curve(one, key)) == 4 and np.allclose(curve(one, key), curve(two, key), rtol=1e-5, atol=1e-4*(key == "loss"))
    weights = load_file(tmp_path/"m"/"model.safetensors")
    assert all(torch.allclose(weights[k], alone[1][k], atol=2e-5) for k in weights)
    assert one["videos_hash"] == two["videos_hash"] and one["metrics"]["video_accuracy"] == two["metrics"]["video_accuracy"]
    table = video_table(packed[1])
    read = [[l.split(" ", 1) for l in (tmp_path/f"opened-{k}").read_text().splitlines()] for k in range(2)]
    of = lambda k, kind: [p for e, p in read[k] if e == kind]
    for kind, paths in [("check", sources(table)), *((str(e), sources(table[table.split == "train"])) for e in range(4))]:
        assert sorted(of(0, kind) + of(1, kind)) == sorted(paths) # Together everything, nothing twice
        assert len(of(0, kind)) == len(of(1, kind)) == len(paths)/2
    assert of(0, "saved").count("rng_state_0.pth") == of(0, "saved").count("rng_state_1.pth") == 4 # Checkpoints
    assert set(of(0, "0")) != set(of(0, "1")) # The share follows the epoch's order, which is that of one process


def kill_in_second_save(lab, out, processes):
    "SIGKILL for all when the second checkpoint's folder has just appeared. Returns what is in it."
    checkpoints, end = out/"checkpoints", time.monotonic() + 240
    whole = lambda: [d for d in checkpoints.glob("checkpoint-*") if (d/"trainer_state.json").exists()]
    while time.monotonic() < end and not (whole() and len(list(checkpoints.glob("checkpoint-*"))) > 1): time.sleep(.0005)
    lab.kill("a", "b")
    for p in processes: ended(p)
    return sorted(p.name for p in checkpoints.glob("checkpoint-6/*"))


@pytest.mark.slow
def test_all_hosts_killed_in_the_middle_of_a_save_go_on_and_end_the_same(both, lab, tmp_path):
    for p in both(out=tmp_path/"right"): assert ended(p)[0] == 0
    half = kill_in_second_save(lab, tmp_path/"m", both())
    assert "trainer_state.json" not in half, "the kill came too late to be in the middle of a save"
    assert Path(Run(tmp_path/"m").last_checkpoint).name == "checkpoint-3" and not (tmp_path/"m"/"model.safetensors").exists()
    status, said, _ = max(map(ended, both()), key=lambda r: r[0])
    assert status and "contains the checkpoints of an interrupted run: continue with --resume" in said
    for p in both("--resume"):
        status, said, _ = ended(p)
        assert status == 0, said[-3000:]
    right, found = (load_file(tmp_path/n/"model.safetensors") for n in ("right", "m"))
    assert all(torch.equal(found[k], right[k]) for k in right)
    for key in ("loss", "eval_loss"): assert curve(load_record(tmp_path/"m"), key) == curve(load_record(tmp_path/"right"), key)
    assert not (tmp_path/"m"/"checkpoints").exists()


def once_it_trains(out, processes):
    end = time.monotonic() + 240
    while time.monotonic() < end and not Run(out).last_checkpoint and all(p.poll() is None for p in processes): time.sleep(.05)
    assert Run(out).last_checkpoint


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "cut off"])
def test_when_one_host_is_lost_the_other_ends_with_a_sentence(both, lab, tmp_path, how):
    a, b = both(epochs=400, VIDCLS_LOST_AFTER="10")
    once_it_trains(tmp_path/"m", (a, b))
    if how == "killed": lab.kill("b")
    else: lab.cable("b", "down")
    status, said, took = ended(a, 90)
    assert status and took < 60
    assert ("Another process of this training has ended" if how == "killed" else "Process 1 of this training has not responded for 10 s") in said
    lab.kill("b")
    ended(b)
    assert Run(tmp_path/"m").last_checkpoint


def test_a_claim_leaves_nothing_even_if_another_process_cleans_up_at_the_same_time(tmp_path, monkeypatch):
    from vidcls.engine.run import FileLock, Run
    real = FileLock.release
    def release(lock, *args, **kwargs): # Now the other process, which has seen the folder too, releases it
        real(lock, *args, **kwargs)
        Path(lock.lock_file).unlink(missing_ok=True)
        Path(lock.lock_file).parent.rmdir()
    run = Run(tmp_path/"m").claim()
    with monkeypatch.context() as m:
        m.setattr(type(run._lock), "release", release)
        run.release()
    assert not (tmp_path/"m").exists()


@pytest.mark.slow
def test_hosts_that_were_not_started_alike_stop_with_a_sentence(both, packed, tmp_path):
    table = video_table(packed[0])
    table.assign(split=["val" if s == "test" else "test" if s == "val" else s for s in table.split]).to_csv(tmp_path/"other.csv", index=False)
    for p in both(data=dict(b=tmp_path/"other.csv")):
        status, said, _ = ended(p)
        assert status and "start all of them with the same data and the same options" in said
    assert not (tmp_path/"m").exists()


@pytest.mark.slow
def test_a_shard_that_one_host_does_not_see_ends_both_with_a_sentence(both, packed, tmp_path):
    tars = shutil.copytree(packed[1].parent/"tars", tmp_path/"tars")
    make_manifest(tars, tmp_path/"m.parquet", progress=False)
    (tars/"s-001.tar").unlink()
    (_, a, _), (_, b, _) = map(ended, both(data=dict(b=tmp_path/"m.parquet")))
    assert f"{tmp_path/'m.parquet'} lists {tars/'s-001.tar'}, which does not exist" in b
    assert "Another process of this training has ended or cannot be reached" in a


@pytest.mark.slow
def test_a_second_launch_on_the_same_folder_is_refused(both, lab, tmp_path):
    first = both(epochs=400)
    once_it_trains(tmp_path/"m", first)
    code = "import sys; from vidcls.engine.cli import main; sys.exit(main(sys.argv[1:]))"
    args = ["finetune", "--data", tmp_path, "--out", tmp_path/"m", "--resume", "--checkpoint", "videomae-stick"]
    second = subprocess.run(list(map(str, [sys.executable, "-c", code, *args])), env=ENV, capture_output=True, text=True, timeout=300)
    assert second.returncode == 1 and "is writing to" in second.stderr and second.stderr.count("\n") <= 3
    assert all(p.poll() is None for p in first)
    lab.kill("a", "b")
    for p in first: ended(p)
