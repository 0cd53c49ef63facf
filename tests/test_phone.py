"Phone films: upright by their display matrix, with sound, the same every time, and with the fault that chapter 16 is about."
from dataclasses import replace

import av, numpy as np, pytest

from vidcls import ClipSpec, probe_video, read_clip
from vidcls.synthetic.phone import film_name, make_phone_films, phone_frames, phone_scene, ROUNDS, SIZE, write_long_phone, write_phone

ONE = ROUNDS["first"][0]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    pictures = phone_frames(ONE, 0, frames=30)
    return write_phone(tmp_path_factory.mktemp("phone")/"film.mp4", pictures), pictures


def test_the_picture_lies_in_the_file_and_is_read_upright(film):
    path, pictures = film
    info = probe_video(path)
    assert (info.width, info.height, info.fps, info.codec) == (*SIZE[::-1], 30, "h264")
    small = ClipSpec(8, .8, 64, "squash")
    seen = read_clip(path, spec=small).float().mean(0)               # [C, 64, 64]
    rows = np.linspace(0, SIZE[1], 65).astype(int)
    want = [pictures[:25, a:b].mean() for a, b in zip(rows, rows[1:])]
    assert np.abs(seen.mean((0, 2)).numpy() - want).max() < 6        # From the top to the bottom
    assert np.ptp(want) > 20                                         # Or else a film that lies would pass


def test_there_is_sound_as_long_as_the_film(film):
    with av.open(str(film[0])) as c:
        sound, video = c.streams.audio[0], c.streams.video[0]
        assert (sound.codec_context.name, sound.rate) == ("aac", 44_100)
        assert abs(float(sound.duration*sound.time_base) - float(video.duration*video.time_base)) < .1
        assert sum(f.samples for f in c.decode(sound)) >= 44_100*.95


def test_the_same_seed_gives_the_same_bytes_and_another_one_other_people(film, tmp_path):
    again = write_phone(tmp_path/"b.mp4", phone_frames(ONE, 0, frames=30))
    assert again.read_bytes() == film[0].read_bytes()
    assert phone_scene(ONE, 1).actor != phone_scene(ONE, 0).actor


def test_films_of_a_recording_share_what_they_should():
    a, b, c, d = map(phone_scene, ROUNDS["first"])
    assert a.texture == c.texture != b.texture == d.texture                     # Kitchen, living room
    assert a.actor.thigh == b.actor.thigh != c.actor.thigh == d.actor.thigh     # Ann, Bob
    assert replace(a.actor, top=(), legs=()) == replace(b.actor, top=(), legs=()) and a.actor.top != b.actor.top
    assert (film_name(ONE, 0), film_name(ONE, 2)) == ("VID_20261114_101500.mp4", "VID_20261114_101620.mp4")


def test_each_gesture_has_its_own_room_until_the_missing_films_come():
    places = lambda *rounds: {g: {r.place for n in rounds for r in ROUNDS[n] if g in r.films} for g in ("wave", "clap")}
    assert not places("first")["wave"] & places("first")["clap"]
    assert places("first", "missing")["wave"] == places("first", "missing")["clap"]
    assert not places("friends")["wave"] & places("first", "missing")["wave"]


def test_an_interrupted_set_is_finished_and_another_one_is_refused(tmp_path):
    rounds = dict(first=(ONE._replace(films=("wave", "ArmCircles")),))
    made = make_phone_films(tmp_path/"films", rounds, seconds=.2, progress=False)
    names = sorted(p.relative_to(made).as_posix() for p in made.rglob("*.mp4"))
    assert names == ["first/ArmCircles/VID_20261114_101540.mp4", "first/wave/VID_20261114_101500.mp4"]
    was = (made/names[0]).read_bytes()
    (made/names[0]).unlink()
    make_phone_films(made, rounds, seconds=.2, progress=False)
    assert (made/names[0]).read_bytes() == was
    with pytest.raises(ValueError, match="give another folder"): make_phone_films(made, rounds, seed=1, seconds=.2)
    assert (made/"notes.csv").read_text().splitlines() == ["start,place,light,person", "20261114_101500,kitchen,day,Ann"]


def test_a_long_film_says_what_happens_when(tmp_path):
    path = tmp_path/"long.mp4"
    assert write_long_phone(path, ROUNDS["friends"][0]._replace(films=("wave", "clap")), seconds=.4, pause=.2) == [("wave", .2, .6), ("clap", .8, 1.2)]
    assert probe_video(path).duration == pytest.approx(1.4)
