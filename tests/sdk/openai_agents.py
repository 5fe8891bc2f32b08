"""Runs agents of OpenAI's Agents SDK over a gateway's Responses API, with and without its store.

    openai_agents.py BASE_URL API_KEY

The name of a check is followed by each call's id and the result that was sent for it, which the model must receive.
"""

import asyncio
import sys

import agents
import openai
from agents import Agent, ModelSettings, OpenAIResponsesModel, Runner
from openai.types.shared import Reasoning
from pydantic import BaseModel

base_url, key = sys.argv[1:]
agents.set_tracing_disabled(True)
client = openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=20)
model = OpenAIResponsesModel("gpt-5.5", openai_client=client)
SETTINGS = {"store": False, "response_include": ["reasoning.encrypted_content"]}


@agents.function_tool
def locate(person: str) -> str:
    """The city where a person is."""
    return {"Ann": "Oslo"}[person]


@agents.function_tool
def weather(city: str) -> str:
    """How warm it is in a city."""
    return {"Oslo": "7", "Bergen": "9"}[city]


@agents.function_tool
def dress(degrees: int) -> str:
    """What to wear."""
    return {7: "coat"}[degrees]


class Answer(BaseModel):
    answer: int


def agent(**more):
    settings = ModelSettings(**SETTINGS, **more.pop("settings", {}))
    return Agent("helper", instructions="Be brief.", model=model, model_settings=settings, **more)


def results(items):
    """The call's id and the result of each function that was called."""
    outputs = [item.raw_item for item in items if item.type == "tool_call_output_item"]
    return [(output["call_id"], output["output"]) for output in outputs]


async def whole():
    run = await Runner.run(agent(), "hello")
    assert run.final_output == "You said: hello", run.final_output
    assert run.context_wrapper.usage.output_tokens > 0, run.context_wrapper.usage


async def streamed():
    run = Runner.run_streamed(agent(), "hello")
    raw = [event.data async for event in run.stream_events() if event.type == "raw_response_event"]
    text = "".join(event.delta for event in raw if event.type == "response.output_text.delta")
    assert run.final_output == text == "You said: hello", (run.final_output, text)


async def stepped():
    run = await Runner.run(agent(tools=[locate, weather, dress]), "three steps")
    assert run.final_output == "Wear a coat.", run.final_output
    return results(run.new_items)


async def stepped_streamed():
    run = Runner.run_streamed(agent(tools=[locate, weather, dress]), "three steps")
    async for _ in run.stream_events():
        pass
    assert run.final_output == "Wear a coat.", run.final_output
    return results(run.new_items)


async def thought():
    """Reasoning before a call is sent back with it, and a second question after a run with both."""
    thinking = agent(tools=[weather], settings={"reasoning": Reasoning(effort="low", summary="auto")})
    run = await Runner.run(thinking, "think, then call")
    assert run.final_output == "It is 7 degrees.", run.final_output
    first = results(run.new_items)
    run = await Runner.run(thinking, [*run.to_input_list(), {"role": "user", "content": "call two"}])
    assert run.final_output == "Bergen is warmer.", run.final_output
    return first + results(run.new_items)


async def typed():
    run = await Runner.run(agent(output_type=Answer), "as json")
    assert run.final_output == Answer(answer=4), run.final_output


def plain(**more):
    """An agent with the defaults, of which the server stores the responses."""
    return Agent("helper", instructions="Be brief.", model=model, **more)


async def chained():
    first = await Runner.run(plain(), "hello")
    second = await Runner.run(plain(tools=[weather]), "call two", previous_response_id=first.last_response_id)
    assert second.final_output == "Bergen is warmer.", second.final_output
    return results(second.new_items)


async def conversed():
    session = agents.OpenAIConversationsSession(openai_client=client)
    for question in ["hello", "again"]:
        run = await Runner.run(plain(), question, session=session)
        assert run.final_output == f"You said: {question}", run.final_output
    roles = [item["role"] for item in await session.get_items()]
    assert roles == ["user", "assistant"] * 2, roles
    await session.clear_session()


async def main():
    for check in [whole, streamed, stepped, stepped_streamed, thought, typed, chained, conversed]:
        sent = await check() or []
        print("ok", check.__name__, *(f"{call}={result}" for call, result in sent), flush=True)


asyncio.run(main())
