"""The models on a serving host belong to the agent's user alone."""

from __future__ import annotations

from pathlib import Path

from nightshift.release.files import close_to_others


def modes(folder: Path) -> dict[str, int]:
    found = [folder, *folder.rglob("*")]
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mode & 0o777
        for path in found
        if not path.is_symlink()
    }


def test_what_others_could_reach_is_closed_and_told(tmp_path: Path) -> None:
    models, elsewhere = tmp_path / "models", tmp_path / "elsewhere"
    version = models / "blue" / "flights" / "1"
    version.mkdir(parents=True)
    file, program = version / "saved_model.pb", version / "run.sh"
    for path, mode in ((file, 0o644), (program, 0o755), (elsewhere, 0o644)):
        path.touch()
        path.chmod(mode)
    models.chmod(0o755)
    (models / "link").symlink_to(elsewhere)
    assert sorted(close_to_others(models)) == sorted([models, file, program])
    assert modes(models) == {
        **{name: 0o700 for name in (".", "blue", "blue/flights", "blue/flights/1")},
        **{f"blue/flights/1/{name}": 0o600 for name in ("saved_model.pb", "run.sh")},
    }
    assert elsewhere.stat().st_mode & 0o777 == 0o644, "a link leads to what is not ours"


def test_what_is_closed_stays_as_it_is(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir(mode=0o700)
    (models / "saved_model.pb").touch(mode=0o400)
    assert close_to_others(models) == []
    assert modes(models) == {".": 0o700, "saved_model.pb": 0o400}
