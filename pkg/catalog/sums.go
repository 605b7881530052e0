package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Sum is one line of SHA256SUMS.
type Sum struct {
	Name   string
	SHA256 string // 64 lower-case hex digits
}

// Sums reads the SHA256SUMS of a set, in the order of the file. Whatever is odd about it is a *DamageError.
func (c *Catalog) Sums(ctx context.Context, ref Ref) ([]Sum, error) {
	return c.sums(ctx, ref, 0)
}

func (c *Catalog) sums(ctx context.Context, ref Ref, size int64) ([]Sum, error) {
	sums, _, err := c.hashedSums(ctx, ref, size)
	return sums, err
}

// hashedSums also returns the hash of the file itself.
func (c *Catalog) hashedSums(ctx context.Context, ref Ref, size int64) (sums []Sum, hash [sha256.Size]byte, err error) {
	data, err := c.readFile(ctx, ref, SumsName, size, maxSums)
	if errors.Is(err, fs.ErrNotExist) { // no SHA256SUMS, no set
		return nil, hash, fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	if err != nil {
		return nil, hash, err
	}
	if sums, err = parseSums(data); err != nil {
		return nil, hash, &DamageError{Ref: ref, Artifact: SumsName, Kind: DamageMalformed, Err: err}
	}
	return sums, sha256.Sum256(data), nil
}

// parseSums is strict: a line that sha256sum would read differently, or that has been cut, must not pass.
func parseSums(data []byte) ([]Sum, error) {
	var sums []Sum
	seen := map[string]bool{}
	for line := range bytes.Lines(data) {
		sum, err := parseSum(string(line))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(sums)+1, err)
		}
		if seen[sum.Name] {
			return nil, fmt.Errorf("line %d: %s occurs twice", len(sums)+1, sum.Name)
		}
		seen[sum.Name] = true
		sums = append(sums, sum)
	}
	if !seen[ManifestName] {
		return nil, fmt.Errorf("no line for %s", ManifestName)
	}
	return sums, nil
}

func parseSum(line string) (Sum, error) {
	line, whole := strings.CutSuffix(line, "\n")
	hash, name, found := strings.Cut(line, "  ")
	switch {
	case !whole:
		return Sum{}, errors.New("no newline at the end")
	case !found || !isHash(hash):
		return Sum{}, errors.New("not a hash, two spaces and a name")
	case !coverable(name):
		return Sum{}, fmt.Errorf("name %q does not belong here", name)
	}
	return Sum{Name: name, SHA256: hash}, nil
}

// formatSums is what parseSums reads, sorted.
func formatSums(sums []Sum) []byte {
	slices.SortFunc(sums, func(a, b Sum) int { return strings.Compare(a.Name, b.Name) })
	var b bytes.Buffer
	for _, s := range sums {
		fmt.Fprintf(&b, "%s  %s\n", s.SHA256, s.Name)
	}
	return b.Bytes()
}

// coverable accepts the names that may stand in SHA256SUMS.
func coverable(name string) bool {
	if !cleanName(name) || name == SumsName || name == SignatureName {
		return false
	}
	first, _, _ := strings.Cut(name, "/")
	return first != ChecksDir
}

// cleanName accepts relative paths without detours. sha256sum would escape a backslash or a newline.
func cleanName(name string) bool {
	if name == "." || !fs.ValidPath(name) {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' })
}

func isHash(s string) bool {
	if len(s) != 64 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') })
}
