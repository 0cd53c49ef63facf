"What a type checker must accept of those who use the package. `make lint` reads this file, nobody runs it."
from pathlib import Path
from typing import Any

from vidcls import (
    audit_leakage, ClipDataset, ClipSpec, doctor, evaluate_videos, explain, finetune, get_recipe, label_maps, load_model, predict,
    predict_files, pretrain, probe_video, push_model, read_clip, read_views, Recipe, split_by_group, timeline, video_table,
    View)
from vidcls.engine.video import VideoInfo
from vidcls.infer import load_trained, Prediction
from vidcls.masked import PretrainResult
from vidcls.see import Explanation
from vidcls.train import FinetuneResult
from vidcls.when import Timeline


def train(folder: Path) -> Path:
    recipe: Recipe = get_recipe("stick")
    result: FinetuneResult = finetune(recipe, folder, resume=True, workers=2, torch_compile=True)
    first: PretrainResult = pretrain(recipe, "masked", mask_ratio=.9, target="motion")
    print(result.metrics["video_accuracy"], first.losses[-1], doctor().problems, recipe.seconds(8))
    return result.model_dir


def use(model: Path, video: str) -> str:
    found: Prediction = predict(model, video, top_k=3, num_clips=5, device="cpu", revision=None)
    predict_files(str(model), [video], "out.jsonl", workers=2)
    scores = evaluate_videos(model, "videos", num_clips=5, num_crops=3)
    seen: Explanation = explain(model, video, method="gradcam", label=found[0]["label"], fill="blur")
    when: Timeline = timeline(model, video, stride=1., progress=False)
    print(when.segments, predict(model, video, reject=.5).rejected)
    print(seen.heat.shape, seen.save("map.gif", every=2))
    print(found.repeated_frames, scores.accuracy, push_model(model, "owner/name", private=False))
    return found[0]["label"]


def look(folder: str) -> list:
    table = split_by_group(video_table(folder), seed=1)
    label2id, id2label = label_maps(table)
    spec = ClipSpec(num_frames=8, seconds=1.6, size=112)
    info: VideoInfo = probe_video(table.path[0])
    clip: Any = read_clip(info.path, View(start=.5, crop=(.5, .5, .8), flip=True), spec)
    net = load_model("videomae-stick", label2id, id2label, from_scratch=True)
    audit_leakage(table)
    return [clip, net, read_views(info.path, [View(), View(1.)], spec), ClipDataset(table, spec, label2id)[0], load_trained(folder, spec)[1]]
