package main

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

// seen is what this machine remembers of a repository: an unmounted one whose mount point is the repository itself looks
// like one that is new, and the next backup would fill the disk below.
type seen struct {
	Repository string    `json:"repository"`
	Sets       int       `json:"sets"`
	At         time.Time `json:"at"`
}

// seenFile is one for each repository that was written to.
func seenFile(stateDir, repository string) string {
	sum := sha256.Sum256([]byte(repository))
	return filepath.Join(stateDir, "repositories", hex.EncodeToString(sum[:8])+".json")
}

// recognize refuses a repository that holds nothing where there were sets. What is remembered can be lost or damaged:
// then nothing is known, and nothing refused.
func (r *repository) recognize(ctx context.Context, stateDir string) error {
	file := seenFile(stateDir, r.path)
	data, err := os.ReadFile(file)
	var last seen
	if err != nil || json.Unmarshal(data, &last) != nil || last.Sets == 0 {
		return nil //nolint:nilerr // never written to, or nobody knows
	}
	n, err := r.Count(ctx)
	if err != nil {
		return repositoryError(r.path, err)
	}
	if n > 0 {
		return nil
	}
	err = fmt.Errorf("open repository %s: it holds nothing, but %s there at %s", r.path, were(last.Sets), timestamp(last.At))
	return withHint(withCode(exitUnknown, err), "is it mounted? if an empty one is meant: rm %s", shellWord(file))
}

func were(sets int) string {
	if sets == 1 {
		return "1 set was"
	}
	return fmt.Sprintf("%d sets were", sets)
}

// remember keeps how many sets there are, for recognize.
func (r *repository) remember(ctx context.Context, stateDir string, now time.Time) error {
	n, err := r.Count(ctx)
	if err != nil {
		return fmt.Errorf("remember the repository: %w", err)
	}
	file := seenFile(stateDir, r.path)
	if n == 0 {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remember the repository: %w", err)
		}
		return nil
	}
	data, err := json.Marshal(seen{Repository: r.path, Sets: n, At: now.UTC().Truncate(time.Second)})
	if err == nil {
		err = atomicfile.MkdirAll(filepath.Dir(file), 0o700)
	}
	if err == nil {
		err = atomicfile.Write(file, 0o600, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("remember the repository: %w", err)
	}
	return nil
}
