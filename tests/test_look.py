"A page about a folder of videos, and the videos that look alike."
import json, re, shutil
from html.parser import HTMLParser
from pathlib import Path

import imageio.v3 as iio, numpy as np, pandas as pd, pytest

from vidcls.data import sample_videos, video_table
from vidcls.engine import audit, cli, look as look_module
from vidcls.engine.alike import ALIKE, alike_pairs, all_looks, compare, looks
from vidcls.engine.look import Album, look, Shot
from vidcls.synthetic import stick
from videos import needs_odd, needs_real, ODD, REAL, write_dataset, write_model

EVIL = "<script>alert(1)<"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch): monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))


@pytest.fixture(scope="module")
def person():
    "The frames of a clip of a real person."
    return iio.imread(sample_videos().path[0], plugin="pyav")


def saved(path, frames, fps=30):
    path.parent.mkdir(parents=True, exist_ok=True)
    return stick.write_video(path, frames, fps=fps)


def quick(data, **kwargs): return look(data, workers=0, progress=False, **kwargs)


class Page(HTMLParser):
    "The tags of a page and their attributes."
    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "srcset")]
        assert not [k for k, _ in attrs if k.startswith("on")]


def sound(text):
    "A page that loads nothing and runs nothing."
    page = Page(text)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert all(a.startswith(("data:image/", "#")) for a in page.addresses)
    return page


# --- look-alikes ---

def letterbox(x): return np.pad(x, ((0, 0), (60, 60), (0, 0), (0, 0)))
def darker(x): return (x*.7).astype(np.uint8) + 10


@pytest.mark.parametrize("change, mirrored", [
    (lambda x: x[:, :, ::-1], True), (lambda x: x[:, ::3, ::3], False), (lambda x: x[20:], False), (letterbox, False), (darker, False),
    (lambda x: x[:, 12:-12, 16:-16], False), (lambda x: darker(x[10:, 12:-12:2, -17:16:-2]), True)],
    ids=["mirrored", "small", "later", "bars", "darker", "cropped", "all at once"])
def test_a_disguised_copy_is_found(person, tmp_path, change, mirrored):
    value, flipped, at, other = compare(looks(sample_videos().path[0]), looks(saved(tmp_path/"copy.mp4", change(person))))
    assert value >= ALIKE and flipped == mirrored


def test_the_moments_that_match_are_the_same_moments(person, tmp_path):
    "A clip that begins a second later matches a second earlier; the camera stands still, so this is about the person."
    _, _, at, other = compare(looks(sample_videos().path[0]), looks(saved(tmp_path/"later.mp4", person[30:])))
    assert abs(at - other - 1) < .3


def test_a_plain_picture_is_like_nothing(tmp_path):
    grey = saved(tmp_path/"a.mp4", np.full((20, 48, 64, 3), 90, np.uint8))
    assert not len(looks(grey).spectra) and not alike_pairs([looks(grey)]*2)


def test_what_cannot_be_read_is_a_reason_and_the_rest_is_compared(person, tmp_path):
    (tmp_path/"b.mp4").write_text("no film")
    rows = pd.DataFrame(dict(path=[sample_videos().path[0], str(tmp_path/"b.mp4"), str(saved(tmp_path/"c.mp4", person[:, ::2, ::2]))]))
    found = all_looks(rows, 2, False)
    assert isinstance(found[1], str) and [p[:2] for p in alike_pairs(found)] == [(0, 2)]


@needs_real
@pytest.mark.slow
def test_copies_of_real_clips_are_found_and_strangers_are_not(tmp_path):
    from vidcls.engine.archive import extract_archive
    table = video_table(extract_archive(REAL, tmp_path/"real"))
    table = table[table.label.isin(["Archery", "Surfing", "PlayingPiano"])].reset_index(drop=True)
    found = all_looks(table, 2, False)
    assert not alike_pairs(found) # Surfing is sky over sea, whoever rides the wave
    copies = []
    for k, p in enumerate(table.path[::10]):
        copies.append(saved(tmp_path/f"{k}.mp4", iio.imread(p, plugin="pyav")[:, ::2, ::-2], 25))
    pairs = [p for p in alike_pairs([*found, *map(looks, copies)]) if p[1] >= len(table)]
    assert {(i, j) for i, j, *_ in pairs} == {(10*k, len(table) + k) for k in range(len(copies))} and all(p[3] for p in pairs)


# --- the page ---

@pytest.fixture
def films(person, tmp_path):
    "Two classes; a mirrored copy in the other class, without groups."
    samples = sample_videos()
    for i, label in ((0, "a"), (3, "a"), (6, "b"), (7, "b")):
        (tmp_path/"films"/label).mkdir(parents=True, exist_ok=True)
        shutil.copy(samples.path[i], tmp_path/"films"/label)
    saved(tmp_path/"films"/"b"/"copy.mp4", person[:, ::2, ::-2])
    return tmp_path/"films"


def test_a_page_shows_the_pair_and_loads_nothing(films, tmp_path):
    seen = quick(films, out=tmp_path/"page.html")
    text = (tmp_path/"page.html").read_text()
    sound(text)
    assert len(seen.leaks.alike) == 1 and seen.leaks.alike.mirrored[0] and "1 suspected leak" in text and "mirrored back" in text
    assert text.count("data:image/gif") >= 2 and len(text) < 5e6 and "srcdoc" in seen._repr_html_()


def test_proposed_groups_are_a_list_that_can_be_trained_with(films, tmp_path):
    seen = quick(films, suggest_groups=tmp_path/"lists.csv")
    table = video_table(tmp_path/"lists.csv")
    group = dict(zip([Path(p).name for p in table.path], table.group))
    assert len(table) == 5 and group["copy.mp4"] == group[Path(sample_videos().path[0]).name] and len(set(group.values())) == 4
    assert set(table.path) == {str(tmp_path/p) for p in ["films/" + str(Path(q).relative_to(films)) for q in seen.table.path]}


def test_splits_that_cut_through_a_recording_are_left_out(films, tmp_path):
    table = video_table(films)
    quick(table.assign(split="train"), suggest_groups=tmp_path/"b.csv")
    assert set(pd.read_csv(tmp_path/"b.csv").split) == {"train"}
    cut = table.assign(split=["train" if Path(p).name != "copy.mp4" else "test" for p in table.path])
    quick(cut, suggest_groups=tmp_path/"c.csv")
    assert "split" not in pd.read_csv(tmp_path/"c.csv")


def test_names_are_text(person, tmp_path):
    for label in (EVIL, "<img src=x onerror=alert(1)>"):
        saved(tmp_path/"films"/label/"\"><b onclick=alert(1)>.mp4", person[:20, ::4, ::4])
        (tmp_path/"films"/label/"<i>.avi").write_text("no film")
    page = quick(tmp_path/"films").page
    sound(page)
    assert "<b onclick" not in page and "<i>.avi" not in page and "&lt;i&gt;.avi" in page


@pytest.mark.slow
@needs_odd
def test_odd_files_are_shown_or_named(tmp_path):
    for k, p in enumerate(sorted(ODD.iterdir())):
        if look_module.is_video(p):
            (tmp_path/"odd"/"ab"[k % 2]).mkdir(parents=True, exist_ok=True)
            shutil.copy(p, tmp_path/"odd"/"ab"[k % 2])
    seen = look(tmp_path/"odd", tmp_path/"page.html", workers=2, progress=False)
    sound((tmp_path/"page.html").read_text())
    assert 3 < len(seen.bad) < len(seen.table) and all(Path(p).name in seen.page for p in seen.bad.path)


def test_a_film_alone_a_flat_folder_and_an_empty_one(films, tmp_path, capsys):
    one = next((films/"a").iterdir())
    assert "1 video," in quick(one).page and not quick(one).merged
    assert set(quick(films/"a").table.label) == {""}
    (tmp_path/"empty").mkdir()
    for folder in (tmp_path/"empty", tmp_path/"none"):
        assert cli.main(["look", str(folder), "--out", str(tmp_path/"p.html")]) == 1
        assert len(capsys.readouterr().err.strip().splitlines()) == 1 and not (tmp_path/"p.html").exists()


def test_nothing_but_broken_files(tmp_path):
    for n in "ab":
        (tmp_path/"set"/n).mkdir(parents=True)
        (tmp_path/"set"/n/"x.mp4").write_text("no film" + n)
    seen = quick(tmp_path/"set")
    sound(seen.page)
    assert len(seen.bad) == 2 and "No video can be read." in seen.page
    assert "<li>a/x.mp4" in seen.page and str(tmp_path) not in seen.page # The page may be sent to others


def test_a_page_that_cannot_be_written_is_named_before_the_work(films, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(look_module, "check_videos", lambda *a, **k: pytest.fail("began to work"))
    assert cli.main(["look", str(films), "--out", str(tmp_path/"no"/"p.html")]) == 2
    assert cli.main(["look", str(films), "--out", str(tmp_path)]) == 1
    assert "is a folder: name a file" in capsys.readouterr().err
    def denied(*a, **k): raise PermissionError(13, "Permission denied")
    monkeypatch.setattr(Path, "touch", denied)
    assert cli.main(["look", str(films), "--out", str(tmp_path/"p.html")]) == 1
    assert "p.html cannot be written (Permission denied): name a file in another folder." in capsys.readouterr().err


def test_neither_a_video_nor_a_list_is_replaced(films, tmp_path, capsys):
    video, listed = next((films/"a").iterdir()), tmp_path/"list.csv"
    video_table(films)[["path", "label"]].to_csv(listed, index=False)
    before = video.read_bytes(), listed.read_text()
    for args in ([films, "--out", video], [listed, "--out", video], [listed, "--suggest-groups", listed, "--out", tmp_path/"p.html"],
                 [films, "--out", tmp_path/"p.html", "--suggest-groups", tmp_path/"p.html"], [video, "--out", video]):
        assert cli.main(["look", *map(str, args)]) == 1
        assert re.fullmatch("vidcls look: .* would replace the data itself, or another result: name another file.\n", capsys.readouterr().err)
    assert before == (video.read_bytes(), listed.read_text()) and not (tmp_path/"p.html").exists()


def test_a_users_own_table_needs_only_paths(films):
    paths = pd.DataFrame(dict(path=sorted(p for p in films.rglob("*") if p.is_file())), index=[7]*5)
    for table in (paths, paths.assign(label=None, split=np.nan, group=None), paths.assign(label=3)):
        assert len(quick(table).infos) == 5
    with pytest.raises(ValueError, match="no column 'path'"): quick(paths.rename(columns=dict(path="file")))


def test_metadata_beside_the_videos_is_read(films, tmp_path):
    flat = tmp_path/"flat"
    shutil.copytree(films/"a", flat)
    (flat/"metadata.csv").write_text("file_name,label,group\n" + "".join(f"{p.name},Wave,hall\n" for p in sorted(flat.iterdir()) if p.suffix != ".csv"))
    table = quick(flat).table
    assert set(table.label) == {"Wave"} and set(table.group) == {"hall"}


def test_an_interruption_leaves_the_old_page(films, tmp_path, monkeypatch):
    (tmp_path/"page.html").write_text("old")
    def stop(*a, **k): raise KeyboardInterrupt
    monkeypatch.setattr(look_module, "alike_pairs", stop)
    with pytest.raises(KeyboardInterrupt): quick(films, out=tmp_path/"page.html")
    assert (tmp_path/"page.html").read_text() == "old" and not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_the_page_stays_below_its_size(films, tmp_path):
    table = pd.concat([video_table(films).assign(label=f"class {k}", group=f"g{k}") for k in range(60)], ignore_index=True)
    for size in (500_000, 18_000_000):
        page = quick(table, size=size).page
        sound(page)
        assert page.count("data:image/gif") == len(set(re.findall("data:image/gif[^)]*", page))) # Each of them once
        assert 200_000 < len(page) < size


def test_an_album_does_not_make_what_it_cannot_keep(films, monkeypatch):
    made, real = [], look_module.shot_gif
    monkeypatch.setattr(look_module, "shot_gif", lambda shot: (made.append(shot), real(shot))[1])
    album = Album(60_000, 0)
    assert not album.add([Shot(str(p)) for p in sorted(films.rglob("*.mp4"))])
    assert len(made) == 1


def test_the_command_prints_what_it_found(films, tmp_path, capsys):
    assert cli.main(["look", str(films), "--out", str(tmp_path/"p.html"), "--suggest-groups", str(tmp_path/"g.csv"), "--workers", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["suspected_leaks"] == 1 and found["videos"] == 5 and (tmp_path/"g.csv").exists()


# --- with a model ---

@pytest.mark.slow
def test_a_model_shows_what_it_is_sure_of(tmp_path, monkeypatch):
    root = write_dataset(tmp_path/"set")
    table = video_table(root)
    model = write_model(tmp_path/"model", sorted(set(table.label)))
    seen = quick(root, model=str(model), n=2)
    sound(seen.page)
    assert "The least confident answers" in seen.page and len(seen.scores.predictions) == (table.split == "test").sum()
    monkeypatch.setattr(look_module, "check_videos", lambda *a, **k: pytest.fail("began to work"))
    for data, made, error, says in ((Path(table.path[0]), model, ValueError, "use vidcls predict"), (root, tmp_path/"none", OSError, "There is no model folder"),
                                    (table.assign(label="x"), model, ValueError, "does not know the class 'x': it knows Nod, Wave")):
        with pytest.raises(error, match=says): quick(data, model=str(made))


@pytest.mark.slow
def test_a_model_is_not_judged_by_videos_of_another_part(tmp_path):
    "All test videos are broken: then nothing is said about the model, instead of what it makes of its training."
    root = write_dataset(tmp_path/"set")
    for p in root.glob("test/*/*"): p.write_text("no film")
    seen = quick(root, model=str(write_model(tmp_path/"model")))
    assert len(seen.bad) == 4 and seen.scores is None and "What the model makes of it" not in seen.page


# --- what a training says ---

def test_a_random_split_through_a_recording_is_said(person, tmp_path, caplog):
    "All clips are of one scene, and nobody gave groups."
    for label in "ab":
        for k in range(5): saved(tmp_path/"films"/label/f"{k}.mp4", person[4*k:4*k + 40, ::4, ::4])
    table = video_table(tmp_path/"films")
    spec = audit.ClipSpec(4, .5, 32)
    caplog.set_level("INFO", "vidcls")
    split, _ = audit.prepare_table(table, spec, workers=0, progress=False)
    assert re.search(r"\d+ pairs of videos look alike but are in different splits", caplog.text)
    assert f"vidcls look {tmp_path/'films'} --suggest-groups groups.csv" in caplog.text
    for kind in (dict(how="none"), dict(how="quick")):
        caplog.clear()
        audit.prepare_table(table, spec, workers=0, progress=False, **kind)
        assert "look alike" not in caplog.text
    caplog.clear()
    audit.prepare_table(split, spec, workers=0, progress=False)
    audit.prepare_table(table.assign(group=["x", *table.group[1:-1], "x"]), spec, workers=0, progress=False)
    assert "look alike" not in caplog.text
