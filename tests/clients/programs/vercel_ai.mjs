// A turn with a tool by the AI SDK of Vercel. Its argument is the API; the bridge, the token and the model are in the environment.
import { writeFileSync } from 'node:fs';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { jsonSchema, stepCountIs, streamText, tool } from 'ai';

const { BASE_URL: baseURL, TOKEN: apiKey, MODEL, PROMPT } = process.env;
const models = {
  openai: () => createOpenAI({ baseURL, apiKey })(MODEL),
  chat: () => createOpenAI({ baseURL, apiKey }).chat(MODEL),
  anthropic: () => createAnthropic({ baseURL, apiKey })(MODEL),
  google: () => createGoogleGenerativeAI({ baseURL, apiKey })(MODEL),
};
const make = tool({
  description: 'Makes a file',
  inputSchema: jsonSchema({ type: 'object', properties: { path: { type: 'string' } }, required: ['path'] }),
  execute: ({ path }) => {
    writeFileSync(path, 'by the tool\n');
    return 'it is made';
  },
});
const result = streamText({
  model: models[process.argv[2]](),
  prompt: PROMPT,
  tools: { make },
  stopWhen: stepCountIs(2),
  onError: ({ error }) => {
    throw error;
  },
});
for await (const text of result.textStream) process.stdout.write(text);
