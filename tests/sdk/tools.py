"""Calls functions through the official Python package, and fails if a gateway does not behave like OpenAI's API.

    tools.py BASE_URL API_KEY

The name of a check is followed by each call's id and the result that was sent for it, which the model must receive.
"""

import json
import sys

import openai
from pydantic import BaseModel

base_url, key = sys.argv[1:]
client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=20)
DEGREES = {"Oslo": "7", "Bergen": "9"}
WARMER = "Bergen is warmer."


class Weather(BaseModel):
    """How warm it is in a city."""

    city: str


STRICT = openai.pydantic_function_tool(Weather, name="weather")
LOOSE = {
    "type": "function",
    "function": {"name": "weather", "description": Weather.__doc__, "parameters": Weather.model_json_schema()},
}


def ask(messages, **more):
    return client.chat.completions.create(model="gpt-5.5", messages=messages, **{"tools": [LOOSE], **more})


def said(text):
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


def called(calls, *cities):
    """The results of these calls, which must be calls of `weather` for these cities."""
    assert calls, "no calls"
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": city} for city in cities], calls
    assert all(call.type == "function" and call.function.name == "weather" for call in calls), calls
    assert all(call.id for call in calls) and len({call.id for call in calls}) == len(calls), f"ids: {calls}"
    results = zip(calls, cities, strict=True)
    return [{"role": "tool", "tool_call_id": call.id, "content": DEGREES[city]} for call, city in results]


def ended(completion, content, reason):
    choice = completion.choices[0]
    assert choice.message.content == content, choice
    assert choice.finish_reason == reason, choice
    assert len(completion.choices) == 1, completion


def choices(stream):
    """The choices of a stream's chunks. Many clients fail on a null or an empty list of calls."""
    found = [choice for chunk in stream for choice in chunk.choices]
    for choice in found:
        assert "tool_calls" not in choice.delta.model_fields_set or choice.delta.tool_calls, choice
    return found


def looped():
    """Two calls in one answer, with results in another order."""
    messages = said("call two")
    completion = ask(messages)
    ended(completion, None, "tool_calls")
    assert completion.usage.completion_tokens > 0, completion.usage
    message = completion.choices[0].message
    results = called(message.tool_calls, "Oslo", "Bergen")
    completion = ask([*messages, message, *reversed(results)])
    ended(completion, WARMER, "stop")
    assert completion.choices[0].message.tool_calls is None, completion
    return results


def streamed():
    """The pieces of a call, concatenated as most clients do."""
    messages = said("call two")
    chunks = list(ask(messages, stream=True, stream_options={"include_usage": True}))
    told = choices(chunks)
    assert told[0].delta.role == "assistant", told[0]
    assert not any(choice.delta.content for choice in told), told
    calls = []
    for choice in told:
        for piece in choice.delta.tool_calls or []:
            if piece.index == len(calls):
                assert piece.id and piece.type == "function" and piece.function.name, f"a call's first piece: {piece}"
                calls.append(piece.model_copy(deep=True))
            else:
                assert piece.index == len(calls) - 1, f"out of order: {piece}"
                assert piece.id is None and piece.function.name is None, f"a call's later piece: {piece}"
                calls[-1].function.arguments += piece.function.arguments
    assert [choice.finish_reason for choice in told if choice.finish_reason] == ["tool_calls"], told
    assert told[-1].finish_reason, told[-1]
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0, chunks[-1]
    results = called(calls, "Oslo", "Bergen")
    sent = [call.model_dump(include={"id", "type", "function"}) for call in calls]
    stream = ask([*messages, {"role": "assistant", "tool_calls": sent}, *results], stream=True)
    text = "".join(choice.delta.content or "" for choice in choices(stream))
    assert text == WARMER, text
    return results


def helped():
    """The helper that accumulates a stream, with an event for complete arguments."""
    messages = said("call two")
    with client.chat.completions.stream(model="gpt-5.5", messages=messages, tools=[STRICT]) as stream:
        events = list(stream)
        completion = stream.get_final_completion()
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [event.parsed_arguments for event in done] == [Weather(city="Oslo"), Weather(city="Bergen")], done
    assert [(event.index, event.name) for event in done] == [(0, "weather"), (1, "weather")], done
    for event in done:
        deltas = [it for it in events if it.type == "tool_calls.function.arguments.delta" and it.index == event.index]
        assert "".join(delta.arguments_delta for delta in deltas) == event.arguments, deltas
    message = completion.choices[0].message
    ended(completion, None, "tool_calls")
    results = called(message.tool_calls, "Oslo", "Bergen")
    messages = [*messages, message, *results]
    with client.chat.completions.stream(model="gpt-5.5", messages=messages, tools=[STRICT]) as stream:
        ended(stream.get_final_completion(), WARMER, "stop")
    return results


def parsed():
    """Strict functions: the arguments are parsed into a class, and the parsed message is sent back unchanged."""
    messages = said("call two")
    completion = client.chat.completions.parse(model="gpt-5.5", messages=messages, tools=[STRICT])
    message = completion.choices[0].message
    arguments = [call.function.parsed_arguments for call in message.tool_calls]
    assert arguments == [Weather(city="Oslo"), Weather(city="Bergen")], arguments
    results = called(message.tool_calls, "Oslo", "Bergen")
    messages = [*messages, message, *results]
    ended(client.chat.completions.parse(model="gpt-5.5", messages=messages, tools=[STRICT]), WARMER, "stop")
    return results


def speaking():
    """Text before a call is in the same message."""
    messages = said("speak, then call")
    completion = ask(messages)
    ended(completion, "Let me look.", "tool_calls")
    message = completion.choices[0].message
    results = called(message.tool_calls, "Oslo")
    ended(ask([*messages, message, *results]), "It is 7 degrees.", "stop")
    deltas = [choice.delta for choice in choices(ask(messages, stream=True))]
    assert "".join(delta.content or "" for delta in deltas) == "Let me look.", deltas
    texts = [place for place, delta in enumerate(deltas) if delta.content]
    calls = [place for place, delta in enumerate(deltas) if delta.tool_calls]
    assert calls and texts[-1] < calls[0], deltas
    return results


def replayed():
    """Calls of another provider, with ids of another kind, and results in parts."""
    function = {"name": "weather", "arguments": '{"city": "Oslo"}'}
    call = {"id": "toolu_from.elsewhere-1", "type": "function", "function": function}
    parts = [{"type": "text", "text": DEGREES["Oslo"]}]
    result = {"role": "tool", "tool_call_id": call["id"], "content": parts}
    messages = [*said("called elsewhere"), {"role": "assistant", "content": "", "tool_calls": [call]}, result]
    ended(ask(messages), "It is 7 degrees.", "stop")
    return [{**result, "content": DEGREES["Oslo"]}]


def chosen():
    """`tool_choice`: whether to make a call, and of which function."""
    named = {"type": "function", "function": {"name": "weather"}}
    for choice in ["auto", "required", named]:
        # With a named function OpenAI's reason is `stop`, so no particular reason is expected here.
        message = ask(said("call one"), tool_choice=choice, parallel_tool_calls=False).choices[0].message
        called(message.tool_calls, "Oslo")
    completion = ask(said("call none"), tool_choice="none")
    ended(completion, "You said: call none", "stop")
    assert completion.choices[0].message.tool_calls is None, completion


def refused():
    """Inconsistent requests are the client's error, before any model request."""
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "call_2", "content": "7"}
    calling = {"role": "assistant", "content": None, "tool_calls": [call]}
    formless = {"type": "function", "function": {"name": "weather", "parameters": {"type": "array"}}}
    elsewhere = {"type": "function", "function": {"name": "elsewhere"}}
    for what, param, messages, more in [
        ("a result without a call", "messages", [*said("hi"), result], {}),
        ("a result of another call", "messages", [*said("hi"), calling, result], {}),
        ("a call without a result", "messages", [*said("hi"), calling, *said("and?")], {}),
        ("arguments that are no object", "tools", said("hi"), {"tools": [formless]}),
        ("a name twice", "tools", said("hi"), {"tools": [LOOSE, LOOSE]}),
        ("a choice that is no tool", "tool_choice", said("hi"), {"tool_choice": elsewhere}),
        ("a choice without tools", "tool_choice", said("hi"), {"tool_choice": "required", "tools": openai.omit}),
    ]:
        try:
            ask(messages, **more)
        except openai.BadRequestError as error:
            assert (error.param or "").startswith(param), f"{what}: {error}"
        else:
            raise AssertionError(f"{what} is taken")


for check in [looped, streamed, helped, parsed, speaking, replayed, chosen, refused]:
    results = check() or []
    print("ok", check.__name__, *(f"{result['tool_call_id']}={result['content']}" for result in results))
