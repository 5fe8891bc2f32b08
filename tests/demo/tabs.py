#!/usr/bin/env python3
"""Sends a question to a gateway with several attempts, and shows them live above the one answer.

Needs only Python 3.9. It reads an ordinary stream of chat completion chunks. A fan-out adds chunks with
an empty delta and a member `_toolEvent`, which other clients skip:

    {"type": "codex_tab_open",  "tab": 1, "total": 3, "model": "gpt-5.5"}     a candidate was started
    {"type": "codex_tab_chunk", "tab": 1, "text": "a piece"}                  a piece of its text
    {"type": "codex_tab_close", "tab": 1, "text": "all of it", "usage": {…}}  it has answered
    {"type": "codex_tab_error", "tab": 2, "message": "…", "exception_type": "…"}
    {"type": "codex_gather",    "text": "a piece of the answer"}              the same comes as ordinary content
"""

import argparse
import http.client
import json
import os
import shutil
import sys
import time
import unicodedata
from urllib.parse import urlsplit

EXAMPLES = """
examples:
  make demo                                     a gateway to try this on: no account, no cost
  tabs.py "What is an airlock?"                 three attempts, merged
  tabs.py -n 20 --synthesis vote "7 * 8 = ?"    twenty attempts, the majority's answer
  tabs.py --hint "as a lawyer" --hint "as an engineer" "May I patch it?"
  tabs.py "Explain TCP" > answer.md             the candidates on the terminal, the answer in the file
  echo "Explain TCP" | tabs.py 2> log           both work in a pipe, too

The candidates go to standard error, the answer to standard output. Ctrl-C leaves: the gateway then stops every turn.
"""

# Seconds between two drawings, and the longest silence of a stream. Gateways send heartbeats long before.
FRAME = 0.05
SILENCE = 120


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("question", nargs="?", help="what to ask; standard input where it is left out")
    parser.add_argument("-n", "--candidates", type=int, metavar="N", help="attempts, 1 to 20 (3, or one for each hint)")
    parser.add_argument("--url", default="http://127.0.0.1:8787", help="where the gateway is (%(default)s)")
    parser.add_argument("--key", help="the gateway's API key, where it has one (OPENAI_API_KEY)")
    parser.add_argument("--model", default="default", help="as GET /v1/models names it (%(default)s: the gateway's own)")
    parser.add_argument("--synthesis", metavar="NAME", help="how the answer comes about: merge, judge, vote or first")
    parser.add_argument("--hint", action="append", default=[], metavar="TEXT", help="an angle for the next candidate")
    parser.add_argument("--quorum", type=int, metavar="K", help="so many answers are enough")
    parser.add_argument("--deadline", type=float, metavar="SECONDS", help="decide then with what is there")
    options = parser.parse_args()
    if options.question is None:
        if sys.stdin.isatty():
            parser.error("what shall be asked?")
        options.question = sys.stdin.read()
    return options


def body(options):
    """The request: that of any OpenAI client, with `parallel_calls` and `airlock`."""
    airlock = {
        "synthesis": options.synthesis,
        "quorum": options.quorum,
        "deadline_ms": None if options.deadline is None else int(options.deadline * 1000),
        "candidates": [{"hint": hint} for hint in options.hint] or None,
    }
    airlock = {name: value for name, value in airlock.items() if value is not None}
    return {
        "model": options.model,
        "stream": True,
        "messages": [{"role": "user", "content": options.question}],
        "parallel_calls": options.candidates or max(3, len(options.hint)),
        **({"airlock": airlock} if airlock else {}),
    }


def chunks(options):
    """The chunks of the answer, as they come."""
    url = urlsplit(options.url if "//" in options.url else "http://" + options.url)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.netloc, timeout=SILENCE)
    headers = {"content-type": "application/json"}
    key = options.key or os.environ.get("OPENAI_API_KEY")
    if key:
        headers["authorization"] = "Bearer " + key
    path = url.path.rstrip("/")
    path = (path if path.endswith("/v1") else path + "/v1") + "/chat/completions"
    try:
        connection.request("POST", path, json.dumps(body(options)), headers)
        response = connection.getresponse()
        if response.status != 200:
            yield refusal(response)
            return
        for line in response:
            # A heartbeat is a comment: it begins with a colon.
            if line.startswith(b"data: ") and line.strip() != b"data: [DONE]":
                yield json.loads(line[len(b"data: ") :])
    finally:
        # Closing the connection cancels the request.
        connection.close()


def refusal(response):
    text = response.read().decode(errors="replace")
    try:
        return {"error": json.loads(text)["error"]}
    except (ValueError, KeyError, TypeError):
        return {"error": {"message": f"{response.status}: {text[:200]}"}}


def plain(text, keep=""):
    """Text without control characters: a model's text must not move the cursor."""
    return "".join(c if c in keep or unicodedata.category(c) not in ("Cc", "Cs") else " " for c in text)


def cut(text, width):
    """The end of a text, in at most this many columns."""
    kept, columns = [], 0
    for character in reversed(text):
        columns += 2 if unicodedata.east_asian_width(character) in "WF" else not unicodedata.combining(character)
        if columns > width:
            break
        kept.append(character)
    return "".join(reversed(kept))


class Tabs:
    """The candidates on standard error: a line for each that is redrawn, or lines one after another."""

    def __init__(self, out):
        self.out = out
        self.tabs = {}
        self.total = 0
        self.drawn = 0
        self.last = 0.0

    def hear(self, event):
        kind, number = event["type"], event.get("tab")
        if kind == "codex_tab_open":
            self.total = event["total"]
            self.tabs[number] = {"mark": "…", "text": "", "told": 0}
            self.line(number, f"of {event['total']}, {plain(event['model'])}")
        elif kind == "codex_tab_chunk":
            self.tabs[number]["text"] += event["text"]
            self.lines(number, whole=False)
        elif kind == "codex_tab_close":
            tab = self.tabs[number]
            if tab["text"] != event["text"]:
                # The model's stream broke and was retried: only this text counts.
                tab.update(text=event["text"], told=0)
            self.lines(number, whole=True)
            tokens = (event["usage"] or {}).get("completion_tokens")
            tab["mark"] = "✓"
            self.line(number, "done" if tokens is None else f"done, {tokens} tokens")
        elif kind == "codex_tab_error":
            self.tabs[number].update(mark="✗", text=event["message"])
            self.line(number, f"failed: {plain(event['message'])}")
        self.draw(now=kind != "codex_tab_chunk")

    def fits(self):
        return self.out.isatty() and self.total < shutil.get_terminal_size().lines

    def line(self, number, text):
        if not self.fits():
            print(f"[{number}] {text}", file=self.out, flush=True)

    def lines(self, number, whole):
        """Prints a candidate's new text, in complete lines."""
        tab = self.tabs[number]
        end = len(tab["text"]) if whole else tab["text"].rfind("\n") + 1
        for line in tab["text"][tab["told"] : end].splitlines():
            self.line(number, "| " + plain(line))
        tab["told"] = max(tab["told"], end)

    def draw(self, now):
        if not self.fits() or not (now or time.monotonic() - self.last > FRAME):
            return
        self.last = time.monotonic()
        width = shutil.get_terminal_size().columns - 6
        rows = [f"\033[{self.drawn}A" if self.drawn else ""]
        for number, tab in sorted(self.tabs.items()):
            rows.append(f"\r\033[K{number:2} {tab['mark']} {cut(plain(tab['text'].strip()), width)}\n")
        self.drawn = len(self.tabs)
        print("".join(rows), end="", file=self.out, flush=True)


def show(options):
    """Shows the answer. Returns whether there is one."""
    tabs, answering = Tabs(sys.stderr), False
    for chunk in chunks(options):
        if "error" in chunk:
            print(("\n" if answering else "") + "tabs.py: " + plain(chunk["error"]["message"]), file=sys.stderr)
            return False
        event = chunk.get("_toolEvent")
        if event and event["type"] != "codex_gather":
            tabs.hear(event)
            continue
        text = chunk["choices"][0]["delta"].get("content") if chunk["choices"] else None
        if text:
            if not answering and tabs.tabs:
                tabs.draw(now=True)
                print(file=sys.stderr, flush=True)
            answering = True
            print(plain(text, keep="\n\t"), end="", flush=True)
        how = chunk.get("airlock", {}).get("synthesis")
        if how:
            print("\n", end="", flush=True)
            answering = False
            chosen = f": candidate {how['candidate']}" if how.get("candidate") else ""
            print(f"\n({plain(how['strategy'])}{chosen})", file=sys.stderr)
    if answering:
        print()
    return True


def main():
    options = arguments()
    try:
        return 0 if show(options) else 1
    except KeyboardInterrupt:
        print("\nleft: the gateway stops what it was doing", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of standard output has gone. Nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, http.client.HTTPException, ValueError) as error:
        print(f"tabs.py: {options.url}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
