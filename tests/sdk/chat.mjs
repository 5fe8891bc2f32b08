// Uses a gateway through the official Node package, and fails if it does not behave like OpenAI's API.
//
//     chat.mjs PACKAGE_FOLDER BASE_URL API_KEY

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [folder, baseURL, apiKey] = process.argv.slice(2);
// The package is installed with the other tools, not beside this file.
const { OpenAI } = createRequire(`${folder}/package.json`)("openai");
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 20_000 });

const asked = (text) => [{ role: "system", content: "Be brief." }, { role: "user", content: text }];
const say = (text, more = {}) => client.chat.completions.create({ model: "gpt-5.5", messages: asked(text), ...more });

async function fails(kind, asking, check) {
  await assert.rejects(asking, (error) => {
    assert.equal(error.constructor, kind, String(error));
    check(error);
    return true;
  });
}

const checks = {
  async whole() {
    const answer = await say("hello");
    assert.equal(answer.choices[0].message.content, "You said: hello");
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
    assert.ok(answer._request_id);
  },

  async streamed() {
    const chunks = [];
    for await (const chunk of await say("hello", { stream: true, stream_options: { include_usage: true } })) {
      chunks.push(chunk);
    }
    assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), "You said: hello");
    assert.equal(chunks[0].choices[0].delta.role, "assistant");
    assert.deepEqual(chunks.map((chunk) => chunk.choices[0]?.finish_reason).filter(Boolean), ["stop"]);
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.ok(chunks.at(-1).usage.completion_tokens > 0);
  },

  // Heartbeats between the chunks are skipped.
  async beating() {
    let text = "";
    for await (const chunk of await say("slowly", { stream: true })) {
      text += chunk.choices[0].delta.content ?? "";
    }
    assert.equal(text, "before after");
  },

  async helped() {
    const stream = client.chat.completions.stream({ model: "gpt-5.5", messages: asked("hello") });
    assert.equal(await stream.finalContent(), "You said: hello");
  },

  async structured() {
    const schema = {
      type: "object",
      properties: { answer: { type: "integer" } },
      required: ["answer"],
      additionalProperties: false,
    };
    const response_format = { type: "json_schema", json_schema: { name: "answer", strict: true, schema } };
    const parsed = await client.chat.completions.parse({ model: "gpt-5.5", messages: asked("as json"), response_format });
    assert.deepEqual(parsed.choices[0].message.parsed, { answer: 4 });
  },

  async stopped() {
    const answer = await say("on and on", { stop: "STOP" });
    assert.equal(answer.choices[0].message.content, "one ");
    assert.equal(answer.choices[0].finish_reason, "stop");
    const stream = client.chat.completions.stream({ model: "gpt-5.5", messages: asked("on and on"), stop: ["STOP"] });
    assert.equal(await stream.finalContent(), "one ");
  },

  async several() {
    const answer = await say("hello", { n: 3 });
    const text = answer.choices[0].message.content;
    assert.ok(text);
    const seen = (choices) => choices.map((choice) => [choice.index, choice.message.content, choice.finish_reason]);
    const expected = [0, 1, 2].map((index) => [index, text, "stop"]);
    assert.deepEqual(seen(answer.choices), expected);
    const stream = client.chat.completions.stream({ model: "gpt-5.5", messages: asked("hello"), n: 3 });
    assert.deepEqual(seen((await stream.finalChatCompletion()).choices), expected);
  },

  async models() {
    const ids = [];
    for await (const model of client.models.list()) {
      ids.push(model.id);
    }
    assert.ok(ids.includes("gpt-5.5"), String(ids));
    assert.equal((await client.models.retrieve("gpt-5.5")).id, "gpt-5.5");
    await fails(OpenAI.NotFoundError, client.models.retrieve("gpt-99"), (error) => {
      assert.equal(error.code, "model_not_found");
    });
  },

  async errors() {
    await fails(OpenAI.BadRequestError, say("hi", { n: 21 }), (error) => assert.equal(error.param, "n"));
    await fails(OpenAI.RateLimitError, say("limited"), (error) => {
      assert.equal(error.code, "rate_limit_exceeded");
      assert.ok(error.headers.get("retry-after"));
    });
    await fails(OpenAI.RateLimitError, say("spent"), (error) => assert.equal(error.code, "insufficient_quota"));
    await fails(OpenAI.InternalServerError, say("broken"), (error) => assert.equal(error.status, 502));
    await fails(OpenAI.InternalServerError, say("crowded"), (error) => assert.equal(error.status, 503));
    await fails(OpenAI.BadRequestError, say("too long"), (error) => {
      assert.equal(error.code, "context_length_exceeded");
    });
    await fails(OpenAI.NotFoundError, say("hi", { model: "gpt-99" }), (error) => {
      assert.equal(error.code, "model_not_found");
      assert.equal(error.param, "model");
    });
    const stranger = client.withOptions({ apiKey: "sk-wrong" });
    await fails(OpenAI.AuthenticationError, stranger.models.list(), (error) => {
      assert.equal(error.code, "invalid_api_key");
    });
  },

  async brokenStream() {
    let text = "";
    const read = async () => {
      for await (const chunk of await say("break off", { stream: true })) {
        text += chunk.choices[0].delta.content ?? "";
      }
    };
    await fails(OpenAI.APIError, read(), (error) => assert.equal(error.code, "upstream_error"));
    assert.equal(text, "word");
  },

  async leaving() {
    const stream = await say("for ever", { stream: true });
    for await (const chunk of stream) {
      if (chunk.choices[0].delta.content) break;
    }
    stream.controller.abort();
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log("ok", name);
}
