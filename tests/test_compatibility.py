"""A model that an earlier version trained gives the scores it gave then.

`files/model_cabf009` was fine-tuned by the version at commit cabf009: the recipe `smoke` on videos of
`videos.write_dataset`, from `videos.tiny_config` with random weights. `film.mp4` and `predictions.json` beside it hold
what that version saw and said."""
import json, shutil
from pathlib import Path

import pytest, torch

from vidcls.data import video_table
from vidcls.infer import load_trained, predict, run_inference, video_clips
from vidcls.scoring import evaluate_videos

MODEL = Path(__file__).with_name("files")/"model_cabf009"
FILM, SAID = MODEL/"film.mp4", json.loads((MODEL/"predictions.json").read_text(encoding="utf-8"))
close = lambda want: pytest.approx(want, abs=1e-5, rel=0)


def test_the_model_loads_with_its_labels_and_its_spec():
    net, spec = load_trained(MODEL, device="cpu")
    assert net.config.id2label == {0: "Nod", 1: "Wave"} and not net.training
    assert (spec.num_frames, spec.size, spec.resize, spec.seconds) == (8, 32, "crop", close(8*4/30))


def test_the_same_clips_give_the_same_logits():
    net, spec = load_trained(MODEL, device="cpu")
    found = run_inference(net, video_clips(FILM, spec, 2), spec)
    torch.testing.assert_close(found, torch.tensor(SAID["logits"]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("key, views", [("predict", {}), ("views", dict(num_clips=3, num_crops=3))])
def test_predict_gives_the_same_scores(key, views):
    "Without a word on clips, as many are taken as the model was tested with, which its record says."
    got, want = predict(MODEL, FILM, device="cpu", **views), SAID[key]
    assert [g["label"] for g in got] == [w["label"] for w in want]
    assert [g["score"] for g in got] == close([w["score"] for w in want])


@pytest.mark.parametrize("label", ["Nod", "Wave"])
def test_evaluation_gives_the_same_scores(tmp_path, label):
    "Right or wrong, with as many clips as the model was tested with."
    to, best = tmp_path/"set"/"test"/label/FILM.name, SAID["predict"][0]
    to.parent.mkdir(parents=True)
    shutil.copy(FILM, to)
    found = evaluate_videos(MODEL, video_table(tmp_path/"set"), device="cpu", progress=False)
    row = found.predictions.iloc[0]
    assert (row.predicted, row.score) == (best["label"], close(best["score"]))
    assert found.accuracy == (label == best["label"])
