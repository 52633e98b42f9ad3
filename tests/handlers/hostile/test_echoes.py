"""What looks like a token or a key and is sent where it does not belong is not said back, and not logged."""

import json
import logging
from urllib.parse import quote

CONTROL = "/api/v2/aibridge"
TOKEN = "abcdefghij-0123456789abcdefghijkl"
KEY = "sk-proj-0123456789abcdefghijklmnop"
WEB_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlLW9mLW5vYm9keQ"
SECRETS = {
    TOKEN: "0123456789abcdefghijkl",
    KEY: "0123456789abcdefghijklmnop",
    WEB_TOKEN: "c2lnbmF0dXJlLW9mLW5vYm9keQ",
}
GETS = (
    "{control}/interceptions?q={secret}",
    "{control}/interceptions?q=x:{secret}",
    "{control}/interceptions?q={secret}:x",
    "{control}/interceptions?q=:{secret}",
    "{control}/interceptions?q=a:b:{secret}",
    "{control}/interceptions?q=status:{secret}",
    "{control}/interceptions?q=%22{secret}",
    "{control}/interceptions?{secret}=x",
    "{control}/interceptions?limit={secret}",
    "{control}/interceptions?after_id={secret}",
    "{control}/interceptions/{secret}",
    "{control}/interceptions/export?format={secret}",
    "{control}/sessions?q={secret}",
    "{control}/sessions/{secret}",
    "{control}/stats?by={secret}",
    "{control}/stats?initiator={secret}",
    "{control}/users/{secret}/tokens",
    "{control}/users/{secret}/sessions",
    "{control}/users/{secret}",
    "{control}/{secret}",
    "{control}/{secret}/v1/models",
    "{control}/openai/v1/{secret}",
    "/{secret}",
    "/dashboard/{secret}.js",
    "/help/{secret}",
)
CHANGES = (
    ("DELETE", "tokens/{secret}", None),
    ("DELETE", "users/me/sessions/{secret}", None),
    ("DELETE", "users/{secret}", None),
    ("PATCH", "users/{secret}", {"role": "member"}),
    ("POST", "users", {"username": "{secret}", "role": "member"}),
    ("POST", "users", {"username": "grace", "role": "{secret}"}),
    ("POST", "users", {"username": "{secret} {secret} {secret} {secret}", "role": "member"}),
    ("POST", "users/me/tokens", {"name": "{secret}"}),
    ("POST", "users", {"username": "grace", "role": "member", "name": "{secret}"}),
    ("POST", "users/me/tokens", {"{secret}": "x"}),
    ("POST", "users/me/tokens", {"expires": "{secret}"}),
    ("POST", "users/me/session", {"token": "{secret}"}),
    ("POST", "openai/v1/{secret}", {}),
)


def once(text):
    return quote(text, safe="")


def twice(text):
    return quote("".join(f"%{ord(character):02X}" for character in text))


async def test_nothing_that_looks_like_a_credential_is_said_back_or_logged(running, caplog):
    # no answer and no line of the log has what looks like a credential
    caplog.set_level(logging.INFO)
    client = await running.client()
    for secret, core in SECRETS.items():
        encoded = ["".join(f"%{ord(character):02x}" for character in secret), twice(secret)] if secret == TOKEN else []
        for text in (once(secret), *encoded):
            for path in GETS:
                response = await client.request("GET", path.format(control=CONTROL, secret=text), running.headers)
                assert response.status in {400, 404, 405}, (secret, path)
                says_nothing_of(secret, response, path)
        for method, path, body in CHANGES:
            sent = b"" if body is None else json.dumps(body).replace("{secret}", secret).encode()
            target = f"{CONTROL}/{path.format(secret=secret)}"
            response = await client.request(method, target, running.headers, sent)
            assert response.status in {400, 401, 404, 405}, (secret, path)
            says_nothing_of(secret, response, path)
        assert core not in caplog.text, secret
    await running.afresh()
    # what is said instead tells that something was left out
    status, body = await running.get(f"{CONTROL}/interceptions?q=initiator:{TOKEN}")
    assert status == 400
    assert body["validations"] == [
        {"field": "user", "detail": 'user "[scrubbed]" does not exist or is unavailable to you'}
    ]
    assert (await running.get(f"/{TOKEN}"))[1] == {"message": "not found: GET /[scrubbed]"}
    assert (await running.get("/a%20b"))[1] == {"message": "not found: GET /a%20b"}


def says_nothing_of(secret, response, path):
    said = bytes(response.body) + repr(response.headers).encode()
    for form in (SECRETS[secret], "".join(f"%{ord(one):02x}" for one in SECRETS[secret]), twice(SECRETS[secret])):
        assert form.encode() not in said, (path, said)
    assert json.loads(response.body)
