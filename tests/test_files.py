"""Files that are written whole or not at all, and their names."""

from pathlib import Path

import pytest

from monitor.files import expand_home, sha256, written_whole


@pytest.mark.parametrize("durable", [False, True])
def test_the_target_appears_whole_at_the_end(tmp_path: Path, durable: bool) -> None:
    """With the folder it belongs to; until then the old content stays."""
    target = tmp_path / "new/a.npz"
    for content in (b"first", b"second"):
        with written_whole(target, durable=durable) as part:
            part.write_bytes(content)
            assert part.suffix == ".npz"
            assert target.exists() == (content == b"second")
        assert target.read_bytes() == content
    assert list(target.parent.iterdir()) == [target]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """Whatever stopped the writer."""
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        interrupted_write(target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_two_writers_of_one_target_do_not_meet(tmp_path: Path) -> None:
    """The last to finish wins, whole."""
    target = tmp_path / "a"
    with written_whole(target) as one, written_whole(target) as other:
        one.write_bytes(b"one")
        other.write_bytes(b"other")
        assert one != other
    assert target.read_bytes() == b"one"


def test_a_file_is_known_by_its_hash(tmp_path: Path) -> None:
    """SHA-256 of nothing is a published constant."""
    (tmp_path / "a").touch()
    assert sha256(tmp_path / "a") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_home_directory_is_expanded_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown user stays as written."""
    monkeypatch.setenv("HOME", "/home/me")
    assert expand_home("~/a") == Path("/home/me/a")
    assert expand_home("~nobody-such/a") == Path("~nobody-such/a")


def interrupted_write(target: Path) -> None:
    """Stop after the first bytes, as Ctrl-C does."""
    with written_whole(target) as part:
        part.write_bytes(b"ne")
        raise KeyboardInterrupt
