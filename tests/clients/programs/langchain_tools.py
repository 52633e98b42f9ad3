"""A turn with a tool by LangChain. The argument is the API; the bridge, the token and the prompt are in the environment."""

import os
import sys
from pathlib import Path

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool

# Either takes a second or two of the processor to load.
if sys.argv[1] == "openai":
    from langchain_openai import ChatOpenAI as Model
else:
    from langchain_anthropic import ChatAnthropic as Model


@tool
def make(path: str) -> str:
    """Make a file."""
    Path(path).write_text("by the tool\n")
    return "it is made"


model = Model(model="a-model", base_url=os.environ["BASE_URL"], api_key=os.environ["TOKEN"], max_retries=0)
messages = [HumanMessage(os.environ["PROMPT"])]


def ask():
    """Stream a message, and add it to the conversation."""
    message = None
    for chunk in model.bind_tools([make]).stream(messages):
        message = chunk if message is None else message + chunk
    messages.append(message)
    return message


messages += [ToolMessage(make.invoke(call["args"]), tool_call_id=call["id"]) for call in ask().tool_calls]
sys.stdout.write(ask().text)
