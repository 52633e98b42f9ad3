import csv

from tests.command_line import refused


def test_what_calls_cost_is_written_to_a_file(output, run, tmp_path):
    file = tmp_path / "spend.csv"
    arguments = ("spend", "export", str(file), "--from", "2026-01-01", "--to", "2027-01-01", "--group-by", "user")
    assert output(*arguments) == f"Rows in {file}: 0\n"
    (head,) = csv.reader(file.read_text().splitlines())
    assert head[:3] == ["period_start", "period_end", "user_id"]
    assert refused(run(*arguments)) == (1, f"Error: {file} exists already; --force replaces it\n")
    assert output(*arguments, "--force", "--format", "focus") == f"Rows in {file}: 0\n"
    assert file.read_text().startswith('"BilledCost"')
    code, said = refused(run("spend", "export", str(file), "--from", "2026-01-02", "--to", "2026-01-01"))
    assert (code, "--to must be after --from" in said) == (2, True)
