// openai, on the OpenAI-compatible endpoint. The application keeps the history.
import OpenAI from "openai";
import { tool } from "./tool.mjs";

export function calls() {
	const speak = (url, job, send) => {
		const client = new OpenAI({ apiKey: "key", baseURL: `${url}/v1beta/openai/` });
		const messages = [];
		const turn = async (...asked) => {
			messages.push(...asked);
			const got = await send(client.chat.completions, {
				model: job.model,
				messages,
				tools: job.tool ? [{ type: "function", function: tool }] : undefined,
			});
			messages.push({ role: "assistant", content: got.text, ...(got.tool_calls.length && { tool_calls: got.tool_calls }) });
			got.calls = got.tool_calls.map((c) => ({ id: c.id, name: c.function.name }));
			return got;
		};
		return {
			ask: (question) => turn({ role: "user", content: question }),
			answer: (calls, value) => turn(...calls.map((c) => ({ role: "tool", tool_call_id: c.id, content: JSON.stringify(value) }))),
		};
	};
	const stream = (url, job) => speak(url, job, async (completions, body) => {
		const got = { text: "", finish: "", tool_calls: [] };
		for await (const chunk of await completions.create({ ...body, stream: true })) {
			const choice = chunk.choices?.[0];
			got.text += choice?.delta?.content ?? "";
			got.tool_calls.push(...(choice?.delta?.tool_calls ?? []));
			got.finish = choice?.finish_reason ?? got.finish;
		}
		return got;
	});
	// The helper fails at every call of Google's, which has no index; where there
	// may be one, people take the plain stream.
	const helper = (url, job) => job.tool ? stream(url, job) : speak(url, job, async (completions, body) => {
		const choice = (await completions.stream(body).finalChatCompletion()).choices[0];
		return { text: choice.message.content ?? "", finish: choice.finish_reason, tool_calls: [] };
	});
	return {
		stream,
		helper,
		whole: (url, job) => speak(url, job, async (completions, body) => {
			const choice = (await completions.create(body)).choices?.[0];
			return { text: choice?.message?.content ?? "", finish: choice?.finish_reason, tool_calls: choice?.message?.tool_calls ?? [] };
		}),
	};
}
