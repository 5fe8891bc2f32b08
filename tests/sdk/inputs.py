"""Sends unusual requests through the official Python package, each without streaming and streamed, and prints the outcomes.

    inputs.py GROUP BASE_URL API_KEY

Each line is the JSON of one response: the input's name, whether it was streamed, and what the package returned or raised.
"""

import base64
import json
import pathlib
import sys

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

group, base_url, key = sys.argv[1:]
client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=20)
IMAGES = pathlib.Path(__file__).parent.parent / "images"


def function(name, parameters):
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOL = function("f", {"type": "object", "properties": {}})


def create(messages, **more):
    return client.chat.completions.create(model="gpt-5.5", messages=messages, **more)


def escaped(messages, stream, **more):
    """The JSON in ASCII: the package writes UTF-8, which cannot represent lone surrogates."""
    content = json.dumps({"model": "gpt-5.5", "messages": messages, "stream": stream, **more}).encode()
    options = {"headers": {"content-type": "application/json"}}
    kind, chunks = ChatCompletion, openai.Stream[ChatCompletionChunk]
    return client.post("/chat/completions", cast_to=kind, content=content, options=options, stream=stream, stream_cls=chunks)


def whole(answer):
    choice = answer.choices[0]
    calls = [call.function.arguments for call in choice.message.tool_calls or []]
    return {"text": choice.message.content, "calls": calls, "finish_reason": choice.finish_reason}


def streamed(chunks):
    """The concatenated deltas, and the error at the end of the stream, if there is one."""
    text, calls, reasons = None, [], []
    try:
        for choice in (choice for chunk in chunks for choice in chunk.choices):
            if choice.delta.content:
                text = (text or "") + choice.delta.content
            for piece in choice.delta.tool_calls or []:
                calls += [""] * (piece.index + 1 - len(calls))
                calls[piece.index] += piece.function.arguments or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
    except openai.APIError as error:
        return {"text": text, "error": error.code}
    return {"text": text, "calls": calls, "finish_reason": "+".join(reasons)}


def lines(messages, **more):
    """A stream as read by clients that decode by the header's charset and split at Unicode's line ends."""
    create = client.chat.completions.with_streaming_response.create
    with create(model="gpt-5.5", messages=messages, stream=True, **more) as response:
        kind = response.headers["content-type"]
        frames = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert frames.pop() == "[DONE]", frames
    chunks = [json.loads(frame) for frame in frames]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    events = [chunk["_toolEvent"] for chunk in chunks if "_toolEvent" in chunk]
    return {
        "content_type": kind,
        "text": "".join(delta.get("content") or "" for delta in deltas),
        "reasoning": "".join(delta.get("reasoning_content") or "" for delta in deltas),
        "calls": "".join(call["function"]["arguments"] for delta in deltas for call in delta.get("tool_calls", [])),
        "tabs": [event["text"] for event in events if event["type"] == "codex_tab_close"],
    }


def outcome(send, read):
    try:
        return read(send())
    except openai.APIStatusError as error:
        return {"status": error.status_code, "code": error.code, "param": error.param}


def show(name, stream, result):
    print(json.dumps({"input": name, "stream": stream, **result}))


def both(name, messages, send=create, **more):
    show(name, False, outcome(lambda: send(messages, stream=False, **more), whole))
    show(name, True, outcome(lambda: send(messages, stream=True, **more), streamed))


def user(content):
    return {"role": "user", "content": content}


def system(text, role="system"):
    return {"role": role, "content": text}


def assistant(content, *ids):
    calls = [{"id": it, "type": "function", "function": {"name": "f", "arguments": "{}"}} for it in ids]
    return {"role": "assistant", "content": content, **({"tool_calls": calls} if calls else {})}


def result(id, content):
    return {"role": "tool", "tool_call_id": id, "content": content}


def form(schema):
    return {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": schema}}


def seen(url):
    return [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": url}}]


def words():
    """Texts by which Codex includes a skill."""
    for text in [
        "draw with $imagegen",
        "use $skill-creator, then $openai-docs.",
        "```sh\necho $imagegen\n```",
        "\\$imagegen",
        "US$imagegenb",
    ]:
        both(text, [user(text)])
        both(f"{text}, with tools", [user(text)], tools=[TOOL])


def instructions():
    """Conversations without a user's message."""
    haiku = system("Write a haiku.")
    both("system", [haiku])
    both("developer", [system("Write a haiku.", "developer")])
    both("system and assistant", [haiku, assistant("Rain,")])
    both("fan-out", [haiku], extra_body={"parallel_calls": 2})


def images():
    """Images, valid and broken, and the gateway's reference to one: in a message, in history and in a tool's result."""
    png, jpeg = [(IMAGES / f"still.{kind}").read_bytes() for kind in ["png", "jpeg"]]
    data = {
        "whole PNG": ("png", png),
        "PNG without its end": ("png", png[:-12]),
        "name of a GIF": ("gif", b"GIF89a"),
        "first bytes of a JPEG": ("jpeg", jpeg[:20]),
    }
    urls = {name: f"data:image/{kind};base64,{base64.b64encode(it).decode()}" for name, (kind, it) in data.items()}
    for name, url in {**urls, "attachment:0": "attachment:0"}.items():
        both(f"{name} in a message", [user(seen(url))])
        both(f"{name} in history", [user(seen(url)), assistant("A dot."), user("sure?")])
        both(f"{name} in a result", [user("look"), assistant(None, "c"), result("c", seen(url))], tools=[TOOL])
    both("attachment:0 twice", [user([*seen("attachment:0"), *seen("attachment:0")])])
    both("attachment:0 as text", [user("attachment:0")])


def ids():
    """Call ids that are repeated, or that the Responses API refuses."""
    rounds = [assistant(None, "f:0"), result("f:0", "one"), assistant(None, "f:0"), result("f:0", "two")]
    both("repeated in a conversation", [user("hi"), *rounds], tools=[TOOL])
    both("repeated in a message", [user("hi"), assistant(None, "f:0", "f:0"), *rounds[1::2]], tools=[TOOL])
    odd = ["x" * 64, "x" * 65, "x" * 64 + "y", "z" * 1324, "a\nb"]
    results = [result(it, f"of {place}") for place, it in enumerate(odd)]
    both("long and of two lines", [user("hi"), assistant(None, *odd), *results], tools=[TOOL])


def text():
    """Text beyond ASCII, with Unicode's line ends."""
    for name, value in [("beyond ASCII", "Zoë 日本 😀"), ("ends of lines", "\u2028 \u2029 \x85 \x0b \x0c \x1c \x1d \x1e")]:
        both(name, [user(f"a {value} b")])
        show(f"{name}, by lines", True, lines([user(f"a {value} b")]))
        both(f"{name} in arguments", [user(f"call with {value}")], tools=[TOOL])
        show(f"{name} in arguments, by lines", True, lines([user(f"call with {value}")], tools=[TOOL]))
        thinking = {"include_reasoning": True}
        show(f"{name} in reasoning, by lines", True, lines([user(f"think of {value}")], extra_body=thinking))
        show(f"{name} in candidates, by lines", True, lines([user(f"a {value} b")], extra_body={"parallel_calls": 2}))


def halves():
    """Lone surrogates."""
    high = "\ud83d"
    both("content", [user(f"a{high}b")], escaped)
    both("result", [user("hi"), assistant(None, "c"), result("c", f"a{high}b")], escaped, tools=[TOOL])
    parameters = {"type": "object", "properties": {f"a{high}b": {"type": "string"}}}
    both("key", [user("hi")], escaped, tools=[function("f", parameters)])
    both("name", [user("hi")], escaped, tools=[function(f"f{high}", {"type": "object", "properties": {}})])


def answers():
    """Refusals, and tags that Codex cuts out of an answer."""
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    for name in ["refused in deltas", "refused at once", "refused after text"]:
        both(name, [user(name)])
        both(f"{name}, with a schema", [user(name)], response_format=form(schema))
    for value in [
        "<oai-mem-citation>b",
        "<oai-mem-citation>b</oai-mem-citation>",
        "<oai-mem-citation>b</oai-mem-citation> c",
        "\n<proposed_plan>\n- b\n</proposed_plan>\nc",
    ]:
        both(value, [user(value)])


def numbers():
    """Integers beyond 64 bits in schemas, and the largest and the smallest within."""
    for name, member in [
        ("exclusiveMaximum", {"exclusiveMaximum": 2**64}),
        ("minimum", {"minimum": -(2**63) - 1}),
        ("enum", {"enum": [2**64]}),
        ("default", {"default": 2**64}),
        ("64 bits", {"minimum": -(2**63), "maximum": 2**64 - 1}),
    ]:
        schema = {"type": "object", "properties": {"n": {"type": "integer", **member}}}
        both(f"{name} in a format", [user("hi")], response_format=form(schema))
        both(f"{name} in a tool", [user("hi")], tools=[function("f", schema)])


GROUPS = [words, instructions, images, ids, text, halves, answers, numbers]
{inputs.__name__: inputs for inputs in GROUPS}[group]()
