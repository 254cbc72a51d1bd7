// LangChain's model for Google. The application keeps the history.
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatGoogleGenerativeAI } from "@langchain/google-genai";
import { tool } from "./tool.mjs";

export function calls() {
	const speak = (url, job, send) => {
		const model = new ChatGoogleGenerativeAI({ model: job.model, apiKey: "key", baseUrl: url, maxRetries: 2 });
		const runnable = job.tool ? model.bindTools([{ type: "function", function: tool }]) : model;
		const messages = [];
		const turn = async (...asked) => {
			messages.push(...asked);
			const got = await send(runnable, messages);
			messages.push(got);
			return { text: got.text, finish: got.response_metadata?.finishReason, calls: got.tool_calls ?? [] };
		};
		return {
			ask: (question) => turn(new HumanMessage(question)),
			answer: (calls, value) => turn(...calls.map((c) => new ToolMessage({ tool_call_id: c.id, name: c.name, content: JSON.stringify(value) }))),
		};
	};
	return {
		stream: (url, job) => speak(url, job, async (model, messages) => {
			let whole;
			for await (const chunk of await model.stream(messages)) whole = whole ? whole.concat(chunk) : chunk;
			if (!whole) throw new Error("no chunk");
			return whole;
		}),
		whole: (url, job) => speak(url, job, (model, messages) => model.invoke(messages)),
	};
}
