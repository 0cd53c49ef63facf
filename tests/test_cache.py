"The frame cache: the same bytes as decoding, never more than its limit, nothing lost or left behind."
import errno, multiprocessing, os, pickle, shutil, signal, subprocess, sys, textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np, pytest, torch

from vidcls import clips
from vidcls.clips import ClipSpec, eval_views, read_clip, View
from vidcls.engine.cache import frame_cache, FrameCache, MemoryCache
from vidcls.engine.video import probe_video, read_frames, VideoError
from videos import write_video
from vidcls.engine import cache as cache_module

SPEC = ClipSpec(seconds=1., size=32)
ONE = 60*48*64*3 # Bytes of one video's frames
needs_shm = pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="this system has no /dev/shm")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    d = tmp_path_factory.mktemp("videos")
    return [write_video(d/f"{i}.{kind}", first=i, codec=codec, gop=gop) for i, (kind, codec, gop) in enumerate(
        [("avi", "mpeg4", 12), ("avi", "mpeg4", 1), ("mp4", "libx264", 20), ("mkv", "libx264", 250), ("avi", "mpeg4", 60)])]


def kept_files(cache): return [f for f in cache.folder.glob("*.npy") if not f.name.endswith(".times.npy")]


def on_disk(cache): return sum(f.stat().st_size for f in cache.folder.glob("*.npy"))


def same(path, cache, view=View(.3)): return torch.equal(read_clip(path, view, SPEC, cache), read_clip(path, view, SPEC))


def test_cached_clips_are_the_decoded_ones(videos, tmp_path):
    cache = FrameCache(tmp_path/"frames", 10**9)
    for path in videos:
        spec = replace(SPEC, num_frames=8)
        many = eval_views(probe_video(path), spec, 4, 3) + [View(s, (.2, .7, .8), True) for s in (.1, .52)]
        for _ in range(2): assert torch.equal(clips.read_views(path, many, spec, cache), clips.read_views(path, many, spec))
    assert len(kept_files(cache)) == len(videos) and cache.size() == on_disk(cache)


def test_the_files_are_numpys(videos, tmp_path):
    cache = FrameCache(tmp_path/"frames", 10**9)
    read_clip(videos[0], View(.3), SPEC, cache)
    [file] = kept_files(cache)
    assert np.array_equal(np.load(file), read_frames(videos[0])[0].permute(0, 2, 3, 1).numpy())


def test_small_frames_give_the_same_clips_whether_they_are_kept_or_not(videos, tmp_path):
    "The run's result must not depend on how much memory is free."
    kept, full = FrameCache(tmp_path/"frames", 10**9, short=24), FrameCache(tmp_path/"none", 1, short=24)
    for path in videos:
        few, spec = eval_views(probe_video(path), SPEC, 2, 3), SPEC
        for views in (few, [View(.3), View(.9, (.2, .8, .75), True)]):
            a, b = (clips.read_views(path, views, spec, c) for c in (kept, full))
            assert torch.equal(a, b) and not torch.equal(a, clips.read_views(path, views, spec))
    assert len(kept_files(kept)) == len(videos) and not kept_files(full)


def test_small_frames_are_reserved_as_small(tmp_path):
    path, needed = write_video(tmp_path/"a.avi"), None
    with FrameCache(tmp_path/"a", 10**9, short=24) as cache:
        read_clip(path, View(.3), SPEC, cache)
        needed = cache.size()
    for name,most in (("b", needed + 4096), ("c", needed - 1)):
        with FrameCache(tmp_path/name, most, short=24) as cache:
            read_clip(path, View(.3), SPEC, cache)
            assert bool(kept_files(cache)) == (name == "b")
    with FrameCache(tmp_path/"a", 10**9) as cache: assert same(path, cache) and len(kept_files(cache)) == 2 # Another size, another file


def test_a_cache_never_outgrows_its_limit_and_the_rest_is_decoded(videos, tmp_path):
    cache = FrameCache(tmp_path/"frames", 2*ONE + ONE//2)
    assert all(same(v, cache) for v in videos)
    assert len(kept_files(cache)) == 2 and cache.size() == on_disk(cache) <= cache.max_bytes


def test_a_video_that_does_not_fit_keeps_no_smaller_one_out(videos, tmp_path):
    large = write_video(tmp_path/"large.avi", size=(320, 240))
    cache = FrameCache(tmp_path/"frames", 2*ONE + ONE//2)
    assert all(same(v, cache) for v in (large, videos[0], large, videos[1]))
    assert len(kept_files(cache)) == 2


def test_the_size_is_not_found_by_asking_every_file(videos, tmp_path, monkeypatch):
    cache = FrameCache(tmp_path/"frames", 10**9)
    def listed(*_): raise AssertionError("the folder was listed")
    monkeypatch.setattr(Path, "glob", listed)
    for v in videos[:3]: read_clip(v, View(.3), SPEC, cache)
    monkeypatch.undo()
    assert cache.size() == on_disk(cache) > 3*ONE


def test_a_second_owner_of_the_folder_counts_what_is_there(videos, tmp_path):
    first = FrameCache(tmp_path/"frames", 10**9)
    read_clip(videos[0], View(.3), SPEC, first)
    (first.folder/"bytes").write_text("12345") # A process was killed between the two
    assert FrameCache(tmp_path/"frames", 10**9).size() == on_disk(first)


def test_a_changed_video_is_decoded_anew(tmp_path):
    cache, path = FrameCache(tmp_path/"frames", 10**9), write_video(tmp_path/"a.avi")
    first = read_clip(path, View(.3), SPEC, cache)
    write_video(path, first=20)
    os.utime(path, (1, 1))
    again = read_clip(path, View(.3), SPEC, cache)
    assert not torch.equal(first, again) and torch.equal(again, read_clip(path, View(.3), SPEC))


@pytest.mark.slow
def test_two_processes_share_a_cache(videos, tmp_path):
    code = ("import sys, torch\nfrom vidcls.clips import *\nfrom vidcls.engine.cache import *\nfrom vidcls.engine.video import *\nfrom dataclasses import replace\n"
            "c = FrameCache(sys.argv[1], 10**9); s = ClipSpec(seconds=1., size=32)\n"
            "assert all(torch.equal(read_clip(p, View(.3), s, c), read_clip(p, View(.3), s)) for p in sys.argv[2:])")
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path/"frames"), *map(str, videos)]) for _ in range(2)]
    assert [p.wait(120) for p in both] == [0, 0]
    cache = FrameCache.__new__(FrameCache)
    cache.folder = tmp_path/"frames"
    assert len(kept_files(cache)) == len(videos) and not list(cache.folder.glob("*.tmp")) and cache.size() == on_disk(cache)


@pytest.mark.parametrize("cut", [lambda b: b[:-300_000], lambda b: b"", lambda b: b"no array"])
def test_a_damaged_cache_file_is_named(videos, tmp_path, cut):
    cache = FrameCache(tmp_path/"frames", 10**9)
    read_clip(videos[0], View(.3), SPEC, cache)
    [file] = kept_files(cache)
    file.write_bytes(cut(file.read_bytes()))
    with pytest.raises(VideoError, match=file.name): read_clip(videos[0], View(1.3), SPEC, cache)


def test_a_full_disk_ends_the_keeping_not_the_reading(videos, tmp_path, monkeypatch):
    cache = FrameCache(tmp_path/"frames", 10**9)
    def full(*_): raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(cache_module, "_write_frames", full)
    with pytest.warns(UserWarning, match="No more frames are kept in .*No space left"): clip = read_clip(videos[0], View(.3), SPEC, cache)
    assert torch.equal(clip, read_clip(videos[0], View(.3), SPEC)) and cache.full and not kept_files(cache)
    assert cache.size() == 0 and not list(cache.folder.glob("*.tmp"))


def test_what_a_killed_process_left_in_a_cache_goes_and_what_is_being_written_stays(tmp_path):
    folder = tmp_path/"frames"
    folder.mkdir()
    old, new, layout = folder/"a.tmp", folder/"b.tmp", folder/f"{'0'*32}.frames"
    for f in (old, new, layout): f.write_bytes(bytes(100))
    os.utime(old, (1, 1))
    assert FrameCache(folder, 10**9).size() == 0
    assert not old.exists() and new.exists() and not layout.exists()


@pytest.mark.slow
def test_filling_takes_little_more_memory_than_a_frame(tmp_path):
    "300 frames of 640 x 480 are 276 MB; the process that keeps them grows by less than a third of that."
    path = write_video(tmp_path/"a.mp4", frames=300, size=(640, 480), codec="libx264")
    code = textwrap.dedent("""
        import resource, sys
        from vidcls.clips import ClipSpec, read_clip, View
        from vidcls.engine.cache import FrameCache
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*1024
        read_clip(sys.argv[1], View(.3), ClipSpec(seconds=1., size=32))
        before, cache = peak(), FrameCache(sys.argv[2], 10**9)
        read_clip(sys.argv[1], View(.3), ClipSpec(seconds=1., size=32), cache)
        assert cache.size() > 300*640*480*3
        print((peak() - before)/cache.size())""")
    grown = float(subprocess.run([sys.executable, "-c", code, str(path), str(tmp_path/"frames")], capture_output=True, text=True, check=True).stdout)
    assert grown < .33


# ---------------------------------------------------------------------------------------------- in memory

@needs_shm
def test_processes_of_one_machine_share_its_memory(monkeypatch):
    "Half of what is free, told from outside, since the memory of a machine at work changes all the time."
    usage = shutil.disk_usage("/dev/shm")._replace(free=800)
    monkeypatch.setattr("vidcls.engine.cache.shutil.disk_usage", lambda path: usage)
    with frame_cache("ram") as cache: assert cache.max_bytes == 400
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with frame_cache("ram") as cache: assert cache.max_bytes == 100


@needs_shm
def test_memory_for_frames_is_given_back_when_it_is_closed_and_at_the_latest_with_the_process():
    with frame_cache("ram") as cache: assert cache.folder.parent == Path("/dev/shm") and cache.folder.exists()
    assert not cache.folder.exists()
    code = "from vidcls.engine.cache import frame_cache; print(frame_cache('ram').folder)"
    folder = Path(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()[-1])
    assert folder.parent == Path("/dev/shm") and not folder.exists()
    with pytest.raises(ValueError, match="ram-small, disk-small or None, not 'gpu'"): frame_cache("gpu")


HOLDER = "import sys, time; from vidcls.engine.cache import MemoryCache; print(MemoryCache(sys.argv[1], 10**9).folder, flush=True); time.sleep(600)"


def test_only_the_folders_of_the_dead_are_removed(tmp_path):
    "Whatever their process numbers are called: a container has numbers of its own."
    alive, dead = (subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) for _ in range(2))
    try:
        lives, died = (Path(p.stdout.readline().strip()) for p in (alive, dead))
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        being_made = tmp_path/"vidcls-frames-1-new"
        being_made.mkdir()
        with MemoryCache(tmp_path, 10**9): assert lives.exists() and being_made.exists() and not died.exists()
    finally:
        for p in (alive, dead):
            p.kill()
            p.wait()
            p.stdout.close()


def test_copies_and_workers_remove_nothing(tmp_path):
    with MemoryCache(tmp_path, 10**9) as cache:
        pickle.loads(pickle.dumps(cache)).close()
        assert cache.folder.exists()
        if hasattr(os, "fork"):
            worker = multiprocessing.get_context("fork").Process(target=cache.close)
            worker.start()
            worker.join()
            assert cache.folder.exists()
            MemoryCache(tmp_path, 10**9).close() # Nor does the worker's end give the lock away
            assert cache.folder.exists()
    assert not cache.folder.exists()


def test_who_opens_the_folder_meanwhile_does_not_forget_what_is_booked(videos, tmp_path, monkeypatch):
    "Two videos do not fit; another process opens the cache while the first one is being decoded."
    real = cache_module._write_frames
    def meanwhile(*args):
        FrameCache(tmp_path/"frames", ONE + ONE//2)
        return real(*args)
    cache = FrameCache(tmp_path/"frames", ONE + ONE//2)
    with monkeypatch.context() as m:
        m.setattr(cache_module, "_write_frames", meanwhile)
        read_clip(videos[0], View(.3), SPEC, cache)
    assert cache.size() == on_disk(cache)
    read_clip(videos[1], View(.3), SPEC, cache)
    assert len(kept_files(cache)) == 1 and cache.size() == on_disk(cache) <= cache.max_bytes
