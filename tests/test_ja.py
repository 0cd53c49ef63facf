"The Japanese prose fits the English notebooks, cell by cell; chapters that nobody has begun are listed, and allowed."
import re, warnings

import nbformat, pytest

import ja, make_readme, run_chapters, translations
from nbtest import NBS, ROOT

COURSE = run_chapters.chapters(NBS, floors=["course"])
FILES = sorted((NBS/"_ja"/"translations").glob("*.md"))


def test_every_file_is_of_a_chapter(): assert not {p.stem for p in FILES} - set(COURSE)


@pytest.mark.parametrize("name", [p.stem for p in FILES])
def test_translation_fits_the_english_text(name):
    "No English cell has changed since it was translated, and a chapter that claims to be complete is."
    faults = list(translations.faults(translations.prose(ROOT, name), translations.load(ROOT, name)))
    assert not faults, "translate again, then run `python tools/site/ja.py stamp`:\n" + "\n".join(faults)


@pytest.mark.parametrize("name", [p.stem for p in FILES])
def test_file_is_written_as_the_tool_writes_it(name):
    text = translations.place(ROOT, name).read_text(encoding="utf-8")
    assert text == str(translations.parse(text))
    assert re.search("[ぁ-ん]", text) and "ピクセル" not in text, "the glossary says 画素"


def test_untranslated_chapters_are_listed():
    left = [n for n in COURSE if not (tr := translations.load(ROOT, n)) or not tr.complete]
    if left: warnings.warn(f"not or not completely in Japanese: {', '.join(left)}")


def test_terms_are_in_the_glossary_once():
    rows = [l for l in (NBS/"_ja"/"glossary.md").read_text(encoding="utf-8").splitlines() if l.startswith("| ")][1:]
    terms = [r.split("|")[1].strip() for r in rows]
    assert len(terms) >= 80 and len(terms) == len(set(terms)) and all(len(r.split("|")) == 5 for r in rows)


# -- the tool, on a small course of its own ---------------------------------------------------------------------------

ENGLISH = {"aa": "# Title\n\n> Promise.\n\n<!-- badge -->", "bb": "## Next step\n\nSee [2](01_two.ipynb#The-end) and [here](#Next-step).", "cc": "More."}
JAPANESE = """<!-- complete -->

<!-- cell: bb -->
## 次の一歩

[第 2 章](01_two.ipynb#The-end)と[ここ](#Next-step)を見てください。

<!-- cell: aa -->
# 題

> 約束。

<!-- badge -->
"""


def write(root, name, cells):
    made = [nbformat.v4.new_markdown_cell(t, id=i) for i, t in cells.items()]
    code = nbformat.v4.new_code_cell("1 + 1", id="dd", outputs=[nbformat.v4.new_output("execute_result", {"text/plain": "2"})])
    nbformat.write(nbformat.v4.new_notebook(cells=[*made, code]), root/"nbs"/f"{name}.ipynb")


@pytest.fixture
def root(tmp_path):
    "A checkout with two chapters, of which the first is translated in part, and not stamped."
    (tmp_path/"nbs"/"_ja"/"translations").mkdir(parents=True)
    (tmp_path/"settings.ini").write_text((ROOT/"settings.ini").read_text(encoding="utf-8"), encoding="utf-8")
    write(tmp_path, "00_one", ENGLISH)
    write(tmp_path, "01_two", {"ee": "# Two\n\n> Promise.\n\n## The end"})
    translations.place(tmp_path, "00_one").write_text(JAPANESE, encoding="utf-8")
    return tmp_path


def faults(root, name="00_one"): return list(translations.faults(translations.prose(root, name), translations.load(root, name)))


def test_stamp_then_every_change_and_gap_is_named(root):
    assert [f.split(": ")[0] for f in faults(root) if "changed" in f] == ["bb", "aa"], "without a hash"
    assert ja.stamp(root, "00_one") == ["aa", "bb"] and ja.stamp(root, "00_one") == []
    assert list(translations.load(root, "00_one").cells) == ["aa", "bb"], "in the notebook's order"
    assert faults(root) == ["cc: is not translated"]
    assert translations.parse(ja.missing(root, "00_one")).cells == {"cc": (translations.sha("More."), "More.")}
    write(root, "00_one", ENGLISH | {"bb": ENGLISH["bb"] + " Now."})
    assert faults(root) == ["bb: the English text has changed since it was translated", "cc: is not translated"]
    write(root, "00_one", {k: v for k, v in ENGLISH.items() if k == "aa"})
    assert faults(root) == ["bb: the notebook has no such cell"]


def test_badge_and_tables_are_not_part_of_the_text():
    assert translations.sha(ENGLISH["aa"]) == translations.sha(ENGLISH["aa"] + '<a href="x"><img src="y"></a>')
    assert translations.sha("<!-- chapters -->\n\n| a |\n|---|\n| b |\n\nText") == translations.sha("<!-- chapters -->\n\nText")


@pytest.mark.parametrize("old, new, said", [("## 次", "次", "other headings"), ("(#Next-step)", "(#Next)", "other links")])
def test_headings_and_links_are_those_of_the_english_text(root, old, new, said):
    ja.stamp(root, "00_one")
    path = translations.place(root, "00_one")
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert [f for f in faults(root) if said in f and f.startswith("bb")]


def test_a_cell_twice_is_refused():
    with pytest.raises(ValueError, match="twice"): translations.parse(JAPANESE + "\n<!-- cell: aa -->\nまた\n")


def test_japanese_notebook_has_the_code_and_links_that_lead_somewhere(root):
    ja.build(root, root/"runs"/"ja")
    nb = nbformat.read(root/"runs"/"ja"/"00_one.ipynb", 4)
    cells = {c.id: c for c in nb.cells}
    assert cells["dd"].source == "1 + 1" and cells["dd"].outputs[0].data["text/plain"] == "2" and cells["cc"].source == "More."
    assert "colab" in cells["aa"].source and "lang" not in cells["aa"].metadata
    assert "(../../nbs/01_two.ipynb#The-end)" in cells["bb"].source, "a chapter that is not translated"
    assert "(#次の一歩)" in cells["bb"].source, "Jupyter makes anchors from the headings' text"


def test_commands(root, capsys):
    assert ja.main(["status", "--root", str(root)]) == 1 and "00_one           2 of   3 cells, complete" in capsys.readouterr().out
    ja.main(["missing", "01", "--root", str(root)])
    translations.place(root, "01_two").write_text(capsys.readouterr().out, encoding="utf-8")
    assert faults(root, "01_two") == [], "what is printed is a file, to be written over"
    ja.main(["stamp", "00", "--root", str(root)])
    assert "stamped aa, bb" in capsys.readouterr().out


def test_readme_in_japanese():
    text = make_readme.readme_ja(ROOT, make_readme.settings(ROOT))[ROOT/"README.ja.md"].decode()
    assert text == (ROOT/"README.ja.md").read_text(encoding="utf-8"), "run `make export`"
    assert "| 章 | 内容 | Colab |" in text and "(nbs/00_start.ipynb)" in text and text.count("nbs/engine/") > 40
