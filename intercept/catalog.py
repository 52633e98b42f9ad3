"""The dialects, and the APIs that are recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from intercept.apis import Api, RequestedModels
from intercept.dialects import anthropic
from intercept.dialects.bedrock import converse, invoke
from intercept.dialects.bedrock import dialect as bedrock_dialect
from intercept.dialects.gemini import dialect as gemini_dialect
from intercept.dialects.gemini import generate_content, interactions
from intercept.dialects.openai import batches, chat_completions, realtime, responses, usage_only
from intercept.dialects.openai import dialect as openai_dialect
from intercept.formats.content_encoding import OpaqueReader

OPENAI: Final = openai_dialect.DIALECT
ANTHROPIC: Final = anthropic.DIALECT
GEMINI: Final = gemini_dialect.DIALECT
BEDROCK: Final = bedrock_dialect.DIALECT
DIALECTS: Final = (ANTHROPIC, OPENAI, BEDROCK, GEMINI)
"""All of them. The first one that has a path refuses it, and OpenAI's what none has."""

CHAT_COMPLETIONS: Final = Api(
    name="chat_completions",
    path="/v1/chat/completions",
    dialect=OPENAI,
    parse_request=chat_completions.parse_request,
    stream_reader=chat_completions.stream_reader,
    body_reader=chat_completions.body_reader,
)
# Its responses have the envelope of chat completions.
COMPLETIONS: Final = replace(
    CHAT_COMPLETIONS,
    name="completions",
    path="/v1/completions",
    parse_request=chat_completions.parse_completion,
)
RESPONSES: Final = Api(
    name="responses",
    path="/v1/responses",
    dialect=OPENAI,
    parse_request=responses.parse_request,
    stream_reader=responses.stream_reader,
    body_reader=responses.body_reader,
)
MESSAGES: Final = Api(
    name="messages",
    path="/v1/messages",
    dialect=ANTHROPIC,
    parse_request=anthropic.parse_request,
    stream_reader=anthropic.stream_reader,
    body_reader=anthropic.body_reader,
)
# The bodies of these are read for the model and the usage alone.
EMBEDDINGS: Final = Api(
    name="embeddings",
    path="/v1/embeddings",
    dialect=OPENAI,
    parse_request=usage_only.parse_request,
    stream_reader=usage_only.stream_reader,
    body_reader=usage_only.body_reader,
)
REALTIME: Final = replace(EMBEDDINGS, name="realtime", path="/v1/realtime", stream_reader=realtime.stream_reader)
RERANK: Final = replace(EMBEDDINGS, name="rerank", path="/v1/rerank")
MODERATIONS: Final = replace(EMBEDDINGS, name="moderations", path="/v1/moderations", billed=False)
IMAGES: Final = replace(
    EMBEDDINGS, name="images", path="/v1/images/generations", parse_request=usage_only.parse_image_request
)
IMAGE_EDITS: Final = replace(
    IMAGES, name="image_edits", path="/v1/images/edits", parse_form=usage_only.parse_image_form
)
IMAGE_VARIATIONS: Final = replace(IMAGE_EDITS, name="image_variations", path="/v1/images/variations")
TRANSCRIPTIONS: Final = replace(
    EMBEDDINGS, name="transcriptions", path="/v1/audio/transcriptions", parse_form=usage_only.parse_form
)
TRANSLATIONS: Final = replace(TRANSCRIPTIONS, name="translations", path="/v1/audio/translations")
SPEECH: Final = replace(EMBEDDINGS, name="speech", path="/v1/audio/speech")
MESSAGES_COUNT_TOKENS: Final = replace(
    MODERATIONS, name="messages_count_tokens", path="/v1/messages/count_tokens", dialect=ANTHROPIC, is_free=True
)
MESSAGE_BATCHES: Final = replace(
    MESSAGES_COUNT_TOKENS,
    name="message_batches",
    path="/v1/messages/batches",
    is_free=False,
    requested_models=RequestedModels.UNREAD,
)
UPLOADS: Final = replace(MODERATIONS, name="uploads", path="/v1/uploads", requested_models=RequestedModels.NONE)
UPLOAD_COMPLETIONS: Final = replace(
    UPLOADS, name="upload_completions", path="/v1/uploads/{id}/complete", body_reader=batches.completed_upload_reader
)
FILES: Final = replace(
    UPLOADS,
    name="files",
    path="/v1/files",
    body_reader=batches.body_reader,
    parse_form=usage_only.parse_form,
    form_names_model=False,
)
BATCHES: Final = replace(
    MODERATIONS,
    name="batches",
    path="/v1/batches",
    parse_request=batches.parse_request,
    body_reader=batches.body_reader,
    requested_models=RequestedModels.UNREAD,
)
_UNREAD: Final = tuple(api.path.removeprefix("/v1") for api in (MESSAGE_BATCHES, BATCHES))
GENERATE_CONTENT: Final = Api(
    name="generate_content",
    path="/{version}/models/{model}:generateContent",
    dialect=GEMINI,
    parse_request=generate_content.parse_request,
    stream_reader=generate_content.stream_reader,
    body_reader=generate_content.body_reader,
)
EMBED_CONTENT: Final = replace(
    GENERATE_CONTENT,
    name="embed_content",
    path="/{version}/models/{model}:embedContent",
    parse_request=generate_content.parse_plain_request,
)
COUNT_TOKENS: Final = replace(
    EMBED_CONTENT, name="count_tokens", path="/{version}/models/{model}:countTokens", billed=False, is_free=True
)
PREDICT: Final = replace(
    EMBED_CONTENT,
    name="predict",
    path="/{version}/models/{model}:predict",
    body_reader=gemini_dialect.predictions_reader,
)
INTERACTIONS: Final = Api(
    name="interactions",
    path="/{version}/interactions",
    dialect=GEMINI,
    parse_request=interactions.parse_request,
    stream_reader=interactions.stream_reader,
    body_reader=interactions.body_reader,
)
# Bedrock streams in AWS's event stream alone.
INVOKE: Final = Api(
    name="invoke",
    path="/model/{model}/invoke",
    dialect=BEDROCK,
    parse_request=converse.parse_request,
    stream_reader=OpaqueReader,
    body_reader=invoke.body_reader,
    event_stream_reader=invoke.event_stream_reader,
    metered_body_reader=invoke.metered_body_reader,
)
CONVERSE: Final = Api(
    name="converse",
    path="/model/{model}/converse",
    dialect=BEDROCK,
    parse_request=converse.parse_request,
    stream_reader=OpaqueReader,
    body_reader=converse.body_reader,
    event_stream_reader=converse.event_stream_reader,
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
