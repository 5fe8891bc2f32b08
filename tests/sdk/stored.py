"""Uses a gateway's stored responses through the official Python package: retrieval, continuation, conversations, background
and WebSockets. Fails if it is not like OpenAI's API.

    stored.py BASE_URL API_KEY
"""

import sys

import openai
from openai.types.responses import ResponseCompletedEvent

base_url, key = sys.argv[1:]
client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=20)


def say(question, **more):
    return client.responses.create(model="gpt-5.5", input=question, **more)


def fails(kind, call, **arguments):
    try:
        call(**arguments)
    except openai.APIError as error:
        assert type(error) is kind, f"{error!r} is no {kind.__name__}"
        return error
    raise AssertionError(f"no {kind.__name__}")


def polled(response):
    while response.status in ("queued", "in_progress"):
        response = client.responses.retrieve(response.id)
    return response


def retrieved():
    response = say("hello", metadata={"a": "b"})
    assert response.store is True, response
    again = client.responses.retrieve(response.id)
    assert again.to_dict() == response.to_dict(), (again, response)
    items = client.responses.input_items.list(response.id)
    assert [item.content[0].text for item in items] == ["hello"], items


def continued():
    first = say("hello")
    second = say("again", previous_response_id=first.id)
    assert second.previous_response_id == first.id, second
    items = list(client.responses.input_items.list(second.id, order="asc"))
    assert [item.role for item in items] == ["user", "assistant", "user"], items
    error = fails(openai.BadRequestError, say, question="again", previous_response_id="resp_none")
    assert (error.code, error.param) == ("previous_response_not_found", "previous_response_id"), error
    with client.responses.stream(model="gpt-5.5", input="again", previous_response_id=second.id) as stream:
        third = stream.get_final_response()
    assert third.output_text == "You said: again", third
    assert client.responses.retrieve(third.id).output_text == third.output_text


def deleted():
    response = say("hello")
    client.responses.delete(response.id)
    fails(openai.NotFoundError, client.responses.retrieve, response_id=response.id)


def conversed():
    items = [{"type": "message", "role": "user", "content": "I am Ann."}]
    conversation = client.conversations.create(items=items, metadata={"topic": "names"})
    assert client.conversations.retrieve(conversation.id) == conversation
    response = say("hello", conversation=conversation.id)
    assert response.conversation.id == conversation.id, response
    say("again", conversation={"id": conversation.id})
    listed = list(client.conversations.items.list(conversation.id, order="asc", limit=2))
    assert [item.role for item in listed] == ["user", "user", "assistant", "user", "assistant"], listed
    one = client.conversations.items.retrieve(listed[2].id, conversation_id=conversation.id)
    assert one == listed[2], one
    client.conversations.items.delete(listed[2].id, conversation_id=conversation.id)
    more = client.conversations.items.create(conversation.id, items=items)
    assert len(more.data) == 1, more
    changed = client.conversations.update(conversation.id, metadata={"topic": "people"})
    assert changed.metadata == {"topic": "people"}, changed
    assert client.conversations.delete(conversation.id).deleted is True
    fails(openai.NotFoundError, client.conversations.retrieve, conversation_id=conversation.id)


def in_background():
    begun = say("hello", background=True)
    assert begun.background is True and begun.status in ("queued", "in_progress"), begun
    ended = polled(begun)
    assert (ended.status, ended.output_text) == ("completed", "You said: hello"), ended


def resumed():
    stream = say("hello", background=True, stream=True)
    events = [next(stream), next(stream)]
    stream.close()
    response = events[0].response
    rest = client.responses.retrieve(response.id, stream=True, starting_after=events[1].sequence_number)
    events.extend(rest)
    assert [event.sequence_number for event in events] == list(range(len(events))), events
    assert isinstance(events[-1], ResponseCompletedEvent), events[-1]
    assert events[-1].response.output_text == "You said: hello", events[-1]
    whole = list(client.responses.retrieve(response.id, stream=True))
    assert whole == events, whole


def cancelled():
    begun = say("for ever", background=True)
    assert client.responses.cancel(begun.id).status == "cancelled"
    assert polled(begun).status == "cancelled"


def compacted():
    compact = client.responses.compact(model="gpt-5.5", input=[{"role": "user", "content": "hello"}])
    assert compact.object == "response.compaction", compact
    assert [item.type for item in compact.output].count("compaction") == 1, compact
    response = say([*compact.to_dict()["output"], {"role": "user", "content": "again"}])
    assert response.output_text == "You said: again", response


def by_socket():
    with client.responses.connect() as connection:
        previous = None
        for question in ["hello", "again"]:
            more = {} if previous is None else {"previous_response_id": previous}
            connection.response.create(model="gpt-5.5", input=question, store=False, **more)
            events = []
            for event in connection:
                events.append(event)
                if event.type in ("response.completed", "response.failed", "error"):
                    break
            assert events[-1].type == "response.completed", events[-1]
            assert events[-1].response.output_text == f"You said: {question}", events[-1]
            previous = events[-1].response.id


for check in [
    retrieved,
    continued,
    deleted,
    conversed,
    in_background,
    resumed,
    cancelled,
    compacted,
    by_socket,
]:
    check()
    print(check.__name__)
