"""Uses a gateway's Responses API through LangChain.

    langchain_responses.py BASE_URL API_KEY

The name of a check is followed by each call's id and the result that was sent for it, which the model must receive.
"""

import sys

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

base_url, key = sys.argv[1:]
SETTINGS = {"model": "gpt-5.5", "base_url": base_url, "api_key": key, "max_retries": 0, "timeout": 20}
model = ChatOpenAI(**SETTINGS, use_responses_api=True)
# A client that keeps nothing at the server, and reads the content of messages as blocks.
INCLUDE = ["reasoning.encrypted_content"]
thinker = ChatOpenAI(
    **SETTINGS, use_responses_api=True, output_version="responses/v1", store=False, include=INCLUDE, reasoning={"summary": "auto"}
)


@tool
def weather(city: str) -> str:
    """How warm it is in a city."""
    return {"Oslo": "7", "Bergen": "9"}[city]


class Answer(BaseModel):
    answer: int


def asked(text):
    return [SystemMessage("Be brief."), HumanMessage(text)]


def whole():
    message = model.invoke(asked("hello"))
    assert message.text == "You said: hello", message
    assert message.usage_metadata["input_tokens"] == 100 and message.usage_metadata["output_tokens"] == 5, message
    assert message.response_metadata["status"] == "completed", message


def streamed():
    chunks = list(model.stream(asked("hello")))
    assert "".join(chunk.text for chunk in chunks) == "You said: hello", chunks
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    assert total.usage_metadata["output_tokens"] == 5, total


def looped(model=model, text="call two", answer="Bergen is warmer."):
    messages = asked(text)
    bound = model.bind_tools([weather])
    message = bound.invoke(messages)
    results = [weather.invoke(call) for call in message.tool_calls]
    assert results, message
    last = bound.invoke([*messages, message, *results])
    assert last.text == answer and not last.tool_calls, last
    return [(result.tool_call_id, result.content) for result in results]


def looped_streamed():
    messages = asked("call two")
    bound = model.bind_tools([weather])
    message = None
    for chunk in bound.stream(messages):
        message = chunk if message is None else message + chunk
    results = [weather.invoke(call) for call in message.tool_calls]
    assert [call["args"] for call in message.tool_calls] == [{"city": "Oslo"}, {"city": "Bergen"}], message
    assert bound.invoke([*messages, message, *results]).text == "Bergen is warmer."
    return [(result.tool_call_id, result.content) for result in results]


def thought():
    """Reasoning before a call is sent back with it."""
    return looped(thinker, "think, then call", "It is 7 degrees.")


def typed():
    assert model.with_structured_output(Answer).invoke(asked("as json")) == Answer(answer=4)


def chained():
    """The server has the conversation: only what is new is sent."""
    stored = ChatOpenAI(**SETTINGS, use_responses_api=True, use_previous_response_id=True)
    messages = asked("hello")
    messages.append(stored.invoke(messages))
    messages.append(HumanMessage("again"))
    assert stored.invoke(messages).text == "You said: again"


for check in [whole, streamed, looped, looped_streamed, thought, typed, chained]:
    results = check() or []
    print("ok", check.__name__, *(f"{call}={result}" for call, result in results), flush=True)
