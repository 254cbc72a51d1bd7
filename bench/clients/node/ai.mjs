// The AI SDK with its provider for Google. The application keeps the history.
import { generateText, jsonSchema, streamText } from "ai";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { tool } from "./tool.mjs";

const tools = { [tool.name]: { description: tool.description, inputSchema: jsonSchema(tool.parameters) } };

export function calls() {
	const speak = (url, job, send) => {
		const model = createGoogleGenerativeAI({ apiKey: "key", baseURL: `${url}/v1beta` })(job.model);
		const messages = [];
		const turn = async (message) => {
			messages.push(message);
			const got = await send({ model, messages, tools: job.tool ? tools : undefined });
			messages.push(...got.messages);
			return got;
		};
		return {
			ask: (question) => turn({ role: "user", content: question }),
			answer: (calls, value) => turn({
				role: "tool",
				content: calls.map((c) => ({ type: "tool-result", toolCallId: c.id, toolName: c.name, output: { type: "json", value } })),
			}),
		};
	};
	return {
		stream: (url, job) => speak(url, job, async (options) => {
			let failure;
			const result = streamText({ ...options, onError: ({ error }) => { failure ??= error; } });
			let text = "";
			for await (const piece of result.textStream) text += piece;
			if (failure) throw failure;
			const response = await result.response;
			return {
				text,
				finish: await result.finishReason,
				calls: (await result.toolCalls).map((c) => ({ id: c.toolCallId, name: c.toolName })),
				messages: response.messages,
			};
		}),
		whole: (url, job) => speak(url, job, async (options) => {
			const result = await generateText(options);
			return {
				text: result.text,
				finish: result.finishReason,
				calls: result.toolCalls.map((c) => ({ id: c.toolCallId, name: c.toolName })),
				messages: result.response.messages,
			};
		}),
	};
}
