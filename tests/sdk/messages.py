"""Uses a gateway through Anthropic's Python package, and fails if it does not behave like Anthropic's API.

    messages.py BASE_URL API_KEY
"""

import base64
import pathlib
import sys

import anthropic
from pydantic import BaseModel

base_url, key = sys.argv[1:]
client = anthropic.Anthropic(base_url=base_url.removesuffix("/v1"), api_key=key, max_retries=0, timeout=20)
IMAGE = (pathlib.Path(__file__).parent.parent / "images" / "still.png").read_bytes()
THINKING = {"type": "enabled", "budget_tokens": 2048}


def asked(text, **more):
    messages = [{"role": "user", "content": text}]
    return {"model": "gpt-5.5", "max_tokens": 1024, "system": "Be brief.", "messages": messages, **more}


def say(text, **more):
    return client.messages.create(**asked(text, **more))


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def fails(kind, type, asking):
    try:
        asking()
    except anthropic.APIStatusError as error:
        assert isinstance(error, kind) and error.type == type, f"{error!r} is no {kind.__name__} with {type}"
        assert error.api_message and error.request_id, error.response.headers
        assert error.body["request_id"] == error.request_id, error.body
        return error
    raise AssertionError(f"no {kind.__name__}")


def whole():
    message = say("hello")
    assert [block.type for block in message.content] == ["text"], message
    assert text_of(message) == "You said: hello", message
    assert (message.role, message.type, message.model) == ("assistant", "message", "gpt-5.5"), message
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None), message
    # The scripted model reports 100 tokens of input, 40 of them cached, and 5 of output.
    usage = message.usage
    cached = (usage.cache_read_input_tokens, usage.cache_creation_input_tokens)
    assert (usage.input_tokens, *cached, usage.output_tokens) == (60, 40, 0, 5), usage
    assert message.id.startswith("msg_") and message._request_id, message
    assert say("hello").id != message.id


def streamed():
    events = list(say("hello", stream=True))
    kinds = [event.type for event in events]
    begin, end = ["message_start", "content_block_start"], ["content_block_stop", "message_delta", "message_stop"]
    deltas = events[2:-3]
    assert kinds == [*begin, *["content_block_delta"] * len(deltas), *end] and deltas, kinds
    assert "".join(event.delta.text for event in deltas) == "You said: hello", deltas
    opening = events[0].message
    assert (opening.content, opening.stop_reason, opening.stop_sequence) == ([], None, None), opening
    assert opening.usage.input_tokens > 0 and opening.id.startswith("msg_"), opening
    closing = events[-2]
    assert closing.delta.stop_reason == "end_turn", closing
    usage = closing.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (60, 40, 5), usage


def helped():
    with client.messages.stream(**asked("hello")) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_message()
        assert stream.request_id, "no request-id"
    assert kinds.count("text") >= 1 and kinds[-1] == "message_stop", kinds
    assert text_of(message) == "You said: hello" and message.stop_reason == "end_turn", message
    with client.messages.stream(**asked("hello")) as stream:
        assert "".join(stream.text_stream) == "You said: hello"


def beating():
    """A silent stream has pings, which the package skips."""
    with client.messages.stream(**asked("slowly")) as stream:
        texts = stream.text_stream
        assert next(texts) == "before "
        pings = 0
        with client.messages.with_streaming_response.create(**asked("for ever", stream=True)) as other:
            for line in other.iter_lines():
                pings += line == "event: ping"
                if pings == 3:
                    break
        assert text_of(say("go on")) == "You said: go on"
        assert "".join(texts) == "after"


def blocks():
    """Blocks in place of texts, messages of one role in a row, and instructions in the middle."""
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    parts = [{"type": "text", "text": "first"}, {**system[0], "text": "second"}]
    messages = [
        {"role": "user", "content": "one"},
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": [{"type": "text", "text": "three"}]},
        {"role": "user", "content": parts},
    ]
    message = say("", system=system, messages=messages, metadata={"user_id": "u"})
    assert text_of(message).replace("\n", "") == "You said: firstsecond", message


def images():
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(IMAGE).decode()}
    content = [{"type": "text", "text": "what is this?"}, {"type": "image", "source": source}]
    message = say("", messages=[{"role": "user", "content": content}])
    assert text_of(message) == "You said: what is this?", message


def stopped():
    """The answer ends before a sequence, which may be in several events, though the model goes on."""
    for question, sequence, text, reason in [
        ("on and on", "STOP", "one ", "stop_sequence"),
        ("on and on", "e S", "on", "stop_sequence"),
        ("one STOP two", None, "You said: one STOP two", "end_turn"),
    ]:
        asking = asked(question, stop_sequences=["never", sequence or "ever"])
        with client.messages.stream(**asking) as stream:
            streamed = stream.get_final_message()
        for message in [client.messages.create(**asking), streamed]:
            assert text_of(message) == text, message
            assert (message.stop_reason, message.stop_sequence) == (reason, sequence), message


def cut():
    for text, reason in [("too much", "max_tokens"), ("filtered", "refusal")]:
        with client.messages.stream(**asked(text)) as stream:
            streamed = stream.get_final_message()
        for message in [say(text), streamed]:
            assert (text_of(message), message.stop_reason) == ("half", reason), message


def thought():
    """Thinking, which is sent back with the next question."""
    with client.messages.stream(**asked("think", thinking=THINKING)) as stream:
        thoughts = "".join(event.thinking for event in stream if event.type == "thinking")
        streamed = stream.get_final_message()
    assert thoughts == "I am thinking.", thoughts
    for message in [say("think", thinking=THINKING), streamed]:
        assert [block.type for block in message.content] == ["thinking", "text"], message
        thinking = message.content[0]
        assert thinking.thinking == "I am thinking." and thinking.signature, thinking
        assert text_of(message) == "thought", message
        messages = [
            *asked("think")["messages"],
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": "again"},
        ]
        again = say("", thinking=THINKING, messages=messages)
        assert text_of(again) == "You said: again", again
    hidden = say("think", thinking={"type": "adaptive", "display": "omitted"}).content[0]
    assert (hidden.type, hidden.thinking) == ("thinking", "") and hidden.signature, hidden
    for more in [{}, {"thinking": {"type": "disabled"}}]:
        assert [block.type for block in say("think", **more).content] == ["text"]


class Answer(BaseModel):
    answer: int


def structured():
    message = client.messages.parse(**asked("as json"), output_format=Answer)
    assert message.parsed_output == Answer(answer=4), message
    with client.messages.stream(**asked("as json"), output_format=Answer) as stream:
        assert stream.get_final_message().parsed_output == Answer(answer=4)


def fanned_out():
    for message in [
        say("hello", extra_body={"parallel_calls": 3}),
        client.messages.stream(**asked("hello"), extra_body={"parallel_calls": 3}).__enter__().get_final_message(),
    ]:
        assert [block.type for block in message.content] == ["text"], message
        assert message.stop_reason == "end_turn" and text_of(message), message
        # Three candidates and a synthesis.
        assert message.usage.output_tokens == 20, message.usage


def counted():
    def count(text, **more):
        asking = asked(text, **more)
        del asking["max_tokens"]
        return client.messages.count_tokens(**asking).input_tokens

    tool = {"name": "f", "description": "A function. " * 20, "input_schema": {"type": "object"}}
    short, long = count("hello"), count("hello " * 1000)
    assert 0 < short < 100 and 500 < long < 4000, (short, long)
    assert short < count("hello", tools=[tool]) and short < count("hello", system="Be brief. " * 20)


def models():
    ids = [model.id for model in client.models.list()]
    assert "gpt-5.5" in ids, ids
    model = client.models.retrieve("gpt-5.5")
    assert (model.id, model.type) == ("gpt-5.5", "model") and model.display_name and model.created_at, model
    fails(anthropic.NotFoundError, "not_found_error", lambda: client.models.retrieve("gpt-99"))


def errors():
    def refused(path, **more):
        error = fails(anthropic.BadRequestError, "invalid_request_error", lambda: say("hi", **more))
        assert path in error.api_message, error

    refused("messages", messages=[])
    refused("messages.0.content.0", messages=[{"role": "user", "content": [{"type": "nothing"}]}])
    refused("tools.0", tools=[{"type": "web_fetch_20250910", "name": "web_fetch"}])
    refused("max_tokens", max_tokens=anthropic.omit)
    url = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    refused("messages.0.content.0.source", messages=[{"role": "user", "content": [url]}])

    limited = fails(anthropic.RateLimitError, "rate_limit_error", lambda: say("limited"))
    assert "retry-after" in limited.response.headers, limited.response.headers
    fails(anthropic.RateLimitError, "rate_limit_error", lambda: say("spent"))
    fails(anthropic.InternalServerError, "api_error", lambda: say("broken"))
    fails(anthropic.OverloadedError, "overloaded_error", lambda: say("crowded"))
    fails(anthropic.BadRequestError, "invalid_request_error", lambda: say("too long"))
    fails(anthropic.NotFoundError, "not_found_error", lambda: say("no such model"))
    # The helper opens its stream with the same errors.
    fails(anthropic.RateLimitError, "rate_limit_error", lambda: say("limited", stream=True))
    stranger = client.with_options(api_key="sk-wrong")
    fails(anthropic.AuthenticationError, "authentication_error", lambda: stranger.messages.create(**asked("hi")))
    bearer = anthropic.Anthropic(base_url=client.base_url, auth_token=key, max_retries=0, timeout=20)
    assert text_of(bearer.messages.create(**asked("hi"))) == "You said: hi"


def broken_stream():
    text = ""
    try:
        with client.messages.stream(**asked("break off")) as stream:
            for delta in stream.text_stream:
                text += delta
    except anthropic.APIStatusError as error:
        assert (text, error.type) == ("word", "api_error"), (text, error)
    else:
        raise AssertionError("a broken stream looks whole")


ANSWERS = [whole, streamed, helped, beating, blocks, images, stopped, cut, thought, structured, fanned_out]
for check in [*ANSWERS, counted, models, errors, broken_stream]:
    check()
    print("ok", check.__name__, flush=True)
