"""A turn with a tool by OpenAI's Agents SDK, over a WebSocket. The bridge, the token and the prompt are in the environment."""

import asyncio
import os
import sys
from pathlib import Path

from agents import Agent, OpenAIResponsesWSModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(disabled=True)


@function_tool
def make(path: str) -> str:
    """Make a file."""
    Path(path).write_text("by the tool\n")
    return "it is made"


async def main() -> None:
    async with AsyncOpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["TOKEN"], max_retries=0) as client:
        model = OpenAIResponsesWSModel(model="a-model", openai_client=client)
        agent = Agent(name="maker", model=model, tools=[make])
        result = await Runner.run(agent, os.environ["PROMPT"])
        sys.stdout.write(result.final_output)
        await model.close()


asyncio.run(main())
