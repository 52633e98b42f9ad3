import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from resources.fields import Names
from resources.spend import SPEND_BY, SPEND_FORMATS
from storage.accounts.users import Group, Role, Token, User
from storage.queries.found import SPEND
from storage.queries.questions.calendar import Period
from storage.queries.questions.groups import AnswerRow
from storage.queries.questions.question import By, Question

MAY = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ADA, LAB, OPS = UUID(int=1), UUID(int=2), UUID(int=3)
NAMES = Names(
    {ADA: User(id=ADA, username="ada", name="=Ada", role=Role.MEMBER, created_at=MAY)},
    {LAB: Group(id=LAB, name="lab", display_name="", created_at=MAY)},
    {"t1": Token(id="t1", user_id=ADA, name="laptop", created_at=MAY, expires_at=None, revoked_at=None)},
)
USER, GROUP, TOKEN, PROVIDER, MODEL, CLIENT = map(By, SPEND_BY.values())
TOTALS = dict(zip(SPEND, (2, 10, 20, 30, 40, 1, Decimal("1.2345675")), strict=True))
ROW = AnswerRow(MAY, (ADA, "openai", "+gpt", (OPS, LAB), "t1", None), TOTALS)


def table(name, query, *rows):
    written = SPEND_FORMATS[name]
    query = written.change(query)
    text = (written.begin(query) + written.write(query, rows, NAMES)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


# FOCUS 1.4, dataset Cost and Usage: the columns that are mandatory. ChargeClass is null but for corrections.
FOCUS_MANDATORY = (
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd"),
    *("BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd"),
    *("ChargePeriodStart", "ContractedCost", "EffectiveCost", "HostProviderName", "InvoiceIssuerName", "ListCost"),
    *("PricingQuantity", "PricingUnit", "ServiceCategory", "ServiceName", "ServiceProviderName"),
)


def test_focus_has_a_charge_of_a_day_with_the_columns_that_it_demands():
    query = Question(MAY, MAY + 40 * DAY, by=(GROUP, TOKEN, CLIENT), period=Period.MONTH)
    changed = SPEND_FORMATS["focus"].change(query)
    assert (changed.period, changed.by) == (Period.DAY, (USER, PROVIDER, MODEL, GROUP, TOKEN, CLIENT))
    (row,) = table("focus", query, ROW)
    assert {name: value for name, value in row.items() if not name.startswith("x_")} == {
        "BilledCost": "1.2345675",
        "BillingAccountId": "aibridge",
        "BillingAccountName": "AI Bridge",
        "BillingAccountType": "Gateway",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": "2026-06-01T00:00:00Z",
        "BillingPeriodStart": "2026-05-01T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ChargeDescription": "Tokens of +gpt by openai",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": "2026-05-02T00:00:00Z",
        "ChargePeriodStart": "2026-05-01T00:00:00Z",
        "ConsumedQuantity": "100",
        "ConsumedUnit": "Tokens",
        "ContractedCost": "1.2345675",
        "EffectiveCost": "1.2345675",
        "HostProviderName": "openai",
        "InvoiceIssuerName": "openai",
        "ListCost": "1.2345675",
        "PricingCategory": "Standard",
        "PricingQuantity": "100",
        "PricingUnit": "Tokens",
        "ResourceId": "'+gpt",
        "ResourceName": "'+gpt",
        "ResourceType": "Model",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "openai models",
        "ServiceProviderName": "openai",
        "ServiceSubcategory": "Generative AI",
        "SubAccountId": str(ADA),
        "SubAccountName": "ada",
        "SubAccountType": "User",
        "Tags": '{"group":"00000000-0000-0000-0000-000000000003, lab","token":"t1","client":""}',
    }
    own = {name: value for name, value in row.items() if name.startswith("x_")}
    assert list(own.values()) == ["2", "1", "10", "20", "30", "40"]
    assert list(row) == sorted(set(row) - own.keys()) + list(own)
    assert {name for name in FOCUS_MANDATORY if not row[name]} == {"ChargeClass"}


@given(st.text(), st.sampled_from(list(SPEND_FORMATS)))
def test_whatever_a_model_is_called_a_row_is_one_row_and_no_cell_a_formula(model, name):
    row = AnswerRow(MAY, (ADA, "openai", model, (OPS, LAB), "t1", None), TOTALS)
    (cells,) = table(name, Question(MAY, MAY + DAY, by=(USER, PROVIDER, MODEL, GROUP, TOKEN, CLIENT)), row)
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells.values())
