"""Tables of docs/large_models.md are what benchmarks/scale prints."""

import pytest
from tiny import ROOT, load_script

tables = load_script("benchmarks/scale/tables.py")
PAGE = (ROOT / "docs/large_models.md").read_text()


def row(cells):
    return "| " + " | ".join(cells) + " |\n"


@pytest.mark.parametrize("name", ["calibration", "gpus", "flops"])
def test_tables_without_a_model_are_in_the_page(name):
    assert f"<!-- table: {name} -->\n\n{tables.TABLES[name]()}\n" in PAGE


@pytest.mark.parametrize("label", ["22K, B", "SimMIM, G, 70M"])
def test_rows_of_the_papers_runs_are_in_the_page(label):
    (run,) = (run for run in tables.RUNS if run.label == label)
    assert row(tables.run_row(run)) in PAGE


def test_a_cell_of_the_sizes_is_in_the_page():
    cell = tables.size_cell("tiny", "rtx4090", 1)
    line = PAGE.split("| RTX 4090 |")[1].splitlines()[2]
    assert line.split(" | ")[:2] == ["| tiny", cell]


def test_predictions_are_near_what_was_measured():
    """Where a GPU had enough to do: not at batch 1, and not at window 8."""
    for case, predicted, measured in tables.backbone_rows() + tables.kernel_rows():
        if "batch 1" not in case and "window 8" not in case:
            assert predicted == pytest.approx(measured, rel=0.07), case


def test_write_replaces_one_table(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("<!-- table: gpus -->\n\nold\n\n<!-- end -->\nrest\n")
    monkeypatch.setattr(tables, "PAGE", page)
    tables.write("gpus", "| new |")
    assert page.read_text() == "<!-- table: gpus -->\n\n| new |\n\n<!-- end -->\nrest\n"
    with pytest.raises(ValueError, match="no place for table 'runs'"):
        tables.write("runs", "| new |")
