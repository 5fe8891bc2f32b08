// Uses a gateway through Anthropic's Node package, and fails if it does not behave like Anthropic's API.
//
//     messages.mjs PACKAGE_FOLDER BASE_URL API_KEY
//
// The name of a check is followed by each call's id and the result that was sent for it, which the model must receive.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [folder, base, apiKey] = process.argv.slice(2);
// The package is installed with the other tools, not beside this file.
const { Anthropic } = createRequire(`${folder}/package.json`)("@anthropic-ai/sdk");
const client = new Anthropic({ baseURL: base.replace(/\/v1$/, ""), apiKey, maxRetries: 0, timeout: 20_000 });

const asked = (text, more = {}) => ({
  model: "gpt-5.5",
  max_tokens: 1024,
  system: "Be brief.",
  messages: [{ role: "user", content: text }],
  ...more,
});
const say = (text, more) => client.messages.create(asked(text, more));
const textOf = (message) => message.content.map((block) => block.text ?? "").join("");

const property = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const weather = { name: "weather", description: "How warm it is in a city.", input_schema: property };
const degrees = { Oslo: "7", Bergen: "9" };

async function fails(kind, type, asking) {
  await assert.rejects(asking, (error) => {
    assert.equal(error.constructor, kind, String(error));
    assert.equal(error.type, type, String(error));
    assert.ok(error.requestID);
    return true;
  });
}

// A runnable function, as the package's own loop takes it.
function runnable(name, key, type, table) {
  const schema = { type: "object", properties: { [key]: { type } }, required: [key], additionalProperties: false };
  const run = (given) => table[given[key]];
  return { name, description: `Looks up ${name}.`, input_schema: schema, run, parse: (given) => given };
}

const steps = [
  runnable("locate", "person", "string", { Ann: "Oslo" }),
  runnable("weather", "city", "string", degrees),
  runnable("dress", "degrees", "integer", { 7: "coat" }),
];

async function walked(runner, streaming) {
  const sent = [];
  const reasons = [];
  let last;
  for await (const turn of runner) {
    last = streaming ? await turn.finalMessage() : turn;
    reasons.push(last.stop_reason);
    sent.push(...last.content.filter((block) => block.type === "tool_use").map((block) => block.id));
  }
  assert.deepEqual(reasons, ["tool_use", "tool_use", "tool_use", "end_turn"]);
  assert.equal(textOf(last), "Wear a coat.");
  return sent.map((id, place) => `${id}=${["Oslo", "7", "coat"][place]}`);
}

const checks = {
  async whole() {
    const message = await say("hello");
    assert.deepEqual(message.content.map((block) => block.type), ["text"]);
    assert.equal(textOf(message), "You said: hello");
    assert.equal(message.stop_reason, "end_turn");
    assert.ok(message.usage.input_tokens > 0 && message.usage.output_tokens > 0);
    assert.ok(message._request_id);
  },

  async streamed() {
    const kinds = [];
    let text = "";
    for await (const event of await say("hello", { stream: true })) {
      kinds.push(event.type);
      text += event.delta?.text ?? "";
    }
    assert.equal(text, "You said: hello");
    assert.deepEqual([kinds[0], kinds.at(-1)], ["message_start", "message_stop"]);
  },

  async helped() {
    const stream = client.messages.stream(asked("hello"));
    let text = "";
    stream.on("text", (delta) => (text += delta));
    const message = await stream.finalMessage();
    assert.equal(text, "You said: hello");
    assert.equal(textOf(message), text);
    assert.equal(message.stop_reason, "end_turn");
    assert.ok(message.usage.input_tokens > 0 && message.usage.output_tokens > 0);
  },

  async stopped() {
    for (const message of [
      await say("on and on", { stop_sequences: ["STOP"] }),
      await client.messages.stream(asked("on and on", { stop_sequences: ["STOP"] })).finalMessage(),
    ]) {
      assert.equal(textOf(message), "one ");
      assert.deepEqual([message.stop_reason, message.stop_sequence], ["stop_sequence", "STOP"]);
    }
  },

  async thought() {
    const thinking = { type: "enabled", budget_tokens: 2048 };
    const stream = client.messages.stream(asked("think", { thinking }));
    let thoughts = "";
    stream.on("thinking", (delta) => (thoughts += delta));
    const message = await stream.finalMessage();
    assert.equal(thoughts, "I am thinking.");
    assert.deepEqual(message.content.map((block) => block.type), ["thinking", "text"]);
    assert.ok(message.content[0].signature);
    const messages = [
      { role: "user", content: "think" },
      { role: "assistant", content: message.content },
      { role: "user", content: "again" },
    ];
    assert.equal(textOf(await say("", { thinking, messages })), "You said: again");
  },

  async structured() {
    const schema = { type: "object", properties: { answer: { type: "integer" } }, required: ["answer"] };
    const output_config = { format: { type: "json_schema", schema: { ...schema, additionalProperties: false } } };
    assert.deepEqual(JSON.parse(textOf(await say("as json", { output_config }))), { answer: 4 });
  },

  async together() {
    const messages = asked("call two").messages;
    const stream = client.messages.stream(asked("", { messages, tools: [weather] }));
    let pieces = 0;
    stream.on("inputJson", () => (pieces += 1));
    const message = await stream.finalMessage();
    assert.ok(pieces > 0);
    assert.equal(message.stop_reason, "tool_use");
    assert.deepEqual(message.content.map((block) => block.input), [{ city: "Oslo" }, { city: "Bergen" }]);
    const results = message.content.map(({ id, input }) => ({
      type: "tool_result",
      tool_use_id: id,
      content: degrees[input.city],
    }));
    const next = [...messages, { role: "assistant", content: message.content }, { role: "user", content: results }];
    assert.equal(textOf(await say("", { messages: next, tools: [weather] })), "Bergen is warmer.");
    return results.map((result) => `${result.tool_use_id}=${result.content}`);
  },

  async ran() {
    const { messages, model, max_tokens } = asked("three steps");
    const given = { messages, model, max_tokens, tools: steps };
    const whole = await walked(client.beta.messages.toolRunner(given), false);
    return [...whole, ...(await walked(client.beta.messages.toolRunner({ ...given, stream: true }), true))];
  },

  async counted() {
    const { max_tokens, ...asking } = asked("hello");
    const { input_tokens } = await client.messages.countTokens(asking);
    assert.ok(input_tokens > 0 && input_tokens < 100, String(input_tokens));
  },

  async models() {
    const ids = [];
    for await (const model of client.models.list()) {
      ids.push(model.id);
    }
    assert.ok(ids.includes("gpt-5.5"), String(ids));
  },

  async errors() {
    await fails(Anthropic.BadRequestError, "invalid_request_error", say("hi", { messages: [] }));
    await fails(Anthropic.RateLimitError, "rate_limit_error", say("limited"));
    await fails(Anthropic.InternalServerError, "api_error", say("broken"));
    await fails(Anthropic.OverloadedError, "overloaded_error", say("crowded"));
    await fails(Anthropic.NotFoundError, "not_found_error", say("no such model"));
    const stranger = client.withOptions({ apiKey: "sk-wrong" });
    await fails(Anthropic.AuthenticationError, "authentication_error", stranger.messages.create(asked("hi")));
  },

  async brokenStream() {
    const stream = client.messages.stream(asked("break off"));
    let text = "";
    stream.on("text", (delta) => (text += delta));
    await assert.rejects(stream.finalMessage(), (error) => {
      assert.equal(error.type, "api_error", String(error));
      return true;
    });
    assert.equal(text, "word");
  },

  async leaving() {
    const stream = await say("for ever", { stream: true });
    for await (const event of stream) {
      if (event.type === "content_block_delta") break;
    }
    stream.controller.abort();
  },
};

for (const [name, check] of Object.entries(checks)) {
  const results = (await check()) ?? [];
  console.log("ok", name, ...results);
}
