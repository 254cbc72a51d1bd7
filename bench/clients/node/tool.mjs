// The one function that models may call here.
export const tool = {
	name: "get_weather",
	description: "The weather in a city.",
	parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
