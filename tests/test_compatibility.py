"A model that an earlier version trained is read as it was then: `tests/files/model_cabf009` is of the commit cabf009."
import json, shutil
from pathlib import Path

import pytest, torch

from vidcls.data import video_table
from vidcls.engine.record import load_record
from vidcls.infer import load_trained, predict
from vidcls.scoring import evaluate_videos

MODEL = Path(__file__).with_name("files")/"model_cabf009"
SCORES = json.loads((MODEL/"scores.json").read_text(encoding="utf-8"))
VIDEO = MODEL/"video.avi"
CLOSE = 1e-5


@pytest.fixture
def model(tmp_path):
    "The model folder alone, as a user has it."
    return Path(shutil.copytree(MODEL, tmp_path/"model", ignore=shutil.ignore_patterns("video.avi", "scores.json")))


def test_an_older_model_is_loaded(model):
    net, spec = load_trained(model, device="cpu")
    assert not net.training and next(net.parameters()).dtype == torch.float32
    assert (spec.num_frames, spec.size, spec.resize, spec.input_key) == (8, 32, "crop", "pixel_values")
    assert spec.seconds == pytest.approx(32/30)
    assert load_record(model)["labels"] == list(net.config.label2id) == ["Nod", "Wave"]


@pytest.mark.parametrize("key, views", [("predict", {}), ("predict_4_clips_3_crops", dict(num_clips=4, num_crops=3))])
def test_an_older_model_gives_the_scores_that_it_gave(model, key, views):
    found = predict(model, VIDEO, device="cpu", **views)
    assert [p["label"] for p in found] == list(SCORES[key])
    assert {p["label"]: p["score"] for p in found} == pytest.approx(SCORES[key], abs=CLOSE)


def test_an_older_model_is_evaluated(model, tmp_path):
    "Its own number of clips comes from `vidcls.json`, so the scores are those of `predict`."
    to = tmp_path/"set"/"test"/SCORES["label"]/"video.avi"
    to.parent.mkdir(parents=True)
    shutil.copy(VIDEO, to)
    found = evaluate_videos(model, video_table(tmp_path/"set"), device="cpu", progress=False)
    assert found.accuracy == SCORES["accuracy"]
    row = found.predictions.iloc[0]
    assert row.predicted == SCORES["label"] and row.score == pytest.approx(SCORES["predict"][SCORES["label"]], abs=CLOSE)
