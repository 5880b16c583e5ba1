"""The labels of AudioSet."""

from monitor.zoo.families.audioset import labels


def test_labels_are_in_the_official_order() -> None:
    """There are 527 unique names, in the order of the published networks' answers."""
    names = labels()
    assert len(set(names)) == len(names) == 527
    expected = {
        0: "Speech",
        1: "Male speech, man speaking",
        12: "Battle cry",
        23: "Baby cry, infant cry",
        74: "Dog",
        137: "Music",
        277: "Funny music",
        399: "Smoke detector, smoke alarm",
        443: "Shatter",
        500: "Silence",
        526: "Field recording",
    }
    assert {index: names[index] for index in expected} == expected
