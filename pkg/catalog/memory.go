package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
)

// Memory is what a host remembers of a repository from one run to the next: that there were sets. One that is not mounted,
// and whose mount point is the repository itself, looks like a new one, and the next backup would fill the disk below.
//
// It is kept outside of the repository, and only ever makes somebody look: what is lost or damaged is not known, and whoever
// can write it can make runs refuse, and no more.
type Memory struct {
	Dir        string // of the files; made when it is needed
	Repository string // its path, by which it is known
}

// remembered is the content of a file.
type remembered struct {
	Repository string    `json:"repository"`
	Sets       int       `json:"sets"`
	At         time.Time `json:"at"`
}

// EmptiedError means that a repository holds nothing, and that there were sets.
type EmptiedError struct {
	Sets int
	At   time.Time
	File string // that remembers it: without it an empty repository is a new one
}

func (e *EmptiedError) Error() string {
	were := fmt.Sprintf("%d sets were", e.Sets)
	if e.Sets == 1 {
		were = "1 set was"
	}
	return fmt.Sprintf("it holds nothing, but %s there at %s", were, e.At.UTC().Format(time.RFC3339))
}

// file is one for each repository that was written to.
func (m Memory) file() string {
	sum := sha256.Sum256([]byte(m.Repository))
	return filepath.Join(m.Dir, hex.EncodeToString(sum[:8])+".json")
}

// Check returns an *EmptiedError when the repository holds no set and is remembered with some.
func (m Memory) Check(ctx context.Context, c *Catalog) error {
	data, err := os.ReadFile(m.file())
	var last remembered
	if err != nil || json.Unmarshal(data, &last) != nil || last.Sets == 0 {
		return nil //nolint:nilerr // never written to, or nobody knows
	}
	n, err := c.Count(ctx)
	if err != nil || n > 0 {
		return err
	}
	return &EmptiedError{Sets: last.Sets, At: last.At, File: m.file()}
}

// Keep remembers how many sets there are now; of none, nothing.
func (m Memory) Keep(ctx context.Context, c *Catalog) error {
	if err := m.keep(ctx, c); err != nil {
		return fmt.Errorf("remember the repository: %w", err)
	}
	return nil
}

func (m Memory) keep(ctx context.Context, c *Catalog) error {
	n, err := c.Count(ctx)
	if err != nil {
		return err
	}
	if n == 0 {
		if err := os.Remove(m.file()); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	data, err := json.Marshal(remembered{Repository: m.Repository, Sets: n, At: c.now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	if err := atomicfile.MkdirAll(m.Dir, 0o700); err != nil {
		return err
	}
	return atomicfile.Write(m.file(), 0o600, append(data, '\n'))
}
