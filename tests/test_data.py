"Tables and archives: nothing is lost, mislabelled or taken for something else in silence."
import io, json, os, shutil, subprocess, sys, tarfile, unicodedata, warnings
from dataclasses import replace

import numpy as np, pandas as pd, pytest

from vidcls import data as D
from vidcls.data import split_by_group, video_files, video_table
from vidcls.engine.archive import extract_archive, is_complete, LOCK
from vidcls.engine.audit import audit_leakage
from vidcls.engine.recipes import RECIPES
from videos import write_dataset


@pytest.fixture
def root(tmp_path): return write_dataset(tmp_path/"set", frames=2)


def test_the_folder_above_or_splits_in_capitals_are_refused(root):
    with pytest.raises(ValueError, match="expected class/video, or split/class/video"): video_table(root.parent)
    for s in ("train", "val", "test"): (root/s).rename(root/s.upper())
    with pytest.raises(ValueError, match="splits called train, val and test"): video_table(root)


def test_videos_beside_the_class_folders_are_refused(root):
    shutil.copy(next(root.glob("train/*/*.avi")), root/"train"/"stray.avi")
    with pytest.raises(ValueError, match="stray.avi"): video_table(root)


def test_a_link_that_leads_in_circles_is_named(root):
    for d in (root/"train").iterdir(): (d/"up").symlink_to(root)
    with pytest.raises(ValueError, match="up is a link to a folder that contains it"): video_table(root)


def test_a_folder_called_like_a_video_is_none(root):
    (root/"train"/"x.mp4").mkdir()
    assert not any(p.endswith("x.mp4") for p in video_files(root))


def test_videos_of_every_suffix_are_taken(tmp_path):
    suffixes = "avi mp4 mov mkv webm m4v mpg mpeg h264 3gp wmv asf mts m2ts ts flv ogv gif MTS".split()
    (tmp_path/"Nod").mkdir()
    for s in suffixes: (tmp_path/"Nod"/f"a.{s}").touch()
    assert len(video_table(tmp_path)) == len(video_files(tmp_path)) == len(suffixes)


@pytest.mark.parametrize("listing", [video_table, video_files])
def test_what_a_listing_leaves_out_is_counted_by_suffix(root, listing):
    for name in ("a.txt", "b.TXT", "c.jpg", ".DS_Store", "._d.avi", "notes"): (root/"train"/"Nod"/name).write_text("x")
    said = r"^6 files are not videos and were skipped: 2 \.txt, 2 hidden, 1 \.jpg, 1 without a suffix \(the first is .*Nod"
    with pytest.warns(UserWarning, match=said):
        assert len(listing(root)) == 12


@pytest.mark.parametrize("listing", [video_table, video_files])
def test_a_note_beside_the_splits_is_not_taken_for_a_lost_video(root, listing):
    (root/"about.json").write_text("{}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(listing(root)) == 12


def test_linked_class_folders_count(root):
    (root/"train"/"Nod").rename(root.parent/"elsewhere")
    (root/"train"/"Nod").symlink_to(root.parent/"elsewhere")
    assert len(video_table(root)) == 12


def test_an_empty_class_is_an_error_and_junk_is_listed(root):
    (root/"test"/"Nod"/"._v_Nod_g01_c01.avi").write_bytes(b"\0")
    with pytest.warns(UserWarning, match="^1 file is not a video and was skipped: 1 hidden .*._v_Nod"):
        assert len(video_table(root)) == 12
    (root/"train"/"Empty").mkdir()
    with pytest.raises(ValueError, match="Empty does not contain a video"): video_table(root)


@pytest.mark.parametrize("text, what", [("path,label,split\na.avi,x,train\nb.avi,x,\n", "fill in all or none"), ("label\nx\n", "no column 'path'"),
                                        ("path,label,split\na.avi,x,dev\nb.avi,x,dev\n", "split 'dev'"), ("path,label\na.avi,x\na.avi,\n", "line 3 has no label")])
def test_csv_files_that_cannot_be_right(tmp_path, text, what):
    for n in "ab": (tmp_path/f"{n}.avi").touch()
    (tmp_path/"t.csv").write_text(text)
    with pytest.raises(ValueError, match=what): video_table(tmp_path/"t.csv")


def test_a_csv_without_groups_in_some_rows(tmp_path):
    for n in "ab": (tmp_path/f"{n}.avi").touch()
    (tmp_path/"t.csv").write_text("path,label,group\na.avi,x, \nb.avi,x,home\n")
    assert video_table(tmp_path/"t.csv").group.tolist() == ["a.avi", "home"]
    (tmp_path/"t.csv").write_bytes("path,label\nä.avi,x\n".encode("utf-16"))
    with pytest.raises(ValueError, match="t.csv is not a CSV file in UTF-8"): video_table(tmp_path/"t.csv")


# --- groups ---

def rows(*pairs):
    "A table of (label, group) pairs without splits."
    return pd.DataFrame([dict(path=f"{i}.avi", split="", label=label, group=g, clip="c01")
                         for i, (label, g) in enumerate(pairs)])


def test_ucf101_numbers_are_qualified_and_files_without_a_number_are_recordings_of_their_own(tmp_path):
    groups = {"Nod/001.mp4": "Nod/001.mp4", "Nod/v_Nod_g01_c01.avi": "Nod/g01", "Nod/v_Nod_g01_c02.avi": "Nod/g01",
              "Wave/001.mp4": "Wave/001.mp4", "Wave/v_Wave_g01_c01.avi": "Wave/g01"}
    for p in groups:
        (tmp_path/"set"/p).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path/"set"/p).touch()
    table = video_table(tmp_path/"set")
    assert dict(zip(table.path, table.group)) == {str(tmp_path/"set"/p): g for p, g in groups.items()}
    (tmp_path/"t.csv").write_text("path,label\nset/Nod/001.mp4,x\nset/Wave/001.mp4,y\nset/Wave/v_Wave_g01_c01.avi,y\n")
    assert video_table(tmp_path/"t.csv").group.tolist() == ["set/Nod/001.mp4", "set/Wave/001.mp4", "Wave/g01"]


def test_splits_never_go_through_a_group(root):
    table = video_table(root).assign(split="")
    assert audit_leakage(split_by_group(table, seed=3)).ok


def test_a_recording_with_several_labels_is_in_one_split():
    table = rows(*((label, f"person {p}") for p in range(10) for label in ("nod", "squat", "wave")))
    for seed in range(20):
        done = split_by_group(table, seed=seed)
        assert done.groupby("group").split.nunique().max() == 1
        assert done.groupby("label").split.value_counts().unstack()[["train", "val", "test"]].values.tolist() == [[7, 1, 2]]*3


def test_the_audit_finds_a_recording_whose_labels_are_in_different_splits(tmp_path):
    for n in "abc": (tmp_path/f"{n}.avi").write_text(n)
    lines = "path,label,group,split", "a.avi,wave,kitchen,train", "b.avi,nod,kitchen,test", "c.avi,nod,hall,val"
    (tmp_path/"t.csv").write_text("\n".join(lines))
    audit = audit_leakage(video_table(tmp_path/"t.csv"))
    assert not audit.ok
    assert audit.groups.to_dict("records") == [dict(group="kitchen", labels="nod, wave", splits="test, train", videos=2)]


def test_where_every_recording_has_one_label_the_split_is_as_it_always_was():
    counts = dict(a=7, b=25, c=4, d=11)
    table = rows(*((label, f"{label}/g{g:02}") for label, n in counts.items() for g in range(n) for _ in range(1 + g % 3)))
    for seed in (0, 1, 2):
        rng, split = np.random.default_rng(seed), {}
        for _, t in table.groupby("label"):
            groups = rng.permutation(sorted(set(t.group)))
            n_val, n_test = max(1, round(len(groups)*.1)), max(1, round(len(groups)*.2))
            split |= dict(zip(groups, ["val"]*n_val + ["test"]*n_test + ["train"]*len(groups)))
        assert split_by_group(table, seed=seed).split.tolist() == [split[g] for g in table.group]


def test_a_small_class_that_shares_its_recordings_still_gets_every_split():
    table = rows(*(("big", f"r{i}") for i in range(20)), *(("small", f"r{i}") for i in range(3)))
    for seed in range(20):
        done = split_by_group(table, seed=seed)
        assert done.groupby("group").split.nunique().max() == 1
        assert done.groupby("label").split.nunique().tolist() == [3, 3]


def test_a_class_that_cannot_be_in_every_split_is_named():
    classes = dict(a="wxyz", b="wxy", c="wxz", d="wyz", e="xyz")
    said = r"^The class '[a-e]' cannot be in every split, because its groups also occur in other classes: add recordings of it\.$"
    with pytest.raises(ValueError, match=said): split_by_group(rows(*((k, g) for k, groups in classes.items() for g in groups)))
    with pytest.raises(ValueError, match=r"The class 'a' has too few groups for these splits \(2\)"):
        split_by_group(rows(("a", "x"), ("a", "y")))


def tar(path, members, mode="w"):
    with tarfile.open(path, mode) as t:
        for name, content in members.items():
            m = tarfile.TarInfo(name)
            if content is None: m.type = tarfile.DIRTYPE
            else: m.size = len(content)
            t.addfile(m, io.BytesIO(content or b""))
    return path


def test_extraction_never_deletes_what_it_did_not_make(tmp_path):
    (tmp_path/"out"/"set").mkdir(parents=True)
    (tmp_path/"out"/"set"/"precious.txt").write_text("years")
    with pytest.raises(ValueError, match="move it away"): extract_archive(tar(tmp_path/"a.tar", {"set/a": b"1"}), tmp_path/"out", progress=False)
    assert (tmp_path/"out"/"set"/"precious.txt").exists()


def test_a_damaged_gzip_is_noticed(tmp_path):
    path = tar(tmp_path/"a.tgz", {"set/a": os.urandom(50_000)}, "w:gz")
    data = bytearray(path.read_bytes())
    data[len(data)//2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="not a complete tar archive"): extract_archive(path, tmp_path/"out", progress=False)
    assert os.listdir(tmp_path/"out") == [LOCK]


def test_a_cut_archive_and_odd_members(tmp_path):
    whole = tar(tmp_path/"a.tar", {"set/a": bytes(50_000)})
    (tmp_path/"cut.tar").write_bytes(whole.read_bytes()[:20_000])
    with pytest.raises(ValueError, match="delete it and download it again"): extract_archive(tmp_path/"cut.tar", tmp_path/"out", progress=False)
    with pytest.raises(ValueError, match="outside"): extract_archive(tar(tmp_path/"flat.tar", {"a.avi": b"1"}), tmp_path/"out", progress=False)
    assert (extract_archive(tar(tmp_path/"dot.tar", {".": None, "./set": None, "./set/a": b"1"}), tmp_path/"out", progress=False)/"a").exists()


EXTRACT = """
import os, signal, sys, time
from pathlib import Path
from vidcls import data as D
from vidcls.engine import archive as archive_module
archive, dest, me, other, die = *map(Path, sys.argv[1:5]), sys.argv[5] == "die"
unpack = archive_module._unpack
def slowly(*args):
    unpack(*args)
    print("unpacked", flush=True)
    me.touch()
    if die: os.kill(os.getpid(), signal.SIGKILL)
    until = time.time() + 3
    while not other.exists() and time.time() < until: time.sleep(.01)
archive_module._unpack = slowly
print(archive_module.extract_archive(archive, dest, progress=False).stat().st_ino)
"""


def extracting(archive, dest, me, other, die=False):
    "A process that unpacks, and waits up to three seconds after it for another that does so too."
    command = [sys.executable, "-c", EXTRACT, archive, dest, me, other, "die" if die else ""]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_that_unpack_the_same_archive_do_it_once(tmp_path):
    archive, dest = tar(tmp_path/"a.tar", {"set/Nod/a.avi": b"film"}), tmp_path/"out"
    both = [extracting(archive, dest, tmp_path/a, tmp_path/b) for a, b in ("xy", "yx")]
    said = [p.communicate(timeout=120)[0].split() for p in both]
    assert all(p.returncode == 0 for p in both)
    assert sorted(len(s) for s in said) == [1, 2] # one unpacked it
    assert said[0][-1] == said[1][-1] == str((dest/"set").stat().st_ino) # and nobody replaced it
    assert is_complete(dest/"set") and sorted(os.listdir(dest)) == [LOCK, "set"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is killed by a POSIX signal")
def test_what_a_killed_process_left_is_cleaned(tmp_path):
    archive, dest = tar(tmp_path/"a.tar", {"set/Nod/a.avi": b"film"}), tmp_path/"out"
    killed = extracting(archive, dest, tmp_path/"x", tmp_path/"y", die=True)
    assert killed.communicate(timeout=120)[0] == "unpacked\n" and killed.returncode < 0
    assert [p.name[:11] for p in dest.iterdir() if p.name != LOCK] == [".unpacking-"]
    assert (extract_archive(archive, dest, progress=False)/"Nod"/"a.avi").read_bytes() == b"film"
    assert sorted(os.listdir(dest)) == [LOCK, "set"]


def test_a_folder_that_is_not_there_may_have_been_meant(monkeypatch):
    def fails(*args, **kwargs): raise OSError("Could not download.")
    monkeypatch.setattr(D, "download_ucf101_subset", fails)
    with pytest.raises(OSError, match="Could not download. There is no folder of that name here either."):
        D.data_root(replace(RECIPES["stick"], data="my/videos"))
    with pytest.raises(OSError, match="download.$"): D.data_root(RECIPES["ucf101"])


def test_a_table_without_groups_has_a_recording_per_video():
    "Also one that was made by hand: missing groups are not one large group."
    import numpy as np, pandas as pd
    from vidcls.data import recordings
    from vidcls.scoring import accuracy_interval, score
    t = pd.DataFrame(dict(path=[f"{i}.avi" for i in range(20)], label="Nod", split="test", group=[None, float("nan"), "", " "]*5, clip="c01"))
    assert recordings(t).tolist() == t.path.tolist()
    assert split_by_group(t).split.nunique() == 3
    s = score(t, np.random.default_rng(0).normal(size=(20, 2)), {0: "Nod", 1: "Wave"}, "by hand")
    assert s.interval is not None and s.groups.nunique() == 20
    assert not np.isnan(accuracy_interval([1]*10 + [0]*10, [None]*20)).any()


# ---------------------------------------------------------------------------------------------- metadata of a videofolder

@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_metadata_is_read_as_it_was_written(tmp_path, form):
    "Labels that look like numbers, groups and times survive, in a folder per split."
    from vidcls.engine.videofolder import write_metadata
    for place in ("train/a.mp4", "test/b.mp4"):
        (tmp_path/place).parent.mkdir(exist_ok=True)
        (tmp_path/place).touch()
    rows = [("train/a.mp4", "train", "007", 0., 2.), ("train/a.mp4", "train", "NA", 2., np.nan), ("test/b.mp4", "test", "007", 1., 3.)]
    table = pd.DataFrame(rows, columns=["path", "split", "label", "start", "end"])
    table = table.assign(path=[str(tmp_path/p) for p in table.path], group=["kitchen", "kitchen", "hall"])
    assert [f.parent.name for f in write_metadata(table, tmp_path, form)] == ["train", "test"]
    read = video_table(tmp_path)
    pd.testing.assert_frame_equal(read[list(table)], table)


def test_metadata_leads_nowhere_else(tmp_path):
    "A place outside the folder is refused, before anything is opened."
    (tmp_path/"set").mkdir()
    (tmp_path/"secret.mp4").touch()
    for name in ("../secret.mp4", str(tmp_path/"secret.mp4"), f"file://{tmp_path}/secret.mp4"):
        (tmp_path/"set"/"metadata.csv").write_text(f"file_name,label\n{name},x\n")
        with pytest.raises(ValueError, match="not in its folder"): video_table(tmp_path/"set")


NAMED = json.dumps(dict(file_name="a.mp4", label="x"))


@pytest.mark.parametrize("form, text, says", [
    ("csv", "file_name, label\na.mp4, x \n", ["x"]), ("csv", "\ufefffile_name,label\na.mp4,x\n", ["x"]), ("csv", 'file_name,label\na.mp4,"x, y"\n', ["x, y"]),
    ("csv", "file_name;label\na.mp4;x\n", "separated by ';'"), ("csv", "file_name,label\na.mp4,x, y\n", "more fields than the first line: put texts"),
    ("csv", "file_name,label\na.mp4,  \n", "line 2 has no label"), ("csv", "file_name,label\na.mp4\n", "line 2 has no label"),
    ("csv", "file_name,label\na.mp4,Öl\n".encode("latin-1"), "write it again as csv in UTF-8"),
    ("jsonl", f"\ufeff\n{NAMED}\r\n\n", ["x"]), ("jsonl", NAMED.replace('"x"', '["x", "y"]'), "is not a single value"),
    ("jsonl", '{"file_name": ' + "["*100_000 + "]"*100_000 + "}", "line 1 is not a JSON object"),
    ("jsonl", NAMED.replace('"x"', "7") + '\n{"file_name": "x/b.mp4", "label": null}', ["7", "x"]),
    ("parquet", dict(file_name=["a.mp4", "x/b.mp4"], label=pd.array([7, None], "Int64")), ["7", "x"]),
    ("parquet", dict(file_name=["a.mp4"], label=[["x", "y"]]), "is not a single value"), ("parquet", dict(file_name=["a.mp4"], label=[b"x"]), "is not a single value"),
    ("parquet", dict(file_name=[], label=[]), "does not list any videos")], ids=range(16))
def test_odd_metadata_is_read_or_refused_in_one_sentence(form, text, says, tmp_path):
    (tmp_path/"x").mkdir()
    for name in ("a.mp4", "x/b.mp4"): (tmp_path/name).touch()
    file = tmp_path/f"metadata.{form}"
    if form == "parquet": pd.DataFrame(text).to_parquet(file)
    else: file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with warnings.catch_warnings(action="ignore"):
        if isinstance(says, list): assert video_table(tmp_path).label.tolist() == says
        else:
            with pytest.raises(ValueError) as e: video_table(tmp_path)
            assert says in str(e.value) and "\n" not in str(e.value) and len(str(e.value)) < 400


def test_accents_are_found_however_they_are_written(tmp_path):
    place, other = (unicodedata.normalize(form, "Grüße/Ä ö.mp4") for form in ("NFC", "NFD"))
    for i, (disk, listed) in enumerate(((place, other), (other, place))):
        (file := tmp_path/str(i)/disk).parent.mkdir(parents=True)
        file.touch()
        (tmp_path/str(i)/"metadata.csv").write_text(f"file_name,label\n{listed},x\n", encoding="utf-8")
        assert video_table(tmp_path/str(i)).path.tolist() == [str(file)]


def test_a_name_that_other_systems_take_for_a_folder_is_not_written(tmp_path):
    from vidcls.engine.videofolder import metadata_parts
    table = pd.DataFrame(dict(path=["a\\b.mp4"], split="", label="x", group="g", clip="c01"))
    with pytest.raises(ValueError, match="has a backslash in its name"): metadata_parts(table, ["a\\b.mp4"])


def test_a_list_of_videos_says_what_separates_its_fields(tmp_path):
    "And spaces after commas make no class of their own."
    (tmp_path/"a.mp4").touch()
    for text, says in (("path;label\na.mp4;x\n", "separated by ';'"), ("path\tlabel\na.mp4\tx\n", r"separated by '\\t'"), ("path,label\na.mp4,jump, high\n", "put texts with commas in quotes")):
        (tmp_path/"t.csv").write_text(text)
        with pytest.raises(ValueError, match=says): video_table(tmp_path/"t.csv")
    (tmp_path/"t.csv").write_text("path, label\na.mp4, x \n")
    assert video_table(tmp_path/"t.csv").label.tolist() == ["x"]
