from types import SimpleNamespace

import pytest

from upstream.demo.api_call import last_message


@pytest.mark.parametrize("role", ["system", "developer"])
def test_what_a_program_puts_behind_the_prompt_is_looked_past(role):
    messages = [SimpleNamespace(role="user"), SimpleNamespace(role=role), SimpleNamespace(role=role)]
    assert last_message(messages, None) is messages[0]
    assert last_message(messages[1:], None) is None
