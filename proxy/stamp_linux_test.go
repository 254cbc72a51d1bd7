package proxy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// TestWatchFilesOfOneTime: keys have one length, and what unpacks or copies them
// may give all files one time: another file in the place of a file is loaded all
// the same, and so is one that may be read only now.
func TestWatchFilesOfOneTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, keys := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "keys")
	r := newRig(t, upstream.Always(whole), nil)
	write := func(path, text string) {
		t.Helper()
		then := time.Unix(1, 0)
		for _, err := range []error{
			os.WriteFile(path+".new", []byte(text), 0o600), os.Chtimes(path+".new", then, then), os.Rename(path+".new", path),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	write(keys, "AIzaCANARY-one\n")
	write(file, fmt.Sprintf("listen_addr: 127.0.0.1:0\ngroups:\n  default:\n    targets: [%s]\n    keys: file:%s\n", r.up.URL(), keys))
	loads := 0
	loaded := make(chan struct{}, 10)
	r.server.SetSource(func() (proxy.Config, error) {
		if loads++; loads > 1 {
			loaded <- struct{}{}
		}
		return proxy.LoadConfig(file, func(string) (string, bool) { return "", false })
	})
	if err := r.server.Reload(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { r.server.WatchFiles(file); close(done) }()
	// WatchFiles loads once more what it has not seen before it was read.
	awaitLoad := func(why string) {
		t.Helper()
		select {
		case <-loaded:
		case <-time.After(patience):
			t.Fatal("not loaded: ", why)
		}
	}
	awaitLoad("at first")
	write(keys, "AIzaCANARY-two\n")
	awaitLoad("another file")
	if !eventually(func() bool {
		r.up.Reset()
		r.post(streamPath, ask("x"))
		list := r.up.Requests()
		return len(list) == 1 && list[0].Header.Get("X-Goog-Api-Key") == "AIzaCANARY-two"
	}) {
		t.Error("the new key is not used")
	}
	if err := os.Chmod(keys, 0o640); err != nil {
		t.Fatal(err)
	}
	awaitLoad("other permissions")
	r.stop()
	<-done
}
