"""Runs an agent of pydantic-ai over a gateway: three rounds of calls, each of which depends on the one before.

    agent.py BASE_URL API_KEY

The name of a check is followed by each call's id and the result that was sent for it, which the model must receive.
"""

import asyncio
import sys

import openai
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import FunctionToolCallEvent, ModelRequest, ToolCallPart, ToolReturnPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

base_url, key = sys.argv[1:]
client = openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=20)
model = OpenAIChatModel("gpt-5.5", provider=OpenAIProvider(openai_client=client))
agent = Agent(model, instructions="Be brief.", retries=0)
STEPS = [[("locate", {"person": "Ann"})], [("weather", {"city": "Oslo"})], [("dress", {"degrees": 7})]]
BOTH = [[("weather", {"city": "Oslo"}), ("weather", {"city": "Bergen"})]]


@agent.tool_plain
def locate(person: str) -> str:
    """The city where a person is."""
    return {"Ann": "Oslo"}[person]


@agent.tool_plain
async def weather(city: str) -> int:
    """How warm it is in a city."""
    return {"Oslo": 7, "Bergen": 9}[city]


@agent.tool_plain
def dress(degrees: int, indoors: bool = False) -> str:
    """What to wear."""
    return {(7, False): "coat"}[degrees, indoors]


class Report(BaseModel):
    city: str
    degrees: int


def walked(messages, rounds):
    """The results in a run, which must consist of these rounds of calls and then an answer."""
    answers = [message for message in messages if message.kind == "response"]
    made = [[part for part in answer.parts if isinstance(part, ToolCallPart)] for answer in answers]
    calls = [[(part.tool_name, part.args_as_dict()) for part in parts] for parts in made]
    assert calls == [*rounds, []], calls
    reasons = [answer.finish_reason for answer in answers]
    assert reasons == ["tool_call"] * len(rounds) + ["stop"], reasons
    assert all(answer.usage.output_tokens > 0 for answer in answers), [answer.usage for answer in answers]
    requests = [message for message in messages if isinstance(message, ModelRequest)]
    results = [part for request in requests for part in request.parts if isinstance(part, ToolReturnPart)]
    ids = [part.tool_call_id for parts in made for part in parts]
    assert [result.tool_call_id for result in results] == ids and len(set(ids)) == len(ids), (ids, results)
    return results


async def whole():
    run = await agent.run("three steps")
    assert run.output == "Wear a coat.", run.output
    return walked(run.all_messages(), STEPS)


async def streamed():
    async with agent.run_stream("three steps") as run:
        texts = [text async for text in run.stream_text(delta=True, debounce_by=None)]
    assert "".join(texts) == "Wear a coat.", texts
    return walked(run.all_messages(), STEPS)


async def stepped():
    """Node by node, with streamed answers and an event for each call."""
    called = []
    async with agent.iter("three steps") as run:
        async for node in run:
            if Agent.is_model_request_node(node) or Agent.is_call_tools_node(node):
                async with node.stream(run.ctx) as events:
                    called += [it.part.tool_name async for it in events if isinstance(it, FunctionToolCallEvent)]
    assert called == ["locate", "weather", "dress"], called
    assert run.result.output == "Wear a coat.", run.result
    return walked(run.result.all_messages(), STEPS)


async def together():
    async with agent.run_stream("call two") as run:
        output = await run.get_output()
    assert output == "Bergen is warmer.", output
    return walked(run.all_messages(), BOTH)


async def continued():
    """A second question after a history with calls."""
    first = await agent.run("call two")
    results = walked(first.all_messages(), BOTH)
    run = await agent.run("three steps", message_history=first.all_messages())
    assert run.output == "Wear a coat.", run.output
    return results + walked(run.new_messages(), STEPS)


async def typed():
    """A typed answer is a required call: `tool_choice` is `required`."""
    run = await agent.run("report", output_type=Report)
    assert run.output == Report(city="Oslo", degrees=7), run.output
    async with agent.run_stream("report", output_type=Report) as stream:
        output = await stream.get_output()
    assert output == Report(city="Oslo", degrees=7), output


async def main():
    for check in [whole, streamed, stepped, together, continued, typed]:
        results = await check() or []
        print("ok", check.__name__, *(f"{result.tool_call_id}={result.content}" for result in results))


asyncio.run(main())
