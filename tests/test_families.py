"Every family of transformers' video classifiers, tiny and with random weights, in the layout in which it is published."
import json
from dataclasses import replace

import numpy as np, pytest, torch
import transformers as tf
from safetensors.torch import load_file
from transformers import AutoModelForVideoClassification, AutoVideoProcessor

from test_hub import hub  # noqa: F401
from vidcls.clips import ClipSpec, View, apply_view, normalize
from vidcls.data import label_maps
from vidcls.engine.families import FAMILIES, change_clip, clip_shape, family_of, read_config, read_processor
from vidcls.engine.recipes import RECIPES
from vidcls.engine.trainer import add_drop_path
from vidcls.engine.pipeline import VidclsPipeline
from vidcls.infer import load_trained, predict, run_inference
from vidcls.model import load_model, make_processor
from vidcls.scoring import evaluate_videos
from vidcls.train import finetune

SMALL = dict(hidden_size=24, num_attention_heads=2)
MORE = dict(SMALL, num_hidden_layers=1, intermediate_size=32)
CONFIGS = dict(
    videomae=lambda: tf.VideoMAEConfig(image_size=32, num_frames=8, decoder_hidden_size=24, decoder_num_attention_heads=2,
                                       decoder_num_hidden_layers=1, decoder_intermediate_size=32, **MORE),
    timesformer=lambda: tf.TimesformerConfig(image_size=32, num_frames=8, **MORE),
    vivit=lambda: tf.VivitConfig(image_size=32, num_frames=8, tubelet_size=[2, 16, 16], **MORE),
    vjepa2=lambda: tf.VJEPA2Config(crop_size=32, frames_per_clip=8, num_hidden_layers=1, mlp_ratio=2, pred_hidden_size=24,
                                   pred_num_attention_heads=2, pred_num_hidden_layers=1, num_pooler_layers=1, **SMALL),
    videoprism_vision_model=lambda: tf.VideoPrismVisionConfig(
        image_size=36, num_frames=8, num_spatial_layers=1, num_temporal_layers=1, num_auxiliary_layers=1, intermediate_size=32, **SMALL))
SIDE = lambda n: dict(height=n, width=n)
PROCESSORS = dict( # What stands in the published checkpoints' files, with this size
    videomae=dict(image_processor_type="VideoMAEImageProcessor", do_resize=True, do_center_crop=True, do_normalize=True, resample=2,
                  size=dict(shortest_edge=32), crop_size=SIDE(32), image_mean=[.485, .456, .406], image_std=[.229, .224, .225]),
    timesformer=dict(feature_extractor_type="VideoMAEFeatureExtractor", do_resize=True, do_center_crop=True, do_normalize=True,
                     resample=2, size=dict(shortest_edge=32), crop_size=SIDE(32), image_mean=[.45]*3, image_std=[.225]*3),
    vivit=dict(image_processor_type="VivitImageProcessor", do_resize=True, do_center_crop=True, do_rescale=True, do_normalize=True,
               offset=True, rescale_factor=1/127.5, resample=2, size=dict(shortest_edge=36), crop_size=SIDE(32),
               image_mean=[.5]*3, image_std=[.5]*3),
    vjepa2=dict(video_processor_type="VJEPA2VideoProcessor", do_resize=True, do_center_crop=True, do_rescale=True, do_normalize=True,
                rescale_factor=1/255, resample=2, size=dict(shortest_edge=36), crop_size=SIDE(32),
                image_mean=[.485, .456, .406], image_std=[.229, .224, .225]),
    videoprism_vision_model=dict(video_processor_type="LlavaOnevisionVideoProcessor", do_resize=True, do_center_crop=False,
                                 do_rescale=True, do_normalize=False, rescale_factor=1/255, resample=2, size=SIDE(36)))
NAMES = pytest.mark.parametrize("name", FAMILIES)
SPEEDY = replace(RECIPES["stick"], name="tiny", from_scratch=False, epochs=1, batch_size=2, eval_clips=1, sampling_rate=1)


def publish(folder, name, base=True, **change):
    "A tiny checkpoint of a family: config, processor and weights; without a classifier, as it is pre-trained."
    torch.manual_seed(0)
    net = AutoModelForVideoClassification.from_config(CONFIGS[name]())
    (getattr(net, net.base_model_prefix) if base else net).save_pretrained(folder)
    file = "video_preprocessor_config.json" if "video_processor_type" in PROCESSORS[name] else "preprocessor_config.json"
    (folder/file).write_text(json.dumps(PROCESSORS[name] | change))
    return folder


@NAMES
def test_inputs_are_those_of_transformers_own_processor(name, tmp_path):
    "Where no pixel is resized, they are equal to float accuracy; the resize itself differs by rounding at most."
    path = publish(tmp_path, name)
    resize = "squash" if not PROCESSORS[name]["do_center_crop"] else "crop"
    spec = ClipSpec.from_checkpoint(path, replace(SPEEDY, resize=resize))
    assert spec.input_key == FAMILIES[name].input_key and (spec.num_frames, spec.size) == clip_shape(CONFIGS[name]())
    processor = AutoVideoProcessor.from_pretrained(path)
    edge = round(spec.size/spec.part)
    draw = np.random.default_rng(0)
    for side, limit in ((edge, 1e-5), (2*edge, .1)):
        smooth = torch.from_numpy(draw.integers(0, 256, (8, 3, 4, 4), dtype=np.uint8))
        clip = torch.nn.functional.interpolate(smooth.float(), (side, side), mode="bicubic").clamp(0, 255).to(torch.uint8)
        theirs = next(iter(processor(list(clip), return_tensors="pt").values()))[0]
        ours = normalize(apply_view(clip, View(), spec), spec)
        assert theirs.shape == ours.shape and float((theirs - ours).abs().max()) <= limit


@NAMES
def test_a_family_is_fine_tuned_saved_loaded_and_predicts(name, tmp_path, data):
    path = publish(tmp_path/"published", name)
    done = finetune(replace(SPEEDY, data=str(data), checkpoint=str(path)), tmp_path/"m", workers=0, progress=False)
    assert done.metrics["videos"] == 4
    net, spec = load_trained(done.model_dir, device="cpu")
    assert net.config.model_type == name and spec == ClipSpec.load(done.model_dir)
    again, _ = load_trained(done.model_dir, device="cpu")
    clip = torch.randint(0, 256, (spec.num_frames, 3, spec.size, spec.size), dtype=torch.uint8)
    assert torch.equal(run_inference(net, clip), run_inference(again, clip))
    video = next((data/"test").glob("*/*.avi"))
    answers = predict(done.model_dir, video)
    assert {a["label"] for a in answers} == set(label_maps(sorted(p.name for p in (data/"test").iterdir()))[0])
    assert abs(sum(a["score"] for a in answers) - 1) < 1e-4
    [asked] = tf.pipeline("video-classification", str(done.model_dir), pipeline_class=VidclsPipeline, device="cpu")([str(video)])
    assert [a["label"] for a in asked] == [a["label"] for a in answers]
    assert np.allclose([a["score"] for a in asked], [a["score"] for a in answers], atol=1e-5)
    assert len(evaluate_videos(done.model_dir, data, workers=0, progress=False).predictions) == 4


@NAMES
def test_a_family_comes_from_the_hub_under_its_published_name(name, hub, tmp_path, data):  # noqa: F811
    "Config, processor and weights are found there, and nothing else is asked for that the Hub does not have."
    repo_id = FAMILIES[name].example
    hub.add_repo(repo_id, {p.name: p.read_bytes() for p in publish(tmp_path/"published", name).iterdir()})
    recipe = replace(SPEEDY, data=str(data), checkpoint=repo_id)
    done = finetune(recipe, tmp_path/"m", workers=0, progress=False)
    assert done.metrics["videos"] == 4 and json.loads((done.model_dir/"vidcls.json").read_text())["recipe"]["checkpoint"] == repo_id
    assert load_trained(done.model_dir, device="cpu")[0].config.model_type == name


@NAMES
def test_the_saved_processor_means_what_the_spec_says(name, tmp_path):
    "Saved and read again, the processor gives the same spec."
    path, recipe = publish(tmp_path/"a", name), SPEEDY
    spec = ClipSpec.from_checkpoint(path, recipe)
    make_processor(spec, str(path)).save_pretrained(tmp_path/"b")
    read_config(path).save_pretrained(tmp_path/"b")
    again = ClipSpec.from_checkpoint(tmp_path/"b", recipe)
    assert np.allclose(again.mean + again.std, spec.mean + spec.std, atol=1e-6) and abs(again.part - spec.part) < .02
    assert replace(again, mean=spec.mean, std=spec.std, part=spec.part) == spec


@NAMES
def test_frames_and_size_change_where_the_family_allows_it(name, tmp_path, data):
    path, family = publish(tmp_path/"published", name), FAMILIES[name]
    frames, size = clip_shape(CONFIGS[name]())
    for axis, change in (("T", dict(num_frames=2*frames)), ("S", dict(size=2*size))):
        recipe = replace(SPEEDY, data=str(data), checkpoint=str(path), **change)
        if axis not in family.free:
            with pytest.raises(ValueError, match=f"This {family.name} takes .* choose another"):
                finetune(recipe, tmp_path/f"refused{axis}", workers=0, progress=False)
            assert not (tmp_path/f"refused{axis}").exists()
            continue
        done = finetune(recipe, tmp_path/axis, workers=0, progress=False)
        net, spec = load_trained(done.model_dir, device="cpu")
        assert clip_shape(net.config) == (spec.num_frames, spec.size) == (change.get("num_frames", frames), change.get("size", size))


@pytest.mark.parametrize("name", [n for n, f in FAMILIES.items() if f.positions])
def test_what_transformers_can_interpolate_is_interpolated_as_it_does(name, tmp_path):
    "TimeSformer by itself, VideoPrism with its flag; ViViT's own way fails with a video, which this test would notice."
    path, family = publish(tmp_path, name), FAMILIES[name]
    net = load_model(str(path), {"a": 0, "b": 1}).eval()
    with torch.no_grad():
        for p in net.parameters(): p.copy_(torch.randn_like(p)*.1) # Tables that are not constant
    frames, size = clip_shape(net.config)
    frames *= 2 if "T" in family.free else 1
    x = {family.input_key: torch.randn(1, frames, 3, 2*size, 2*size)}
    new = change_clip(net, frames, 2*size)
    with torch.no_grad():
        if name == "vivit":
            with pytest.raises(RuntimeError): net(**x, interpolate_pos_encoding=True)
            return
        if name == "timesformer": net.config.num_frames = frames # or it counts its tokens wrongly
        flag = dict(interpolate_pos_encoding=True) if name.startswith("videoprism") else {}
        assert torch.allclose(net(**x, **flag).logits, new(**x).logits, atol=1e-4)


def test_a_clip_of_64_frames_from_a_file_of_35_repeats_frames_and_says_so(tmp_path, caplog):
    from videos import write_video
    path = publish(tmp_path/"published", "vjepa2")
    spec = ClipSpec.from_checkpoint(path, replace(SPEEDY, num_frames=64))
    net = load_model(str(path), {"a": 0, "b": 1}, spec=spec)
    net.save_pretrained(tmp_path/"m"); spec.save(tmp_path/"m")
    assert len(predict(tmp_path/"m", write_video(tmp_path/"short.mp4", frames=35))) == 2
    assert "fewer frames than a clip needs: 29 of 64 repeat others" in caplog.text


@pytest.mark.parametrize("spoil, message", [
    (lambda d: (d/"preprocessor_config.json").unlink(), "has no preprocessor_config.json"),
    (lambda d: (d/"preprocessor_config.json").write_text(json.dumps(PROCESSORS["videomae"] | dict(crop_size=SIDE(48)))), "a processor for 48 pixels and a model for 32"),
    (lambda d: (d/"config.json").write_text('{"model_type": "bert"}'), "does not classify videos"),
    (lambda d: (d/"config.json").write_text('{"model_type": "newest"}'), "update transformers"),
    (lambda d: torch.save({}, d/"pytorch_model.bin") or (d/"model.safetensors").unlink(), "safetensors")])
def test_a_checkpoint_that_cannot_be_used_is_refused_in_one_sentence(spoil, message, tmp_path, data):
    path = publish(tmp_path/"published", "videomae")
    spoil(path)
    recipe = replace(SPEEDY, data=str(data), checkpoint=str(path))
    with pytest.raises((ValueError, OSError), match=message) as e: finetune(recipe, tmp_path/"m", workers=0, progress=False)
    assert "\n" not in str(e.value) and not (tmp_path/"m"/"model.safetensors").exists()


@NAMES
def test_lower_layers_learn_more_slowly_in_every_family(name, tmp_path):
    from vidcls.engine.trainer import layer_groups
    net = load_model(str(publish(tmp_path, name)), {"a": 0, "b": 1})
    learned = {n: p for n, p in net.named_parameters() if p.requires_grad}
    groups = layer_groups(net, [dict(params=list(learned.values()), lr=1.)], .5)
    assert sum(len(g["params"]) for g in groups) == len(learned)
    rate = {id(p): g["lr"] for g in groups for p in g["params"]}
    by_name = {n: rate[id(p)] for n, p in learned.items()}
    layers = sorted({r for n, r in by_name.items() if "layer" in n and n.startswith(net.base_model_prefix) and "layernorm" not in n and "embed" not in n})
    assert by_name["classifier.weight"] == 1 and layers == [.5**k for k in range(len(layers), 0, -1)] and len(layers) == (2 if "prism" in name else 1)
    assert max(r for n, r in by_name.items() if "embeddings" in n) < layers[0] or name == "videoprism_vision_model"
    assert not any("predictor" in n for n in learned)


def test_model_types_are_asked_for_in_one_place():
    from pathlib import Path
    import vidcls
    root = Path(vidcls.__file__).parent
    asking = [p for p in root.rglob("*.py") if "model_type ==" in p.read_text(encoding="utf-8") or "model_type !=" in p.read_text(encoding="utf-8")]
    assert asking == []


def test_the_processor_file_decides_and_not_the_class(tmp_path):
    "VideoMAE's class has 0.5 as its mean; a published checkpoint says ImageNet's."
    path = publish(tmp_path, "videomae")
    assert ClipSpec.from_checkpoint(path, SPEEDY).mean == (.485, .456, .406) == tuple(read_processor(path)["image_mean"])
    assert family_of(read_config(path)).name == "VideoMAE"


# --- drop-path ---

def deep(name, **change):
    "A classifier of three layers."
    config = CONFIGS[name]()
    config.num_hidden_layers = 3
    vars(config).update(change) # TimeSformer's config refuses a rate that is not a whole number
    torch.manual_seed(0)
    net = AutoModelForVideoClassification.from_config(config)
    for p in net.parameters(): torch.nn.init.normal_(p, std=.2)
    return net


def in_training(net, family, draw=1):
    clip = torch.rand(6, 8, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(draw)
    return net.train()(**{family.input_key: clip}).logits.detach()


def with_branches(monkeypatch, name, rates):
    "Layers as transformers writes them, with a drop-path of transformers at both branches."
    from transformers.models.videomae.modeling_videomae import VideoMAELayer
    from transformers.models.vivit.modeling_vivit import VivitLayer
    from transformers.models.vjepa2.modeling_vjepa2 import VJEPA2DropPath
    def videomae(self, x, **_):
        x = x + self.drop(self.attention(self.layernorm_before(x)))
        return x + self.drop(self.output.dense(self.intermediate(self.layernorm_after(x))))
    def vivit(self, x, *_, **__):
        x = x + self.drop(self.attention(self.layernorm_before(x))[0])
        return x + self.drop(self.mlp(self.layernorm_after(x)))
    kind, forward = dict(videomae=(VideoMAELayer, videomae), vivit=(VivitLayer, vivit))[name]
    net = deep(name)
    for layer, rate in zip((m for m in net.modules() if isinstance(m, kind)), rates, strict=True): layer.drop = VJEPA2DropPath(rate)
    monkeypatch.setattr(kind, "forward", forward)
    return net


@pytest.mark.parametrize("name", [n for n, f in FAMILIES.items() if f.branches])
def test_drop_path_is_what_transformers_own_does(name, monkeypatch):
    "The same clips lose the same branches in the same layers, and nothing else changes."
    family, ours = FAMILIES[name], deep(name)
    plain = in_training(ours, family)
    hooks = add_drop_path(ours, .6)
    got, other = in_training(ours, family), in_training(ours, family, draw=3)
    for h in hooks: h.remove()
    assert torch.equal(in_training(ours, family), plain) and not torch.equal(got, other)
    own = name in ("timesformer", "vjepa2")
    theirs = deep(name, drop_path_rate=.6) if own else with_branches(monkeypatch, name, (0, .3, .6))
    assert torch.allclose(in_training(theirs, family), got, atol=1e-5) and not torch.allclose(plain, got, atol=1e-3)


@NAMES
def test_drop_path_does_nothing_at_rate_0_nor_in_evaluation(name):
    net, clip = deep(name).eval(), torch.rand(2, 8, 3, *[clip_shape(CONFIGS[name]())[1]]*2)
    before, names = net(**{FAMILIES[name].input_key: clip}).logits, list(net.state_dict())
    if not FAMILIES[name].branches:
        with pytest.raises(ValueError, match=r"^VideoPrism has no layers that drop_path .*: leave it out\.$"): add_drop_path(net, .5)
        return
    assert add_drop_path(net, 0.) == [] and len(add_drop_path(net, .5)) >= 2
    assert torch.equal(net(**{FAMILIES[name].input_key: clip}).logits, before) and list(net.state_dict()) == names


def test_drop_path_keeps_the_expectation_and_drops_whole_branches_of_some_clips():
    net, seen = deep("videomae"), []
    add_drop_path(net, .6)
    last = net.videomae.encoder.layer[2].output.dropout
    last.register_forward_hook(lambda m, args, out: seen.append((args[0], out))) # Runs after ours
    with torch.no_grad():
        for draw in range(60): in_training(net, FAMILIES["videomae"], draw)
    whole, out = (torch.cat(x) for x in zip(*seen))
    kept = out.flatten(1).abs().sum(1) > 0
    assert abs(kept.float().mean() - .4) < .08                             # 360 clips
    assert torch.allclose(out[kept], whole[kept]/.4) and not out[~kept].any()


def test_a_checkpoint_with_a_drop_path_of_its_own_is_left_alone():
    with pytest.raises(ValueError, match=r"drop_path_rate=0\.1 in its config\.json already: leave out drop_path"):
        add_drop_path(deep("vjepa2", drop_path_rate=.1), .2)


def test_a_model_trained_with_drop_path_is_saved_without_it(tmp_path, data):
    deep("videomae").videomae.save_pretrained(tmp_path/"published")
    (tmp_path/"published"/"preprocessor_config.json").write_text(json.dumps(PROCESSORS["videomae"]))
    recipe = replace(SPEEDY, data=str(data), checkpoint=str(tmp_path/"published"), learning_rate=1e-3)
    kept = {}
    for rate in (None, 0., .9):
        done = finetune(replace(recipe, drop_path=rate), tmp_path/f"m{rate}", workers=0, progress=False)
        kept[rate] = load_file(done.model_dir/"model.safetensors")
        assert json.loads((done.model_dir/"vidcls.json").read_text())["recipe"]["drop_path"] == rate
    same = lambda a, b: all(torch.equal(a[k], b[k]) for k in a)
    assert kept[None].keys() == kept[.9].keys() and same(kept[None], kept[0.]) and not same(kept[0.], kept[.9])
    net = load_trained(done.model_dir, device="cpu")[0].train()
    assert torch.equal(in_training(net, FAMILIES["videomae"], 1), in_training(net, FAMILIES["videomae"], 3))


def test_drop_path_is_refused_before_anything_is_written(tmp_path, data):
    path = publish(tmp_path/"published", "videoprism_vision_model")
    with pytest.raises(ValueError, match="VideoPrism has no layers that drop_path"):
        finetune(replace(SPEEDY, data=str(data), checkpoint=str(path), drop_path=.1), tmp_path/"m", workers=0, progress=False)
    assert not (tmp_path/"m"/"model.safetensors").exists()
    for bad in (-.1, 1., "much"):
        with pytest.raises(ValueError, match="drop_path must be None, or at least 0 and below 1"): replace(SPEEDY, drop_path=bad)
