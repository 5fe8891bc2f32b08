// Uses a gateway's Responses API through the official Node package, and fails if it does not behave like OpenAI's API.
//
//     responses.mjs PACKAGE_FOLDER BASE_URL API_KEY
//
// The name of a check is followed by each call's id and the result that was sent for it, which the model must receive.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [folder, baseURL, apiKey] = process.argv.slice(2);
// The package is installed with the other tools, not beside this file.
const { OpenAI } = createRequire(`${folder}/package.json`)("openai");
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 20_000 });

const asked = (input, more = {}) => ({ model: "gpt-5.5", instructions: "Be brief.", input, ...more });
const say = (input, more) => client.responses.create(asked(input, more));

const object = (name, type) => ({
  type: "object",
  properties: { [name]: { type } },
  required: [name],
  additionalProperties: false,
});
const weather = { type: "function", name: "weather", strict: true, parameters: object("city", "string") };
const degrees = { Oslo: "7", Bergen: "9" };

async function fails(kind, asking, check) {
  await assert.rejects(asking, (error) => {
    assert.equal(error.constructor, kind, String(error));
    check(error);
    return true;
  });
}

const checks = {
  async whole() {
    const response = await say("hello");
    assert.equal(response.output_text, "You said: hello");
    assert.equal(response.status, "completed");
    assert.equal(response.store, true);
    assert.ok(response._request_id);
  },

  async streamed() {
    const events = [];
    for await (const event of await say("hello", { stream: true })) {
      events.push(event);
    }
    const deltas = events.filter((event) => event.type === "response.output_text.delta");
    assert.equal(deltas.map((event) => event.delta).join(""), "You said: hello");
    assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, place) => place));
    assert.equal(events[0].type, "response.created");
    assert.equal(events.at(-1).type, "response.completed");
  },

  async helped() {
    const stream = client.responses.stream(asked("hello"));
    let text = "";
    stream.on("response.output_text.delta", (event) => (text += event.delta));
    const response = await stream.finalResponse();
    assert.equal(text, "You said: hello");
    assert.equal(response.output_text, text);
    assert.equal(response.status, "completed");
  },

  async thought() {
    const more = { reasoning: { summary: "auto" }, include: ["reasoning.encrypted_content"], store: false };
    const response = await client.responses.stream(asked("think", more)).finalResponse();
    assert.deepEqual(response.output.map((item) => item.type), ["reasoning", "message"]);
    assert.equal(response.output[0].summary[0].text, "I am thinking.");
    assert.ok(response.output[0].encrypted_content);
    const items = [{ role: "user", content: "think" }, ...response.output, { role: "user", content: "again" }];
    assert.equal((await say(items, more)).output_text, "You said: again");
  },

  async structured() {
    const format = { type: "json_schema", name: "answer", strict: true, schema: object("answer", "integer") };
    const parsed = await client.responses.parse(asked("as json", { text: { format } }));
    assert.deepEqual(parsed.output_parsed, { answer: 4 });
  },

  async together() {
    const items = [{ role: "user", content: "call two" }];
    const stream = client.responses.stream(asked(items, { tools: [weather] }));
    const indices = [];
    stream.on("response.function_call_arguments.delta", (event) => indices.push(event.output_index));
    const response = await stream.finalResponse();
    assert.deepEqual([...new Set(indices)], [0, 1]);
    assert.deepEqual(response.output.map((call) => call.parsed_arguments), [{ city: "Oslo" }, { city: "Bergen" }]);
    const results = response.output.map((call) => ({
      type: "function_call_output",
      call_id: call.call_id,
      output: degrees[JSON.parse(call.arguments).city],
    }));
    // Without the member that the helper has added.
    const calls = response.output.map(({ parsed_arguments, ...call }) => call);
    assert.equal((await say([...items, ...calls, ...results], { tools: [weather] })).output_text, "Bergen is warmer.");
    return results.map((result) => `${result.call_id}=${result.output}`);
  },

  async counted() {
    const { input_tokens } = await client.responses.inputTokens.count(asked("hello"));
    assert.ok(input_tokens > 0 && input_tokens < 100, String(input_tokens));
  },

  async errors() {
    await fails(OpenAI.BadRequestError, say("hi", { previous_response_id: "resp_1" }), (error) => {
      assert.equal(error.param, "previous_response_id");
    });
    await fails(OpenAI.RateLimitError, say("limited"), (error) => assert.equal(error.code, "rate_limit_exceeded"));
    await fails(OpenAI.InternalServerError, say("broken"), (error) => assert.equal(error.status, 502));
    await fails(OpenAI.BadRequestError, say("too long"), (error) => {
      assert.equal(error.code, "context_length_exceeded");
    });
    const stranger = client.withOptions({ apiKey: "sk-wrong" });
    await fails(OpenAI.AuthenticationError, stranger.responses.create(asked("hi")), (error) => {
      assert.equal(error.code, "invalid_api_key");
    });
  },

  async brokenStream() {
    const events = [];
    for await (const event of await say("break off", { stream: true })) {
      events.push(event);
    }
    assert.equal(events.map((event) => event.delta ?? "").join(""), "word");
    assert.equal(events.at(-1).type, "response.failed");
    assert.ok(events.at(-1).response.error.message);
  },

  async leaving() {
    const stream = await say("for ever", { stream: true });
    for await (const event of stream) {
      if (event.type === "response.output_text.delta") break;
    }
    stream.controller.abort();
  },
};

for (const [name, check] of Object.entries(checks)) {
  const results = (await check()) ?? [];
  console.log("ok", name, ...results);
}
