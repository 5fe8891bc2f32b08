"""Checks every body and every event of a gateway against the types of the official Python packages, strictly.

    strict.py (messages | responses) BASE_URL API_KEY

The packages themselves accept anything. Here a member that is missing, unknown or of another type is an error.
"""

import json
import sys
from typing import get_args

import httpx2
import pydantic
from anthropic.types import Message, MessageTokensCount, RawMessageStreamEvent
from anthropic.types.shared import ErrorResponse
from openai.types.conversations import Conversation, ConversationDeletedResource, ConversationItem, ConversationItemList
from openai.types.responses import CompactedResponse, Response, ResponseStreamEvent
from openai.types.responses.response_item_list import ResponseItemList

dialect, base_url, key = sys.argv[1:]
headers = {"authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"}
client = httpx2.Client(base_url=base_url, headers=headers, timeout=20, trust_env=False)

# Members of a Response that the package's type lacks: those that the specification of Open Responses requires, and Airlock's own.
BEYOND = {"store", "presence_penalty", "frequency_penalty", "airlock"}
# What Open Responses requires in each Response.
MEMBERS = """id object created_at completed_at status incomplete_details model previous_response_id instructions output error
    tools tool_choice truncation parallel_tool_calls text top_p presence_penalty frequency_penalty top_logprobs temperature
    reasoning usage max_output_tokens max_tool_calls store background service_tier metadata safety_identifier
    prompt_cache_key""".split()
NUMBERS = ["top_p", "presence_penalty", "frequency_penalty", "top_logprobs", "temperature"]


def variants(union):
    """The classes of a union of events, by the events' type."""
    classes = get_args(get_args(union)[0])
    return {get_args(it.model_fields["type"].annotation)[0]: it for it in classes}


EVENTS = {"responses": variants(ResponseStreamEvent), "messages": variants(RawMessageStreamEvent)}[dialect]
ADAPTERS = {}


def check(kind, value):
    """Fails unless `value` is strictly of this type, or of the variant of a union that its own `type` names."""
    adapter = ADAPTERS.setdefault(kind, pydantic.TypeAdapter(kind))
    try:
        adapter.validate_json(json.dumps(value), strict=True, extra="forbid")
    except pydantic.ValidationError as error:
        # Of a union, only the errors of the named variant matter.
        others = {it["loc"][:-1] for it in error.errors() if it["loc"][-1] == "type" and it["type"] == "literal_error"}
        wrong = [it for it in error.errors() if not any(it["loc"][: len(other)] == other for other in others)]
        found = [f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in wrong or error.errors()]
        raise AssertionError("\n".join([json.dumps(value), kind.__name__, *found])) from None


def check_response(value):
    check(Response, {name: member for name, member in value.items() if name not in BEYOND})
    missing = [name for name in MEMBERS if name not in value]
    assert not missing, f"{missing} in {value}"
    assert all(isinstance(value[name], (int, float)) for name in NUMBERS), value
    assert value["text"]["verbosity"] in ("low", "medium", "high"), value["text"]
    assert isinstance(value["store"], bool) and isinstance(value["background"], bool), value
    assert all({"description", "parameters", "strict"} <= tool.keys() for tool in value["tools"] if tool["type"] == "function"), value
    completed = value["status"] == "completed"
    assert (value["completed_at"] is not None) == completed, value
    # Codex does not report the usage of a turn that did not complete.
    assert value["usage"] is not None or not completed, value


def frames(text):
    """The event's name and the data of each frame."""
    for frame in text.strip().split("\n\n"):
        lines = [line for line in frame.split("\n") if not line.startswith(":")]
        fields = [line.split(": ", 1) for line in lines]
        data = [value for name, value in fields if name == "data"]
        event = [value for name, value in fields if name == "event"]
        assert len(data) <= 1 and len(event) <= 1, frame
        if data:
            yield (event or [None])[0], data[0]


def check_responses_stream(text):
    *events, done = frames(text)
    assert done == (None, "[DONE]"), done
    whole, output, texts = None, {}, {}
    for number, (name, data) in enumerate(events):
        event = json.loads(data)
        assert (event["type"], event["sequence_number"]) == (name, number), data
        if name not in EVENTS and "airlock" in name:
            continue
        response = event.get("response")
        if response is not None:
            check_response(response)
            whole = whole or response
            changing = ["completed_at", "error", "incomplete_details", "output", "status", "usage", "airlock"]
            same = [{name: it for name, it in each.items() if name not in changing} for each in (whole, response)]
            assert same[0] == same[1], same
            event["response"] = {name: member for name, member in response.items() if name not in BEYOND}
        check(EVENTS[name], event)
        place = event.get("output_index")
        if name == "response.output_item.added":
            assert place == len(output), f"{place} after {output}"
            output[place] = event["item"]
        elif name == "response.output_text.delta":
            texts[event["item_id"]] = texts.get(event["item_id"], "") + event["delta"]
        elif name == "response.output_text.done":
            assert texts.get(event["item_id"], "") == event["text"], event
        elif name == "response.output_item.done":
            assert (output[place]["id"], output[place]["type"]) == (event["item"]["id"], event["item"]["type"]), event
            output[place] = event["item"]
        if place is not None and "item_id" in event:
            assert output[place]["id"] == event["item_id"], event
    endings = ["response.completed", "response.incomplete", "response.failed"]
    assert [name for name, _ in events if name in endings] == [name], events
    assert name == "response.failed" or response["output"] == list(output.values()), (response["output"], output)
    return response


def check_messages_stream(text):
    opened = None
    blocks = 0
    for name, data in frames(text):
        event = json.loads(data)
        assert name == event["type"] or name.startswith("airlock"), (name, data)
        if name == "ping":
            assert event == {"type": "ping"}, data
        elif name == "error":
            check(ErrorResponse, event)
        elif not name.startswith("airlock"):
            event.pop("airlock", None)
            check(EVENTS[name], event)
            if name == "content_block_start":
                assert opened is None and event["index"] == blocks, data
                opened, blocks = blocks, blocks + 1
            elif name.startswith("content_block"):
                assert event["index"] == opened, data
                opened = None if name == "content_block_stop" else opened
    assert name in ("message_stop", "error") and (opened is None or name == "error"), text
    return name


# Messages to which the model has scripted answers, and those at which it fails.
TEXTS = ["hello", "think", "call two", "speak, then call", "too much", "filtered", "as json"]
FAILURES = ["break off", "limited", "broken"]
FUNCTION = {"name": "weather", "description": "How warm it is in a city."}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
ANSWER = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"], "additionalProperties": False}


def send(path, body):
    response = client.post(path, json=body)
    return response.status_code, response.text


def cases(options):
    """Each text with each of the options, each failure, and a request that is refused: whole and streamed."""
    texts = [(text, more) for text in TEXTS for more in options]
    for text, more in [*texts, *((text, {}) for text in FAILURES), ("hello", {"temperature": "warm"})]:
        yield from [(text, {**more, "stream": stream}) for stream in (False, True)]


def responses():
    function = {"type": "function", **FUNCTION, "parameters": CITY}
    loose = {"type": "function", "name": "weather", "strict": False, "parameters": None}
    format = {"type": "json_schema", "name": "answer", "schema": ANSWER, "strict": True}
    options = [
        {},
        {"tools": [function], "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low", "summary": "auto"}},
        {"tools": [loose, {"type": "custom", "name": "note"}], "tool_choice": "auto", "metadata": {"a": "b"}, "store": True},
        {"text": {"verbosity": "high", "format": format}, "instructions": "Be brief.", "safety_identifier": "s"},
        {"max_output_tokens": 100, "temperature": 0.2, "top_p": 1, "service_tier": "auto", "truncation": "disabled"},
        {"parallel_calls": 2},
    ]
    statuses = set()
    for text, more in cases(options):
        status, body = send("/responses", {"model": "gpt-5.5", "input": text, **more})
        if status != 200:
            [error] = json.loads(body).values()
            assert set(error) == {"message", "type", "param", "code"} and error["message"] and error["type"], body
            statuses.add(status)
        elif more["stream"]:
            statuses.add(check_responses_stream(body)["status"])
        else:
            response = json.loads(body)
            check_response(response)
            statuses.add(response["status"])
    assert statuses == {"completed", "incomplete", "failed", 400, 429, 502}, statuses
    stored(options[1])
    status, body = send("/responses/input_tokens", {"model": "gpt-5.5", "input": "hello"})
    assert status == 200 and set(json.loads(body)) == {"object", "input_tokens"}, body


def stored(options):
    """The routes of what is stored."""

    def ask(method, path, body=None):
        response = client.request(method, path, json=body)
        assert response.status_code == 200, response.text
        return response.json()

    response = ask("POST", "/responses", {"model": "gpt-5.5", "input": "call two", **options})
    path = f"/responses/{response['id']}"
    assert ask("GET", path) == response, response
    outputs = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "7"}
        for item in response["output"]
        if item["type"] == "function_call"
    ]
    more = {"previous_response_id": response["id"], "input": outputs, **options}
    response = ask("POST", "/responses", {"model": "gpt-5.5", **more})
    check_response(response)
    items = ask("GET", f"/responses/{response['id']}/input_items?limit=100")
    check(ResponseItemList, items)
    assert len(items["data"]) >= 5, items
    background = ask("POST", "/responses", {"model": "gpt-5.5", "input": "for ever", "background": True})
    check_response(background)
    check_response(ask("GET", f"/responses/{background['id']}"))
    check_response(ask("POST", f"/responses/{background['id']}/cancel"))
    assert ask("DELETE", path) == {"id": path.split("/")[-1], "object": "response", "deleted": True}
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
    conversation = ask("POST", "/conversations", {"items": [message], "metadata": {"a": "b"}})
    path = f"/conversations/{conversation['id']}"
    response = ask("POST", "/responses", {"model": "gpt-5.5", "input": "call two", "conversation": conversation["id"], **options})
    check_response(response)
    items = [*ask("GET", f"{path}/items?order=asc")["data"], *ask("POST", f"{path}/items", {"items": [message]})["data"]]
    for kind, value in [
        (Conversation, conversation),
        (Conversation, ask("GET", path)),
        (Conversation, ask("POST", path, {"metadata": {}})),
        (ConversationItemList, ask("GET", f"{path}/items")),
        *((ConversationItem, item) for item in items),
        (ConversationItem, ask("GET", f"{path}/items/{items[0]['id']}")),
        (Conversation, ask("DELETE", f"{path}/items/{items[0]['id']}")),
        (ConversationDeletedResource, ask("DELETE", path)),
    ]:
        check(kind, value)
    compacted = ask("POST", "/responses/compact", {"model": "gpt-5.5", "input": "hello"})
    # The API returns the user's messages, which the package's type of this output lacks.
    kept, compacted["output"] = compacted["output"][:-1], compacted["output"][-1:]
    check(CompactedResponse, compacted)
    assert [item["role"] for item in kept] == ["user"], kept
    for item in kept:
        check(ConversationItem, item)


def messages():
    tools = [{**FUNCTION, "input_schema": CITY}]
    options = [
        {},
        {"tools": tools, "thinking": {"type": "enabled", "budget_tokens": 2048}, "system": "Be brief."},
        {"tools": tools, "thinking": {"type": "adaptive", "display": "omitted"}, "metadata": {"user_id": "u"}},
        {"output_config": {"effort": "low", "format": {"type": "json_schema", "schema": ANSWER}}},
        {"stop_sequences": ["lo", "half"], "temperature": 0.2, "top_k": 3},
        {"parallel_calls": 2},
    ]
    endings = set()
    for text, more in cases(options):
        content = [{"role": "user", "content": text}]
        status, body = send("/messages", {"model": "gpt-5.5", "max_tokens": 100, "messages": content, **more})
        if status != 200:
            check(ErrorResponse, json.loads(body))
            endings.add(status)
        elif more["stream"]:
            endings.add(check_messages_stream(body))
        else:
            message = json.loads(body)
            check(Message, {name: member for name, member in message.items() if name != "airlock"})
            endings.add(message["stop_reason"])
    reasons = {"end_turn", "tool_use", "max_tokens", "stop_sequence", "refusal"}
    assert endings == {*reasons, "message_stop", "error", 400, 429, 502}, endings
    status, body = send("/messages/count_tokens", {"model": "gpt-5.5", "messages": content})
    assert status == 200, body
    check(MessageTokensCount, json.loads(body))


def sensitive():
    """The check itself fails where it must."""
    good = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": "end_turn"}
    good["usage"] = {"input_tokens": 1, "output_tokens": 1}
    check(Message, good)
    more = [{"unknown": 1}, {"role": "user"}, {"content": [{"type": "text", "text": 1}]}, {"usage": {"input_tokens": 1}}]
    for bad in [{**good, **it} for it in more]:
        try:
            check(Message, bad)
        except AssertionError:
            continue
        raise AssertionError(f"accepted: {bad}")


sensitive()
{"messages": messages, "responses": responses}[dialect]()
print("ok", dialect)
