package upstream

import (
	"strings"
	"testing"
)

// A client that goes on by hand gets the whole answer of every fault that heals,
// and never more than a part of it from one attempt that broke.
func TestFaultyModel(t *testing.T) {
	answer := strings.Repeat("Ein Löwe, zwei Löwen. ", 20)
	for _, fault := range Faults {
		if strings.Contains("stall repeat restart call", fault.Name) {
			continue // below, or told by the proxy's own tests
		}
		u := start(t, (&Faulty{First: answer, Later: "later"}).Handle)
		said := ""
		for range 6 {
			turns := []string{"tell [a#1]"}
			if said != "" {
				turns = append(turns, said, "go on: <<<"+said[max(len(said)-8, 0):]+">>>")
			}
			head := strings.Replace(post(ask(turns...)), "models/m:", "models/"+fault.ModelName()+":", 1)
			_, body, _ := dial(t, u).send(head).response()
			piece, _, reason := text(t, body)
			if said != "" {
				piece = strings.TrimPrefix(piece, said[max(len(said)-8, 0):])
			}
			if said += piece; reason == "STOP" && said != "" {
				break
			}
		}
		if (said == answer) != fault.Heals {
			t.Errorf("%s: %s", fault.Name, excerpt(said))
		}
		head := strings.Replace(post(ask("tell [a#1]", answer, "more [a#2]")), "models/m:", "models/"+fault.ModelName()+":", 1)
		_, body, _ := dial(t, u).send(head).response()
		if piece, _, _ := text(t, body); piece != "later" {
			t.Errorf("%s: the second question got %s", fault.Name, excerpt(body))
		}
	}
}

func TestFaultyModelRefuses(t *testing.T) {
	f := func(name, model, body string, want int) {
		u := start(t, (&Faulty{First: "Abc"}).Handle)
		res, _, _ := dial(t, u).send(strings.Replace(post(body), "models/m:", "models/"+model+":", 1)).response()
		if res.StatusCode != want {
			t.Errorf("%s: %s, want %d", name, res.Status, want)
		}
	}
	f("no mark", "m-none", ask("tell"), 400)
	f("no fault", "m", ask("tell [a#1]"), 404)
	f("another text", "m-none", ask("tell [a#1]", "Abd", "go on"), 400)
	f("a newer model's own turn", newerModel+"-closed", ask("tell [a#1]", "A"), 400)
	f("an older model's own turn", olderModel+"-closed", ask("tell [a#1]", "A"), 200)
	f("good", "m-none", ask("tell [a#1]"), 200)
}

func TestTornCutsInsideACharacter(t *testing.T) {
	f := func(name, want string) {
		u := start(t, (&Faulty{First: "Ein Löwe, zwei Löwen. Drei Löwen, vier Löwen."}).Handle)
		_, body, _ := dial(t, u).send(strings.Replace(post(ask("tell [a#1]")), "models/m:", "models/m-"+name+":", 1)).response()
		if !strings.HasSuffix(body, want) {
			t.Errorf("%s: ends with %q, want %q", name, body[max(len(body)-20, 0):], want)
		}
	}
	f("character", `{"text": "Drei L`+"\xc3")
	f("event", `{"text": "Drei`)
}
