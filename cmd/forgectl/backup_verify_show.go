package main

import (
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/inventory"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// verifiedSet is one set in the JSON of forgectl backup verify.
type verifiedSet struct {
	Set      string          `json:"set"`
	Level    string          `json:"level"`
	OK       bool            `json:"ok"`
	Problems []string        `json:"problems"`
	Warnings []string        `json:"warnings"`
	Stages   []catalog.Stage `json:"stages"`
	Seconds  float64         `json:"seconds"`
	Recovery *recoveryTime   `json:"recovery,omitempty"`

	Signature *inventory.Signature `json:"signature"`
	Files     *foundFiles          `json:"files,omitempty"`

	compared string
}

// foundFiles is what a drill of a full set found of the files that the database
// names, in JSON.
type foundFiles struct {
	Named        int64    `json:"named"`
	Missing      int64    `json:"missing"`
	MissingNames []string `json:"missing_names"`
	Orphans      int64    `json:"orphans"`
}

// String is "12 of 12 named files there, 3 that nobody names".
func (f *foundFiles) String() string {
	return fmt.Sprintf("%s of %s named files are there; named by nobody: %s", ui.Count(f.Named-f.Missing), ui.Count(f.Named), ui.Count(f.Orphans))
}

// compared is what a drill has compared.
func compared(f *catalog.Fingerprint) string {
	if f == nil || f.Level == catalog.FingerprintNone {
		return "nothing to compare with"
	}
	return contents(f) + ", compared"
}

func verifiedResult(shown []verifiedSet) result {
	return result{
		JSON: map[string][]verifiedSet{"verified": append([]verifiedSet{}, shown...)},
		Text: func(s *ui.Streams) error {
			t := s.Table(ui.Column{Title: "SET"}, ui.Column{Title: "LEVEL"}, ui.Column{Title: "VERDICT"}, ui.Column{Title: "TOOK", Right: true}, ui.Column{Title: "DETAILS"})
			for _, v := range shown {
				verdict, details := s.Good("ok"), stageTimes(v.Stages)
				if v.compared != "" {
					details = v.compared + "; " + details
				}
				if v.Files != nil {
					details = v.Files.String() + "; " + details
				}
				if v.Recovery != nil {
					details = v.Recovery.String() + "; " + details
				}
				if !v.OK {
					verdict, details = s.Bad("damaged"), v.Problems[0]
				}
				t.Row(v.Set, v.Level, verdict, seconds(v.Seconds), details)
			}
			return t.Flush()
		},
	}
}
