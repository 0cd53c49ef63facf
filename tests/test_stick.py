"StickUCF: the set on disk keeps its promises, whatever happens while it is made."
import hashlib, json, re, subprocess, sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from vidcls.synthetic import stick
from vidcls.synthetic.stick import action, ACTIONS, CLASSES, film, make_stickucf, plan, random_scene, render_clip

TINY = (1, 0, 1)


def digests(root): return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(Path(root).glob("*/*/*.avi"))}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    "A set of two clips a class, made by two processes from a script without the guard that multiprocessing asks for."
    tmp = tmp_path_factory.mktemp("stick")
    (tmp/"s.py").write_text(f"from vidcls.synthetic.stick import make_stickucf\nprint(make_stickucf('set', per_class={TINY}, workers=2, progress=False))\n")
    done = subprocess.run([sys.executable, "s.py"], cwd=tmp, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "set", "")
    return tmp/"set"


@pytest.fixture
def quick(monkeypatch):
    "Film two tiny black frames instead of a clip, where only the files matter."
    monkeypatch.setattr(stick, "render_clip", lambda *a: np.zeros((2, 32, 32, 3), np.uint8))


# --- what is in the set ---

def test_names_and_layout(tiny):
    names = list(digests(tiny))
    assert len(names) == 20
    for n in names: assert re.fullmatch(r"(train|val|test)/(\w+)/v_\2_g\d\d_c\d\d\.avi", n), n
    assert {n.split("/")[1] for n in names} == set(CLASSES)
    assert [p.name for p in tiny.iterdir() if p.is_file()] == ["stickucf.json"]
    assert not list(tiny.rglob("*.tmp"))


def test_marker_says_what_it_is(tiny):
    m = json.loads((tiny/"stickucf.json").read_text())
    assert (m["version"], m["seed"], m["per_class"], m["counts"]) == (stick.VERSION, 0, [1, 0, 1], {"train": 10, "test": 10})


def test_files_are_like_ucf101s(tiny):
    for p in sorted(tiny.glob("*/*/*.avi"))[::3]:
        with av.open(str(p)) as c:
            s = c.streams.video[0]
            assert (c.format.name, s.codec_context.name, s.width, s.height, s.average_rate) == ("avi", "mpeg4", 320, 240, 25)
            packets = [k for k in c.demux(s) if k.size]
            assert 50 <= len(packets) <= 150 and s.frames == len(packets)
            assert [i for i, k in enumerate(packets) if k.is_keyframe][:3] == [0, 12, 24]
        assert 40_000 < p.stat().st_size < 900_000


def test_full_set_has_the_official_counts():
    clips = plan()
    per = {s: [sum(c.split == s and c.label == l for c in clips) for l in CLASSES] for s in ("train", "val", "test")}
    assert per["train"] == [30]*10 and per["val"] == [3]*10 and set(per["test"]) == {7, 8} and sum(per["test"]) == 75
    assert len({c.path for c in clips}) == 405


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("per_class", [None, (60, 20, 20), (1, 1, 1)])
def test_no_group_in_two_splits(seed, per_class):
    owner = {}
    for c in plan(seed, per_class): owner.setdefault((c.label, c.group), set()).add(c.split)
    assert all(len(s) == 1 for s in owner.values())


def test_a_smaller_set_is_part_of_a_larger_one():
    assert set(plan(0, (2, 1, 1))) <= set(plan())


# --- the same bytes, always ---

def test_bytes_do_not_depend_on_processes(tiny, tmp_path):
    for c in plan(per_class=TINY)[::7]:
        assert film(tmp_path, c, seed=0).read_bytes() == (tiny/c.path).read_bytes()


def test_another_seed_is_another_film(tiny, tmp_path):
    c = plan(per_class=TINY)[0]
    assert film(tmp_path, c, seed=1).read_bytes() != (tiny/c.path).read_bytes()


# --- interrupted, repeated, mixed up ---

def test_a_whole_set_is_reused(tiny):
    before = {p: p.stat().st_mtime_ns for p in tiny.rglob("*")}
    assert make_stickucf(tiny, per_class=TINY, progress=False) == tiny
    assert before == {p: p.stat().st_mtime_ns for p in tiny.rglob("*")}


def test_an_interrupted_set_is_finished(quick, tmp_path, monkeypatch):
    whole, calls = stick.film, []
    def stops(root, clip, seed):
        if len(calls) == 7: raise KeyboardInterrupt
        calls.append(clip)
        return whole(root, clip, seed)
    monkeypatch.setattr(stick, "film", stops)
    with pytest.raises(KeyboardInterrupt): make_stickucf(tmp_path, per_class=TINY, workers=1, progress=False)
    assert not (tmp_path/"stickucf.json").exists() and len(digests(tmp_path)) == 7
    with pytest.raises(ValueError, match="give another folder"): make_stickucf(tmp_path, seed=3, per_class=TINY, workers=1, progress=False)
    monkeypatch.setattr(stick, "film", lambda root, clip, seed: (calls.append(clip), whole(root, clip, seed))[1])
    make_stickucf(tmp_path, per_class=TINY, workers=1, progress=False)
    assert len(calls) == 20 == len(set(calls)) and (tmp_path/"stickucf.json").exists()
    assert not (tmp_path/"stickucf.part.json").exists()


def test_a_deleted_clip_is_made_again(quick, tmp_path):
    make_stickucf(tmp_path, per_class=TINY, workers=1, progress=False)
    gone = sorted(tmp_path.glob("*/*/*.avi"))[4]
    gone.unlink()
    make_stickucf(tmp_path, per_class=TINY, workers=1, progress=False)
    assert gone.exists()


def test_a_failed_clip_leaves_nothing(tmp_path, monkeypatch):
    def breaks(*a): raise RuntimeError("no")
    monkeypatch.setattr(stick, "write_video", lambda path, frames, **kw: (Path(path).write_bytes(b"half"), breaks()))
    monkeypatch.setattr(stick, "render_clip", lambda *a: None)
    with pytest.raises(RuntimeError): film(tmp_path, plan()[0], 0)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.mark.parametrize("other", [dict(seed=1), dict(per_class=(2, 0, 1)), dict(per_class=None)])
def test_another_set_in_the_same_folder_is_refused(tiny, other):
    before = digests(tiny)
    with pytest.raises(ValueError, match="contains a StickUCF made with .* give another folder"):
        make_stickucf(tiny, **{**dict(per_class=TINY, progress=False), **other})
    assert digests(tiny) == before


def test_foreign_videos_are_left_alone(tmp_path):
    (tmp_path/"train"/"Archery").mkdir(parents=True)
    with pytest.raises(ValueError, match="do not belong to a StickUCF"): make_stickucf(tmp_path, per_class=TINY, progress=False)


# --- errors ---

@pytest.mark.parametrize("bad", [5, (1, 2), (1, 2, -1), (0, 0, 0), ("a", 1, 1), (1.5, 1, 1), "111"])
def test_bad_per_class(bad, tmp_path):
    with pytest.raises(ValueError, match="per_class=.*give"): make_stickucf(tmp_path, per_class=bad)


@pytest.mark.parametrize("kw", [dict(seed=-1), dict(seed="x"), dict(seed=None), dict(workers=0), dict(workers=-2), dict(workers=1.5)])
def test_bad_seed_and_workers(kw, tmp_path):
    with pytest.raises(ValueError, match=f"{next(iter(kw))}=.*give"): make_stickucf(tmp_path/"x", **kw)
    assert not (tmp_path/"x").exists()


def test_root_that_cannot_be_written(tmp_path):
    (tmp_path/"file").write_text("")
    for root in (tmp_path/"file", tmp_path/"file"/"set"):
        with pytest.raises(OSError, match="Cannot make a StickUCF in .*folder that you can write to"): make_stickucf(root, per_class=TINY)


def test_a_worker_that_fails_says_why(tmp_path):
    (tmp_path/"train").mkdir()
    (tmp_path/"train"/CLASSES[0]).write_text("in the way")
    (tmp_path/"stickucf.part.json").write_text(json.dumps(dict(version=stick.VERSION, seed=0, per_class=[1, 0, 0])))
    with pytest.raises(OSError, match="call again"): make_stickucf(tmp_path, per_class=(1, 0, 0), workers=2, progress=False)


# --- the art ---

@pytest.mark.parametrize("size", [(64, 48), (80, 80), (63, 47)])
def test_render_clip_any_size(size):
    scene = random_scene(np.random.default_rng(0), "HulaHoop", still=1)
    v = render_clip("HulaHoop", scene, np.random.default_rng(0), 3, 8, size)
    assert v.shape == (3, size[1], size[0], 3) and v.dtype == np.uint8
    assert np.array_equal(v, render_clip("HulaHoop", scene, np.random.default_rng(0), 3, 8, size))


@pytest.mark.parametrize("name", CLASSES)
def test_actions_are_cycles_of_whole_bodies(name):
    actor = stick.random_actor(np.random.default_rng(3))
    skeletons = [stick.skeleton(ACTIONS[name].pose(p, actor), actor) for p in (0, .21, .5, .77, 1)]
    for j in skeletons:
        for a, b, l in (("hip", "knee", actor.thigh), ("knee", "foot", actor.shin), ("shoulder", "elbow", actor.upper), ("elbow", "hand", actor.fore)):
            assert np.allclose(np.linalg.norm(j[a]-j[b], axis=1), l, atol=1e-6)
    assert all(np.allclose(skeletons[0][k], skeletons[-1][k], atol=1e-6) for k in skeletons[0])
    moved = {k: max(np.abs(j[k]-skeletons[0][k]).max() for j in skeletons) for k in ("hips", "neck", "hand")}
    assert max(moved.values()) > .05, moved


def test_the_actor_is_in_the_picture_and_moves():
    for i, name in enumerate(CLASSES):
        scene = replace(random_scene(np.random.default_rng(i), name, still=0), noise=0, balls=0, post=0, shake=0, light=0)
        v = render_clip(name, scene, np.random.default_rng(i), 9, 8, (80, 60)).astype(int)
        assert np.abs(v.max(0)-v.min(0)).max(-1).__gt__(40).mean() > .005, name


def test_a_new_action_can_be_filmed_and_leaves_the_set_alone(monkeypatch):
    monkeypatch.setattr(stick, "ACTIONS", dict(ACTIONS))
    before = plan()
    @action("Wait", hz=1)
    def wait(p, a): return stick.upright(a, (0, stick.leg(a), 0))
    scene = random_scene(np.random.default_rng(0), "Wait", others=("Wait",))
    assert render_clip("Wait", scene, np.random.default_rng(0), 2, 8, (64, 48)).shape == (2, 48, 64, 3)
    assert plan() == before and "Wait" not in CLASSES


def test_import_is_light():
    code = "import sys, vidcls.synthetic.stick; print([m for m in ('torch', 'av', 'pandas', 'matplotlib', 'tqdm', 'sklearn') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
