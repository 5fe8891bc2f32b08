"""Calls functions through Anthropic's Python package, and fails if a gateway does not behave like Anthropic's API.

    messages_tools.py BASE_URL API_KEY

The name of a check is followed by each call's id and the result that was sent for it, which the model must receive.
"""

import sys

import anthropic

base_url, key = sys.argv[1:]
client = anthropic.Anthropic(base_url=base_url.removesuffix("/v1"), api_key=key, max_retries=0, timeout=20)
DEGREES = {"Oslo": "7", "Bergen": "9"}
WARMER = "Bergen is warmer."
COLD = "It is 7 degrees."
CITY = {"properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
WEATHER = {"name": "weather", "description": "How warm it is in a city.", "input_schema": {"type": "object", **CITY}}
STRICT = {**WEATHER, "strict": True}
THINKING = {"type": "adaptive", "display": "summarized"}


def asked(messages, **more):
    return {"model": "gpt-5.5", "max_tokens": 1024, "messages": messages, "tools": [WEATHER], **more}


def ask(messages, **more):
    return client.messages.create(**asked(messages, **more))


def said(text):
    return [{"role": "user", "content": text}]


def called(message, *cities):
    """The results of a message's calls, which must be calls of `weather` for these cities."""
    calls = [block for block in message.content if block.type == "tool_use"]
    assert message.stop_reason == "tool_use", message
    assert [(call.name, call.input) for call in calls] == [("weather", {"city": city}) for city in cities], calls
    assert len({call.id for call in calls}) == len(calls), f"ids: {calls}"
    results = zip(calls, cities, strict=True)
    return [{"type": "tool_result", "tool_use_id": call.id, "content": DEGREES[city]} for call, city in results]


def answered(messages, message, results):
    return [*messages, {"role": "assistant", "content": message.content}, {"role": "user", "content": results}]


def ended(message, text):
    assert [(block.type, block.text) for block in message.content] == [("text", text)], message
    assert message.stop_reason == "end_turn", message


def pairs(results):
    return [(result["tool_use_id"], result["content"]) for result in results]


def looped():
    """Two calls in one message, with results in another order."""
    messages = said("call two")
    message = ask(messages)
    assert [block.type for block in message.content] == ["tool_use", "tool_use"], message
    results = called(message, "Oslo", "Bergen")
    ended(ask(answered(messages, message, [*reversed(results)])), WARMER)
    return pairs(results)


def streamed():
    messages = said("call two")
    with client.messages.stream(**asked(messages, tools=[STRICT])) as stream:
        events = list(stream)
        message = stream.get_final_message()
    pieces = [event.partial_json for event in events if event.type == "input_json"]
    assert pieces, events
    opened = [event.content_block for event in events if event.type == "content_block_start"]
    assert [(block.type, block.name) for block in opened] == [("tool_use", "weather")] * 2, opened
    results = called(message, "Oslo", "Bergen")
    with client.messages.stream(**asked(answered(messages, message, results), tools=[STRICT])) as stream:
        ended(stream.get_final_message(), WARMER)
    return pairs(results)


def spoken():
    """Text before a call is in the same message."""
    messages = said("speak, then call")
    message = ask(messages)
    assert [block.type for block in message.content] == ["text", "tool_use"], message
    assert message.content[0].text == "Let me look.", message
    results = called(message, "Oslo")
    ended(ask(answered(messages, message, results)), COLD)
    with client.messages.stream(**asked(messages)) as stream:
        assert [block.type for block in stream.get_final_message().content] == ["text", "tool_use"]
    return pairs(results)


def thought():
    """Thinking before a call is sent back with it."""
    messages = said("think, then call")
    with client.messages.stream(**asked(messages, thinking=THINKING)) as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "tool_use"], message
    assert message.content[0].thinking == "I am thinking." and message.content[0].signature, message
    results = called(message, "Oslo")
    ended(ask(answered(messages, message, results), thinking=THINKING), COLD)
    return pairs(results)


def failed():
    """The result of a call that failed, in parts, and further text of the user."""
    messages = said("call one")
    message = ask(messages)
    [result] = called(message, "Oslo")
    parts = [{"type": "text", "text": "no such city"}]
    results = [{**result, "content": parts, "is_error": True}, {"type": "text", "text": "never mind"}]
    ended(ask(answered(messages, message, results)), "You said: never mind")


def elsewhere():
    """A call of another provider, with thinking whose signature is foreign."""
    use = {"type": "tool_use", "id": "toolu_from.elsewhere-1", "name": "weather", "input": {"city": "Oslo"}}
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "EqoBCkgIAxABGAIiQL2fVZ"}
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": DEGREES["Oslo"]}
    messages = [*said("called elsewhere"), {"role": "assistant", "content": [thinking, use]}]
    ended(ask([*messages, {"role": "user", "content": [result]}]), COLD)
    return pairs([result])


def ran():
    """The package's own loop: three rounds of calls, each of which depends on the one before."""

    @anthropic.beta_tool
    def locate(person: str) -> str:
        """The city where a person is."""
        return {"Ann": "Oslo"}[person]

    @anthropic.beta_tool
    def weather(city: str) -> str:
        """How warm it is in a city."""
        return DEGREES[city]

    @anthropic.beta_tool
    def dress(degrees: int) -> str:
        """What to wear."""
        return {7: "coat"}[degrees]

    sent = []
    asking = asked(said("three steps"), tools=[locate, weather, dress])
    for stream in [False, True]:
        runner = client.beta.messages.tool_runner(**asking, stream=stream)
        turns = [turn.get_final_message() if stream else turn for turn in runner]
        uses = [block for turn in turns for block in turn.content if block.type == "tool_use"]
        assert [use.name for use in uses] == ["locate", "weather", "dress"], turns
        assert [turn.stop_reason for turn in turns] == ["tool_use"] * 3 + ["end_turn"], turns
        assert turns[-1].content[0].text == "Wear a coat.", turns[-1]
        sent += zip([use.id for use in uses], ["Oslo", "7", "coat"])
    return sent


def chosen():
    """`tool_choice`: whether to make a call, and of which function."""
    for choice in [{"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "weather"}]:
        called(ask(said("call one"), tool_choice={**choice, "disable_parallel_tool_use": True}), "Oslo")
    ended(ask(said("call none"), tool_choice={"type": "none"}), "You said: call none")
    # Calls and results in a request without tools.
    messages = said("call two")
    message = ask(messages)
    results = called(message, "Oslo", "Bergen")
    ended(ask(answered(messages, message, results), tools=[]), WARMER)
    return pairs(results)


def refused():
    """Inconsistent requests are the client's error, before any model request."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_2", "content": "7"}
    calling = {"role": "assistant", "content": [use]}
    formless = {"name": "f", "input_schema": {"type": "array"}}
    theirs = {"type": "code_execution_20250825", "name": "code_execution"}
    for what, path, messages, more in [
        ("a result without a call", "messages", [*said("hi"), {"role": "user", "content": [result]}], {}),
        ("a result of another call", "messages", [*said("hi"), calling, {"role": "user", "content": [result]}], {}),
        ("a call without a result", "messages", [*said("hi"), calling, *said("and?")], {}),
        ("arguments that are no object", "tools", said("hi"), {"tools": [formless]}),
        ("a name twice", "tools", said("hi"), {"tools": [WEATHER, WEATHER]}),
        ("a choice that is no tool", "tool_choice", said("hi"), {"tool_choice": {"type": "tool", "name": "elsewhere"}}),
        ("a tool of the server", "tools.0", said("hi"), {"tools": [theirs]}),
    ]:
        try:
            ask(messages, **more)
        except anthropic.BadRequestError as error:
            assert error.type == "invalid_request_error" and path in error.api_message, f"{what}: {error}"
        else:
            raise AssertionError(f"{what} is taken")


for check in [looped, streamed, spoken, thought, failed, elsewhere, ran, chosen, refused]:
    results = check() or []
    print("ok", check.__name__, *(f"{call}={result}" for call, result in results), flush=True)
