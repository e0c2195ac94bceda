"""A hand-in says what was answered, and nothing of who was right: that is checked again where it is read."""

import json

import pytest

from controlsde.cli.marks import explained, marked
from controlsde.lessons.contents import lesson_called
from controlsde.lessons.hand_in import HandIn, HandInError

LESSON = lesson_called("one_neuron")


def answers(**given):
    return {one.key: given.get(one.key) for one in LESSON.exercises}


def test_what_was_written_is_read_again(tmp_path):
    handed = HandIn.of(LESSON, answers(turn="-b/w", norm="exp(1)"))
    path = tmp_path / "ann.json"
    path.write_text(handed.to_json(), "utf-8")
    again = HandIn.read(path)
    assert again == handed
    assert again.versions["controlsde"]
    states = {key: verdict.state for key, verdict in again.verdicts().items() if verdict.state != "untouched"}
    assert states == {"turn": "right", "norm": "known mistake"}


def test_every_exercise_has_to_be_there_and_no_other():
    with pytest.raises(ValueError, match="the exercises of one_neuron are"):
        HandIn.of(LESSON, {"turn": "-b/w"})
    with pytest.raises(ValueError, match="the exercises of one_neuron are"):
        HandIn.of(LESSON, answers() | {"other": "1"})


def test_a_claim_to_be_right_in_the_file_is_not_believed(tmp_path):
    path = tmp_path / "eve.json"
    told = {"lesson": "one_neuron", "answers": {"turn": "7"}, "solved": 6, "verdicts": {"turn": "right"}}
    path.write_text(json.dumps(told), "utf-8")
    assert marked(path).solved == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"), ("{", "not JSON"), ("[" * 100_000, "not JSON"), ("[]", "wants a lesson and answers"),
        ('{"lesson": "one_neuron"}', "wants a lesson and answers"), ('{"answers": {}}', "wants a lesson and answers"),
        ('{"lesson": "zero", "answers": {}}', "there is no lesson 'zero'; there are density_as_state"),
        ('{"lesson": "one_neuron", "answers": {"turn": 7}}', "an answer is text"),
        ('{"lesson": "one_neuron", "answers": [1]}', "wants a lesson and answers"),
        (" " * 900_000, "is too large"),
    ],
)  # fmt: skip
def test_what_is_no_hand_in_is_said_in_one_line_with_its_file(text, said, tmp_path):
    path = tmp_path / "odd.json"
    path.write_text(text, "utf-8")
    with pytest.raises(HandInError) as refused:
        HandIn.read(path)
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_a_teacher_sees_who_made_which_mistake(tmp_path):
    path = tmp_path / "ann.json"
    turn = next(one for one in LESSON.exercises if one.key == "turn")
    path.write_text(HandIn.of(LESSON, answers(turn=turn.mistakes[0].answer, norm="exp(0.5)")).to_json(), "utf-8")
    seen = marked(path)
    assert seen.solved == 1
    assert explained([seen]) == [f"ann.json, turn: {turn.mistakes[0].says}"]
    assert seen.to_json()["exercises"]["turn"] == {"state": "known mistake", "says": turn.mistakes[0].says}
