"""Reads fan-outs of a gateway through the official Python package, which does not know candidates.

    fan_out.py BASE_URL API_KEY
"""

import sys

import openai

base_url, key = sys.argv[1:]
client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=20)
MESSAGES = [{"role": "user", "content": "hello"}]
ANSWER = "the one answer"


def streamed():
    """Twenty candidates: the package returns the one answer, with the candidates beside it."""
    with client.chat.completions.create(
        model="gpt-5.5",
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"parallel_calls": 20},
    ) as stream:
        chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == ANSWER, text
    assert chunks[0].choices[0].delta.role == "assistant", chunks[0]
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    assert reasons == ["stop"], reasons
    assert chunks[-1].choices == [] and chunks[-1].usage.prompt_tokens == 2100, chunks[-1]
    events = [chunk.model_extra["_toolEvent"] for chunk in chunks if "_toolEvent" in chunk.model_extra]
    closed = [event["tab"] for event in events if event["type"] == "codex_tab_close"]
    assert sorted(closed) == list(range(1, 21)), closed


def helped():
    """The helper that accumulates a stream gives the same answer."""
    with client.chat.completions.stream(
        model="gpt-5.5", messages=MESSAGES, extra_body={"parallel_calls": 20}
    ) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    assert text == ANSWER, text
    assert final.choices[0].message.content == ANSWER, final
    assert final.choices[0].finish_reason == "stop", final
    assert len(final.choices) == 1, final


def whole():
    completion = client.chat.completions.create(model="gpt-5.5", messages=MESSAGES, extra_body={"parallel_calls": 3})
    assert completion.choices[0].message.content == ANSWER, completion
    airlock = completion.model_extra["airlock"]
    assert airlock["synthesis"]["strategy"] == "merge", airlock
    assert [candidate["tab"] for candidate in airlock["candidates"]] == [1, 2, 3], airlock
    assert all(candidate["status"] == "completed" for candidate in airlock["candidates"]), airlock
    assert completion.usage.prompt_tokens == 400, completion.usage
    assert airlock["usage"]["candidates"]["prompt_tokens"] == 300, airlock


def refused():
    try:
        client.chat.completions.create(model="gpt-5.5", messages=MESSAGES, extra_body={"parallel_calls": 21})
    except openai.BadRequestError as error:
        assert error.param == "parallel_calls", error
    else:
        raise AssertionError("21 candidates are taken")


for check in [streamed, helped, whole, refused]:
    check()
    print("ok", check.__name__)
