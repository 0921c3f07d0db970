"""A mistake in samples.toml is reported in one line that names the sample."""

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
def test_a_mistake_in_a_sample_is_reported(tmp_path: Path, row: str, problem: str) -> None:
    """The error has the sample's number, its file and the problem."""
    (tmp_path / "01-a.json").write_text("{}", encoding="utf-8")
    (tmp_path / "samples.toml").write_text(f"[[sample]]\n{ROW}[[sample]]\n{row}\n", encoding="utf-8")
    with pytest.raises(SampleError) as raised:
        samples(tmp_path)
    place, message = raised.value.message.split(": ", 1)
    assert place.startswith("samples.toml, sample 2 (0")
    assert message.startswith(problem)


def test_invalid_toml_is_reported(tmp_path: Path) -> None:
    """The error names the line."""
    (tmp_path / "samples.toml").write_text("[[sample]]\nfile = \n", encoding="utf-8")
    with pytest.raises(SampleError, match=r"samples.toml is not TOML: .*line 2"):
        samples(tmp_path)


def test_valid_samples_are_read(tmp_path: Path) -> None:
    """A sample without mistakes is returned."""
    (tmp_path / "01-a.json").write_text("{}", encoding="utf-8")
    (tmp_path / "samples.toml").write_text(f'[[sample]]\n{ROW}expect = [{{ kind = "no item" }}]\n', encoding="utf-8")
    assert [(one.name, one.reads) for one in samples(tmp_path)] == [("a", 1)]
