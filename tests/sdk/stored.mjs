// Uses a gateway's stored responses through the official Node package: retrieval, continuation, conversations, background and
// WebSockets. Fails if it does not behave like OpenAI's API.
//
//     stored.mjs PACKAGE_FOLDER BASE_URL API_KEY

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [folder, baseURL, apiKey] = process.argv.slice(2);
// The package is installed with the other tools, not beside this file.
const require = createRequire(`${folder}/package.json`);
const { OpenAI } = require("openai");
const { ResponsesWS } = require("openai/resources/responses/ws");
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 20_000 });
const say = (input, more = {}) => client.responses.create({ model: "gpt-5.5", input, ...more });

async function list(page) {
  const items = [];
  for await (const item of page) items.push(item);
  return items;
}

const checks = {
  async retrieved() {
    const response = await say("hello");
    assert.equal(response.store, true);
    assert.deepEqual(await client.responses.retrieve(response.id), response);
    await client.responses.delete(response.id);
    await assert.rejects(client.responses.retrieve(response.id), (error) => error.status === 404);
  },

  async continued() {
    const first = await say("hello");
    const stream = await say("again", { previous_response_id: first.id, stream: true });
    const events = await list(stream);
    const { response } = events.at(-1);
    const items = await list(client.responses.inputItems.list(response.id, { order: "asc" }));
    assert.deepEqual(items.map((item) => item.role), ["user", "assistant", "user"]);
  },

  async conversed() {
    const conversation = await client.conversations.create({ metadata: { topic: "names" } });
    await say("hello", { conversation: conversation.id });
    const items = await list(client.conversations.items.list(conversation.id, { order: "asc" }));
    assert.deepEqual(items.map((item) => item.content[0].text), ["hello", "You said: hello"]);
    assert.equal((await client.conversations.delete(conversation.id)).deleted, true);
  },

  // The package replays a stream from its first event (openai-node issue 1984).
  async resumed() {
    const begun = await say("hello", { background: true, stream: true });
    const first = [];
    for await (const event of begun) {
      first.push(event);
      if (first.length === 2) break;
    }
    const rest = await list(
      await client.responses.retrieve(first[0].response.id, { stream: true, starting_after: 1 }),
    );
    const numbers = [...first, ...rest].map((event) => event.sequence_number);
    assert.deepEqual(numbers, numbers.map((_, index) => index));
    assert.equal(rest.at(-1).type, "response.completed");
  },

  async cancelled() {
    const begun = await say("for ever", { background: true });
    assert.equal((await client.responses.cancel(begun.id)).status, "cancelled");
  },

  async bySocket() {
    const socket = new ResponsesWS(client);
    try {
      const texts = [];
      let previous;
      socket.send({ type: "response.create", model: "gpt-5.5", input: "hello", store: false });
      await new Promise((resolve, reject) => {
        socket.on("error", reject);
        socket.on("response.failed", reject);
        socket.on("response.completed", ({ response }) => {
          texts.push(response.output[0].content[0].text);
          if (previous) return resolve();
          previous = response.id;
          socket.send({
            type: "response.create",
            model: "gpt-5.5",
            input: "again",
            store: false,
            previous_response_id: previous,
          });
        });
      });
      assert.deepEqual(texts, ["You said: hello", "You said: again"]);
    } finally {
      socket.close();
    }
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log(name);
}
