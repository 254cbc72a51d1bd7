package proxy

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"gemini-resilient-proxy/routing"
)

const (
	// maxKeyFile and maxKeys bound what a group's keys may be.
	maxKeyFile = 4 << 20
	maxKeys    = 20_000
	// maxKeyBytes is far above what any API calls a key.
	maxKeyBytes = 4096
)

// errKeySource never repeats the value: whoever gets it wrong has written a key.
var errKeySource = errors.New("must be env:NAME, file:PATH or credential:NAME; a key itself has no place in this file")

// checkKeySource checks the form of a reference to keys.
func checkKeySource(source string) error {
	kind, name, ok := strings.Cut(source, ":")
	switch {
	case !ok || name == "":
		return errKeySource
	case kind == "env" && isHostText(name, "_"), kind == "file" && filepath.IsAbs(name):
		return nil
	case kind == "credential" && isHostText(name, ".-_") && !strings.HasPrefix(name, "."):
		return nil
	case kind == "file":
		return errors.New("file: takes an absolute path")
	}
	return errKeySource
}

// readKeySource returns what a reference stands for. Errors name the reference,
// never what is behind it.
func readKeySource(source string, getenv func(string) (string, bool)) (string, error) {
	if err := checkKeySource(source); err != nil {
		return "", err
	}
	if name, ok := strings.CutPrefix(source, "env:"); ok {
		value, ok := getenv(name)
		if !ok && looksLikeKey(name) {
			return "", errors.New("env: the variable is not set; what follows it is the name of a variable, not a key")
		}
		if !ok {
			return "", fmt.Errorf("%s: the variable is not set", source)
		}
		return value, nil
	}
	path := keyFile(source, getenv)
	if path == "" {
		return "", fmt.Errorf("%s: CREDENTIALS_DIRECTORY is not set; systemd sets it for LoadCredential=", source)
	}
	data, err := readSecretFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", source, err)
	}
	return data, nil
}

// looksLikeKey tells whether what should be the name of a variable may be a key:
// it is as long, and has capital and small letters and digits.
func looksLikeKey(name string) bool {
	const shortest = 20
	return len(name) >= shortest && strings.ToUpper(name) != name && strings.ToLower(name) != name && strings.ContainsAny(name, "0123456789")
}

// keyFile returns the file that a reference is to, "" when it is to none, or to a
// credential where there are none (https://systemd.io/CREDENTIALS).
func keyFile(source string, getenv func(string) (string, bool)) string {
	switch kind, name, _ := strings.Cut(source, ":"); kind {
	case "file":
		return name
	case "credential":
		if dir, ok := getenv("CREDENTIALS_DIRECTORY"); ok {
			return filepath.Join(dir, name)
		}
	}
	return ""
}

// watch notes the file that a reference is to as one that the configuration was
// made of.
func (l *loader) watch(source string) {
	if path := keyFile(source, l.getenv); path != "" && !slices.Contains(l.config.sources, path) {
		l.config.sources = append(l.config.sources, path)
	}
}

func readSecretFile(path string) (string, error) {
	data, err := readFile(path, maxKeyFile)
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	return string(data), nil
}

// readKeys returns the keys of all sources, one a line. Blank lines and lines
// that begin with "#" are none.
func readKeys(sources []string, getenv func(string) (string, bool)) (keys []routing.KeySpec, errs []error) {
	first := map[string]string{}
	for _, source := range sources {
		text, err := readKeySource(source, getenv)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		before, wrong, line := len(keys), len(errs), 0
		for key := range strings.Lines(strings.TrimPrefix(text, byteOrderMark)) {
			line++
			key = strings.TrimSpace(key)
			if key == "" || strings.HasPrefix(key, "#") {
				continue
			}
			name := fmt.Sprintf("%s#%d", source, line)
			switch other, twice := first[key]; {
			case strings.Contains(key, ","):
				errs = append(errs, fmt.Errorf("%s: holds a comma, which has no place in a key; keys stand one a line", name))
			case !validKey(key):
				errs = append(errs, fmt.Errorf("%s: holds a character that has no place in a key, or is too long", name))
			case twice:
				errs = append(errs, fmt.Errorf("%s: is the same key as %s", name, other))
			default:
				first[key] = name
				keys = append(keys, routing.KeySpec{Name: name, Secret: routing.Secret(key)})
			}
		}
		if len(keys) == before && len(errs) == wrong {
			errs = append(errs, fmt.Errorf("%s: holds no key", source))
		}
	}
	if len(keys) > maxKeys {
		errs = append(errs, fmt.Errorf("more than %d keys", maxKeys))
	}
	return keys, errs
}

// validKey tells whether a key can be sent in a header.
func validKey(key string) bool {
	if len(key) > maxKeyBytes {
		return false
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}
