"""The frames of any moment against an independent reader: the `ffmpeg` command line, which decodes from the start.

Films that a careless reader gets wrong without noticing: an index that leads into the middle, holes, stamps out of order, edit
lists, pictures of two fields. Some are made here, others are in ../shared. Without `ffmpeg` these tests skip and say so."""
import io, json, shutil, subprocess

import av, numpy as np, pytest, torch

from vidcls.clips import ClipSpec, read_clip, View
from vidcls.engine.audit import check_videos
from vidcls.engine.video import in_span, probe_video, read_frames, VideoError
from vidcls.engine import video as video_module
from videos import ODD, needs_odd, remux, spoil, with_matrix, write_packets, write_video

needs_ffmpeg = pytest.mark.skipif(not (shutil.which("ffmpeg") and shutil.which("ffprobe")), reason="the ffmpeg command is not installed (apt-get install ffmpeg)")
SPAN = 1.


def told(*args): return subprocess.run([str(a) for a in args], capture_output=True, check=True).stdout


def reference(path):
    "All pictures that ffmpeg shows [T, H, W, 3], as many as 1200, and when; times start at 0."
    shown = json.loads(told("ffprobe", "-v", "quiet", "-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp_time", "-of", "json", path))
    times = [f.get("best_effort_timestamp_time") for f in shown["frames"]]
    size = video_module.read_frames(path, 0., SPAN)[0].shape[2:]
    raw = told("ffmpeg", "-v", "quiet", "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-frames:v", 1200, "-")
    pictures = np.frombuffer(raw, np.uint8)
    return pictures[:len(pictures)//(size[0]*size[1]*3)*size[0]*size[1]*3].reshape(-1, *size, 3), times


def timed(times, info):
    "Seconds from the start; pictures without a stamp, at the start or everywhere, are spaced by the frame rate."
    known = [i for i, t in enumerate(times) if t is not None]
    if not known: return [i/info.fps for i in range(len(times))]
    zero = float(times[known[0]]) - known[0]/info.fps
    return [i/info.fps if t is None else float(t) - zero for i, t in enumerate(times)]


def compare(path, most=2.):
    "At eight moments: the same pictures at the same times, up to `most` grey levels on average."
    pictures, times = reference(path)
    info = probe_video(path)
    times, last = timed(times, info), max(0, info.duration - SPAN)
    assert abs(info.frames - len(pictures)) <= 1 and abs(info.fps*info.duration - info.frames) < .01
    for start in np.linspace(0, last, 8):
        wanted = [i for i, t in enumerate(times[:len(pictures)]) if in_span(t, start - 1e-6, start + SPAN - 1e-6)]
        if not wanted: continue
        got, when = read_frames(path, start, start + SPAN)
        assert len(got) == len(wanted) and np.allclose(when, [times[i] for i in wanted], atol=.002), f"{start:.2f} s"
        for g, i in zip(got, wanted): assert np.abs(g.permute(1, 2, 0).numpy().astype(int) - pictures[i]).mean() < most, f"{start:.2f} s, picture {i}"


# ---------------------------------------------------------------------------------------------- made here

def all_called_key_frames(d, suffix):
    "A film whose index calls every packet a key frame."
    def change(i, p):
        p.is_keyframe = True
        return p
    return remux(write_video(d/f"src{suffix}", 90, codec="mpeg4", gop=40), d/f"index{suffix}", change)


def with_a_hole_in_the_sound(d):
    "A film whose sound should lie behind the end of the file, as where it was cut off."
    noise = [np.random.default_rng(i).normal(0, .3, (1, 1024)).astype(np.float32) for i in range(60)]
    path = remux(write_video(d/"silent.mp4", 100, codec="libx264"), d/"hole.mp4", sound=noise, movflags="faststart")
    data = bytearray(path.read_bytes())
    at = data.rindex(b"stco") + 8 # The sound's list of places: how many, then four bytes each
    for i in range(int.from_bytes(data[at:at + 4], "big")): data[at + 4 + 4*i:at + 8 + 4*i] = len(data).to_bytes(4, "big")
    path.write_bytes(data)
    return path


def with_an_edit_list(d):
    path = d/"edited.mp4"
    told("ffmpeg", "-v", "quiet", "-ss", "0.9", "-i", write_video(d/"long.mp4", 100, codec="libx264", gop=50, bframes=2), "-c", "copy", path)
    return path


def in_decoding_order(d):
    "A film whose presentation stamps count the packets."
    def change(i, p):
        p.pts = p.dts
        return p
    return remux(write_video(d/"ordered.mp4", 90, codec="libx264", bframes=2), d/"unordered.mp4", change)


def with_exif(d):
    "JPEG pictures as a camera writes them, with data beside that PyAV has no name for."
    from PIL import Image
    def jpeg(i):
        file, exif = io.BytesIO(), Image.Exif()
        exif[0x010e] = "a picture"
        Image.fromarray(np.full((48, 64, 3), 3*i, np.uint8)).save(file, "JPEG", quality=95, exif=exif)
        return file.getvalue()
    return write_packets(d/"exif.mov", "mjpeg", "yuvj420p", map(jpeg, range(60)), (64, 48))


MADE = {"every packet a key frame, mp4": lambda d: all_called_key_frames(d, ".mp4"), "every packet a key frame, mkv": lambda d: all_called_key_frames(d, ".mkv"),
        "a hole in the sound": with_a_hole_in_the_sound, "an edit list": with_an_edit_list, "pictures with EXIF": with_exif,
        "raw, 24 per second": lambda d: write_video(d/"raw.h264", 60, codec="libx264", fps=24), "raw, 30 per second": lambda d: write_video(d/"raw.h264", 60, codec="libx264", fps=30),
        "transport stream": lambda d: write_video(d/"t.ts", 90, codec="libx264", bframes=2, gop=25)}


@needs_ffmpeg
@pytest.mark.parametrize("name", MADE)
def test_pictures_are_ffmpegs(name, tmp_path):
    path = MADE[name](tmp_path)
    if name == "a hole in the sound" and not hasattr(av.stream, "Discard"): pytest.skip("PyAV 17 cannot leave streams unread")
    compare(path)


@needs_ffmpeg
def test_stamps_that_go_back_and_forth_are_taken_as_ffmpeg_takes_them(tmp_path):
    path = in_decoding_order(tmp_path)
    _, theirs = reference(path)
    ours, info = read_frames(path)[1], probe_video(path)
    assert np.allclose(ours, timed(theirs, info)[:len(ours)], atol=.002)
    for start in ours[:-30:7]: assert read_frames(path, start, start + SPAN)[1] == [t for t in ours if in_span(t, start, start + SPAN)]


@needs_ffmpeg
@pytest.mark.parametrize("rate", [24, 30])
def test_a_raw_stream_has_the_rate_that_it_says(rate, tmp_path):
    path = write_video(tmp_path/"raw.h264", 60, codec="libx264", fps=rate)
    assert probe_video(path).fps == pytest.approx(rate)


def test_what_is_turned_is_turned_also_where_pyav_names_no_side_data(tmp_path, monkeypatch):
    "`frame.rotation` then says how."
    ramp = np.add.outer(np.arange(48)*2, np.arange(64)*2).astype(np.uint8)[..., None].repeat(3, 2)
    plain = write_video(tmp_path/"plain.mp4", 30, codec="libx264", draw=lambda *_: ramp)
    for angle, matrix in {0: (1, 0, 0, 1), 90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), -90: (0, 1, -1, 0)}.items():
        path = with_matrix(plain, tmp_path/f"{angle}.mp4", *matrix)
        want = read_frames(path)[0]
        with monkeypatch.context() as m:
            def unknown(*_): raise ValueError("29 is not a valid Type")
            real = video_module._turned
            m.setattr(video_module, "_turned", lambda a, f: real(a, type("F", (), {"rotation": f.rotation, "side_data": property(unknown)})()))
            assert torch.equal(read_frames(path)[0], want), angle


def test_a_late_bad_picture_costs_the_views_that_show_it(tmp_path, caplog):
    "The others are read; the check names it; a clip that lacks one of its 25 frames says so."
    path = write_video(tmp_path/"late.mp4", 100, codec="libx264", gop=200)
    sound = read_frames(path)[0]
    spoil(path, lambda i, p: i == 98, byte=255)
    spec = ClipSpec(seconds=1., size=32)
    got, _ = read_frames(path, 1., 2.)
    assert torch.equal(got, sound[25:50])
    assert read_clip(path, View(3.), spec).shape == (16, 3, 32, 32) and "are left out" in caplog.text
    with pytest.raises(VideoError, match="damaged|cannot be decoded|has no frames"): read_frames(path, 3.9, 4.)
    import pandas as pd
    table = pd.DataFrame([dict(path=str(path), split="train", label="A", group="g", clip="c")])
    good, bad = check_videos(table, spec, progress=False)
    assert not len(good) and "late.mp4" in bad.reason[0]


# ---------------------------------------------------------------------------------------------- of others

FOUND = ["tika__testASF.asf", "mp4parser__MOV00006.3gp", "fate-suite__video_cinepak_catfight-cvid-pal8-partial.mp4", "fate-suite__video_h264_wwwq_cut.mp4",
         "fate-suite__video_h264_mov-3elist.mp4", "mp4parser__h264_tos.h264", "file-type__fixture-raw.mts", "fate-suite__video_vc1_vc1-wmapro.mp4",
         "fate-suite__video_vp8_vp8_video_with_alpha.mp4", "mp4ff__cmd_mp4ff-mvhevc_testdata_stereo_spatial.mp4", "derived__negative_start_pts.mkv",
         "decord__unordered.mov", "decord__video_90.mov", "derived__raw_no_pts.h264", "derived__vfr.mp4", "moviepy__no_duration.webm", "torchcodec__av1_video.mkv"]


@needs_odd
@needs_ffmpeg
@pytest.mark.parametrize("name", FOUND)
def test_odd_pictures_are_ffmpegs(name):
    if "wwwq" in name and not hasattr(av.stream, "Discard"): pytest.skip("PyAV 17 cannot leave streams unread")
    compare(ODD/name)


@needs_odd
def test_a_film_whose_last_picture_is_bad_is_still_answered():
    path = ODD/"fate-suite__video_mpeg2video_roundup1414.mp4"
    assert read_clip(path, View(), ClipSpec(size=32)).shape == (16, 3, 32, 32)


@needs_odd
@pytest.mark.parametrize("name, frames, fps", [("fate-suite__video_h264_mov-3elist.mp4", 48, 24), ("file-type__fixture-raw.mts", 31, 30000/1001),
                                              ("derived__negative_start_pts.mkv", 131, 25), ("mp4parser__h264_tos.h264", 1000, 24)])
def test_frames_are_counted_as_they_are_shown(name, frames, fps):
    info = probe_video(ODD/name)
    assert info.frames == frames and info.fps == pytest.approx(fps, rel=.01)
