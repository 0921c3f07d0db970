"""A mistake in samples.toml is told in one line that names the row."""

from pathlib import Path

import pytest

from sandbox.samples import SampleError, samples

ROW = 'file = "01-a.json"\nshows = "It"\noutcome = "synced"\nreads = 1\nwrites = 1\n'


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (ROW.replace("shows", "shwos"), "shwos is not known; did you mean shows?"),
        (ROW.replace('outcome = "synced"\n', ""), "outcome is missing"),
        (ROW.replace("synced", "done"), 'outcome must be "synced" or "ignored"'),
        (ROW.replace("reads = 1", 'reads = "1"'), "reads must be a whole number"),
        (ROW + 'before = [{ put = "orders/1" }]', "before holds { put = "),
        (ROW + 'before = [{ put = "orders/1", from = "changes/x.json" }]', "there is no samples/changes/x.json"),
        (ROW.replace("01-a", "02-b"), "there is no samples/02-b.json"),
        (
            ROW + 'expect = [{ kind = "profil" }]',
            "expect has the kind 'profil'; did you mean profile?: one of profile, ",
        ),
    ],
)
def test_a_row_that_is_wrong(tmp_path: Path, row: str, problem: str) -> None:
    """The number of the row, its file, and what is wrong with it."""
    (tmp_path / "01-a.json").write_text("{}", encoding="utf-8")
    (tmp_path / "samples.toml").write_text(f"[[sample]]\n{ROW}[[sample]]\n{row}\n", encoding="utf-8")
    with pytest.raises(SampleError) as raised:
        samples(tmp_path)
    place, said = raised.value.message.split(": ", 1)
    assert place.startswith("samples.toml, sample 2 (0")
    assert said.startswith(problem)


def test_rows_that_are_no_toml(tmp_path: Path) -> None:
    """The line is named."""
    (tmp_path / "samples.toml").write_text("[[sample]]\nfile = \n", encoding="utf-8")
    with pytest.raises(SampleError, match=r"samples.toml is not TOML: .*line 2"):
        samples(tmp_path)


def test_rows_that_are_right(tmp_path: Path) -> None:
    """They are read."""
    (tmp_path / "01-a.json").write_text("{}", encoding="utf-8")
    (tmp_path / "samples.toml").write_text(f'[[sample]]\n{ROW}expect = [{{ kind = "no item" }}]\n', encoding="utf-8")
    assert [(one.name, one.reads) for one in samples(tmp_path)] == [("a", 1)]
