// @google/generative-ai, the library before @google/genai.
import { GoogleGenerativeAI } from "@google/generative-ai";
import { tool } from "./tool.mjs";

export function calls() {
	const start = (url, job) =>
		new GoogleGenerativeAI("key")
			.getGenerativeModel({ model: job.model, tools: job.tool ? [{ functionDeclarations: [tool] }] : undefined }, { baseUrl: url })
			.startChat();
	return {
		stream: (url, job) => speak(start(url, job), async (chat, message) => {
			const { stream, response } = await chat.sendMessageStream(message);
			response.catch(() => {}); // the stream fails as well
			const got = { text: "", finish: "", calls: [] };
			for await (const chunk of stream) collect(got, chunk);
			await response;
			return got;
		}),
		whole: (url, job) => speak(start(url, job), async (chat, message) => {
			const got = { text: "", finish: "", calls: [] };
			collect(got, (await chat.sendMessage(message)).response);
			return got;
		}),
	};
}

function speak(chat, send) {
	return {
		ask: (question) => send(chat, question),
		answer: (calls, response) => send(chat, calls.map((c) => ({ functionResponse: { name: c.name, response } }))),
	};
}

function collect(got, response) {
	got.text += response.text();
	got.calls.push(...(response.functionCalls() ?? []));
	got.finish = response.candidates?.[0]?.finishReason ?? got.finish;
}
