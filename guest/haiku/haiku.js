// An example policy in JavaScript: chat completions whose answers are haiku, with a title.
//
// A policy is a module that exports the interfaces of the world `airlock:policy/policy` (see wit/). Records are objects,
// lists are arrays, `option` is a value or undefined, `u64` is a BigInt, a variant is `{ tag, val }`, an enum is a string,
// and names are in camelCase. A function whose result may be a `problem` returns the value, or throws the problem.
//
// Each request has an instance of its own, made from a snapshot of this module, so requests share no state. There is no
// clock, no randomness and no I/O: times and identifiers are arguments. `make haiku` builds it.

const DIALECT = "chat-completions";

// The instructions for the model, before the client's system messages.
const VERSE =
  "Answer with one haiku: three lines of five, seven and five syllables, and nothing before or after them.";

// The turn whose text is the answer.
const ANSWER = 0;

const problem = (kind, code, message, param) => ({ kind, code, message, param, retryAfterSeconds: undefined });
const wrong = (param, message) => problem("invalid-request", "invalid_value", message, param);

// The policy's description of itself.
export const manifest = {
  describe: () => ({
    name: "haiku",
    version: "1.0.0",
    summary: "Chat completions whose answers are haiku.",
    dialects: [DIALECT],
    // It makes no fan-outs.
    strategies: [],
    settings: [
      {
        name: "title",
        summary: "The line above each haiku. Empty: none.",
        takes: { tag: "text" },
        default: JSON.stringify("Haiku"),
      },
    ],
  }),
};

// Admission: first come, first served, while a turn is free.
export const admit = {
  decide(load) {
    if (load.waiting === 0 && load.running + load.wanted <= load.capacity) return { tag: "run" };
    if (load.wanted <= load.capacity && load.waiting < load.room) return { tag: "wait" };
    const busy = problem("overloaded", "gateway_busy", "the gateway is busy: try again in a moment");
    return { tag: "refuse", val: { ...busy, retryAfterSeconds: 1 } };
  },
};

// Renders a request into a plan of one turn for Codex.
export const prompt = {
  render(request) {
    if (request.dialect !== DIALECT) {
      throw problem("not-found", "unknown_dialect", `the policy speaks \`${DIALECT}\` only`);
    }
    const title = titleIn(request.settings);
    const body = parsed(request.body);
    const { model, messages, stream = false, ...others } = body;
    if (typeof model !== "string") throw wrong("model", "required: name a model, or `default`");
    if (typeof stream !== "boolean") throw wrong("stream", "must be `true` or `false`");
    if (!Array.isArray(messages)) throw wrong("messages", "required: a list of messages");

    const instructions = [VERSE];
    const dialogue = [];
    messages.forEach((message, index) => {
      const text = textOf(message, `messages[${index}]`);
      if (message.role === "system" || message.role === "developer") instructions.push(text);
      else dialogue.push({ role: message.role, text });
    });
    const last = dialogue.pop();
    if (last?.role !== "user") throw wrong("messages", "the last message must be of role `user`");

    const plan = {
      streaming: stream,
      model: model === "default" ? undefined : { name: model, param: "model" },
      instructions: instructions.join("\n\n"),
      history: dialogue.map(item),
      tools: [],
      resume: undefined,
      briefs: [
        {
          model: undefined,
          effort: undefined,
          summary: undefined,
          instructions: "",
          input: [{ tag: "text", val: last.text }],
          outputSchema: undefined,
          tools: false,
          verbosity: undefined,
        },
      ],
      // The attributes of the request that the reply needs. Only this module reads them.
      notes: JSON.stringify({ stream, title }),
      ignored: Object.keys(others),
      rawItems: false,
      object: undefined,
      background: undefined,
      lock: undefined,
    };
    return { tag: "run", val: plan };
  },
};

function parsed(text) {
  let body;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw problem("invalid-request", "invalid_json", `the body is not valid JSON: ${error.message}`);
  }
  if (!isObject(body)) throw problem("invalid-request", "invalid_json", "the body must be an object");
  return body;
}

function titleIn(settings) {
  let title;
  try {
    title = JSON.parse(settings || "{}").title ?? "Haiku";
  } catch {
    title = undefined;
  }
  if (typeof title === "string") return title;
  throw problem("internal", "invalid_settings", "the policy cannot read its settings: `title` must be a text");
}

// The text of a message: a string, or the text parts of a list. This example supports no other parts.
function textOf(message, path) {
  if (!isObject(message) || !["system", "developer", "user", "assistant"].includes(message.role)) {
    throw wrong(`${path}.role`, "must be `system`, `developer`, `user` or `assistant`");
  }
  const { content } = message;
  if (typeof content === "string") return content;
  if (Array.isArray(content) && content.every((part) => part?.type === "text" && typeof part.text === "string")) {
    return content.map((part) => part.text).join("\n");
  }
  throw wrong(`${path}.content`, "must be a text, or a list of text parts");
}

// An earlier message, as an item of the Responses API.
function item({ role, text }) {
  const type = role === "user" ? "input_text" : "output_text";
  return JSON.stringify({ type: "message", role, content: [{ type, text }] });
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

// Translates what Codex reports into the client's dialect.
class Reply {
  constructor(context) {
    this.notes = JSON.parse(context.notes || "{}");
    this.heading = {
      id: `chatcmpl-${context.id}`,
      created: Number(context.arrived / 1000n),
      model: context.model,
    };
    // The answer's messages, by number: a restarted stream may remove some.
    this.messages = new Map();
    this.usage = undefined;
    // Text that was streamed has become void.
    this.invalidated = false;
  }

  feed(events) {
    const frames = [];
    for (const { source, kind } of events) {
      if (source !== ANSWER) continue;
      if (kind.tag === "text") frames.push(...this.append(kind.val));
      else if (kind.tag === "usage") this.usage = kind.val;
      else if (kind.tag === "restarted") this.forget(kind.val);
    }
    return { frames, handoff: undefined, complete: false, head: undefined };
  }

  // A comment suffices to keep a silent stream alive.
  keepAlive() {
    return [];
  }

  append({ message, text }) {
    const known = this.messages.has(message);
    const title = this.notes.title ? `${this.notes.title}\n\n` : "";
    const before = known ? "" : this.messages.size > 0 ? "\n\n" : title;
    if (this.notes.stream) {
      this.messages.set(message, "");
      return this.invalidated ? [] : [this.chunk({ content: before + text }, null)];
    }
    this.messages.set(message, (this.messages.get(message) ?? "") + before + text);
    return [];
  }

  // The model's stream broke. Text that was streamed cannot be taken back.
  forget(numbers) {
    const removed = numbers.filter((number) => this.messages.delete(number));
    this.invalidated ||= this.notes.stream && removed.length > 0;
  }

  chunk(delta, reason) {
    const choices = [{ index: 0, delta, finish_reason: reason }];
    return frame({ ...this.heading, object: "chat.completion.chunk", choices });
  }

  whole(reason) {
    const message = { role: "assistant", content: [...this.messages.values()].join("") };
    const body = { ...this.heading, object: "chat.completion", choices: [{ index: 0, message, finish_reason: reason }] };
    if (this.usage) {
      const [input, output] = [Number(this.usage.input), Number(this.usage.output)];
      body.usage = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
    }
    return JSON.stringify(body);
  }

  // Ends the response, and consumes the reply.
  static finish(reply, ending) {
    const done = { event: undefined, data: "[DONE]", number: undefined };
    const failure = reply.invalidated ? upstream("stream_restarted") : failureOf(ending);
    if (failure) {
      const { message, code, param = null } = failure;
      const error = frame({ error: { message, type: "server_error", param, code: code ?? null } });
      return { frames: reply.notes.stream ? [error, done] : [], body: { tag: "err", val: failure }, object: undefined };
    }
    const reason = ending.tag === "incomplete" && ending.val === "content-filter" ? "content_filter" : "length";
    const finishReason = ending.tag === "completed" ? "stop" : reason;
    if (reply.notes.stream) return { frames: [reply.chunk({}, finishReason), done], body: { tag: "ok", val: "" }, object: undefined };
    return { frames: [], body: { tag: "ok", val: reply.whole(finishReason) }, object: undefined };
  }
}

// One line to every reader: some clients end a line at these characters, which JSON.stringify does not escape.
const line = (data) => JSON.stringify(data).replace(/[\u0085\u2028\u2029]/g, escaped);
const escaped = (character) => "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0");
const frame = (data) => ({ event: undefined, data: line(data), number: undefined });

function failureOf({ tag, val }) {
  // In a refusal by the model, `param` is a field of Codex's request, which the client has not written.
  if (tag === "failed") return val.code === "upstream_bad_request" ? { ...val, param: undefined } : val;
  return tag === "interrupted" || tag === "handed-off" ? upstream("turn_interrupted") : undefined;
}

function upstream(code) {
  return problem("upstream", code, "the answer broke off; send the request again");
}

const listed = ({ id }) => ({ id, object: "model", created: 0, owned_by: "openai" });

export const translate = {
  Reply,
  listModels: (_dialect, models) => JSON.stringify({ object: "list", data: models.map(listed) }),
  showModel: (_dialect, model) => JSON.stringify(listed(model)),
};

// The world requires a panel. As no plan has several briefs, none is ever constructed.
const noFanOut = () => ({ tag: "fail", val: problem("internal", "no_fan_out", "this policy makes no fan-outs") });

class Panel {
  wake = noFanOut;
  settle = noFanOut;
  judged = noFanOut;
}

export const synthesize = { Panel };
