// Turns with a tool by the AI SDK of Vercel. The arguments are APIs and where they are; the rest is in the environment.
import { writeFileSync } from 'node:fs';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { jsonSchema, stepCountIs, streamText, tool } from 'ai';

const { TOKEN: apiKey, MODEL, PROMPT } = process.env;
const models = {
  openai: (baseURL) => createOpenAI({ baseURL, apiKey })(MODEL),
  chat: (baseURL) => createOpenAI({ baseURL, apiKey }).chat(MODEL),
  anthropic: (baseURL) => createAnthropic({ baseURL, apiKey })(MODEL),
  google: (baseURL) => createGoogleGenerativeAI({ baseURL, apiKey })(MODEL),
};
const make = tool({
  description: 'Makes a file',
  inputSchema: jsonSchema({ type: 'object', properties: { path: { type: 'string' } }, required: ['path'] }),
  execute: ({ path }) => {
    writeFileSync(path, 'by the tool\n');
    return 'it is made';
  },
});
for (const argument of process.argv.slice(2)) {
  const [api, baseURL] = argument.split('=');
  const result = streamText({
    model: models[api](baseURL),
    prompt: PROMPT,
    tools: { make },
    stopWhen: stepCountIs(2),
    onError: ({ error }) => {
      throw error;
    },
  });
  for await (const text of result.textStream) process.stdout.write(text);
}
