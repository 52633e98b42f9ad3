"""Bodies of policies, and what they mean: `limits/policies/reading.py`, `patterns.py` and `effective.py`."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from limits.policies.compiled import CompiledPolicy, Level, PolicyHolder
from limits.policies.effective import Effective
from limits.policies.policy import Policy, SharedPolicy
from limits.policies.reading import InvalidPolicyError, read_policy
from resources.bodies import InvalidBodyError, read_fields
from storage.policies.documents import KeptPolicy, document_of, read_document

SEEDS = [
    b'{"models":{"allow":["claude-*",{"provider":"openai","model":"gpt-5*"}],"deny":["*-preview"]},"byok":"deny"}',
    b'{"limits":{"each_member":{"budget":{"usd":"50.00","period":"month","reserve":true}}},"max_tokens":9}',
    b'{"limits":{"concurrency":4,"rate":{"requests":60,"window":"1m30s","shadow":true}}}',
    b'{"limits":{"together":{"tokens":{"count":9,"window":"31d"},"concurrency":{"requests":1}}}}',
    b'{"limits":{"budget":{"usd":1e-6,"period":"day"}}}',
]
WORDS = [
    *(b'"models":', b'"allow":', b'"deny":', b'"limits":', b'"each_member":', b'"together":', b'"rate":', b'"budget":'),
    *(b'"usd":', b'"window":', b'"requests":', b'"shadow":true', b"null", b"1e309", b"-0.0", b"*", b"[", b"{"),
]


def check(data: bytes) -> None:
    """A body is refused in words, or makes a policy that is read as it is written, and holds for a caller."""
    for kind, source in (
        (Policy, PolicyHolder(Level.USER, "u", "ada")),
        (SharedPolicy, PolicyHolder(Level.GROUP, "g", "lab")),
    ):
        with suppress(InvalidPolicyError, InvalidBodyError):
            policy = read_policy(read_fields(data), kind)
            assert read_policy(msgspec.json.decode(msgspec.json.encode(policy)), kind) == policy
            document = document_of(KeptPolicy(source, policy, "v"))
            assert document_of(read_document(document)) == document
            effective = Effective([CompiledPolicy(source, policy)], "u")
            effective.refuse_model("openai", data.decode("latin-1"))
            assert all(limit.maximum >= 0 for limit in effective.before_body(pays=False))
