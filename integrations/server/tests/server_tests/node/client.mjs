// Asks a server through OpenAI's client for Node and prints what came, as JSON.
import OpenAI from "openai";

const [baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "How many legs has a cat?" }];
const asked = { model, messages, seed: 1, max_tokens: 16, temperature: 0 };

const models = [];
for await (const one of client.models.list()) models.push(one.id);
const whole = await client.chat.completions.create({ ...asked, et_agent: { leaves: 2 } });
let text = "";
let report = null;
for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
  text += chunk.choices[0]?.delta?.content ?? "";
  report = chunk.et_agent ?? report;
}
let error = null;
try {
  await client.chat.completions.create({ ...asked, n: 10000 });
} catch (raised) {
  error = { status: raised.status, param: raised.param, name: raised.constructor.name };
}
const stream = await client.chat.completions.create({ ...asked, max_tokens: 1000, stream: true });
stream.controller.abort();
console.log(JSON.stringify({ models, whole, text, report, error }));
