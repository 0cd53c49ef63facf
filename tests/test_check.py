"Videos are looked at before training: in parallel, once, as thoroughly as time allows, and whatever a file does."
import json, os, signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest, torch

from vidcls.engine.cli import main
from vidcls.clips import ClipSpec
from vidcls.engine.audit import check_videos
from vidcls.data import video_table
from videos import write_dataset, write_video
from vidcls.engine import audit

SPEC = ClipSpec(seconds=1., size=32)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))
    return tmp_path/"home"


@pytest.fixture
def table(tmp_path): return video_table(write_dataset(tmp_path/"set"))


@pytest.fixture
def looked_at(monkeypatch):
    "The names of the files that were looked at, in this process."
    seen, real = [], audit._check_video
    monkeypatch.setattr(audit, "_check_video", lambda path, *args: (seen.append(Path(path).name), real(path, *args))[1])
    return seen


def names(t): return [Path(p).name for p in t.path]


def check(table, spec=SPEC, how="full", workers=0): return check_videos(table, spec, how, workers, progress=False)


def damaged_in_the_middle(path):
    "Its packets are whole in number, its first and last frame are fine, and one between is noise."
    write_video(path, frames=60, gop=6)
    b = bytearray(path.read_bytes())
    i = len(b)//2
    b[i:i + len(b)//20] = b"\xff"*(len(b)//20)
    path.write_bytes(b)
    return path


def test_what_is_good_is_remembered_until_it_or_the_question_changes(table, looked_at):
    check(table)
    assert len(looked_at) == 12
    check(table); check(table, how="quick"); check(table, replace(SPEC, size=64, mean=(.5,)*3))
    assert len(looked_at) == 12
    write_video(Path(table.path[3]), frames=50)
    check(table)
    assert looked_at[12:] == [Path(table.path[3]).name]
    check(table, replace(SPEC, seconds=.5))
    assert len(looked_at) == 25


def test_a_quick_look_does_not_answer_for_a_full_one(table, looked_at):
    check(table, how="quick"); check(table)
    assert len(looked_at) == 24


def test_a_bad_file_that_was_mended_without_a_new_stamp_is_good(table):
    path, stat = Path(table.path[0]), os.stat(table.path[0])
    right = path.read_bytes()
    for content, bad in ((b"x"*len(right), 1), (right, 0)):
        path.write_bytes(content); os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert len(check(table)[1]) == bad


def test_several_processes_find_what_one_finds(table):
    Path(table.path[5]).write_text("no film")
    one, two = check(table, workers=0), check(table, workers=2)
    assert all(a.equals(b) for a, b in zip(one, two)) and names(one[1]) == [Path(table.path[5]).name]


class Crashing(audit._Checks):
    "Kills the process that reads one of `killers`. Not a patched function, because a process that is spawned would not inherit it."
    def __init__(self, killers, *args):
        super().__init__(*args)
        self.killers = killers

    def __getitem__(self, i):
        if self.paths[i] in self.killers: os.kill(os.getpid(), signal.SIGSEGV)
        return super().__getitem__(i)


class Mistaken(audit._Checks):
    "Fails for a reason that has nothing to do with the file."
    def __getitem__(self, i): raise RuntimeError("no such state")


@pytest.mark.parametrize("which, workers", [((0,), 1), ((4, 5), 2), ((11,), 2)])
def test_a_file_that_crashes_the_decoder_is_named_and_the_others_are_checked(table, monkeypatch, which, workers):
    killers = {table.path[i] for i in which}
    monkeypatch.setattr(audit, "_Checks", partial(Crashing, killers))
    good, bad = check(table, workers=workers)
    assert set(bad.path) == killers and len(good) == 12 - len(which)
    assert all(r.startswith(f"{p} crashes the process that decodes it (") for p, r in zip(bad.path, bad.reason))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_check_takes_no_random_numbers_from_the_training(table, workers):
    "A training would else come out differently when its files are remembered."
    before = torch.get_rng_state()
    check(table, workers=workers)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_mistake_in_the_check_is_not_blamed_on_a_file(table, monkeypatch):
    monkeypatch.setattr(audit, "_Checks", Mistaken)
    with pytest.raises(RuntimeError, match="no such state"): check(table, workers=1)


def test_a_large_set_is_looked_at_quickly_and_that_is_said(tmp_path, table, monkeypatch, caplog):
    caplog.set_level("INFO", "vidcls")
    damaged = damaged_in_the_middle(Path(table.path[0]))
    assert names(check(table, how=None)[1]) == [damaged.name] and not caplog.text
    monkeypatch.setattr(audit, "_MINUTE", 1000)
    assert not len(check(table, how=None)[1])
    assert "only the packets and the first and last frame" in caplog.text
    Path(table.path[1]).write_text("no film")
    assert names(check(table, how="quick")[1]) == [Path(table.path[1]).name]
    assert len(check(table, how="none")[0]) == 12
    with pytest.raises(ValueError, match="check must be one of full, quick, none, not 'some'"): check(table, how="some")


def test_a_memory_that_cannot_be_used_is_named_and_does_not_stop_the_check(table, home):
    home.mkdir(); (home/"checked.sqlite").write_bytes(b"no data base"*200)
    with pytest.warns(UserWarning, match="checked.sqlite cannot be used .*: remove it"): assert len(check(table)[0]) == 12


def test_the_memory_is_shared_and_bounded(tmp_path):
    a, b = (audit._GoodFiles(tmp_path/"m.sqlite", SPEC, most=5) for _ in range(2))
    for i in range(4): a.add(f"a{i}", (i, i), "full", 0); b.add(f"b{i}", (i, i), "full", 2)
    a.save(); b.save()
    assert [a.get(f"b{i}", (i, i), "full") for i in range(4)] == [2]*4 and [b.get(f"a{i}", (i, i), "full") for i in range(4)] == [None]*3 + [0]
    assert a.get("b0", (0, 1), "full") is None
    a.close(); b.close()


def test_a_check_that_was_interrupted_goes_on(table, looked_at, monkeypatch):
    real = audit._check_video
    def look(path, *args):
        if path == table.path[7]: raise KeyboardInterrupt
        return real(path, *args)
    with monkeypatch.context() as m:
        m.setattr(audit, "_check_video", look)
        with pytest.raises(KeyboardInterrupt): check(table)
    looked_at.clear()
    check(table)
    assert looked_at == names(table)[7:]


# --- few frames ---

@pytest.mark.parametrize("how", ["full", "quick"])
def test_few_frames_are_counted_where_they_are_fewest_and_refused_if_they_must_be_enough(table, how):
    path = Path(table.path[2])
    write_video(path, frames=40, pts=[*range(20), *range(20, 40, 3), *range(40, 53)]) # Five a second less in the middle
    few = write_video(Path(table.path[3]), frames=5)
    for _ in range(2): # Also when it is remembered
        good, bad = check(table, how=how)
        repeated = dict(zip(names(good), good.repeated_frames))
        assert not len(bad) and repeated.pop(few.name) == 11 and 0 < repeated.pop(path.name) < 11 and not any(repeated.values())
        good, bad = check(table, replace(SPEC, pad=False), how)
        assert set(names(bad)) == {path.name, few.name} and all("allow repeated frames" in r for r in bad.reason)


def test_check_data_notes_few_frames_and_does_not_fail(tmp_path, capsys):
    root = write_dataset(tmp_path/"set", frames=60, rooms=True)
    few = write_video(root/"train"/"Wave"/"v_Wave_g90_c01.avi", frames=5)
    assert main(["check-data", str(root), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["repeated_frames"] == {str(few): 11} and not found["unusable"] and found["ok"]
    assert main(["check-data", str(root), "--check", "quick", "--workers", "0"]) == 0
    assert f"note: {few} has few frames: a clip repeats up to 11 of 16" in capsys.readouterr().out
    assert main(["check-data", str(root), "--check", "none"]) == 0
