"""What invented people and models write. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PROMPTS: Final = (
    "The nightly export fails with a timeout since Tuesday. Find out why and fix it.",
    "Add pagination to the list of orders, with a cursor that survives new orders.",
    "Why does the test of the payment retries fail one time in ten?",
    "Move the date parsing into a module of its own and give it tests.",
    "Write a migration that adds the column delivered_at, without locking the table.",
    "Review this change before I open the pull request: look for races.",
    "Upgrade the HTTP client to the newest version and fix what breaks.",
    "Explain how the cache of the product search is invalidated.",
    "Make the settings page usable with a keyboard.",
    "Our image is 1.2 GB. Make it smaller without changing what it does.",
    "Draw the sequence of a refund, from the button to the ledger.",
    "The dashboard shows yesterday twice when daylight saving time ends. Fix it.",
    "Write a load test for the login, with 200 users a second.",
    "Replace the hand-written CSV reader by the library that we use elsewhere.",
    "Find every place where we log a customer's mail address.",
    "Add a feature flag for the new checkout and keep the old one working.",
)
FOLLOW_UPS: Final = (
    "Good. Now run all tests and show me what is left.",
    "That breaks the import on Windows. Try another way.",
    "Keep the old name as an alias for one release.",
    "Please commit this with a short message.",
    "Why did you change the second file too?",
    "Add a test for the empty list.",
    "Undo the last step, and explain the options first.",
)
QUESTIONS: Final = (
    "Summarize this ticket in two sentences for the hand-over.",
    "Which of these 40 reviews speak of a late delivery? Answer with their numbers.",
    "Translate the release notes into plain English.",
    "Classify the question: billing, delivery, account or other.",
    "Write an answer to a customer whose parcel was returned to us.",
    "Extract the invoice number, the date and the sum as JSON.",
    "Compare the two contracts and list what differs.",
    "Name the three most likely causes of this drop in sales.",
)
THOUGHTS: Final = (
    "The timeout is in the client, not in the database: the pool has only five connections.",
    "I should look at the tests first, they say what callers rely on.",
    "Two callers use the old signature. I change both and keep the alias.",
    "The failing case needs the clock to jump; an injected clock makes that easy.",
    "This file is generated, so the change belongs in the template.",
    "The lock is held while the request is sent, which explains the long tail.",
)
SUBAGENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        '{"description":"Find callers","prompt":"Find every caller of list_orders.","subagent_type":"Explore"}': "Explore",
        '{"description":"Review the change","prompt":"Look for races.","subagent_type":"code-reviewer"}': "code-reviewer",
        '{"description":"Plan the migration","prompt":"Which tables change?","subagent_type":"Plan"}': "Plan",
    }
)
"""What a model gives to another agent, and the type of that one."""

TOOLS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Read": ('{"file_path":"src/orders/list.py"}', '{"file_path":"src/payments/retry.py","offset":40,"limit":80}'),
        "Grep": ('{"pattern":"delivered_at","path":"src"}', '{"pattern":"timeout=","glob":"*.py"}'),
        "Edit": (
            '{"file_path":"src/orders/list.py","old_string":"offset","new_string":"cursor"}',
            '{"file_path":"src/http.py","old_string":"timeout=5","new_string":"timeout=settings.timeout"}',
        ),
        "Bash": (
            '{"command":"pytest -q tests/orders"}',
            '{"command":"git diff --stat"}',
            '{"command":"npm run build"}',
            '{"command":"docker build -t shop ."}',
        ),
        "Glob": ('{"pattern":"**/*_test.ts"}',),
        "TodoWrite": (
            '{"todos":[{"content":"Find the cause","status":"completed"},{"content":"Fix it","status":"pending"}]}',
        ),
        "Task": tuple(SUBAGENTS),
        "WebFetch": ('{"url":"https://docs.example.com/api","prompt":"How are cursors encoded?"}',),
    }
)
SHELL: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "shell": ('{"command":["rg","-n","delivered_at"]}', '{"command":["pytest","-q"]}'),
        "apply_patch": ('{"input":"*** Begin Patch\\n*** Update File: src/http.py\\n*** End Patch"}',),
        "read_file": ('{"path":"src/orders/list.py"}',),
    }
)
