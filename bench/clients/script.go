package main

// first is the answer that breaks. It has what is hard to cut and to escape, and
// nothing twice, so that no client takes it for a loop.
const first = `Grüß Gott! The sky is blue because air scatters short waves of light far more than long ones. 🌤
"Rayleigh" is the name of it, after the man who reckoned it out in 1871: the strength goes with 1/λ⁴, so that blue <450 nm> is thrown about four times as much as red.
In the evening the light has a longer way to come & most of the blue is gone before it is here; 夕焼け is what the Japanese call the red that remains, „Abendrot“ the Germans.

` + "```go\nfmt.Println(\"noon:\\tblue\", 'ü', \"\\\\o/\")\n```" + `

That is all there is to it: no paint, no mirror, no ocean – just very small things in the way of light. 🔬`

// second is the answer to the second question.
const second = "Yes, for the most part."
