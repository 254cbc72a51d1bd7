// @google/genai: a chat that streams, and one that does not.
import { tool } from "./tool.mjs";

const declared = [{ functionDeclarations: [{ ...tool, parameters: undefined, parametersJsonSchema: tool.parameters }] }];

export async function calls(load) {
	const { GoogleGenAI } = await import(load);
	const start = (url, job) =>
		new GoogleGenAI({ apiKey: "key", httpOptions: { baseUrl: url } }).chats.create({
			model: job.model,
			config: job.tool ? { tools: declared } : {},
		});
	return {
		stream: (url, job) => speak(start(url, job), async (chat, message) => {
			const got = { text: "", finish: "", calls: [] };
			for await (const chunk of await chat.sendMessageStream({ message })) collect(got, chunk);
			return got;
		}),
		whole: (url, job) => speak(start(url, job), async (chat, message) => {
			const got = { text: "", finish: "", calls: [] };
			collect(got, await chat.sendMessage({ message }));
			return got;
		}),
	};
}

function speak(chat, send) {
	return {
		ask: (question) => send(chat, question),
		answer: (calls, response) => send(chat, calls.map((c) => ({ functionResponse: { id: c.id, name: c.name, response } }))),
	};
}

function collect(got, response) {
	for (const part of response.candidates?.[0]?.content?.parts ?? []) {
		if (part.text && !part.thought) got.text += part.text;
		if (part.functionCall) got.calls.push(part.functionCall);
	}
	got.finish = response.candidates?.[0]?.finishReason ?? got.finish;
}
