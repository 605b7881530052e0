package warm

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// ErrDjangoVersion means that no file of the release pins Django.
var ErrDjangoVersion = errors.New("no requirements file of the release pins Django")

var pinned = regexp.MustCompile(`(?i)^django\s*===?\s*([0-9][0-9a-z.]*)\s*(?:[;#\\ ].*)?$`)

// DjangoVersion is the version that the release in root (or in root/current) is pinned to by one of its requirements
// files. It runs nothing. Two different ones are an error.
func DjangoVersion(root string) (string, error) {
	found, where := "", ""
	for _, dir := range []string{filepath.Join(root, "current"), root} {
		for _, pattern := range []string{"requirements*.txt", "requirements/*.txt", "*/requirements*.txt"} {
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				return "", err
			}
			for _, file := range files {
				version := pinnedIn(file)
				if version != "" && found != "" && version != found {
					return "", fmt.Errorf("%s pins Django %s, and %s pins %s", where, found, file, version)
				}
				if version != "" {
					found, where = version, file
				}
			}
		}
		if found != "" {
			return found, nil
		}
	}
	return "", fmt.Errorf("%w (below %s)", ErrDjangoVersion, root)
}

// pinnedIn is the version in a file; "" when it says nothing or cannot be read.
func pinnedIn(file string) string {
	data, err := os.ReadFile(file)
	if err != nil || len(data) > 1<<20 {
		return ""
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if m := pinned.FindSubmatch(bytes.TrimSpace(lines.Bytes())); m != nil {
			return string(m[1])
		}
	}
	return ""
}
