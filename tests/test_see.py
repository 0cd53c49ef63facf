"What a model looks at: every family and every probe, the right places, the model left as it was, and a report that can be trusted."
import json, threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np, pytest, torch
from PIL import Image
from transformers import AutoModelForVideoClassification

from test_families import CONFIGS, PROCESSORS, SMALL
from videos import write_checkpoint, write_dataset, write_model, write_video
from vidcls import explain, extract_features, fit_probe, predict
from vidcls.backbones import load_backbone
from vidcls.clips import ClipSpec, View, normalize
from vidcls.engine import cli
from vidcls.engine.families import FAMILIES
from vidcls.engine.inside import look_inside, removed
from vidcls.engine.judge import advantage, area, centre_blob, energy_inside, figure_mask, points_at, tubelet_share
from vidcls.engine.probe import use_factory
from vidcls.engine.report import report
from vidcls.engine.video import Segment, VideoError
from vidcls.infer import load_trained, loaded, run_inference
from vidcls.scoring import score
from vidcls.see import bare_clip, Explanation, METHODS, occlusion_boxes, occlusion_map

SPEC = ClipSpec(8, .8, 32, "crop", (.5,)*3, (.5,)*3)
NAMES = pytest.mark.parametrize("name", FAMILIES)
BOTH = dict(videomae=True, timesformer=False, vivit=True, vjepa2=True, videoprism_vision_model=False) # Can attention be rolled out?


@pytest.fixture(scope="module")
def film(tmp_path_factory): return write_video(tmp_path_factory.mktemp("film")/"film.mp4")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    return write_model(tmp_path_factory.mktemp("model")/"m")


def family_model(folder, name):
    "A tiny classifier of a family, with random weights in all its parts."
    torch.manual_seed(0)
    config = CONFIGS[name]()
    config.id2label, config.label2id = {0: "Nod", 1: "Wave"}, {"Nod": 0, "Wave": 1}
    net = AutoModelForVideoClassification.from_config(config)
    for p in net.parameters(): torch.nn.init.normal_(p, std=.2)
    net.save_pretrained(folder)
    file = "video_preprocessor_config.json" if "video_processor_type" in PROCESSORS[name] else "preprocessor_config.json"
    (folder/file).write_text(json.dumps(PROCESSORS[name]))
    size = 36 if name == "videoprism_vision_model" else 32
    replace(SPEC, size=size, input_key=FAMILIES[name].input_key).save(folder)
    return folder


def state(net):
    "All that an explanation must leave as it is."
    hooks = [len(h) for m in net.modules() for h in (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks)]
    kinds = [m.config._attn_implementation for m in net.modules() if hasattr(m, "config") and hasattr(m.config, "_attn_implementation")]
    return [p.requires_grad for p in net.parameters()], [p.grad is None for p in net.parameters()], hooks, kinds, net.training


# -- every family, every method --

@NAMES
@pytest.mark.parametrize("method", METHODS)
def test_every_family_is_explained_and_left_as_it_was(name, method, tmp_path, film):
    folder = family_model(tmp_path, name)
    _, net, spec = loaded(folder)
    before, said = state(net), predict(folder, film, num_clips=1)
    if method == "rollout" and not BOTH[name]:
        with pytest.raises(ValueError, match="cannot be rolled out: use method='occlusion'"): explain(folder, film, method)
    else:
        e = explain(folder, film, method)
        assert e.heat.shape == look_inside(net, spec.num_frames, spec.size).grid and np.isfinite(e.heat).all() and e.heat.any()
        assert (e.label, e.score) == (said[0]["label"], pytest.approx(said[0]["score"], abs=1e-5))
    assert state(net) == before and predict(folder, film, num_clips=1) == said


@NAMES
def test_an_error_on_the_way_leaves_no_hook(name, tmp_path, film, monkeypatch):
    folder = family_model(tmp_path, name)
    _, net, spec = loaded(folder)
    before, inside = state(net), look_inside(net, spec.num_frames, spec.size)
    clips = {spec.input_key: torch.zeros(1, 3, 3, 8, 8)} # Neither the frames nor the size that it takes
    for f in (lambda: inside.token_gradients(clips, torch.tensor([99])), lambda: inside.rollout(clips)):
        with pytest.raises(Exception): f()  # noqa: B017
    assert state(net) == before


@pytest.mark.parametrize("name", ["videomae", "timesformer", "vivit"]) # The embeddings of the others have another form
def test_each_token_is_at_its_place(name, tmp_path):
    "If one tubelet of a clip becomes white, the embedding changes there and nowhere else."
    net, spec = load_trained(family_model(tmp_path, name), device="cpu")
    inside = look_inside(net, spec.num_frames, spec.size)
    gone = np.zeros(inside.grid, bool)
    gone[-1, 0, 1] = True
    clip = torch.full((8, 3, spec.size, spec.size), 90, dtype=torch.uint8)
    white = removed(clip, torch.full_like(clip, 255), gone)
    rest = [None]*inside.family.masked
    with torch.no_grad(): a, b = (net.base_model.embeddings(normalize(c, spec)[None], *rest) for c in (clip, white))
    assert np.argwhere(inside.to_grid((a - b).abs().sum(-1))[0].numpy()).tolist() == np.argwhere(gone).tolist()


def test_the_gradient_is_exact_for_a_linear_probe(tmp_path, film):
    "A linear head on the mean of tokens: the sum of gradient × activation at the encoder's end is the logit without its bias."
    data = write_dataset(tmp_path/"set")
    net, spec = probe(tmp_path, data, "videoprism_vision_model")
    inside, clip = look_inside(net, 8, 36), torch.randint(0, 256, (1, 8, 3, 36, 36), dtype=torch.uint8)
    (tokens, slopes), = inside.token_gradients({spec.input_key: normalize(clip, spec)}, torch.tensor([1]))
    want = run_inference(net, clip, spec)[0, 1] - net.head.out.bias[1]
    torch.testing.assert_close((tokens*slopes).sum(), want, atol=1e-4, rtol=1e-4)


def probe(folder, data, name, **kwargs):
    "A linear probe on a tiny backbone, loaded."
    base = family_model(folder/"base", name) if name in FAMILIES else name
    spec = replace(SPEC, size=36 if name == "videoprism_vision_model" else 32, input_key=FAMILIES[name].input_key if name in FAMILIES else "pixel_values")
    features = extract_features(load_backbone(base, spec=spec, **kwargs), data, progress=False, workers=0, store=folder/"features")
    return load_trained(fit_probe(features, output_dir=folder/"probe", progress=False).model_dir, device="cpu")


# -- probes --

@NAMES
def test_probes_on_every_family_are_explained(name, tmp_path, film):
    net, spec = probe(tmp_path, write_dataset(tmp_path/"set"), name)
    before = state(net)
    for method in METHODS:
        if method == "rollout" and not BOTH[name]:
            with pytest.raises(ValueError, match="method='occlusion'"): explain(tmp_path/"probe", film, method)
        else: assert explain(tmp_path/"probe", film, method).heat.shape == look_inside(net, 8, spec.size).grid
    assert state(net) == before


class Colours(torch.nn.Module):
    "A network of one's own: the mean colour of a clip."
    def forward(self, clips): return clips.mean((1, 3, 4))


def test_a_network_of_ones_own_is_occluded_and_otherwise_refused_in_one_sentence(tmp_path, film):
    use_factory(Colours)
    probe(tmp_path, write_dataset(tmp_path/"set"), Colours)
    e = explain(tmp_path/"probe", film)
    assert e.heat.shape == (4, 8, 8) and np.isfinite(e.heat).all()
    for method in ("gradcam", "rollout"):
        with pytest.raises(ValueError, match="use method='occlusion', which works with every model") as error: explain(tmp_path/"probe", film, method)
        assert "\n" not in str(error.value)


def test_a_probe_on_single_frames_is_occluded(tmp_path, film):
    from transformers import Dinov2Config, Dinov2Model, BitImageProcessor
    base = tmp_path/"dino"
    Dinov2Model(Dinov2Config(image_size=32, patch_size=16, num_hidden_layers=1, **SMALL)).save_pretrained(base)
    BitImageProcessor(size=dict(shortest_edge=32), crop_size=dict(height=32, width=32)).save_pretrained(base)
    features = extract_features(load_backbone(str(base), spec=SPEC), write_dataset(tmp_path/"set"), progress=False, workers=0, store=tmp_path/"f")
    folder = fit_probe(features, output_dir=tmp_path/"probe", progress=False).model_dir
    assert explain(folder, film).heat.shape == (8, 2, 2)
    for method in ("gradcam", "rollout"):
        with pytest.raises(ValueError, match="method='occlusion'"): explain(folder, film, method)


# -- occlusion --

def test_boxes_cover_the_grid_and_stay_few():
    for grid in ((1, 1, 1), (1, 2, 3), (3, 5, 4), (4, 8, 8), (8, 14, 14), (32, 24, 24)):
        boxes = occlusion_boxes(grid)
        assert np.any(boxes, axis=0).all() and len(boxes) <= 200
    assert all(b.sum() == 1 for b in occlusion_boxes((4, 3, 3), 1))


class Corner(torch.nn.Module):
    "A classifier that sees the lower right corner of the last quarter of a clip and nothing else."
    def __init__(self):
        super().__init__()
        from types import SimpleNamespace
        from vidcls.engine.probe import TokenNet
        self.backbone, self.device, self.dtype = TokenNet(torch.nn.Identity()), torch.device("cpu"), torch.float32
        self.config = SimpleNamespace(model_type="vidcls-probe", num_frames=8, image_size=32)

    def forward(self, pixel_values):
        from types import SimpleNamespace
        x = pixel_values[:, 6:, :, 24:, 24:].mean((1, 2, 3, 4))
        return SimpleNamespace(logits=torch.stack([x, -x], 1))


@pytest.mark.parametrize("fill", ["mean", "blur"])
def test_occlusion_finds_what_a_model_reads(fill):
    clip = torch.zeros(8, 3, 32, 32, dtype=torch.uint8)
    clip[:, :, 24:, 24:] = 255
    heat = occlusion_map(Corner(), clip, SPEC, 0, fill, window=2)
    assert heat.shape == (4, 8, 8) and (heat[:3] == 0).all() and heat[3, 6:, 6:].min() > .05 and abs(heat[3, :5, :5]).max() < 1e-6


def test_a_clip_that_lost_everything_has_nothing_left():
    clip = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    assert (bare_clip(clip) == bare_clip(clip)[:1, :, :1, :1]).all() and bare_clip(clip, "blur").shape == clip.shape
    with pytest.raises(ValueError, match="fill must be 'mean' or 'blur'"): bare_clip(clip, "black")


# -- what is shown --

def an_explanation(heat, frames=8, side=120, **kwargs):
    return Explanation(np.asarray(heat, np.float32), "Wave", .5, "gradcam", torch.full((frames, 3, side, side), 100, dtype=torch.uint8), SPEC, "film", **kwargs)


def test_each_frame_has_the_map_of_its_tubelet():
    heat = np.zeros((4, 2, 2))
    heat[1, 0, 1] = 2
    pixels = an_explanation(heat).pixels
    assert pixels.flatten(1).max(1).values.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    y, x = divmod(int(pixels[2].argmax()), 120)
    assert y < 60 <= x


@pytest.mark.parametrize("value", [0., -1.])
def test_a_map_without_anything_positive_shows_the_clip(value):
    e = an_explanation(np.full((4, 2, 2), value))
    assert e.pixels.max() == 0 and (e.overlay(legend=False).float() - 85).abs().max() <= 1


def test_an_explanation_is_saved_and_shows_itself(tmp_path):
    e = an_explanation(np.random.default_rng(0).random((4, 2, 2)))
    gif = Image.open(e.save(tmp_path/"a.gif")) # Pillow joins frames that are equal, as the two of a tubelet are here
    assert gif.n_frames == 4 and gif.width == 120 and gif.height > 120
    assert e._repr_html_().startswith('<img src="data:image/gif;base64,')
    assert e.overlay().shape[-1] == 120 and "heat" not in repr(e)


@pytest.mark.parametrize("kind", ["file", "segment", "array", "url"])
def test_every_kind_of_video(kind, model, film):
    server = None
    if kind == "file": video = film
    if kind == "segment": video = Segment(film, .4, 1.6)
    if kind == "array": video = np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), np.uint8)
    if kind == "url":
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(film.parent)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        video = f"http://127.0.0.1:{server.server_port}/{film.name}"
    try: e = explain(model, video)
    finally: server and (server.shutdown(), server.server_close())
    assert e.frames.shape[-1] >= 112 and e.score == pytest.approx(predict(model, video if kind != "url" else film, num_clips=1)[0]["score"], abs=1e-5)
    assert e.video == ("array" if kind == "array" else film.name)


def test_what_does_not_fit_is_refused_in_one_sentence(model, film, tmp_path):
    for kwargs, words in ((dict(method="lime"), "method must be one of occlusion, gradcam, rollout, not 'lime'"), (dict(label="Fly"), "does not know the class 'Fly': choose one of Nod, Wave")):
        with pytest.raises(ValueError, match=words): explain(model, film, **kwargs)
    with pytest.raises(VideoError, match="nowhere.mp4"): explain(model, "nowhere.mp4")
    with pytest.raises(FileNotFoundError, match="no model folder"): explain(tmp_path/"none", film)


def test_the_label_that_is_asked_for_is_explained(model, film):
    two = [explain(model, film, "gradcam", label=l) for l in ("Nod", "Wave")]
    assert [e.label for e in two] == ["Nod", "Wave"] and sum(e.score for e in two) == pytest.approx(1)
    assert not np.allclose(two[0].heat, two[1].heat)
    same = [explain(model, film, "rollout", label=l).heat for l in ("Nod", "Wave")]
    np.testing.assert_array_equal(*same)


# -- the judge --

def test_a_mask_takes_the_frames_and_the_crop_of_the_clip(tmp_path):
    from vidcls import make_stickucf
    from vidcls.synthetic.masks import stick_masks
    root = make_stickucf(tmp_path/"set", per_class=(1, 0, 0), workers=1, progress=False)
    file = sorted(root.glob("train/*/*.avi"))[0]
    whole = stick_masks(file) > 0
    mask = figure_mask(file, View(.4), ClipSpec(5, 1., 64))
    first, last = 10, 10 + 24 # 25 frames a second: those from .4 s to 1.4 s, the first and the last included
    np.testing.assert_array_equal(mask[[0, -1]], whole[[first, last]][:, :, 40:280])
    np.testing.assert_array_equal(figure_mask(file, View(.4, flip=True), ClipSpec(5, 1., 64)), mask[..., ::-1])


def test_scores_of_maps_worked_by_hand():
    share = np.array([[[1., .5], [0, 0]]])
    assert energy_inside(np.array([[[2., 2], [4, -9]]]), share) == 3/8
    assert points_at(share, share) and not points_at(1 - share, share) and not points_at(share*0, share)
    assert area([1, 1, 1]) == 1 and area([1, 0]) == .5 and area([1, .5, 0]) == .5
    assert tubelet_share(np.ones((8, 30, 30), bool), (4, 2, 2)).tolist() == np.ones((4, 2, 2)).tolist()
    blob = centre_blob((2, 7, 7))
    assert blob.reshape(2, -1).argmax(1).tolist() == [24, 24]


def test_a_method_must_beat_the_control_on_enough_recordings():
    import pandas as pd
    def rows(n): return pd.DataFrame([{"map": m, "group": f"g{g}", "energy": e + g/1000, "pointing": 1., "deletion": .5, "insertion": .5}
                                      for m, e in (("a", .2), ("b", .6)) for g in range(n)])
    assert advantage(rows(40), "b", "a").passes.tolist() == [True, False, False, False]
    few = advantage(rows(4), "b", "a")
    assert not few.passes.any() and few.low.isna().all()


# -- the command and the report --

def run(*args): return cli.main([str(a) for a in args])


def test_the_command_writes_a_gif_for_each_video(model, film, tmp_path, capsys):
    other = tmp_path/"b"/film.name
    other.parent.mkdir()
    other.write_bytes(film.read_bytes())
    assert run("explain", model, film, other, "--method", "gradcam", "--out", tmp_path/"maps", "--device", "cpu", "--json") == 0
    out = capsys.readouterr()
    found = json.loads(out.out)
    assert [r["video"] for r in found] == [str(film), str(other)] and {r["method"] for r in found} == {"gradcam"}
    assert sorted(p.name for p in (tmp_path/"maps").iterdir()) == ["film-gradcam-2.gif", "film-gradcam.gif"]
    assert np.shape(found[0]["heat"]) == (4, 2, 2) and Image.open(found[0]["file"]).n_frames > 1
    assert run("explain", model, film, "--out", tmp_path/"maps", "--label", "Nod") == 0
    out = capsys.readouterr()
    assert out.out.splitlines()[0] == str(film) and " Nod  " in out.out


def test_the_exit_status_of_the_command(model, film, tmp_path, capsys):
    assert run("explain", model) == 2 and run("explain", model, film, "--method", "lime") == 2
    assert run("explain", model, film, "--label", "Fly", "--out", tmp_path) == 1 and run("explain", tmp_path/"none", film) == 1
    assert run("explain", model, film, "nowhere.mp4", "--method", "gradcam", "--out", tmp_path) == 1
    out = capsys.readouterr()
    assert "nowhere.mp4" in out.err and str(film) in out.out and (tmp_path/"film-gradcam.gif").exists()
    assert run("evaluate", model, tmp_path, "--explain", "gradcam") == 2


def test_the_report_shows_a_map_beside_each_mistake(model, film, tmp_path):
    import pandas as pd
    evil = '<img src=x onerror=alert(1)>'
    net = AutoModelForVideoClassification.from_pretrained(model)
    net.config.id2label, net.config.label2id = {0: evil, 1: "b"}, {evil: 0, "b": 1}
    folder = write_checkpoint(tmp_path/"evil", net)
    SPEC.save(folder)
    t = pd.DataFrame(dict(path=[str(film)]*2, split="test", label=["b", "b"], group=["g1", "g2"], clip="c"))
    s = score(t, np.array([[3., 0.], [0., 3.]]), {0: evil, 1: "b"}, "1 × 1")
    page = report(s, SPEC, tmp_path/"r.html", explain="gradcam", model=folder).read_text()
    assert page.count("data:image/gif;base64,") == 4 and page.count('alt="evidence for &lt;img') == 2 # As a mistake and as a pair
    assert evil not in page and "<script" not in page and "://" not in page
    with pytest.raises(ValueError, match="pass model="): report(s, SPEC, tmp_path/"r.html", explain="gradcam")


def test_evaluate_refuses_a_map_before_the_long_run(tmp_path, data, capsys, monkeypatch):
    from vidcls import scoring
    monkeypatch.setattr(scoring, "evaluate_videos", lambda *a, **k: pytest.fail("the evaluation has begun"))
    folder = family_model(tmp_path/"m", "timesformer")
    assert run("evaluate", folder, data, "--report", tmp_path/"r.html", "--explain", "rollout") == 1
    assert "A TimeSformer has no layers that attend to a whole clip" in capsys.readouterr().err


def test_a_box_without_tokens_is_refused():
    from vidcls.see import occlusion_boxes
    with pytest.raises(ValueError, match="at least one token wide, not 0"): occlusion_boxes((2, 4, 4), 0)
