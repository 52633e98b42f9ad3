"""A turn with a tool by LangChain over each API. Where these are, the token and the prompt are in the environment."""

import os
import sys
from pathlib import Path

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def make(path: str) -> str:
    """Make a file."""
    Path(path).write_text("by the tool\n")
    return "it is made"


def ask(model, messages):
    """Stream a message, and add it to the conversation."""
    message = None
    for chunk in model.bind_tools([make]).stream(messages):
        message = chunk if message is None else message + chunk
    messages.append(message)
    return message


for make_model, base_url in (ChatOpenAI, "OPENAI_URL"), (ChatAnthropic, "ANTHROPIC_URL"):
    model = make_model(model="a-model", base_url=os.environ[base_url], api_key=os.environ["TOKEN"], max_retries=0)
    messages = [HumanMessage(os.environ["PROMPT"])]
    calls = ask(model, messages).tool_calls
    messages += [ToolMessage(make.invoke(call["args"]), tool_call_id=call["id"]) for call in calls]
    sys.stdout.write(ask(model, messages).text)
