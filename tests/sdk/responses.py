"""Uses a gateway's Responses API through the official Python package, and fails if it is not like OpenAI's API.

    responses.py BASE_URL API_KEY
"""

import base64
import pathlib
import sys

import openai
from pydantic import BaseModel

base_url, key = sys.argv[1:]
client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=20)
IMAGE = (pathlib.Path(__file__).parent.parent / "images" / "still.png").read_bytes()
ENCRYPTED = ["reasoning.encrypted_content"]


def asked(question, **more):
    return {"model": "gpt-5.5", "instructions": "Be brief.", "input": question, **more}


def say(question, **more):
    return client.responses.create(**asked(question, **more))


def fails(kind, question="hi", **more):
    try:
        say(question, **more)
    except openai.APIError as error:
        assert type(error) is kind, f"{question} {more}: {error!r} is no {kind.__name__}"
        return error
    raise AssertionError(f"{question} {more}: no {kind.__name__}")


def ended(response, text):
    assert (response.output_text, response.status) == (text, "completed"), response
    assert response.error is None and response.incomplete_details is None, response
    return response


def whole():
    response = ended(say("hello", metadata={"a": "b"}, temperature=0.5), "You said: hello")
    assert [item.type for item in response.output] == ["message"], response
    assert (response.object, response.model, response.instructions) == ("response", "gpt-5.5", "Be brief."), response
    assert response.id.startswith("resp_") and response.output[0].id.startswith("msg_"), response
    assert response.metadata == {"a": "b"} and response.completed_at >= response.created_at > 1.7e9, response
    # The scripted model reports 100 tokens of input, 40 of them cached, and 5 of output.
    usage = response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (100, 5, 105), usage
    assert usage.input_tokens_details.cached_tokens == 40, usage
    stored = [say("hello", store=store).store for store in [True, False]]
    assert [response.store, *stored] == [True, True, False] and response.previous_response_id is None, response
    assert response._request_id, "no x-request-id"


def streamed():
    events = list(say("hello", stream=True))
    kinds = [event.type.removeprefix("response.") for event in events]
    begin = ["created", "in_progress", "output_item.added", "content_part.added"]
    end = ["output_text.done", "content_part.done", "output_item.done", "completed"]
    deltas = events[4:-4]
    assert kinds == [*begin, *["output_text.delta"] * len(deltas), *end] and deltas, kinds
    assert [event.sequence_number for event in events] == list(range(len(events))), events
    assert "".join(event.delta for event in deltas) == events[-4].text == "You said: hello", events
    assert {event.item_id for event in events[3:-2]} == {events[2].item.id, events[-2].item.id}, events
    assert events[0].response.id == events[-1].response.id and events[0].response.output == [], events
    assert events[-1].response.usage.output_tokens == 5, events[-1]
    ended(events[-1].response, "You said: hello")


def helped():
    with client.responses.stream(**asked("hello")) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        response = stream.get_final_response()
    assert text == "You said: hello", text
    ended(response, text)


def beating():
    """A silent stream repeats `response.in_progress`."""
    with client.responses.stream(**asked("slowly")) as stream:
        text, beats = "", 0
        for event in stream:
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.in_progress" and text:
                beats += 1
                if beats == 3:
                    ended(say("go on"), "You said: go on")
        ended(stream.get_final_response(), "before after")
    assert text == "before after" and beats >= 3, (text, beats)


def inputs():
    """Messages with and without their type, texts and parts, and a response's output as the history."""
    part = {"type": "input_text", "text": "second"}
    items = [
        {"role": "system", "content": "Be very brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "first"}]},
    ]
    response = ended(say(items), "You said: first")
    items = [*items, *response.output, {"role": "developer", "content": "Go on."}, {"role": "user", "content": [part]}]
    ended(say(items), "You said: second")
    ended(say("hello", instructions=None, text={"verbosity": "high"}, user="u", prompt_cache_key="k"), "You said: hello")


def images():
    url = f"data:image/png;base64,{base64.b64encode(IMAGE).decode()}"
    parts = [{"type": "input_text", "text": "what is this?"}, {"type": "input_image", "image_url": url}]
    ended(say([{"role": "user", "content": parts}]), "You said: what is this?")


def cut():
    for text, reason in [("too much", "max_output_tokens"), ("filtered", "content_filter")]:
        *_, last = say(text, stream=True)
        assert last.type == "response.incomplete", last
        for response in [say(text), last.response]:
            assert (response.output_text, response.status) == ("half", "incomplete"), response
            assert response.incomplete_details.reason == reason and response.error is None, response


def thought():
    """Reasoning, which is sent back with the next question."""
    for include in [ENCRYPTED, []]:
        more = {"reasoning": {"effort": "low", "summary": "auto"}, "include": include, "store": False}
        with client.responses.stream(**asked("think", **more)) as stream:
            deltas = [event.delta for event in stream if event.type == "response.reasoning_summary_text.delta"]
            streamed = stream.get_final_response()
        assert "".join(deltas) == "I am thinking.", deltas
        for response in [say("think", **more), streamed]:
            ended(response, "thought")
            assert [item.type for item in response.output] == ["reasoning", "message"], response
            reasoning = response.output[0]
            assert [part.text for part in reasoning.summary] == ["I am thinking."], reasoning
            assert bool(reasoning.encrypted_content) == bool(include) and reasoning.id.startswith("rs_"), reasoning
            items = [{"role": "user", "content": "think"}, *response.output, {"role": "user", "content": "again"}]
            ended(say(items, **more), "You said: again")


class Answer(BaseModel):
    answer: int


def structured():
    parsed = client.responses.parse(**asked("as json"), text_format=Answer)
    assert parsed.output_parsed == Answer(answer=4), parsed
    with client.responses.stream(**asked("as json"), text_format=Answer) as stream:
        assert stream.get_final_response().output_parsed == Answer(answer=4)
    ended(say("as json", text={"format": {"type": "json_object"}}), '{"answer": 4}')


def fanned_out():
    with client.responses.stream(**asked("hello"), extra_body={"parallel_calls": 3}) as stream:
        events = list(stream)
        streamed = stream.get_final_response()
    numbers = [event.sequence_number for event in events]
    assert numbers == list(range(len(events))), [event.type for event in events]
    for response in [say("hello", extra_body={"parallel_calls": 3}), streamed]:
        assert response.status == "completed" and response.output_text, response
        # Three candidates and a synthesis.
        assert response.usage.output_tokens == 20, response.usage


def counted():
    def count(question, **more):
        return client.responses.input_tokens.count(**asked(question, **more)).input_tokens

    tool = {"type": "function", "name": "f", "description": "A function. " * 20, "parameters": None, "strict": False}
    short, long = count("hello"), count("hello " * 1000)
    assert 0 < short < 100 and 500 < long < 4000, (short, long)
    assert short < count("hello", tools=[tool]) and short < count("hello", instructions="Be brief. " * 20)


def refused():
    user = {"role": "user", "content": "hi"}
    document = {"type": "input_file", "file_data": "data:application/pdf;base64,AA=="}
    for param, more in [
        ("previous_response_id", {"previous_response_id": "resp_1"}),
        ("background", {"background": True, "store": False}),
        ("prompt", {"prompt": {"id": "pmpt_1"}}),
        ("top_logprobs", {"top_logprobs": 3}),
        ("input[0].content[0]", {"input": [{"role": "user", "content": [document]}]}),
        ("tools[0]", {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}),
        ("tools[0]", {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}),
        ("text.verbosity", {"text": {"verbosity": "endless"}}),
    ]:
        error = fails(openai.BadRequestError, more.pop("input", "hi"), **more)
        assert (error.param or "").startswith(param), f"{param}: {error}"
    error = fails(openai.NotFoundError, [user, {"type": "item_reference", "id": "msg_1"}])
    assert (error.param or "").startswith("input[1]"), error


def errors():
    error = fails(openai.RateLimitError, "limited")
    assert error.code == "rate_limit_exceeded" and "retry-after" in error.response.headers, error
    fails(openai.RateLimitError, "limited", stream=True)
    assert fails(openai.RateLimitError, "spent").code == "insufficient_quota"
    assert fails(openai.InternalServerError, "broken").status_code == 502
    assert fails(openai.InternalServerError, "crowded").status_code == 503
    assert fails(openai.BadRequestError, "too long").code == "context_length_exceeded"
    assert fails(openai.NotFoundError, "no such model").code == "model_not_found"
    try:
        client.with_options(api_key="sk-wrong").responses.create(**asked("hi"))
    except openai.AuthenticationError as error:
        assert error.code == "invalid_api_key", error
    else:
        raise AssertionError("a wrong key opens")


def broken_stream():
    """A failure after the first event is the last event, and no exception: the package yields all events before it."""
    *events, last = say("break off", stream=True)
    assert last.type == "response.failed" and last.response.status == "failed", last
    assert last.response.error.code == "server_error" and last.response.error.message, last
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == "word", text
    assert fails(openai.InternalServerError, "break off").code == "upstream_error"


ANSWERS = [whole, streamed, helped, beating, inputs, images, cut, thought, structured, fanned_out]
for check in [*ANSWERS, counted, refused, errors, broken_stream]:
    check()
    print("ok", check.__name__, flush=True)
