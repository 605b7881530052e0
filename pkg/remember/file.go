package remember

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
)

// schema is the version of the layout.
const schema = 1

// largest is what is read of a file: more than any Keep lets it grow to.
const largest = 64 << 20

// head is the first line of a file.
type head struct {
	Schema int `json:"schema"`
	Subject
}

// raw is an entry whose data nobody has looked at.
type raw struct {
	At   time.Time       `json:"at"`
	Data json.RawMessage `json:"data"`
}

// file is a file as far as it could be read.
type file struct {
	path    string
	subject Subject
	lines   []raw
	damaged int  // lines that are no entries
	foreign bool // the head is not that of the subject
}

func (s Store) load(of Subject) (*file, error) {
	f := &file{path: s.path(of), subject: of}
	in, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, plain(f.path, err)
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, largest))
	if err != nil {
		return nil, plain(f.path, err)
	}
	first, rest, _ := bytes.Cut(data, []byte("\n"))
	var h head
	switch err := json.Unmarshal(first, &h); {
	case err == nil && h.Schema > schema:
		return nil, fmt.Errorf("read %s: %w", f.path, ErrNewer)
	case err != nil || h.Schema != schema || h.Subject != of:
		f.foreign = true // whose the lines are nobody knows
		return f, nil
	}
	for line := range bytes.Lines(rest) {
		var e raw
		if json.Unmarshal(line, &e) != nil || e.At.IsZero() || len(e.Data) == 0 {
			f.damaged++
			continue
		}
		f.lines = append(f.lines, e)
	}
	return f, nil
}

// notes says what was wrong; bad is how many more lines had data of another kind.
func (f *file) notes(bad int, fate string) []string {
	switch {
	case f.foreign:
		return []string{fmt.Sprintf("%s is damaged: it was %s, and nothing earlier is known", f.path, fate)}
	case f.damaged+bad > 0:
		return []string{fmt.Sprintf("%s is damaged: lines that cannot be read (%d) were %s", f.path, f.damaged+bad, fate)}
	}
	return nil
}

// write replaces the file.
func (f *file) write(lines []raw) error {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(head{Schema: schema, Subject: f.subject}); err != nil {
		return err
	}
	for _, line := range lines {
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	return atomicfile.Write(f.path, 0o600, out.Bytes())
}
