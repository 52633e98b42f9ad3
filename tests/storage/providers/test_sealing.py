from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.providers.sealing import Sealer, SealError

OLD = bytes(range(32))
OWNER = UUID("5696ce06-dafb-46d9-abac-4ba68b2ecaee")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=600)


@given(text=TEXTS, owner=st.uuids(), other=st.uuids())
def test_it_does_not_open_for_another_provider(text, owner, other):
    sealer = Sealer([OLD])
    sealed = sealer.seal(text, owner)
    if owner != other:
        with pytest.raises(SealError, match="moved from another provider"):
            sealer.open(sealed, other)


@given(text=TEXTS, data=st.data())
def test_it_does_not_open_when_a_bit_was_changed(text, data):
    sealer = Sealer([OLD])
    sealed = bytearray(sealer.seal(text, OWNER))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SealError):
        sealer.open(bytes(sealed), OWNER)


@given(text=TEXTS)
def test_what_is_sealed_under_a_name_opens_under_that_one_alone(text):
    sealer = Sealer([OLD])
    sealed = sealer.seal_named("proxy_credentials", text, OWNER)
    assert sealer.open_named("proxy_credentials", sealed, OWNER) == text
    for name, other in (("aws_access_key", sealed), ("proxy_credentials", sealer.seal(text.replace("\n", ""), OWNER))):
        if name != text.replace("\n", ""):
            with pytest.raises(SealError, match=f"what is sealed as {name} is something else"):
                sealer.open_named(name, other, OWNER)
