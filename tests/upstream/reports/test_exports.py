"""Exports of costs: those of Azure and AWS, each as it is and by FOCUS."""

from __future__ import annotations

import csv
import gzip
import io
from contextlib import suppress
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import for_each
from upstream.reports.exports import parse_export, read_exports
from upstream.reports.reported import Reported, ReportedTokens, ReportError, model_key

DAY = date(2026, 9, 1)
AZURE = (
    "date,meterCategory,meterName,quantity,unitOfMeasure,costInBillingCurrency,billingCurrency,paygCostInUsd\n"
    '09/01/2026,"Azure OpenAI","gpt 5.5 0423 Inp glbl Tokens",12.5,1K,0.0125,USD,0.02\n'
    "09/01/2026,Azure OpenAI,gpt 5.5 cchd Inp glbl 1K Tokens,2,1K,0.001,USD,0.001\n"
    "09/01/2026,Azure OpenAI,gpt-5.5 Batch Outp Data Zone 1M Tokens,0.25,1M,2.5,USD,2.5\n"
    "09/01/2026,Storage,Hot LRS Data Stored,3,1 GB/Month,1,USD,1\n"
)
CUR = (
    "line_item_usage_start_date,line_item_product_code,line_item_usage_type,line_item_usage_amount,pricing_unit,"
    "line_item_unblended_cost,line_item_currency_code,product_product_name\n"
    "2026-09-01T00:00:00Z,AmazonBedrock,USE1-Claude4Sonnet-input-tokens,3.5,1K tokens,0.0105,USD,Amazon Bedrock\n"
    "2026-09-01 05:00:00.000,AmazonBedrock,USE1-Claude4Sonnet-cache-write-input-token-count,1,1K tokens,0.004,USD,\n"
    "2026-09-01T00:00:00Z,AmazonBedrock,USE1-Claude4Sonnet-cache-read-input-token-count,2,1K tokens,0.0006,USD,\n"
    "2026-09-01T00:00:00Z,abc123,USE1-MP:USE1_OutputTokenCount-Units,7,Units,0.5,USD,Claude Opus 4 (Amazon Bedrock Edition)\n"
    "2026-09-01T00:00:00Z,AmazonBedrock,USE1-Guardrail-TextUnits,4,Units,0.3,USD,Amazon Bedrock\n"
    "2026-09-01T00:00:00Z,AmazonEC2,USE1-BoxUsage,1,Hrs,9,USD,Amazon Elastic Compute Cloud\n"
)
FOCUS = (
    "ChargePeriodStart,ServiceName,SkuMeter,ConsumedQuantity,ConsumedUnit,BilledCost,ListCost,BillingCurrency\n"
    "2026-09-01T00:00:00Z,Azure OpenAI,gpt-5.5 Output regional,1500,Tokens,0.3,0.4,USD\n"
)


def test_lines_of_azure_are_those_of_its_models():
    assert list(parse_export("azure", AZURE)) == [
        Reported(DAY, "gpt-5-5", ReportedTokens(12_500), Decimal("0.0125"), Decimal("0.02")),
        Reported(DAY, "gpt-5-5", ReportedTokens(0, 0, 2_000), Decimal("0.001"), Decimal("0.001")),
        Reported(DAY, "gpt-5-5", ReportedTokens(0, 250_000), Decimal("2.5"), Decimal("2.5"), "batch"),
    ]


def test_lines_of_aws_are_those_of_bedrock():
    found = list(parse_export("bedrock", CUR))
    assert found == [
        Reported(DAY, "claude-4-sonnet", ReportedTokens(3_500), Decimal("0.0105")),
        Reported(DAY, "claude-4-sonnet", ReportedTokens(0, 0, 0, 1_000), Decimal("0.004")),
        Reported(DAY, "claude-4-sonnet", ReportedTokens(0, 0, 2_000), Decimal("0.0006")),
        Reported(DAY, "claude-opus-4", None, Decimal("0.5")),
        Reported(DAY, "guardrail-textunits", None, Decimal("0.3")),
    ]
    assert model_key(found[0].model) == model_key("us.anthropic.claude-sonnet-4-20250514-v1:0")


def test_focus_is_read_too():
    assert list(parse_export("azure", FOCUS)) == [
        Reported(DAY, "gpt-5-5", ReportedTokens(0, 1_500), Decimal("0.3"), Decimal("0.4"))
    ]


def test_files_are_read_packed_or_not_and_cut_to_the_days(tmp_path):
    plain, packed = tmp_path / "a.csv", tmp_path / "b.csv.gz"
    plain.write_text("\ufeff" + AZURE)
    packed.write_bytes(gzip.compress(FOCUS.encode()))
    assert len(read_exports("azure", [plain, packed], DAY, date(2026, 9, 2))) == 4
    assert read_exports("azure", [plain, packed], date(2026, 9, 2), date(2026, 9, 3)) == []


@for_each(
    ("text", "said"),
    [
        ("", "no column for day, meter, cost; is it an export of costs as CSV?"),
        ("date,meterName\n", "no column for cost; is it an export of costs as CSV?"),
        (AZURE.replace("USD", "EUR"), "line 2: the cost is in 'EUR'; only US dollars are compared"),
        (AZURE.replace("0.0125", "x"), "line 2: 'x' is no number"),
        (AZURE.replace("0.0125", "nan"), "line 2: 'nan' is no number"),
        (AZURE.replace("09/01/2026", "13/45/2026"), "line 2: '13/45/2026' is no day"),
        (FOCUS.replace("2026-09-01T", "2026-9-1T"), "line 2: '2026-9-1T00:00:00Z' is no day"),
        (AZURE + "\0" * 3 + '"' + "x" * 200_000, "field larger than field limit"),
    ],
    ids=["empty", "columns", "currency", "number", "nan", "month", "day", "large"],
)
def test_what_is_no_export_is_said_with_its_line(tmp_path, text, said):
    path = tmp_path / "export.csv"
    path.write_text(text)
    with pytest.raises(ReportError) as refused:
        read_exports("azure", [path], DAY, date(2026, 9, 2))
    assert str(refused.value).startswith(f"{path}: ")
    assert said in str(refused.value)


@for_each(
    "data", [b"\xff\xfe\x00", b"\x1f\x8b\x08 cut", b"PAR1\x15\x00\xff", gzip.compress(b"", mtime=0)[:10] + b"\xff"]
)
def test_what_is_not_text_is_said(tmp_path, data):
    path = tmp_path / "export.parquet"
    path.write_bytes(data)
    with pytest.raises(ReportError, match="give an export as CSV, or that packed with gzip"):
        read_exports("azure", [path], DAY, date(2026, 9, 2))


def test_a_file_that_is_away_is_said(tmp_path):
    with pytest.raises(ReportError, match="No such file or directory; give an export"):
        read_exports("azure", [tmp_path / "none.csv"], DAY, date(2026, 9, 2))


DOLLARS = st.decimals(0, 10_000, places=4)


@given(st.lists(st.tuples(st.integers(0, 10**9), DOLLARS, st.sampled_from(["Inp", "Outp", "cchd Inp"]))))
def test_tokens_and_dollars_of_an_export_add_up(lines):
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("Date", "MeterCategory", "MeterName", "Quantity", "UnitOfMeasure", "CostInUSD", "BillingCurrency"))
    for tokens, usd, kind in lines:
        quantity = Decimal(tokens) / 1000
        writer.writerow(
            ("2026-09-01", "Azure OpenAI", f"gpt 5.5 {kind} glbl Tokens", quantity, "1K Tokens", usd, "EUR")
        )
    found = list(parse_export("azure", out.getvalue()))
    assert sum(one.tokens.total for one in found) == sum(tokens for tokens, _, _ in lines)
    assert sum(one.usd for one in found) == sum(usd for _, usd, _ in lines)
    assert {one.model for one in found} <= {"gpt-5-5"}


@given(st.text())
def test_no_text_breaks_the_reading(text):
    with suppress(ReportError):
        list(parse_export("bedrock", text))


@for_each(
    "names",
    [
        ("gpt-5.5", "gpt-5.5-2026-04-23", "GPT 5.5", "openai.gpt-5.5"),
        ("claude-sonnet-4", "claude-sonnet-4-20250514", "us.anthropic.claude-sonnet-4-20250514-v1:0", "Claude4Sonnet"),
        ("claude-sonnet-4@20250514", "claude-sonnet-4-latest", "anthropic.claude-sonnet-4"),
        ("gpt-4o", "gpt-4o-2024-08-06", "models/gpt-4o", "gpt 4o"),
        ("nova-pro", "amazon.nova-pro-v1:0", "NovaPro"),
    ],
)
def test_names_of_one_model_have_one_key(names):
    assert len({model_key(name) for name in names}) == 1


@for_each(
    ("one", "another"),
    [("gpt-5.4", "gpt-4.5"), ("gpt-5.5", "gpt-5.5-mini"), ("claude-3-5-sonnet", "claude-5-sonnet"), ("o1", "o3")],
)
def test_names_of_two_models_have_two_keys(one, another):
    assert model_key(one) != model_key(another)
