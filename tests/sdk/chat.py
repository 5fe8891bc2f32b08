"""Uses a gateway through the official Python package, and fails if it does not behave like OpenAI's API.

    chat.py BASE_URL API_KEY
"""

import sys

import openai
from pydantic import BaseModel

base_url, key = sys.argv[1:]
client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=20)


def say(text, **more):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    return client.chat.completions.create(model="gpt-5.5", messages=messages, **more)


def fails(kind, text="hi", **more):
    try:
        say(text, **more)
    except openai.APIError as error:
        assert type(error) is kind, f"{text} {more}: {error!r} is no {kind.__name__}"
        return error
    raise AssertionError(f"{text} {more}: no {kind.__name__}")


def whole():
    answer = say("hello")
    assert answer.choices[0].message.content == "You said: hello", answer
    assert answer.choices[0].finish_reason == "stop", answer
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens, answer
    assert answer._request_id, "no x-request-id"


def streamed():
    chunks = list(say("hello", stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "You said: hello", text
    assert chunks[0].choices[0].delta.role == "assistant", chunks[0]
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    assert reasons == ["stop"], reasons
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0, chunks[-1]


def beating():
    """Heartbeats between the chunks are skipped."""
    text = "".join(chunk.choices[0].delta.content or "" for chunk in say("slowly", stream=True))
    assert text == "before after", text


def helped():
    with client.chat.completions.stream(model="gpt-5.5", messages=[{"role": "user", "content": "hello"}]) as stream:
        kinds = {event.type for event in stream}
        assert "content.delta" in kinds and "content.done" in kinds, kinds
        assert stream.get_final_completion().choices[0].message.content == "You said: hello"


class Answer(BaseModel):
    answer: int


def structured():
    messages = [{"role": "user", "content": "as json"}]
    parsed = client.chat.completions.parse(model="gpt-5.5", messages=messages, response_format=Answer)
    assert parsed.choices[0].message.parsed == Answer(answer=4), parsed


def stopped():
    """The answer ends before a sequence, which may be in several chunks."""
    for question, stop, text in [
        ("on and on", "STOP", "one "),
        ("on and on", ["never", "e S"], "on"),
        ("one STOP two", ["never"], "You said: one STOP two"),
    ]:
        answer = say(question, stop=stop)
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (text, "stop"), answer
        choices = [chunk.choices[0] for chunk in say(question, stop=stop, stream=True)]
        assert "".join(choice.delta.content or "" for choice in choices) == text, choices
        assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"], choices


def several():
    """Each answer is a choice."""
    answer = say("hello", n=3)
    text = answer.choices[0].message.content
    assert text and [choice.index for choice in answer.choices] == [0, 1, 2], answer
    assert {(choice.message.content, choice.finish_reason) for choice in answer.choices} == {(text, "stop")}, answer
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]
    with client.chat.completions.stream(model="gpt-5.5", messages=messages, n=3) as stream:
        choices = stream.get_final_completion().choices
    assert [(choice.index, choice.finish_reason) for choice in choices] == [(index, "stop") for index in range(3)], choices
    assert {choice.message.content for choice in choices} == {text}, choices


def verbose():
    assert say("hello", verbosity="low").choices[0].message.content == "You said: hello"
    assert fails(openai.BadRequestError, verbosity="endless").param == "verbosity"


def models():
    ids = [model.id for model in client.models.list()]
    assert "gpt-5.5" in ids, ids
    assert client.models.retrieve("gpt-5.5").id == "gpt-5.5"
    try:
        client.models.retrieve("gpt-99")
    except openai.NotFoundError as error:
        assert error.code == "model_not_found", error
    else:
        raise AssertionError("gpt-99 exists")


def errors():
    error = fails(openai.BadRequestError, n=21)
    assert error.param == "n", error
    error = fails(openai.RateLimitError, "limited")
    assert error.code == "rate_limit_exceeded" and "retry-after" in error.response.headers, error
    assert fails(openai.RateLimitError, "spent").code == "insufficient_quota"
    assert fails(openai.InternalServerError, "broken").status_code == 502
    assert fails(openai.InternalServerError, "crowded").status_code == 503
    assert fails(openai.BadRequestError, "too long").code == "context_length_exceeded"
    try:
        client.chat.completions.create(model="gpt-99", messages=[{"role": "user", "content": "hi"}])
    except openai.NotFoundError as error:
        assert error.code == "model_not_found" and error.param == "model", error
    else:
        raise AssertionError("gpt-99 answers")
    stranger = client.with_options(api_key="sk-wrong")
    try:
        stranger.models.list()
    except openai.AuthenticationError as error:
        assert error.code == "invalid_api_key", error
    else:
        raise AssertionError("a wrong key opens")


def broken_stream():
    text = ""
    try:
        for chunk in say("break off", stream=True):
            text += chunk.choices[0].delta.content or ""
    except openai.APIError as error:
        assert text == "word" and error.code == "upstream_error", (text, error)
    else:
        raise AssertionError("a broken stream looks whole")


for check in [whole, streamed, beating, helped, structured, stopped, several, verbose, models, errors, broken_stream]:
    check()
    print("ok", check.__name__)
