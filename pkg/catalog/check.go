package catalog

import (
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Values of Check.What.
const (
	CheckVerify  = "verify"  // the set was examined at Level, with the verdict OK
	CheckPin     = "pin"     // the set is to be kept
	CheckUnpin   = "unpin"   // takes a pin back
	CheckSuspect = "suspect" // something about the set is not believable; it is not good until accepted
	CheckAccept  = "accept"  // the operator has looked at a suspect set and believes it
)

// Values of Check.Level, each includes the one before.
const (
	LevelSample   = "sample"   // of a tree: everything but contents, of which a share was hashed
	LevelChecksum = "checksum" // every file has its size and hash
	LevelDecode   = "decode"   // every artifact decrypts and decompresses to its raw size and hash
	LevelDrill    = "drill"    // restored into a throwaway server and compared with the fingerprint
)

// Check is one thing that happened to a set after it was published: the file checks/<time>-<host>-<what>.json
// beside the manifest, written once and never changed. Like the manifest it is indented JSON in UTF-8 with a
// newline at the end.
//
// In the file's name, <time> is Time in UTC to the microsecond (20261123T020000.000000Z), <host> is Host as
// EscapeName spells it, and <what> is What. A file whose name says something else than its content is damaged.
type Check struct {
	Schema   int       `json:"schema"` // SchemaVersion
	Time     time.Time `json:"time"`   // microseconds; later than that of every check written before
	Host     string    `json:"host"`
	Forgectl string    `json:"forgectl"`
	What     string    `json:"what"`            // one of the Check constants; others are kept and ignored
	Level    string    `json:"level,omitempty"` // of a verify: one of the Level constants
	OK       bool      `json:"ok"`              // of a verify: the verdict
	// Problems is what a verify found, one each.
	Problems []string `json:"problems,omitempty"`
	// Damaged are the paths of a tree that are not to be relied on, DamagedMore how many more there are than are listed.
	Damaged     []TreePath `json:"damaged,omitempty"`
	DamagedMore int64      `json:"damaged_more,omitempty"`
	// Coverage is when which share of the tree was hashed last, by this verify or, for files that are still the same,
	// by earlier ones of the group.
	Coverage []Coverage `json:"coverage,omitempty"`
	// Reason is what the operator, or the program, gave as one.
	Reason string `json:"reason,omitempty"`
	// Stages is how long each stage of a verify took, in order.
	Stages []Stage           `json:"stages,omitempty"`
	Tools  map[string]string `json:"tools,omitempty"`
	// SHA256 is the hash of the file itself, taken while its 64 hex digits in this place were all "0".
	// It is the last member and stands on a line of its own.
	SHA256 string `json:"sha256"`
}

// Stage is one timed part of a check.
type Stage struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// TreePath is a path inside a file tree: plain, or as base64 exactly when it is not UTF-8.
type TreePath string

// PathJSON is how a path is written as JSON: one of the two.
type PathJSON struct {
	Path    *string `json:"path,omitempty"`
	PathB64 []byte  `json:"path_b64,omitempty"`
}

// JSON is the path in its written form.
func (p TreePath) JSON() PathJSON {
	plain := string(p)
	if utf8.ValidString(plain) {
		return PathJSON{Path: &plain}
	}
	return PathJSON{PathB64: []byte(p)}
}

// MarshalJSON keeps every byte.
func (p TreePath) MarshalJSON() ([]byte, error) { return json.Marshal(p.JSON()) }

// UnmarshalJSON reads what MarshalJSON writes.
func (p *TreePath) UnmarshalJSON(data []byte) error {
	var t PathJSON
	if err := json.Unmarshal(data, &t); err != nil {
		return err
	}
	if *p = TreePath(t.PathB64); t.Path != nil {
		*p = TreePath(*t.Path)
	}
	return nil
}
