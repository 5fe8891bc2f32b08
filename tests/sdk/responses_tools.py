"""Calls functions through the official Python package's Responses API, and fails if a gateway is not like OpenAI's API.

    responses_tools.py BASE_URL API_KEY

Nothing is stored: each request has the whole conversation. The name of a check is followed by each call's id and the
result that was sent for it, which the model must receive.
"""

import json
import sys

import openai
from pydantic import BaseModel

base_url, key = sys.argv[1:]
client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=20)
DEGREES = {"Oslo": "7", "Bergen": "9"}
WARMER = "Bergen is warmer."
COLD = "It is 7 degrees."
CITY = {"properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
FUNCTION = {"type": "function", "name": "weather", "description": "How warm it is in a city."}
LOOSE = {**FUNCTION, "parameters": {"type": "object", **CITY}, "strict": False}
STRICT = {**LOOSE, "strict": True}


class Weather(BaseModel):
    """How warm it is in a city."""

    city: str


def ask(items, **more):
    return client.responses.create(**asked(items, **more))


def asked(items, **more):
    return {"model": "gpt-5.5", "instructions": "Be brief.", "input": items, "tools": [LOOSE], "store": False, **more}


def said(text):
    return [{"role": "user", "content": text}]


def calls_of(response):
    return [item for item in response.output if item.type == "function_call"]


def called(response, *cities):
    """The results of a response's calls, which must be calls of `weather` for these cities."""
    calls = calls_of(response)
    assert response.status == "completed", response
    made = [(call.name, json.loads(call.arguments), call.status) for call in calls]
    assert made == [("weather", {"city": city}, "completed") for city in cities], calls
    assert len({call.call_id for call in calls}) == len({call.id for call in calls}) == len(calls), f"ids: {calls}"
    results = zip(calls, cities, strict=True)
    return [{"type": "function_call_output", "call_id": call.call_id, "output": DEGREES[city]} for call, city in results]


def ended(response, text):
    assert (response.output_text, response.status) == (text, "completed"), response
    assert [item.type for item in response.output] == ["message"], response


def pairs(results):
    return [(result["call_id"], result["output"]) for result in results]


def looped():
    """Two calls in one response, with results in another order."""
    messages = said("call two")
    response = ask(messages)
    assert [item.type for item in response.output] == ["function_call"] * 2, response
    results = called(response, "Oslo", "Bergen")
    ended(ask([*messages, *response.output, *reversed(results)]), WARMER)
    return pairs(results)


def streamed():
    messages = said("call two")
    with client.responses.stream(**asked(messages, tools=[STRICT])) as stream:
        events = list(stream)
        response = stream.get_final_response()
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    deltas = [event for event in events if event.type == "response.function_call_arguments.delta"]
    for event in done:
        pieces = "".join(delta.delta for delta in deltas if delta.item_id == event.item_id)
        assert pieces == event.arguments, deltas
    assert [event.output_index for event in done] == [0, 1], done
    results = called(response, "Oslo", "Bergen")
    with client.responses.stream(**asked([*messages, *response.output, *results], tools=[STRICT])) as stream:
        ended(stream.get_final_response(), WARMER)
    return pairs(results)


def parsed():
    """Strict functions: the arguments are parsed into a class, and the parsed output is sent back unchanged."""
    messages = said("call two")
    tools = [openai.pydantic_function_tool(Weather, name="weather")]
    response = client.responses.parse(**asked(messages, tools=tools))
    arguments = [call.parsed_arguments for call in calls_of(response)]
    assert arguments == [Weather(city="Oslo"), Weather(city="Bergen")], arguments
    results = called(response, "Oslo", "Bergen")
    ended(client.responses.parse(**asked([*messages, *response.output, *results], tools=tools)), WARMER)
    return pairs(results)


def spoken():
    """Text before a call is an item of its own."""
    messages = said("speak, then call")
    response = ask(messages)
    assert [item.type for item in response.output] == ["message", "function_call"], response
    assert response.output_text == "Let me look.", response
    results = called(response, "Oslo")
    ended(ask([*messages, *response.output, *results]), COLD)
    *_, last = ask(messages, stream=True)
    assert [item.type for item in last.response.output] == ["message", "function_call"], last
    return pairs(results)


def thought():
    """Reasoning before a call is sent back with it."""
    messages = said("think, then call")
    more = {"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    response = ask(messages, **more)
    assert [item.type for item in response.output] == ["reasoning", "function_call"], response
    assert response.output[0].encrypted_content, response
    results = called(response, "Oslo")
    ended(ask([*messages, *response.output, *results], **more), COLD)
    return pairs(results)


def stepped():
    """Three rounds of calls, each of which depends on the one before."""
    items, sent = said("three steps"), []
    table = {"locate": "Oslo", "weather": "7", "dress": "coat"}
    free = {"parameters": {"type": "object", "properties": {}, "additionalProperties": True}, "strict": False}
    tools = [{"type": "function", "name": name, **free} for name in table]
    while calls := calls_of(response := ask(items, tools=tools)):
        results = [(call.call_id, table[call.name]) for call in calls]
        outputs = [{"type": "function_call_output", "call_id": call, "output": result} for call, result in results]
        items = [*items, *response.output, *outputs]
        sent += results
    ended(response, "Wear a coat.")
    assert [result for _, result in sent] == list(table.values()), sent
    return sent


def custom():
    """A custom tool, whose input is any text."""
    messages = said("write a note")
    tool = {"type": "custom", "name": "note", "description": "Writes a note.", "format": {"type": "text"}}
    with client.responses.stream(**asked(messages, tools=[tool])) as stream:
        events = [event for event in stream if event.type.startswith("response.custom_tool_call_input")]
        streamed = stream.get_final_response()
    assert events[-1].type == "response.custom_tool_call_input.done" and events[-1].input == "milk, eggs", events
    response = ask(messages, tools=[tool])
    for output in [streamed.output, response.output]:
        [call] = output
        assert (call.type, call.name, call.input) == ("custom_tool_call", "note", "milk, eggs"), call
    result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "noted"}
    ended(ask([*messages, *response.output, result], tools=[tool]), "I made a note.")
    return pairs([result])


def elsewhere():
    """A call of another provider, and its result in parts, after another message."""
    made = {"call_id": "toolu_from.elsewhere-1", "name": "weather", "arguments": '{"city": "Oslo"}'}
    call = {"type": "function_call", **made}
    output = [{"type": "input_text", "text": DEGREES["Oslo"]}]
    between = {"role": "assistant", "content": "I am waiting."}
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": output}
    ended(ask([*said("called elsewhere"), call, between, result]), COLD)
    return pairs([{**result, "output": DEGREES["Oslo"]}])


def chosen():
    """`tool_choice`: whether to make a call, and of which function."""
    named = {"type": "function", "name": "weather"}
    for choice in ["auto", "required", named, {"type": "allowed_tools", "mode": "required", "tools": [named]}]:
        response = ask(said("call one"), tool_choice=choice, parallel_tool_calls=False)
        called(response, "Oslo")
        assert response.parallel_tool_calls is False, response
    ended(ask(said("call none"), tool_choice="none"), "You said: call none")


def refused():
    """Inconsistent requests are the client's error, before any model request."""
    call = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "call_2", "output": "7"}
    formless = {"type": "function", "name": "f", "parameters": {"type": "array"}, "strict": False}
    for what, param, items, more in [
        ("a result without a call", "input", [*said("hi"), result], {}),
        ("a result of another call", "input", [*said("hi"), call, result], {}),
        ("a call without a result", "input", [*said("hi"), call, *said("and?")], {}),
        ("arguments that are no object", "tools", said("hi"), {"tools": [formless]}),
        ("a name twice", "tools", said("hi"), {"tools": [LOOSE, LOOSE]}),
        ("a choice that is no tool", "tool_choice", said("hi"), {"tool_choice": {"type": "function", "name": "no"}}),
        ("a choice without tools", "tool_choice", said("hi"), {"tool_choice": "required", "tools": []}),
    ]:
        try:
            ask(items, **more)
        except openai.BadRequestError as error:
            assert (error.param or "").startswith(param), f"{what}: {error}"
        else:
            raise AssertionError(f"{what} is taken")


for check in [looped, streamed, parsed, spoken, thought, stepped, custom, elsewhere, chosen, refused]:
    results = check() or []
    print("ok", check.__name__, *(f"{call}={result}" for call, result in results), flush=True)
