"Fine-tuning on tiny models: what is loaded, kept, stored and refused."
import json
from dataclasses import replace

import pytest, torch
from transformers import VideoMAEConfig, VideoMAEForPreTraining, VideoMAEVideoProcessor

from vidcls.clips import ClipDataset, ClipSpec, VideoError
from vidcls.data import label_maps, video_table
from vidcls.infer import load_trained, predict, run_inference
from vidcls.recipes import RECIPES, load_record
from vidcls.train import (ClipTrainer, FinetuneResult, collate_fn, compute_metrics, finetune, load_model,
                          make_datasets, prepare_table, training_arguments)
from videos import write_dataset, write_video


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    "A random VideoMAE of the smallest size, saved with the published key names."
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    model = VideoMAEForPreTraining(VideoMAEConfig(image_size=32, patch_size=16, num_frames=8, hidden_size=24, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=32, decoder_hidden_size=24, decoder_num_hidden_layers=1,
        decoder_num_attention_heads=2, decoder_intermediate_size=32))
    for name, p in model.named_parameters():
        if name.endswith("bias"): torch.nn.init.normal_(p)
    model.save_pretrained(folder)
    VideoMAEVideoProcessor(size=dict(shortest_edge=32), crop_size=dict(height=32, width=32)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory): return write_dataset(tmp_path_factory.mktemp("data")/"set")


@pytest.fixture
def recipe(checkpoint, data):
    return replace(RECIPES["stick"], name="tiny", data=str(data), checkpoint=str(checkpoint), from_scratch=False, epochs=2,
                   batch_size=2, eval_clips=2, sampling_rate=3)


def weights(trainer): return {k: v.clone() for k, v in trainer.model.state_dict().items()}


def trainer_for(recipe, out, **kwargs):
    spec = ClipSpec(8, .8, 32)
    sets = make_datasets(video_table(recipe.data), spec, recipe)
    torch.manual_seed(0)
    args = training_arguments(recipe, out, len(sets["train"]), workers=0, disable_tqdm=True, **kwargs)
    return ClipTrainer(load_model(recipe.checkpoint, sets["train"].label2id), args, train_dataset=sets["train"],
                       eval_dataset=sets["val"], data_collator=collate_fn, compute_metrics=compute_metrics, spec=spec)


def test_finetune_leaves_a_folder_that_explains_itself(recipe, tmp_path):
    done = finetune(recipe, tmp_path/"model", workers=0, progress=False)
    assert isinstance(done, FinetuneResult) and done.metrics["videos"] == 4 and done.metrics["clips"] == 8 and not done.skipped
    assert {f.name for f in done.model_dir.iterdir()} == {"README.md", "config.json", "model.safetensors", "clip_spec.json",
                                                         "video_preprocessor_config.json", "vidcls.json"}
    record, spec = load_record(done.model_dir), ClipSpec.load(done.model_dir)
    assert record["recipe"]["data"] == "set" and record["recipe"]["seed"] == 0 and record["versions"]["transformers"]
    assert spec.num_frames == 8 and abs(spec.seconds - .8) < 1e-9 and spec.mean == (.5, .5, .5)
    card = (done.model_dir/"README.md").read_text()
    assert card.startswith("---") and "4 videos" in card and str(tmp_path) not in card + json.dumps(record)
    # epochs are real epochs, and the model in the folder is the one that was tested
    assert [h["epoch"] for h in done.history if "eval_accuracy" in h] == [1.0, 2.0]
    test = video_table(recipe.data).query("split == 'test'")
    right = [predict(done.model_dir, p)[0]["label"] == l for p, l in zip(test.path, test.label)]
    assert sum(right)/4 == done.metrics["video_accuracy"]


def test_same_seed_same_model(recipe, tmp_path):
    a, b = (finetune(recipe, tmp_path/n, workers=w, progress=False) for n, w in (("a", 0), ("b", 2)))
    a, b = (load_trained(r.model_dir)[0].state_dict() for r in (a, b))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_resume_reloads_every_weight_and_ends_the_same(recipe, tmp_path):
    whole = trainer_for(recipe, tmp_path/"whole", save_total_limit=3)
    whole.train()
    again = trainer_for(recipe, tmp_path/"whole", save_total_limit=3)
    first = str(tmp_path/"whole"/"checkpoint-3")
    again._load_from_checkpoint(first)
    saved = type(again.model).from_pretrained(first).state_dict()
    assert all(torch.equal(v, saved[k]) for k, v in weights(again).items())
    again.train(resume_from_checkpoint=first)
    a, b = weights(whole), weights(again)
    assert max((a[k] - b[k]).abs().max().item() for k in a) < 1e-6


def test_training_sees_other_views_in_each_epoch(recipe, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("vidcls.transforms.ClipTransform.view", lambda self, info, rng=None, _f=None: seen.append(rng.random()) or __import__("vidcls.clips").clips.View())
    trainer_for(recipe, tmp_path).train()
    assert len(seen) == 12 and len(set(seen)) == 12


def test_bad_videos_are_named_and_left_out_or_refused(recipe, data, tmp_path):
    root = write_dataset(tmp_path/"set")
    (root/"train"/"Nod"/"v_Nod_g77_c01.avi").write_text("no film")
    spec = ClipSpec(8, .8, 32)
    with pytest.warns(UserWarning, match="1 of 13 videos.*left out(.|\n)*v_Nod_g77_c01.avi is not a readable video"):
        good, bad = prepare_table(root, spec, progress=False)
    assert len(good) == 12 and len(bad) == 1
    with pytest.raises(VideoError, match="1 of 13.*v_Nod_g77"): prepare_table(root, spec, strict=True, progress=False)


def test_data_without_splits_is_split_by_group(tmp_path, capsys):
    for label in ("Nod", "Wave"):
        for g in range(6): write_video(tmp_path/"set"/label/f"v_{label}_g{g:02}_c01.avi", 40)
    good, _ = prepare_table(tmp_path/"set", ClipSpec(8, .8, 32), progress=False)
    assert "by group" in capsys.readouterr().out and set(good.split) == {"train", "val", "test"}


def test_a_split_that_is_missing_is_named(recipe, tmp_path):
    root = write_dataset(tmp_path/"set", per_split=dict(train=2, test=1))
    with pytest.raises(ValueError, match="no val videos"): make_datasets(video_table(root), ClipSpec(8, .8, 32), recipe)


def test_a_folder_with_other_things_is_not_written_to(recipe, tmp_path):
    (tmp_path/"thesis.tex").write_text("three years of work")
    with pytest.raises(ValueError, match="not empty"): finetune(recipe, tmp_path, progress=False)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.tex"]


def test_nothing_to_resume_is_said(recipe, tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint to resume"): finetune(recipe, tmp_path/"new", resume=True, progress=False, workers=0)


def test_a_label_that_the_model_does_not_know(data):
    with pytest.raises(ValueError, match="'Nod' is not one that the model knows: Wave"):
        ClipDataset(video_table(data), ClipSpec(8, .8, 32), label2id={"Wave": 0})


def test_wrong_number_of_frames(checkpoint):
    model = load_model(str(checkpoint), {"a": 0, "b": 1})
    with pytest.raises(ValueError, match="takes 8 frames, this clip has 16"):
        run_inference(model, torch.zeros(16, 3, 32, 32, dtype=torch.uint8), ClipSpec(size=32))


def test_labels_are_numbered_over_all_splits(tmp_path):
    "A class that is missing from val must not shift the others."
    root = write_dataset(tmp_path/"set", classes=("A", "B", "C"), frames=20)
    for f in (root/"val"/"A").iterdir(): f.unlink()
    (root/"val"/"A").rmdir()
    sets = make_datasets(video_table(root), ClipSpec(8, .8, 32), RECIPES["stick"])
    assert sets["val"].label2id == {"A": 0, "B": 1, "C": 2} == label_maps("ABC")[0]
    assert [sets["val"].label2id[l] for l in sets["val"].table.label] == [1, 2]


def test_resume_refuses_another_run(recipe, tmp_path, monkeypatch):
    def killed(*args): raise KeyboardInterrupt
    with monkeypatch.context() as m:
        m.setattr("vidcls.train.test_scores", killed)
        with pytest.raises(KeyboardInterrupt): finetune(recipe, tmp_path/"model", workers=0, progress=False)
    with pytest.raises(ValueError, match="another run .seed was 0, is 7"):
        finetune(replace(recipe, seed=7), tmp_path/"model", resume=True, workers=0, progress=False)
    done = finetune(recipe, tmp_path/"model", resume=True, workers=0, progress=False)
    assert [h["epoch"] for h in done.history if "eval_accuracy" in h] == [1.0, 2.0]


def test_a_changed_spec_is_not_taken_from_memory(recipe, tmp_path):
    model = finetune(replace(recipe, epochs=1), tmp_path/"model", workers=0, progress=False).model_dir
    path = video_table(recipe.data).path[0]
    before = predict(model, path)
    spec = replace(ClipSpec.load(model), seconds=.4)
    spec.save(model)
    assert predict(model, path) != before
    (model/"clip_spec.json").write_text('{"frames": 16}')
    with pytest.raises(ValueError, match="clip_spec.json is no ClipSpec"): predict(model, path)


@pytest.mark.parametrize("field, value", [("epochs", 0), ("batch_size", 0), ("eval_clips", 0), ("seed", -1)])
def test_counts_that_cannot_be_are_refused_at_once(recipe, field, value):
    with pytest.raises(ValueError, match=f"{field} is at least"): replace(recipe, **{field: value})
