// Holds conversations with one client library and prints how each went.
//
//   node run.mjs CLIENT < plan.json
//
// CLIENT names a module beside this one, and may add what to load:
// "genai:genai1". The plan says which conversations to hold, see plan.go; each
// ends with one line of JSON on standard output, see Report there.
import "./offline.mjs";
import { once } from "node:events";

// Some libraries reject promises that they hand to nobody.
process.on("unhandledRejection", () => {});

const [name, load] = process.argv[2].split(":");
const { calls } = await import(`./${name}.mjs`);
const plan = JSON.parse(await text(process.stdin));
const chats = await calls(load);

const hung = new Error("no end");
let next = 0;
await Promise.all(Array.from({ length: plan.parallel }, worker));
process.exit(0); // whatever still hangs

// worker holds one conversation after another until all are held.
async function worker() {
	while (next < plan.jobs.length) {
		const job = plan.jobs[next++];
		const report = { id: job.id, ...(await converse(job)) };
		if (!process.stdout.write(JSON.stringify(report) + "\n")) await once(process.stdout, "drain");
	}
}

// converse asks the first question, answers a function call if one comes, and
// asks the second question unless the first ended with an error.
async function converse(job) {
	const report = { text: "", finish: "", calls: [], error: "", hung: false, later: "" };
	try {
		const chat = await chats[job.call](plan.url, job);
		let got = await limit(chat.ask(job.first), job);
		report.calls = (got.calls ?? []).map((c) => c.name);
		if (got.calls?.length && chat.answer) got = await limit(chat.answer(got.calls, { weather: "rain" }), job);
		report.text = got.text;
		report.finish = String(got.finish ?? "").toLowerCase();
		got = await limit(chat.ask(job.second), job);
		report.later = got.text;
	} catch (err) {
		report.hung = err === hung;
		report.error = describe(err);
	}
	return report;
}

// limit fails with hung when p takes longer than the job allows.
function limit(p, job) {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(hung), job.patience * 1000);
	});
	return Promise.race([p, late]).finally(() => clearTimeout(timer));
}

// describe is a short text that is never empty.
function describe(err) {
	const words = [err?.name, err?.message, err?.cause?.code].filter(Boolean).join(": ");
	return (words || String(err) || "error").slice(0, 300);
}

async function text(stream) {
	const chunks = [];
	for await (const chunk of stream) chunks.push(chunk);
	return Buffer.concat(chunks).toString();
}
