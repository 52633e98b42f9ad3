"""Data: the members of large request bodies that are kept, because the parsers of the APIs read them."""

from __future__ import annotations

from typing import Final

WANTED: Final = (
    *("model", "stream", "messages", "input", "metadata", "user_id", "role", "content", "type", "text"),
    *("tool_call_id", "tool_use_id", "call_id", "stream_options", "models", "fallbacks", "plugins", "tools"),
    *("prompt_cache_key", "previous_response_id", "conversation", "store", "background", "id"),
    *("toolResult", "toolUseId", "prompt", "inputText"),
    *("inferenceConfig", "maxTokens", "max_tokens", "max_completion_tokens", "max_output_tokens", "n"),
    *("generationConfig", "generation_config", "maxOutputTokens", "candidateCount", "candidate_count"),
    *("contents", "parts", "functionResponse", "function_response", "name"),
    *("is_error", "status", "output", "response", "error"),
    *("agent", "agent_config", "agentConfig", "environment", "labels", "result"),
    *("previous_interaction_id", "previousInteractionId", "continuation_token", "continuationToken", "svg"),
)
"""Members that the parsers read, on any level."""

AS_IT_IS: Final = frozenset({"stream_options", "models", "fallbacks", "plugins"})
"""Members of the body that are kept unchanged; 0 stands for one that is large."""

SMALL_AS_IT_IS: Final = frozenset({"metadata", "labels"})
"""The same, unless they are large."""

TOOLS: Final = "tools"
"""The member of the body of whose items those are kept that name a model."""

ADDS_TOOLS: Final = "tools.added"
"""A member that is put into a body whose input may have tools that name a model: the middle of an input is not kept."""

OPENROUTER: Final = "openrouter:"
"""How the types of tools begin whose parameters may name models, in several ways."""

FUSION: Final = "fusion"
"""OpenRouter's tool and plugin that asks several models, also where none is named."""

OTHER_DEPTH: Final = -1
"""The depth within an object that is none of the body, its items and their parts."""

INNERMOST_DEPTH: Final = -2
"""The depth within an object in such a one."""

NAMING_DEPTH: Final = -3
"""The depth within an object of `NAMING`: no object is kept there."""

NAMING: Final = frozenset({"svg", "agent_config", "agentConfig"})
"""Objects that name a model."""

ARRAYS: Final = frozenset({(0, "messages"), (0, "input"), (0, "contents"), (2, "content"), (2, "parts")})
"""The lists that are read: of the body, of its items, and of their parts, by depth."""

OBJECTS: Final = frozenset(
    {
        *((0, "metadata"), (0, "conversation"), *[(0, name) for name in sorted(NAMING)], (0, "input")),
        *((0, "inferenceConfig"), (0, "generationConfig"), (0, "generation_config")),
        *((4, "toolResult"), (4, "functionResponse"), (4, "function_response")),
        *((OTHER_DEPTH, "response"), (INNERMOST_DEPTH, "svg")),
    }
)
"""The objects that are read."""

SIZED: Final = frozenset(
    {(2, "content"), (2, "output"), (2, "result"), (4, "content"), (OTHER_DEPTH, "content"), (OTHER_DEPTH, "response")}
)
"""The results of tool calls, of which only the size is read."""

TEXTS: Final = frozenset(
    {(0, "input"), (0, "prompt"), (0, "inputText"), (2, "content"), (2, "text"), (4, "text"), (OTHER_DEPTH, "text")}
)
"""The members that may be a long text, which is read."""

ONCE: Final = frozenset(
    {
        *("model", "agent", "agent_config", "agentconfig", "models", "fallbacks", "plugins", "tools", "input", "svg"),
        *("stream", "stream_options", "input_file_id"),
    }
)
"""The members that may not be there twice: policies, records and who may use a file depend on them."""
