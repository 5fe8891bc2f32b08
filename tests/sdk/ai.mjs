// Uses a gateway's Responses API through the AI SDK, which sends items back by value if nothing is stored, and else by reference.
//
//     ai.mjs PACKAGE_FOLDER BASE_URL API_KEY
//
// The name of a check is followed by each call's id and the result that was sent for it, which the model must receive.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, baseURL, apiKey] = process.argv.slice(2);
// The packages are installed with the other tools, not beside this file.
const require = createRequire(`${folder}/package.json`);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { generateText, jsonSchema, Output, stepCountIs, streamText, tool } = await load("ai");
const { createOpenAI } = await load("@ai-sdk/openai");

const model = createOpenAI({ baseURL, apiKey }).responses("gpt-5.5");
const providerOptions = { openai: { store: false, include: ["reasoning.encrypted_content"], reasoningSummary: "auto" } };
const shared = { model, maxRetries: 0, instructions: "Be brief.", providerOptions };

const object = (name, type) =>
  jsonSchema({ type: "object", properties: { [name]: { type } }, required: [name], additionalProperties: false });
const table = (description, name, type, results) =>
  tool({ description, inputSchema: object(name, type), execute: async (given) => results[given[name]] });
const tools = {
  locate: table("The city where a person is.", "person", "string", { Ann: "Oslo" }),
  weather: table("How warm it is in a city.", "city", "string", { Oslo: "7", Bergen: "9" }),
  dress: table("What to wear.", "degrees", "integer", { 7: "coat" }),
};
const looped = { ...shared, tools, stopWhen: stepCountIs(5) };

// The call's id and the result of each function that was called.
const results = (steps) =>
  steps.flatMap((step) => step.toolResults.map((result) => `${result.toolCallId}=${result.output}`));

const checks = {
  async whole() {
    const answer = await generateText({ ...shared, prompt: "hello" });
    assert.equal(answer.text, "You said: hello");
    assert.equal(answer.finishReason, "stop");
    assert.deepEqual([answer.usage.inputTokens, answer.usage.outputTokens], [100, 5]);
  },

  async streamed() {
    const answer = streamText({ ...shared, prompt: "hello" });
    let text = "";
    for await (const delta of answer.textStream) {
      text += delta;
    }
    assert.equal(text, "You said: hello");
    assert.equal(await answer.finishReason, "stop");
  },

  async stepped() {
    const answer = await generateText({ ...looped, prompt: "three steps" });
    assert.equal(answer.text, "Wear a coat.");
    return results(answer.steps);
  },

  async steppedStreamed() {
    const answer = streamText({ ...looped, prompt: "three steps" });
    assert.equal(await answer.text, "Wear a coat.");
    return results(await answer.steps);
  },

  // Reasoning before a call is sent back with it, and again with the next question.
  async thought() {
    const first = await generateText({ ...looped, prompt: "think, then call" });
    assert.equal(first.text, "It is 7 degrees.");
    assert.equal(first.steps[0].reasoningText, "I am thinking.");
    const question = { role: "user", content: "think, then call" };
    const answered = first.steps.flatMap((step) => step.response.messages);
    const messages = [question, ...answered, { role: "user", content: "again" }];
    assert.equal((await generateText({ ...shared, messages })).text, "You said: again");
    return results(first.steps);
  },

  // By default it has responses stored, and refers to what it received.
  async referred() {
    const defaults = { ...looped, providerOptions: undefined };
    const answer = await generateText({ ...defaults, prompt: "call two" });
    assert.equal(answer.text, "Bergen is warmer.");
    return results(answer.steps);
  },

  async typed() {
    const output = Output.object({ schema: object("answer", "integer") });
    assert.deepEqual((await generateText({ ...shared, output, prompt: "as json" })).output, { answer: 4 });
  },

  async errors() {
    await assert.rejects(generateText({ ...shared, prompt: "limited" }), (error) => {
      assert.equal(error.statusCode, 429, String(error));
      return true;
    });
    const parts = [];
    for await (const part of streamText({ ...shared, prompt: "break off", onError() {} }).fullStream) {
      parts.push(part);
    }
    assert.equal(parts.map((part) => (part.type === "text-delta" ? part.text : "")).join(""), "word");
    const failed = parts.some((part) => part.type === "error" || part.finishReason === "error");
    assert.ok(failed, JSON.stringify(parts.slice(-3)));
  },
};

for (const [name, check] of Object.entries(checks)) {
  const sent = (await check()) ?? [];
  console.log("ok", name, ...sent);
}
