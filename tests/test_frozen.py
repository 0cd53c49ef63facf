"Every family as a frozen backbone, tiny and with random weights, in the layout in which it is published: features, probes, and the model again."
import json, shutil
from dataclasses import replace

import numpy as np, pytest, torch
import transformers as tf
from torch import nn
from transformers import AutoImageProcessor, AutoModel

from test_families import SIDE, SPEEDY, publish as publish_video
from test_hub import hub  # noqa: F401
from vidcls.backbones import extract_features, fit_probe, load_backbone, load_probe
from vidcls.clips import apply_view, ClipSpec, normalize, View
from vidcls.data import video_table
from vidcls.engine.families import FAMILIES, family_of, IMAGE_FAMILIES, IMAGE_FRAMES, read_config
from vidcls.infer import predict, seen_views
from vidcls.scoring import evaluate_videos
from vidcls.train import finetune

IMAGENET = dict(image_mean=[.485, .456, .406], image_std=[.229, .224, .225])
HALF = dict(image_mean=[.5]*3, image_std=[.5]*3)
SMALL = dict(hidden_size=24, num_attention_heads=2, num_hidden_layers=2)
MORE = dict(SMALL, intermediate_size=32)
TEXT = dict(MORE, vocab_size=20, max_position_embeddings=8, bos_token_id=1, eos_token_id=2, pad_token_id=0)
IMAGES = dict( # The checkpoint's whole model: CLIP's and SigLIP's have a part for texts
    dinov2=lambda: tf.Dinov2Model(tf.Dinov2Config(image_size=70, patch_size=14, mlp_ratio=2, **SMALL)),
    dinov2_with_registers=lambda: tf.Dinov2WithRegistersModel(tf.Dinov2WithRegistersConfig(image_size=70, patch_size=14, mlp_ratio=2, **SMALL)),
    dinov3_vit=lambda: tf.DINOv3ViTModel(tf.DINOv3ViTConfig(image_size=32, num_register_tokens=4, **MORE)),
    vit=lambda: tf.ViTModel(tf.ViTConfig(image_size=32, **MORE)),
    siglip_vision_model=lambda: tf.SiglipModel(tf.SiglipConfig(vision_config=dict(MORE, image_size=32, patch_size=16), text_config=TEXT)),
    clip_vision_model=lambda: tf.CLIPModel(tf.CLIPConfig(vision_config=dict(MORE, image_size=32, patch_size=16), text_config=TEXT, projection_dim=16)))
PLAIN = dict(do_resize=True, do_normalize=True, do_rescale=True, rescale_factor=1/255)
DINOV2 = dict(PLAIN, **IMAGENET, do_convert_rgb=True, image_processor_type="BitImageProcessor", do_center_crop=True, resample=3,
              size=dict(shortest_edge=32), crop_size=SIDE(28))
PROCESSORS = dict( # What stands in the published checkpoints' files, with this size
    dinov2=DINOV2, dinov2_with_registers=DINOV2,
    dinov3_vit=dict(PLAIN, **IMAGENET, image_processor_type="DINOv3ViTImageProcessorFast", do_center_crop=None, crop_size=None,
                    default_to_square=True, resample=2, size=SIDE(32), data_format="channels_first"),
    vit=dict(do_resize=True, do_normalize=True, **HALF, resample=2, size=32, feature_extractor_type="ViTFeatureExtractor"),
    siglip_vision_model=dict(PLAIN, **HALF, image_processor_type="SiglipImageProcessor", processor_class="SiglipProcessor", resample=3, size=SIDE(32)),
    clip_vision_model=dict(do_resize=True, do_normalize=True, do_center_crop=True, resample=3, size=32, crop_size=32,
                           feature_extractor_type="CLIPFeatureExtractor", image_mean=[.48145466, .4578275, .40821073],
                           image_std=[.26862954, .26130258, .27577711]))
IMAGE = pytest.mark.parametrize("name", IMAGE_FAMILIES)
ALL = pytest.mark.parametrize("name", [*FAMILIES, *IMAGE_FAMILIES])
FRONT = dict(dinov2=1, dinov2_with_registers=5, dinov3_vit=5, vit=1, siglip_vision_model=0, clip_vision_model=1)


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    "Features and models are kept in a folder of this test."
    monkeypatch.setenv("VIDCLS_HOME", str(tmp_path/"home"))
    monkeypatch.setattr("vidcls.engine.probe._FACTORIES", {})


def publish(folder, name, **change):
    "A tiny checkpoint of a family whose weights are all random, also those that begin as zeros."
    if name in FAMILIES: return publish_video(folder, name)
    torch.manual_seed(0)
    net = IMAGES[name]()
    with torch.no_grad():
        for p in net.parameters(): p.normal_(std=.3)
    net.save_pretrained(folder)
    (folder/"preprocessor_config.json").write_text(json.dumps(PROCESSORS[name] | change))
    return folder


def recipe_for(name, path):
    "The resize rule of the published processor."
    return replace(SPEEDY, checkpoint=str(path), resize="squash" if name in ("dinov3_vit", "vit", "siglip_vision_model") or "prism" in name else "crop")


def extract(what, data, **kwargs): return extract_features(what, data, **{"workers": 0, "progress": False, "device": "cpu", **kwargs})
def fit(features, kind="linear", out="probe", **kwargs): return fit_probe(features, kind, features.store.parent/out, progress=False, device="cpu", **kwargs)


def tokens_by_hand(name, path, clip):
    "What transformers' own model says about normalised clips: (all tokens, one per moment, the mean)."
    if name in FAMILIES:
        net, family = AutoModel.from_pretrained(path).eval(), FAMILIES[name]
        with torch.no_grad(): x = net(**{family.input_key: clip}, **dict(family.options)).last_hidden_state
        pieces, steps = x[:, family.cls_tokens:], clip.shape[1]//dict(videomae=2, vivit=2, vjepa2=2).get(name, 1)
        one = pieces.unflatten(1, (-1, steps)).mean(1) if name == "timesformer" else pieces.unflatten(1, (steps, -1)).mean(2)
        return x, one, pieces.mean(1)
    whole = IMAGES[name]().__class__.from_pretrained(path).eval()
    net = getattr(whole, "vision_model", whole)
    with torch.no_grad(): out = [net(pixel_values=frame) for frame in clip.unbind(1)] # Frame by frame
    one = torch.stack([o.pooler_output if "vision" in name else o.last_hidden_state[:, 0] for o in out], 1)
    places = torch.stack([o.last_hidden_state[:, FRONT[name]:] for o in out], 1)                      # [B, T, n, D]
    return torch.cat([one[:, :, None], places], 2).flatten(1, 2), one, one.mean(1)


@ALL
def test_features_are_those_of_transformers(name, tmp_path, data):
    path = publish(tmp_path/"published", name)
    backbone = load_backbone(str(path), recipe=recipe_for(name, path))
    table = video_table(data)[:4]
    clips = normalize(torch.cat([seen_views(p, backbone.spec)[0] for p in table.path]), backbone.spec)
    want = dict(zip(("all", "frames", "mean"), tokens_by_hand(name, path, clips)))
    for tokens, x in want.items():
        got = extract(backbone, table, tokens=tokens, batch_size=3).array[:][:, 0]
        assert got.shape == x.shape
        assert np.abs(got - x.numpy()).max() < (1e-5 if tokens == "mean" else 2e-3*max(1, float(x.abs().max())))
    assert x.std(0).mean() > 1e-5  # The videos differ


@ALL
@pytest.mark.parametrize("kind, tokens", [("linear", "mean"), ("linear", "all"), ("attentive", "frames"), ("attentive", "all")])
def test_a_probe_is_saved_loaded_and_predicts(name, kind, tokens, tmp_path, data):
    "The model's answers are those of the head on the stored features, also when the checkpoint has gone."
    path = publish(tmp_path/"published", name)
    f = extract(load_backbone(str(path), recipe=recipe_for(name, path)), data, tokens=tokens)
    done = fit(f, kind, **dict(epochs=1) if kind == "attentive" else {})
    shutil.rmtree(path)
    net, spec = load_probe(done.model_dir, device="cpu")
    assert spec == f.backbone.spec and net.config.backbone["config"]["model_type"] == name
    scores = evaluate_videos(done.model_dir, data, progress=False, device="cpu", workers=0)
    assert scores.accuracy == done.metrics["video_accuracy"] and len(scores.predictions) == done.metrics["videos"]
    for i in (0, len(f.table) - 1):
        with torch.no_grad(): want = net.head(torch.from_numpy(_seen(f, kind, i)))[0].softmax(-1)
        got = {p["label"]: p["score"] for p in predict(done.model_dir, f.table.path[i], device="cpu")}
        assert np.allclose([got[net.config.id2label[k]] for k in range(len(want))], want, atol=2e-3)


def _seen(features, kind, i):
    "What the head sees of a video, from the stored features: [1, N, D]."
    x = features.array[[i]].astype(np.float32)[:, 0]
    if x.ndim == 2: return x[:, None]
    if kind == "attentive": return x
    how = features.backbone.how
    x = x.reshape(1, how["steps"], -1, x.shape[-1])[:, :, 0] if how["summary"] else x[:, how["skip"]:]
    return x.mean(1, keepdims=True)


@IMAGE
def test_inputs_are_those_of_transformers_own_image_processor(name, tmp_path):
    """Where no pixel is resized, they are equal to float accuracy.

    Where frames are made smaller, ours are bilinear on bytes. So are ViT's. DINOv3's processor resizes floats, so it differs by the
    rounding to bytes; those of DINOv2, SigLIP and CLIP are bicubic, which sharpens edges a little."""
    path = publish(tmp_path, name)
    spec = ClipSpec.from_checkpoint(path, recipe_for(name, path))
    processor = AutoImageProcessor.from_pretrained(path)
    edge, draw = round(spec.size/spec.part), np.random.default_rng(0)
    limits = dict(vit=1e-5, dinov3_vit=.02, siglip_vision_model=.05)
    for side, limit in ((edge, 1e-5), (2*edge, limits.get(name, .1))):
        smooth = torch.from_numpy(draw.integers(0, 256, (8, 3, 4, 4), dtype=np.uint8))
        clip = nn.functional.interpolate(smooth.float(), (side, side), mode="bicubic").clamp(0, 255).to(torch.uint8)
        theirs = processor(list(clip), return_tensors="pt")["pixel_values"]
        ours = normalize(apply_view(clip, View(), spec), spec)
        assert theirs.shape == ours.shape and float((theirs - ours).abs().max()) <= limit


@ALL
def test_a_backbone_comes_from_the_hub_under_its_published_name(name, hub, tmp_path, data, caplog):  # noqa: F811
    "The folder of its probe holds the head alone and the backbone's commit, and is read again with it."
    family = (FAMILIES | IMAGE_FAMILIES)[name]
    commit = hub.add_repo(family.example, {p.name: p.read_bytes() for p in publish(tmp_path/"published", name).iterdir()})
    caplog.set_level("INFO")
    f = extract(family.example, data)
    assert (f"{family.example} sees single frames, so vidcls takes {IMAGE_FRAMES} from every 2.13 s" in caplog.text) == (name in IMAGE_FAMILIES)
    assert (f.backbone.revision, f.backbone.licence) == (commit, family.licence)
    done = fit(f)
    assert (done.model_dir/"model.safetensors").stat().st_size < 2000
    record = json.loads((done.model_dir/"vidcls.json").read_text())
    assert record["backbone"]["name"] == family.example and record["backbone"]["revision"] == commit
    assert evaluate_videos(done.model_dir, data, progress=False, device="cpu", workers=0).accuracy == done.metrics["video_accuracy"]


@IMAGE
def test_fine_tuning_an_image_model_is_refused_before_a_video_is_read(name, tmp_path):
    path = publish(tmp_path/"published", name)
    for change in (dict(), dict(lora_rank=2), dict(from_scratch=True)):
        with pytest.raises(ValueError, match="sees one frame at a time and is not fine-tuned: train a probe") as e:
            finetune(replace(SPEEDY, data=str(tmp_path/"nowhere"), checkpoint=str(path), **change), tmp_path/"m", progress=False)
        assert "\n" not in str(e.value) and not (tmp_path/"m").exists()


@IMAGE
def test_frames_and_size_of_an_image_backbone_may_change(name, tmp_path, data):
    path = publish(tmp_path/"published", name)
    spec = ClipSpec.from_checkpoint(path, recipe_for(name, path))
    for change in (dict(num_frames=3), dict(size=2*spec.size)):
        f = extract(str(path), data, spec=replace(spec, **change), tokens="frames")
        assert f.array.shape[2:] == (change.get("num_frames", IMAGE_FRAMES), 24)
        assert len(predict(fit(f).model_dir, f.table.path[0], device="cpu")) == 2
    with pytest.raises(ValueError, match="cannot take 33: choose a multiple"): load_backbone(str(path), spec=replace(spec, size=33))


def test_the_size_is_the_processors_where_a_family_has_none_of_its_own(tmp_path):
    "DINOv2's config says 70 (518 in the published one), its processor 28 (224)."
    path = publish(tmp_path, "dinov2")
    spec = load_backbone(str(path)).spec
    assert (spec.size, spec.part, read_config(path).image_size) == (28, 28/32, 70)


@pytest.mark.parametrize("name, spoil, message", [
    ("vit", lambda d: (d/"preprocessor_config.json").unlink(), "has no preprocessor_config.json"),
    ("vit", lambda d: rewrite(d/"preprocessor_config.json", size=SIDE(48)), "a processor for 48 pixels and a model for 32"),
    ("clip_vision_model", lambda d: rewrite(d/"preprocessor_config.json", crop_size=48), "a processor for 48 pixels and a model for 32"),
    ("videoprism_vision_model", lambda d: rewrite(d/"video_preprocessor_config.json", size=SIDE(54)), "a processor for 54 pixels and a model for 36"),
    ("vit", lambda d: rewrite(d/"preprocessor_config.json", image_mean=None), "preprocessor_config.json has no image_mean"),
    ("siglip_vision_model", lambda d: rewrite(d/"config.json", model_type="siglip_text_model"), "'siglip_text_model', which does not classify videos"),
    ("clip_vision_model", lambda d: (d/"config.json").write_text(json.dumps(dict(model_type="llava"))), "'llava', which does not classify videos"),
    ("vit", lambda d: rewrite(d/"config.json", model_type="newest"), "update transformers"),
    ("clip_vision_model", lambda d: drop(d, "post_layernorm"), "weights are missing"),
    ("dinov2", lambda d: torch.save({}, d/"pytorch_model.bin") or (d/"model.safetensors").unlink(), "safetensors")])
def test_a_backbone_that_cannot_be_used_is_refused_in_one_sentence(name, spoil, message, tmp_path):
    path = publish(tmp_path/"published", name)
    spoil(path)
    with pytest.raises((ValueError, OSError), match=message) as e: load_backbone(str(path))
    assert "\n" not in str(e.value)


def rewrite(file, **change): file.write_text(json.dumps(json.loads(file.read_text()) | change))


def drop(folder, part):
    "Remove weights from a checkpoint."
    from safetensors.torch import load_file, save_file
    save_file({k: v for k, v in load_file(folder/"model.safetensors").items() if part not in k}, folder/"model.safetensors", {"format": "pt"})


def test_a_torchvision_model_of_single_images(data):
    "The user's own module for images needs its layout and nothing else; each frame is encoded alone."
    from torchvision.models import resnet18
    def make():
        torch.manual_seed(0)
        net = resnet18(weights=None)
        net.fc = nn.Identity()
        return net
    spec = ClipSpec(4, .6, 32, "crop", (.485, .456, .406), (.229, .224, .225))
    backbone = load_backbone(make, spec=spec, layout="BCHW", name="resnet18", licence="bsd-3-clause")
    f = extract(backbone, data, tokens="frames")
    clip = normalize(seen_views(f.table.path[0], spec)[0], spec)[0]
    with torch.no_grad(): want = torch.cat([make().eval()(frame[None]) for frame in clip])
    assert f.array.shape[1:] == (1, 4, 512) and np.abs(f.array[0][0] - want.numpy()).max() < 2e-3*float(want.abs().max())
    for kind in ("linear", "attentive"):
        done = fit(f, kind, **dict(epochs=1) if kind == "attentive" else {})
        assert len(predict(done.model_dir, f.table.path[0], device="cpu")) == 2
        assert len(predict(fit(extract(backbone, data)).model_dir, f.table.path[0], device="cpu")) == 2
    with pytest.raises(ValueError, match="of B = 4 frames"): load_backbone(nn.Identity(), spec=spec, layout="BCHW").tokens(clip[None])
    with pytest.raises(ValueError, match="layout must be 'BTCHW' or 'BCTHW' or 'BCHW', not 'TCHW'"): load_backbone(make, spec=spec, layout="TCHW")


def test_the_command_line_trains_a_probe_on_an_image_model(tmp_path, data, capsys):
    from vidcls.engine.cli import main
    path = publish(tmp_path/"published", "dinov2")
    args = ["finetune", "--recipe", "smoke", "--data", str(data), "--checkpoint", str(path), "--out", str(tmp_path/"m"), "--workers", "0", "--json"]
    assert main(args) == 1 and "is not fine-tuned: train a probe" in capsys.readouterr().err
    assert main([*args, "--method", "probe"]) == 0 and json.loads(capsys.readouterr().out)["videos"] == 4
    assert main(["predict", str(tmp_path/"m"), str(video_table(data).path[0]), "--json"]) == 0


def test_the_tables_do_not_overlap():
    assert not {*FAMILIES} & {*IMAGE_FAMILIES} and all(f.summary in ("first", "pooler_output") for f in IMAGE_FAMILIES.values())
    assert not any(f.summary for f in FAMILIES.values()) and family_of(tf.ViTConfig()).name == "ViT"


@ALL
def test_a_moment_of_the_features_is_a_moment_of_the_clip(name, tmp_path):
    "Where the last frames of a clip are others, the last of its moments changes most: so the order of the tokens is understood."
    path = publish(tmp_path, name)
    backbone = load_backbone(str(path), recipe=recipe_for(name, path))
    spec = backbone.spec
    one = torch.randint(0, 256, (1, spec.num_frames, 3, spec.size, spec.size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    other = one.clone()
    other[:, -(spec.num_frames//backbone.steps):] = 255 - other[:, -(spec.num_frames//backbone.steps):]
    a, b = (backbone.features(x, "frames")[0].astype(np.float32) for x in (one, other))
    changed = np.linalg.norm(a - b, axis=-1)
    assert changed.argmax() == backbone.steps - 1 and changed[-1] > 2*changed[:-1].max()
