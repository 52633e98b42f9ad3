import csv

from tests.command_line import refused


def test_what_calls_cost_is_written_to_a_file(output, run, record, tmp_path):
    record()
    output("recount", "--from", "2026-01-01")
    file = tmp_path / "spend.csv"
    arguments = ("spend", "export", str(file), "--from", "2026-01-01", "--to", "2027-01-01", "--group-by", "user")
    assert output(*arguments) == ""
    head, row = csv.reader(file.read_text().splitlines())
    assert head[:3] == ["period_start", "period_end", "user_id"]
    assert dict(zip(head, row, strict=True))["username"] == "ada"
    assert refused(run(*arguments)) == (1, f"Error: {file} exists already; --force replaces it\n")
    assert output(*arguments, "--force", "--format", "focus") == ""
    assert file.read_text().startswith('"BilledCost"')
    other = tmp_path / "other.csv"
    wrong = ("--from", "2026-01-02", "--to", "2026-01-01")
    assert refused(run("spend", "export", str(other), *wrong)) == (1, "Error: to: must be after from\n")
    assert not other.exists()
