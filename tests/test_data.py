"Tables and archives: nothing is lost, mislabelled or taken for something else in silence."
import io, os, shutil, tarfile
from dataclasses import replace

import pytest

from vidcls import data as D
from vidcls.data import audit_leakage, extract_archive, split_by_group, video_files, video_table
from vidcls.recipes import RECIPES
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
    with pytest.raises(ValueError, match="up is a link to a folder that it lies in"): video_table(root)


def test_a_folder_called_like_a_video_is_none(root):
    (root/"train"/"x.mp4").mkdir()
    assert not any(p.endswith("x.mp4") for p in video_files(root))


def test_linked_class_folders_count(root):
    (root/"train"/"Nod").rename(root.parent/"elsewhere")
    (root/"train"/"Nod").symlink_to(root.parent/"elsewhere")
    assert len(video_table(root)) == 12


def test_an_empty_class_is_an_error_and_junk_is_listed(root):
    (root/"test"/"Nod"/"._v_Nod_g01_c01.avi").write_bytes(b"\0")
    with pytest.warns(UserWarning, match="1 file.*._v_Nod"): assert len(video_table(root)) == 12
    (root/"train"/"Empty").mkdir()
    with pytest.raises(ValueError, match="Empty holds no video"): video_table(root)


@pytest.mark.parametrize("text, what", [("path,label,split\na.avi,x,train\nb.avi,x,\n", "fill in all or none"), ("label\nx\n", "no column 'path'"),
                                        ("path,label,split\na.avi,x,dev\nb.avi,x,dev\n", "split 'dev'"), ("path,label\na.avi,x\na.avi,\n", "line 3 has no label")])
def test_csv_files_that_cannot_be_right(tmp_path, text, what):
    for n in "ab": (tmp_path/f"{n}.avi").touch()
    (tmp_path/"t.csv").write_text(text)
    with pytest.raises(ValueError, match=what): video_table(tmp_path/"t.csv")


def test_a_csv_without_groups_in_some_rows(tmp_path):
    for n in "ab": (tmp_path/f"{n}.avi").touch()
    (tmp_path/"t.csv").write_text("path,label,group\na.avi,x,\nb.avi,x,home\n")
    assert video_table(tmp_path/"t.csv").group.tolist() == ["a", "home"]
    (tmp_path/"t.csv").write_bytes("path,label\nä.avi,x\n".encode("utf-16"))
    with pytest.raises(ValueError, match="t.csv is not a CSV file in UTF-8"): video_table(tmp_path/"t.csv")


def test_splits_never_go_through_a_group(root):
    table = video_table(root).assign(split="")
    assert audit_leakage(split_by_group(table, seed=3)).ok


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
    assert not any((tmp_path/"out").iterdir())


def test_a_cut_archive_and_odd_members(tmp_path):
    whole = tar(tmp_path/"a.tar", {"set/a": bytes(50_000)})
    (tmp_path/"cut.tar").write_bytes(whole.read_bytes()[:20_000])
    with pytest.raises(ValueError, match="delete it and download it again"): extract_archive(tmp_path/"cut.tar", tmp_path/"out", progress=False)
    with pytest.raises(ValueError, match="outside"): extract_archive(tar(tmp_path/"flat.tar", {"a.avi": b"1"}), tmp_path/"out", progress=False)
    assert (extract_archive(tar(tmp_path/"dot.tar", {".": None, "./set": None, "./set/a": b"1"}), tmp_path/"out", progress=False)/"a").exists()


def test_a_folder_that_is_not_there_may_have_been_meant(monkeypatch):
    def fails(*args): raise OSError("Could not download.")
    monkeypatch.setattr(D, "download_ucf101_subset", fails)
    with pytest.raises(OSError, match="Could not download. There is no folder of that name here either."):
        D.data_root(replace(RECIPES["stick"], data="my/videos"))
    with pytest.raises(OSError, match="download.$"): D.data_root(RECIPES["ucf101"])
