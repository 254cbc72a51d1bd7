// fetch and JSON.parse: what reads a stream as one JSON array.
import { tool } from "./tool.mjs";

export function calls() {
	return { array: (url, job) => {
		const contents = [];
		const turn = async (parts) => {
			contents.push({ role: "user", parts });
			const response = await fetch(`${url}/v1beta/models/${job.model}:streamGenerateContent`, {
				method: "POST",
				headers: { "Content-Type": "application/json", "x-goog-api-key": "key" },
				body: JSON.stringify({ contents, ...(job.tool && { tools: [{ functionDeclarations: [tool] }] }) }),
			});
			const elements = JSON.parse(await response.text());
			const got = { text: "", finish: "", calls: [] };
			const model = { role: "model", parts: [] };
			for (const element of [elements].flat()) {
				if (element.error) throw new Error(element.error.message);
				const candidate = element.candidates?.[0];
				for (const part of candidate?.content?.parts ?? []) {
					got.text += part.text ?? "";
					if (part.functionCall) got.calls.push(part.functionCall);
					model.parts.push(part);
				}
				got.finish = candidate?.finishReason ?? got.finish;
			}
			contents.push(model);
			return got;
		};
		return {
			ask: (question) => turn([{ text: question }]),
			answer: (calls, response) => turn(calls.map((c) => ({ functionResponse: { name: c.name, response } }))),
		};
	} };
}
