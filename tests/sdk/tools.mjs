// Runs functions with the official Node package, and fails if a gateway does not behave like OpenAI's API.
//
//     tools.mjs PACKAGE_FOLDER BASE_URL API_KEY
//
// The name of a check is followed by each call's id and the result that was sent for it, which the model must receive.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [folder, baseURL, apiKey] = process.argv.slice(2);
// The package is installed with the other tools, not beside this file.
const { OpenAI } = createRequire(`${folder}/package.json`)("openai");
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 20_000 });

// Each function requires the result of the one before it.
const home = { Ann: "Oslo" };
const degrees = { Oslo: "7", Bergen: "9" };
const clothes = { 7: "coat" };
const steps = [[["locate", { person: "Ann" }]], [["weather", { city: "Oslo" }]], [["dress", { degrees: 7 }]]];
const both = [[["weather", { city: "Oslo" }], ["weather", { city: "Bergen" }]]];

function tool(name, key, type, table, strict) {
  const parameters = {
    type: "object",
    properties: { [key]: { type } },
    required: [key],
    additionalProperties: false,
  };
  const run = (given) => table[given[key]];
  const described = { name, description: `Looks up ${name}.`, parameters, strict };
  return { type: "function", function: { ...described, parse: JSON.parse, function: run } };
}

const tools = [
  tool("locate", "person", "string", home),
  tool("weather", "city", "string", degrees, true),
  tool("dress", "degrees", "integer", clothes),
];
const run = (text, more = {}) =>
  client.chat.completions.runTools({
    model: "gpt-5.5",
    messages: [{ role: "system", content: "Be brief." }, { role: "user", content: text }],
    tools,
    ...more,
  });

// The results in the runner's conversation, which must consist of these rounds of calls and then this text.
async function walked(runner, rounds, text) {
  assert.equal(await runner.finalContent(), text);
  const calling = runner.messages.filter((message) => message.tool_calls?.length);
  const called = (call) => [call.function.name, JSON.parse(call.function.arguments)];
  assert.deepEqual(calling.map((message) => message.tool_calls.map(called)), rounds);
  for (const message of calling) {
    assert.equal(message.content, null, "a message of calls alone has no text");
    assert.ok(message.tool_calls.every((call) => call.type === "function"), JSON.stringify(message));
  }
  const ids = calling.flatMap((message) => message.tool_calls.map((call) => call.id));
  assert.ok(ids.every(Boolean) && new Set(ids).size === ids.length, `ids: ${ids}`);
  const results = runner.messages.filter((message) => message.role === "tool");
  assert.deepEqual(results.map((result) => result.tool_call_id), ids, "each call is answered, in order");
  const reasons = runner.allChatCompletions().map((completion) => completion.choices[0].finish_reason);
  assert.deepEqual(reasons, [...rounds.map(() => "tool_calls"), "stop"]);
  return results;
}

const checks = {
  async whole() {
    const runner = run("three steps");
    const results = await walked(runner, steps, "Wear a coat.");
    const usage = await runner.totalUsage();
    assert.ok(usage.total_tokens === usage.prompt_tokens + usage.completion_tokens && usage.total_tokens > 0, "usage");
    return results;
  },

  async streamed() {
    const runner = run("three steps", { stream: true, stream_options: { include_usage: true } });
    const done = [];
    let text = "";
    runner.on("tool_calls.function.arguments.done", (call) => done.push(call.name));
    runner.on("content", (delta) => (text += delta));
    const results = await walked(runner, steps, "Wear a coat.");
    assert.deepEqual(done, ["locate", "weather", "dress"]);
    assert.equal(text, "Wear a coat.", "only the last answer has text");
    assert.ok((await runner.totalUsage()).completion_tokens > 0, "usage");
    return results;
  },

  async together() {
    return await walked(run("call two"), both, "Bergen is warmer.");
  },

  async togetherStreamed() {
    const runner = run("call two", { stream: true });
    const indices = new Set();
    runner.on("tool_calls.function.arguments.delta", (delta) => indices.add(delta.index));
    const results = await walked(runner, both, "Bergen is warmer.");
    assert.deepEqual([...indices], [0, 1]);
    return results;
  },

  // With a named function the runner calls it once and stops.
  async chosen() {
    const runner = run("call one", { tool_choice: { type: "function", function: { name: "weather" } } });
    assert.equal(await runner.finalFunctionToolCallResult(), "7");
    assert.equal((await runner.finalFunctionToolCall()).name, "weather");
    assert.equal(runner.allChatCompletions().length, 1);
  },
};

for (const [name, check] of Object.entries(checks)) {
  const results = (await check()) ?? [];
  console.log("ok", name, ...results.map((result) => `${result.tool_call_id}=${result.content}`));
}
