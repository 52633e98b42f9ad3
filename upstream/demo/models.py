"""The models of the demo, as either provider lists them.

Sources: https://platform.openai.com/docs/api-reference/models, https://docs.anthropic.com/en/api/models-list.
"""

from __future__ import annotations

from typing import Any

FAILING = "demo-error"
FAILING_STREAM = "demo-stream-error"
CUT = "demo-cut"

NAMES = {
    "demo": "Demo",
    FAILING: "Demo that fails",
    FAILING_STREAM: "Demo that fails half way",
    CUT: "Demo that breaks half way",
}
"""What to call each model, by id."""

_CREATED = 1767225600
_CREATED_AT = "2026-01-01T00:00:00Z"


def openai_model(model: str) -> dict[str, Any]:
    """One model in OpenAI's words."""
    return {"id": model, "object": "model", "created": _CREATED, "owned_by": "demo"}


def openai_models() -> dict[str, Any]:
    """All models in OpenAI's words."""
    return {"object": "list", "data": [openai_model(model) for model in NAMES]}


def anthropic_model(model: str) -> dict[str, Any]:
    """One model in Anthropic's words."""
    return {
        "type": "model",
        "id": model,
        "display_name": NAMES[model],
        "created_at": _CREATED_AT,
        "lifecycle": "active",
    }


def anthropic_models() -> dict[str, Any]:
    """All models in Anthropic's words, on one page."""
    models = [anthropic_model(model) for model in NAMES]
    return {"data": models, "has_more": False, "first_id": models[0]["id"], "last_id": models[-1]["id"]}
