package proxy_test

import (
	"flag"
	"os"
	"testing"
)

// sideBySide is how many parallel tests run at once. Without it these are as
// many as there are processors, while most of them wait for their own servers.
const sideBySide = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	// While fuzzing it is the number of workers, which do not wait.
	given := flag.Lookup("test.fuzz").Value.String() != ""
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		flag.Set("test.parallel", sideBySide)
	}
	os.Exit(m.Run())
}
