"""The APIs that are recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from intercept.apis import Api, Dialect, RequestedModels
from intercept.dialects.anthropic import messages
from intercept.dialects.bedrock import converse, invoke
from intercept.dialects.bedrock import requests as bedrock_requests
from intercept.dialects.gemini import contents, predictions
from intercept.dialects.gemini import generate_content as gemini
from intercept.dialects.openai import batches, chat_completions, completions, realtime, responses, usage_only
from intercept.formats.content_encoding import OpaqueReader

CHAT_COMPLETIONS: Final = Api(
    name="chat_completions",
    path="/v1/chat/completions",
    dialect=Dialect.OPENAI,
    parse_request=chat_completions.parse_request,
    stream_reader=chat_completions.stream_reader,
    body_reader=chat_completions.body_reader,
    caches_prompts=True,
)
# Its responses have the envelope of chat completions.
COMPLETIONS: Final = replace(
    CHAT_COMPLETIONS,
    name="completions",
    path="/v1/completions",
    parse_request=completions.parse_request,
    caches_prompts=False,
)
RESPONSES: Final = Api(
    name="responses",
    path="/v1/responses",
    dialect=Dialect.OPENAI,
    parse_request=responses.parse_request,
    stream_reader=responses.stream_reader,
    body_reader=responses.body_reader,
    caches_prompts=True,
)
MESSAGES: Final = Api(
    name="messages",
    path="/v1/messages",
    dialect=Dialect.ANTHROPIC,
    parse_request=messages.parse_request,
    stream_reader=messages.stream_reader,
    body_reader=messages.body_reader,
    caches_prompts=True,
)


def _usage_only(
    name: str,
    path: str,
    dialect: Dialect = Dialect.OPENAI,
    *,
    billed: bool = True,
    has_files: bool = False,
    requested_models: RequestedModels = RequestedModels.ONE,
) -> Api:
    return Api(
        name=name,
        path=path,
        dialect=dialect,
        parse_request=usage_only.parse_request,
        stream_reader=usage_only.stream_reader,
        body_reader=usage_only.body_reader,
        billed=billed,
        parse_form=usage_only.parse_form if has_files else None,
        requested_models=requested_models,
    )


REALTIME: Final = replace(_usage_only("realtime", "/v1/realtime"), stream_reader=realtime.stream_reader)
EMBEDDINGS: Final = _usage_only("embeddings", "/v1/embeddings")
RERANK: Final = _usage_only("rerank", "/v1/rerank")
MODERATIONS: Final = _usage_only("moderations", "/v1/moderations", billed=False)
IMAGES: Final = _usage_only("images", "/v1/images/generations")
IMAGE_EDITS: Final = _usage_only("image_edits", "/v1/images/edits", has_files=True)
IMAGE_VARIATIONS: Final = _usage_only("image_variations", "/v1/images/variations", has_files=True)
TRANSCRIPTIONS: Final = _usage_only("transcriptions", "/v1/audio/transcriptions", has_files=True)
TRANSLATIONS: Final = _usage_only("translations", "/v1/audio/translations", has_files=True)
SPEECH: Final = _usage_only("speech", "/v1/audio/speech")
MESSAGES_COUNT_TOKENS: Final = _usage_only(
    "messages_count_tokens", "/v1/messages/count_tokens", Dialect.ANTHROPIC, billed=False
)
MESSAGE_BATCHES: Final = _usage_only(
    "message_batches", "/v1/messages/batches", Dialect.ANTHROPIC, billed=False, requested_models=RequestedModels.UNREAD
)
FILES: Final = replace(
    _usage_only("files", "/v1/files", billed=False, has_files=True, requested_models=RequestedModels.NONE),
    body_reader=batches.body_reader,
    form_names_model=False,
)
UPLOADS: Final = _usage_only("uploads", "/v1/uploads", billed=False, requested_models=RequestedModels.NONE)
UPLOAD_COMPLETIONS: Final = replace(
    UPLOADS, name="upload_completions", path="/v1/uploads/{id}/complete", body_reader=batches.completed_upload_reader
)
BATCHES: Final = replace(
    _usage_only("batches", "/v1/batches", billed=False, requested_models=RequestedModels.UNREAD),
    parse_request=batches.parse_request,
    body_reader=batches.body_reader,
)
_UNREAD: Final = tuple(api.path.removeprefix("/v1") for api in (MESSAGE_BATCHES, BATCHES))
GENERATE_CONTENT: Final = Api(
    name="generate_content",
    path="/{version}/models/{model}:generateContent",
    dialect=Dialect.GEMINI,
    parse_request=contents.parse_request,
    stream_reader=gemini.stream_reader,
    body_reader=gemini.body_reader,
    caches_prompts=True,
)
EMBED_CONTENT: Final = replace(
    GENERATE_CONTENT,
    name="embed_content",
    path="/{version}/models/{model}:embedContent",
    parse_request=contents.parse_plain_request,
    caches_prompts=False,
)
COUNT_TOKENS: Final = replace(
    EMBED_CONTENT, name="count_tokens", path="/{version}/models/{model}:countTokens", billed=False
)
PREDICT: Final = replace(
    EMBED_CONTENT, name="predict", path="/{version}/models/{model}:predict", body_reader=predictions.body_reader
)
# Bedrock streams in AWS's event stream alone.
INVOKE: Final = Api(
    name="invoke",
    path="/model/{model}/invoke",
    dialect=Dialect.BEDROCK,
    parse_request=bedrock_requests.parse_request,
    stream_reader=OpaqueReader,
    body_reader=invoke.body_reader,
    event_stream_reader=invoke.event_stream_reader,
    metered_body_reader=invoke.metered_body_reader,
    caches_prompts=True,
)
CONVERSE: Final = Api(
    name="converse",
    path="/model/{model}/converse",
    dialect=Dialect.BEDROCK,
    parse_request=bedrock_requests.parse_request,
    stream_reader=OpaqueReader,
    body_reader=converse.body_reader,
    event_stream_reader=converse.event_stream_reader,
    caches_prompts=True,
)
BY_PATH: Final[dict[str, Api]] = {api.path: api for api in (CHAT_COMPLETIONS, RESPONSES, MESSAGES)}
"""Those whose bodies name the model, by the path they have below a provider. They are conversations."""
BY_NAME: Final[dict[str, Api]] = {
    api.name.replace("_", "-"): api
    for api in (
        *BY_PATH.values(),
        *(COMPLETIONS, EMBEDDINGS, RERANK, MODERATIONS, IMAGES, IMAGE_EDITS, TRANSCRIPTIONS, SPEECH),
    )
}
"""Those that a route of an operator's own may be recorded by, by the names that settings have for them."""


def has_unread_models(route: str) -> bool:
    """Whether requests to a route, as it is recorded, name models that are not read: those that create batches."""
    return route.endswith(_UNREAD)
