"The table of methods: every method gives a row, and a row that is there is not made again."
from dataclasses import replace

import pandas as pd, pytest, torch

import make_methods as M
from test_families import publish
from vidcls.engine.recipes import RECIPES
from vidcls.engine.run import start_hash


@pytest.fixture
def recipe(tmp_path, data):
    checkpoint = publish(tmp_path/"start", "videomae")
    return replace(RECIPES["smoke"], data=str(data), checkpoint=str(checkpoint), per_class=None, batch_size=2)


@pytest.mark.slow
def test_every_method_gives_a_row_and_none_is_made_twice(recipe, tmp_path, monkeypatch):
    folder, runs = tmp_path/"t", [(1., 0), (1., 1)]
    monkeypatch.setattr(M, "EPOCHS", 1)
    done = M.make_table(folder, recipe, (recipe.checkpoint,), M.METHODS, runs)
    assert [(m.split(" on ")[0], s) for m, s in zip(done.rows.start, done.rows.seed)] == [
        *((m, 0) for m in M.METHODS), *((m, 1) for m in M.METHODS if m not in M.FIXED)] # Nothing is random in the others
    assert (done.rows.cpu > 0).all() and (done.rows.predict_cpu > 0).all() and done.rows.video_accuracy.between(0, 1).all()
    for start, correct in done.videos[done.videos.seed == 0].groupby("start").correct:
        row, = done.rows[(done.rows.start == start) & (done.rows.seed == 0)].itertuples()
        assert len(correct) == row.videos and correct.astype(float).mean() == pytest.approx(row.video_accuracy)
    before = (folder/"transfer.csv").read_bytes()
    monkeypatch.setattr(M, "run_row", lambda *args: pytest.fail("a row was made twice"))
    M.make_table(folder, recipe, (recipe.checkpoint,), M.METHODS, runs)
    assert (folder/"transfer.csv").read_bytes() == before


def test_one_frame_is_all_that_it_sees(recipe):
    net, whole = M.backbone_of("one frame", recipe), M.backbone_of("linear", recipe)
    clip = torch.rand(1, net.spec.num_frames, 3, net.spec.size, net.spec.size)
    middle = net.spec.num_frames//2
    other = torch.rand_like(clip)
    other[:, middle] = clip[:, middle]
    assert torch.equal(net.tokens(clip), net.tokens(other)) and not torch.equal(whole.tokens(clip), whole.tokens(other))
    assert torch.equal(net.tokens(clip), whole.tokens(clip[:, [middle]*net.spec.num_frames]))


def test_stored_fine_tunings_are_taken_over_under_their_new_name(tmp_path):
    M.reuse(tmp_path, M.SHIPPED, M.AGAIN)
    old, new = pd.read_csv(M.SHIPPED/"transfer.csv"), pd.read_csv(tmp_path/"transfer.csv")
    assert len(new) == old.start.isin(("videomae-stick", "videomae-masked")).sum() - len(M.AGAIN)
    assert set(new.start) == {"full on videomae-stick", "full on videomae-masked"}
    assert len(pd.read_csv(tmp_path/"videos.csv")) == new.videos.sum()


def test_the_table_that_ships_belongs_to_the_checkpoints_that_ship():
    rows, videos = (pd.read_csv(M.SHIPPED/f"{name}.csv", keep_default_na=False) for name in ("methods", "methods_videos"))
    assert rows.recipe.nunique() == 1 and rows.recipe[0] == pd.read_csv(M.SHIPPED/"transfer.csv").recipe[0]
    for name in ("videomae-stick", "videomae-masked"):
        mine = rows[rows.start.str.endswith(f" on {name}")]
        assert set(mine.weights) == {start_hash(replace(RECIPES["stick"], checkpoint=name))} and len(mine)
    right = videos.groupby(M.KEYS).correct.mean()
    for row in rows.itertuples(): assert right[row.start, row.share, row.seed] == pytest.approx(row.video_accuracy)
