package catalog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

// Only lines that sha256sum reads as we do are lines.
func TestSumsStrict(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	manifest := hash + "  manifest.json\n"
	for content, want := range map[string]string{
		manifest:                             "",
		hash + "  a/b\n" + manifest:          "",
		hash + "  a  b\n" + manifest:         "",
		"":                                   "no line for manifest.json",
		hash + "  a\n":                       "no line for manifest.json",
		hash + "  manifest.json":             "line 1: no newline",
		manifest + manifest:                  "line 2: manifest.json occurs twice",
		manifest + "\n":                      "line 2: not a hash",
		"# comment\n" + manifest:             "line 1: not a hash",
		hash + " *a\n" + manifest:            "line 1: not a hash",
		hash + " a\n" + manifest:             "line 1: not a hash",
		strings.ToUpper(hash) + "  a\n":      "line 1: not a hash",
		hash[1:] + "  a\n":                   "line 1: not a hash",
		hash + "0  a\n":                      "line 1: not a hash",
		strings.Repeat("0g", 32) + "  a\n":   "line 1: not a hash",
		hash + "  manifest.json\r\n":         "does not belong",
		"\\" + hash + "  a\\nb\n":            "not a hash",
		hash + "  a\\b\n" + manifest:         "does not belong",
		hash + "  /a\n" + manifest:           "does not belong",
		hash + "  ./a\n" + manifest:          "does not belong",
		hash + "  ../a\n" + manifest:         "does not belong",
		hash + "  a/\n" + manifest:           "does not belong",
		hash + "  .\n" + manifest:            "does not belong",
		hash + "  \n" + manifest:             "does not belong",
		hash + "  \xff\n" + manifest:         "does not belong",
		hash + "  a\x00\n" + manifest:        "does not belong",
		hash + "  SHA256SUMS\n" + manifest:   "does not belong",
		hash + "  checks/x.json\n":           "does not belong",
		hash + "  checks\n" + manifest:       "does not belong",
		manifest + hash + "  a\n" + hash[:9]: "line 3: no newline",
	} {
		err := sumsOf(t, []byte(content))
		var d *catalog.DamageError
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", content, err)
		case want != "" && (!errors.As(err, &d) || d.Artifact != "SHA256SUMS" || d.Kind != catalog.DamageMalformed || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}

func sumsOf(t testing.TB, content []byte) error {
	s := &storetest.Memory{}
	ref := catalog.Ref{Group: forge, ID: "20261123T020000Z"}
	must(t, s.Put(t.Context(), ref.Dir()+"/SHA256SUMS", text(string(content))))
	_, err := newCatalog(s).Sums(t.Context(), ref)
	return err
}

// What the parser accepts, it would write the same, but for the order.
func FuzzSums(f *testing.F) {
	hash := strings.Repeat("0a", 32)
	for _, s := range []string{hash + "  manifest.json\n", hash + "  a\n" + hash + "  manifest.json\n", "\\" + hash + "  a\\nb\n", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		s := &storetest.Memory{}
		ref := catalog.Ref{Group: forge, ID: "20261123T020000Z"}
		must(t, s.Put(t.Context(), ref.Dir()+"/SHA256SUMS", text(string(content))))
		sums, err := newCatalog(s).Sums(t.Context(), ref)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, sum := range sums {
			fmt.Fprintf(&again, "%s  %s\n", sum.SHA256, sum.Name)
		}
		if again.String() != string(content) {
			t.Errorf("%q was read as %q", content, again.String())
		}
	})
}
