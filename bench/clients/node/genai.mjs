// @google/genai: a chat that streams, and one that does not.
import { tool } from "./tool.mjs";

const declared = [{ functionDeclarations: [{ ...tool, parameters: undefined, parametersJsonSchema: tool.parameters }] }];

export async function calls(load) {
	const { GoogleGenAI } = await import(load);
	const start = (url, job) =>
		new GoogleGenAI({ apiKey: "key", vertexai: job.call === "vertex", httpOptions: { baseUrl: url } }).chats.create({
			model: job.model,
			config: job.tool ? { tools: declared } : {},
		});
	const stream = (url, job) => speak(start(url, job), async (chat, message) => {
		const got = { text: "", finish: "", calls: [] };
		for await (const chunk of await chat.sendMessageStream({ message })) collect(got, chunk);
		return got;
	});
	// The application keeps the history, in steps.
	const interaction = (url, job) => {
		const { interactions } = new GoogleGenAI({ apiKey: "key", httpOptions: { baseUrl: url } });
		const input = [];
		return { ask: async (text) => {
			input.push({ type: "user_input", content: [{ type: "text", text }] });
			const got = { text: "", finish: "" };
			for await (const event of await interactions.create({ model: job.model, input, stream: true })) {
				if (event.event_type === "error") throw new Error(event.error?.message);
				if (event.event_type === "step.delta" && event.delta.type === "text") got.text += event.delta.text;
				if (event.event_type === "interaction.completed" && event.interaction.status === "completed") got.finish = "stop";
			}
			input.push({ type: "model_output", content: [{ type: "text", text: got.text }] });
			return got;
		} };
	};
	return {
		interaction,
		stream,
		vertex: stream, // with a key and without a project: express mode
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
