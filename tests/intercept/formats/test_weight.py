from intercept.formats.weight import (
    LIGHT_BODY_ESCAPES,
    LIGHT_BODY_VALUES,
    LIGHT_BYTES,
    LIGHT_MAX_BYTES,
    LIGHT_SURROGATES,
    Light,
    is_light,
)


def test_a_body_is_light_up_to_its_bounds():
    assert is_light(b"," * LIGHT_BYTES)
    assert not is_light(b"," * (LIGHT_BYTES + 1))
    assert is_light(b"," * LIGHT_BODY_VALUES + b" " * (LIGHT_MAX_BYTES - LIGHT_BODY_VALUES))
    assert not is_light(b"," * (LIGHT_BODY_VALUES + 1) + b" " * LIGHT_BYTES)
    assert not is_light(b" " * (LIGHT_MAX_BYTES + 1))
    assert is_light(b"\\" * LIGHT_BODY_ESCAPES + b" ")
    assert not is_light(b"\\" * (LIGHT_BODY_ESCAPES + 1))
    assert is_light(rb"\ud83d" * LIGHT_SURROGATES)
    assert not is_light(rb"\ud83d" * LIGHT_SURROGATES + rb"\uD83D")
    assert is_light(rb"\n\u00e9" * LIGHT_SURROGATES)
    assert is_light(Light(b"," * (LIGHT_BYTES + 1)))
