"Classes of unequal size: what balancing does to each way of training, what is said about each class, and classes that cannot be learned."
import json
from dataclasses import replace

import numpy as np, pytest, torch

from vidcls.backbones import extract_features, fit_probe, probe_videos
from vidcls.data import split_by_group, video_table
from vidcls.engine.cli import main
from vidcls.engine.recipes import RECIPES
from vidcls.engine.record import load_record
from vidcls.engine.tables import balance_rows
from vidcls.scoring import evaluate_videos
from vidcls.synthetic.stick import make_stickucf
from vidcls.train import finetune
from videos import variant, write_dataset, write_model, write_video


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch): monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    "Six training videos of Wave, two of Nod."
    root = write_dataset(tmp_path_factory.mktemp("uneven")/"set", per_split=dict(train=6, val=2, test=3))
    for f in sorted((root/"train"/"Nod").iterdir())[2:]: f.unlink()
    return root


@pytest.fixture
def recipe(uneven, model):
    return replace(RECIPES["stick"], name="tiny", data=str(uneven), checkpoint=str(model), epochs=1, batch_size=4, eval_clips=1, sampling_rate=3, balance=True)


def test_rows_are_repeated_in_turn_and_none_is_lost():
    rng = np.random.default_rng(0)
    for _ in range(50):
        labels = rng.integers(0, rng.integers(1, 6), rng.integers(1, 40)).tolist()
        rows = balance_rows(labels)
        counts = np.bincount([labels[i] for i in rows])
        assert set(counts[counts > 0]) == {max(map(labels.count, labels))} and set(rows) == set(range(len(labels)))
        times = np.bincount(rows) # Within a class, nothing is shown two times more often than something else
        for k in set(labels): assert np.ptp([times[i] for i in range(len(labels)) if labels[i] == k]) <= 1
    assert balance_rows([]) == []


@pytest.mark.parametrize("rank", [None, 2])
def test_balanced_training_of_the_network(recipe, tmp_path, rank):
    "All weights or LoRA: as many steps as the balanced classes give, and a record that counts videos and not repetitions."
    if rank: pytest.importorskip("peft")
    done = finetune(replace(recipe, lora_rank=rank), tmp_path/"out", workers=0, progress=False)
    record = load_record(tmp_path/"out")
    assert record["recipe"]["balance"] and record["history"][-1]["step"] == 12//4
    assert record["split"]["videos"] == dict(train=8, val=4, test=6)
    assert {k: (c["train"], c["test"]) for k, c in done.per_class.items()} == dict(Nod=(2, 3), Wave=(6, 3)) and record["per_class"] == done.per_class
    counts = record["confusions"]
    assert {k: sum(a.values()) for k, a in counts.items()} == dict(Nod=3, Wave=3) and all(set(a) <= {"Nod", "Wave"} for a in counts.values())
    assert {k: a.get(k, 0)/3 for k, a in counts.items()} == {k: c["recall"] for k, c in done.per_class.items()}
    s = evaluate_videos(done.model_dir, recipe.data, 1, progress=False, device="cpu")
    assert s.per_class.accuracy.to_dict() == {k: c["recall"] for k, c in done.per_class.items()}


def test_balanced_probes_weigh_or_sample(recipe, tmp_path, monkeypatch):
    "The linear probe weighs its rows, the attentive one is shown small classes more often; both store that they did."
    from sklearn.linear_model import LogisticRegression
    weights, fit = [], LogisticRegression.fit
    monkeypatch.setattr(LogisticRegression, "fit", lambda self, *a: (weights.append(self.class_weight), fit(self, *a))[1])
    for balance in (False, True):
        weights.clear()
        done = probe_videos(replace(recipe, balance=balance), tmp_path/f"{balance}", workers=0, progress=False)
        assert set(weights) == {"balanced" if balance else None}
        assert load_record(done.model_dir)["recipe"]["balance"] == balance and done.per_class["Nod"]["train"] == 2
    seen = []
    monkeypatch.setattr("vidcls.backbones.train_heads", lambda make, read, y, train, *a: (seen.append(y[train].tolist()), (make(), []))[1])
    f = extract_features(recipe.checkpoint, recipe.data, tokens="all", workers=0, progress=False, device="cpu")
    for balance in (False, True): fit_probe(f, "attentive", tmp_path/"attentive", balance=balance, progress=False, device="cpu")
    assert [(s.count(0), s.count(1)) for s in seen] == [(2, 6), (6, 6)]


def test_each_class_is_shown_by_the_command(recipe, uneven, model, tmp_path, capsys, caplog):
    options = ["finetune", "--data", str(uneven), "--checkpoint", str(model), "--epochs", "1", "--batch-size", "4", "--eval-clips", "1", "--workers", "0"]
    for method in ("full", "probe"):
        assert main([*options, "--method", method, "--out", str(tmp_path/method)]) == 0
        out = capsys.readouterr()
        lines = out.out.splitlines()
        at = lines.index("class  train  test  recall")
        assert [line.split()[:3] for line in lines[at + 1:]] == [["Nod", "2", "3"], ["Wave", "6", "3"]]
        assert "between 2 ('Nod') and 6 ('Wave') training videos: balance=True (--balance)" in out.err
        assert main([*options, "--method", method, "--out", str(tmp_path/method), "--overwrite", "--balance", "--json"]) == 0
        out = capsys.readouterr()
        assert json.loads(out.out)["per_class"]["Nod"]["train"] == 2 and "--balance" not in out.err


def without(root, folder, split, label):
    "A copy of a table without the videos of a class in a split."
    table = video_table(root)
    file = folder/"some.csv"
    table[(table.split != split) | (table.label != label)].drop(columns="clip").to_csv(file, index=False)
    return file


def test_a_class_that_is_never_trained_is_refused(recipe, uneven, tmp_path):
    file = without(uneven, tmp_path, "train", "Nod")
    says = "The class 'Nod' has no training videos: add some, or remove its other videos."
    with pytest.raises(ValueError, match=says): finetune(replace(recipe, data=str(file)), tmp_path/"a", workers=0, progress=False)
    more = without(uneven, tmp_path, "train", "Nod")
    write_video(tmp_path/"x.mp4", 30)
    more.write_text(more.read_text() + f"{tmp_path/'x.mp4'},train,Stand,alone\n")
    with pytest.raises(ValueError, match=says): probe_videos(replace(recipe, data=str(more)), tmp_path/"b", workers=0, progress=False)


def test_a_class_that_is_never_tested_is_said(recipe, uneven, tmp_path):
    file = without(uneven, tmp_path, "test", "Nod")
    with pytest.warns(UserWarning, match="1 of 2 classes have no test videos, so their accuracy stays unknown .the first is 'Nod'."):
        done = finetune(replace(recipe, data=str(file)), tmp_path/"a", workers=0, progress=False)
    assert done.per_class["Nod"] == dict(train=2, test=0, recall=None)


@pytest.mark.parametrize("rows, says", [
    ([(f"{i}.mp4", "Wave" if i else "Nod", "") for i in range(5)], r"The class 'Nod' has too few groups for these splits .1., which need 3: add videos of other recordings"),
    ([(f"{i}.mp4", "Wave" if i % 2 else "Nod", "kitchen") for i in range(6)], r"The class 'Nod' has too few groups for these splits .1., which need 3"),
    ([(f"{i}.mp4", "Wave" if i % 2 else "Nod", f"g{i//2}") for i in range(4)], r"too few groups for these splits .2., which need 3")])
def test_too_few_recordings_for_a_split_are_one_sentence(recipe, rows, says, tmp_path):
    "A class with one video, all videos in one recording, and two recordings for three splits; by whichever way you train."
    for i in range(len(rows)): write_video(tmp_path/f"{i}.mp4", 30)
    (tmp_path/"few.csv").write_text("path,label,group\n" + "".join(",".join(r) + "\n" for r in rows))
    r = replace(recipe, data=str(tmp_path/"few.csv"))
    for train in (lambda: split_by_group(video_table(r.data)), lambda: finetune(r, tmp_path/"a", workers=0, progress=False),
                  lambda: probe_videos(r, tmp_path/"b", workers=0, progress=False)):
        with pytest.raises(ValueError, match=says) as e: train()
        assert "\n" not in str(e.value)


@variant
@pytest.mark.slow
def test_rare_classes_of_stick_figures_are_found_more_often(tmp_path):
    "Five of ten classes with 2 of 12 training videos: their mean recall, by a linear probe on the shipped checkpoint, over three draws."
    table = video_table(make_stickucf(tmp_path/"stick", per_class=(12, 2, 6), progress=False))
    recall = {False: [], True: []}
    for seed in range(3):
        rare = np.random.default_rng(seed).permutation(sorted(set(table.label)))[:5]
        few = table[table.split == "train"].groupby("label").head(2).index
        some = table[(table.split != "train") | ~table.label.isin(rare) | table.index.isin(few)]
        f = extract_features("videomae-stick", some, num_clips=3, workers=2, progress=False)
        for balance in recall:
            done = fit_probe(f, output_dir=tmp_path/"probe", balance=balance, progress=False)
            recall[balance].append(np.mean([done.per_class[k]["recall"] for k in rare]))
    assert np.mean(recall[True]) > np.mean(recall[False]) + .03, recall
