// gemini-cli itself, headless: a run for each question, the second resuming the
// session of the first. Each conversation has a home of its own. With a key it
// asks the Gemini API; with a token of a Google login, which is made up here and
// which nobody checks, the endpoint of Code Assist.
import { execFile } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const at = fileURLToPath(new URL("node_modules/@google/gemini-cli/", import.meta.url));
const program = join(at, JSON.parse(readFileSync(join(at, "package.json"))).bin.gemini);

const offline = new URL("offline.mjs", import.meta.url).href;

const settings = {
	privacy: { usageStatisticsEnabled: false },
	telemetry: { enabled: false },
	general: { enableAutoUpdate: false, enableAutoUpdateNotification: false },
};

export function calls() {
	const speak = (auth, variables) => async (url, job) => {
		const home = await mkdtemp(join(tmpdir(), "gemini-cli-"));
		process.on("exit", () => rmSync(home, { recursive: true, force: true }));
		const work = join(home, "work");
		await mkdir(work);
		await mkdir(join(home, ".gemini"));
		await writeFile(join(home, ".gemini", "settings.json"), JSON.stringify({ ...settings, security: { auth: { selectedType: auth } } }));
		const env = {
			PATH: process.env.PATH,
			HOME: home,
			TMPDIR: home,
			...variables(url),
			GEMINI_CLI_NO_RELAUNCH: "true",
			GEMINI_TELEMETRY_ENABLED: "false",
		};
		let resume = [];
		return { ask: async (question) => {
			const args = ["--import", offline, program, ...resume, "-p", question, "-m", job.model, "--skip-trust", "-o", "json"];
			resume = ["-r", "latest"];
			return read(await run(args, { cwd: work, env }));
		} };
	};
	return {
		stream: speak("gemini-api-key", (url) => ({ GEMINI_API_KEY: "key", GOOGLE_GEMINI_BASE_URL: url })),
		login: speak("oauth-personal", (url) => ({
			CODE_ASSIST_ENDPOINT: url,
			GOOGLE_GENAI_USE_GCA: "true",
			GOOGLE_CLOUD_ACCESS_TOKEN: "token",
		})),
	};
}

// run returns what the program printed, whatever its exit status.
function run(args, options) {
	return new Promise((resolve) => {
		const child = execFile(process.execPath, args, { ...options, maxBuffer: 64 << 20 }, (err, stdout, stderr) => resolve({ err, stdout, stderr }));
		child.stdin.end();
		process.on("exit", () => child.kill("SIGKILL"));
	});
}

// read takes the answer out of a run's JSON. It has no finish reason: a run that
// ended well is taken for one.
function read({ err, stdout, stderr }) {
	let report;
	try {
		report = JSON.parse(stdout.slice(stdout.indexOf("{")));
	} catch {
		report = JSON.parse(stderr.slice(stderr.lastIndexOf("\n{") + 1));
	}
	if (err || report.error) throw new Error(report.error?.message ?? err.message);
	return {
		text: report.response ?? "",
		finish: report.response == null ? "" : "stop",
		calls: Object.keys(report.stats?.tools?.byName ?? {}).map((name) => ({ name })),
	};
}
