"""The cache that clones share."""

import errno
import json
import types

import pytest

from coverslip.runtime import result_cache
from coverslip.runtime.run_script import LOG


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with two results, and an entry for them."""
    monkeypatch.chdir(tmp_path)
    for handler in list(LOG.handlers):
        LOG.removeHandler(handler)
    monkeypatch.setattr(LOG, "propagate", True)
    (tmp_path / "results").mkdir()
    outputs = [tmp_path / "results/a.h5", tmp_path / "results/b.csv"]
    for output in outputs:
        output.write_text(output.name)
    return outputs, tmp_path / "shared/coverslip/ab/abc"


def forget(outputs):
    for output in outputs:
        output.unlink()


def test_what_is_kept_is_fetched(place):
    outputs, entry = place
    result_cache.keep(entry, outputs, {"rule": "train"})
    assert [path.name for path in entry.parent.iterdir()] == ["abc"]
    forget(outputs)
    assert result_cache.fetch(entry, outputs) == {"rule": "train"}
    assert [output.read_text() for output in outputs] == ["a.h5", "b.csv"]
    outputs[0].write_text("changed by hand")
    assert (entry / "0").read_text() == "a.h5", "results are copies"


def test_nothing_is_fetched_where_nothing_is(place):
    outputs, entry = place
    forget(outputs)
    assert result_cache.fetch(entry, outputs) is None
    assert not any(output.exists() for output in outputs)


def changed_note(entry, change):
    note = json.loads((entry / result_cache.NOTE).read_text())
    change(note)
    (entry / result_cache.NOTE).write_text(json.dumps(note))


@pytest.mark.reliability(
    "D25",
    "an entry of the shared cache that is damaged, has no record, or is 200,000 levels deep",
    "one warning; the job runs and replaces the entry",
)
@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "1").write_text("b.csX"),
        lambda entry: (entry / "1").unlink(),
        lambda entry: (entry / result_cache.NOTE).write_text("{"),
        lambda entry: (entry / result_cache.NOTE).write_text("[]"),
        lambda entry: (entry / result_cache.NOTE).write_text(
            json.dumps({"files": ["x"], "record": {}})
        ),
        lambda entry: changed_note(entry, lambda note: note.pop("record")),
        lambda entry: changed_note(entry, lambda note: note.update(record=[1])),
        lambda entry: changed_note(entry, lambda note: note.update(record="x")),
        lambda entry: (entry / result_cache.NOTE).write_text("[" * 200_000),
        lambda entry: (entry / result_cache.NOTE).write_bytes(b"\xff"),
    ],
)
def test_a_damaged_entry_is_replaced(place, damage):
    outputs, entry = place
    result_cache.keep(entry, outputs, {})
    damage(entry)
    results = outputs[0].parent
    forget(outputs)
    assert result_cache.fetch(entry, outputs) is None
    assert [path.name for path in results.iterdir() if path.suffix == ".part"] == []
    for output in outputs:
        output.write_text(output.name)
    result_cache.keep(entry, outputs, {"rule": "again"})
    assert result_cache.fetch(entry, outputs) == {"rule": "again"}


def test_a_cache_that_cannot_be_written_is_done_without(place, caplog):
    outputs, entry = place
    entry.parents[2].mkdir()
    entry.parents[1].write_text("in the way")
    result_cache.keep(entry, outputs, {})
    assert "is not kept" in caplog.text
    forget(outputs)
    assert result_cache.fetch(entry, outputs) is None


def test_a_cache_that_is_full_is_done_without_and_left_clean(place, caplog, monkeypatch):
    outputs, entry = place

    def full(source, target):
        target.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(result_cache, "_copy", full)
    result_cache.keep(entry, outputs, {})
    assert "No space left" in caplog.text
    assert list(entry.parent.iterdir()) == []
    monkeypatch.undo()


def test_a_full_disk_of_ones_own_is_an_error(place, monkeypatch):
    outputs, entry = place
    result_cache.keep(entry, outputs, {})

    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(result_cache, "_copy", full)
    with pytest.raises(OSError, match="No space"):
        result_cache.fetch(entry, outputs)


def job(tmp_path, **changes):
    (tmp_path / "input.txt").write_text(changes.pop("text", "1"))
    facts = {
        "rule": "train",
        "wildcards": {"study": "s", "seed": "1"},
        "params": {"code": "abc", "training": {"epochs": 1}},
        "input": [str(tmp_path / "input.txt")],
    }
    return types.SimpleNamespace(**(facts | changes))


def test_an_entry_is_named_by_all_that_a_result_depends_on(tmp_path, monkeypatch):
    monkeypatch.delenv(result_cache.LOCATION, raising=False)
    assert result_cache.entry(job(tmp_path)) is None
    monkeypatch.setenv(result_cache.LOCATION, str(tmp_path / "shared"))
    first = result_cache.entry(job(tmp_path))
    assert result_cache.entry(job(tmp_path)) == first
    assert first.is_relative_to(tmp_path / "shared/coverslip")
    others = [
        result_cache.entry(job(tmp_path, **change))
        for change in (
            {"rule": "prepare"},
            {"wildcards": {"study": "s", "seed": "2"}},
            {"params": {"code": "abd", "training": {"epochs": 1}}},
            {"params": {"code": "abc", "training": {"epochs": 2}}},
            {"text": "2"},
        )
    ]
    (tmp_path / "other.txt").write_text("1")
    others.append(result_cache.entry(job(tmp_path, input=[str(tmp_path / "other.txt")])))
    monkeypatch.setattr(result_cache, "environment", lambda: {"numpy": "0.1"})
    others.append(result_cache.entry(job(tmp_path)))
    assert len({first, *others}) == len(others) + 1
