from tests.cases import for_each
from upstream.reports.names import model_key


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
