package pgdump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Loader runs pg_restore into one database.
type Loader struct {
	Endpoint *postgres.Endpoint // the database to load into
	Tools    postgres.Tools
	Runner   proc.Runner
	Logger   *slog.Logger
	// Elsewhere leaves out what makes no sense or would do harm on another
	// server: tablespaces and subscriptions. For drills.
	Elsewhere bool
	// Jobs is how many sessions build indexes and check foreign keys at once; below 2: one.
	Jobs int
	// Only are the dump ids that are wanted, in the order of the archive: what
	// comes by a pipe cannot be read twice. nil: everything.
	Only []int
}

// Load feeds one archive to pg_restore, which stops at the first error. r is
// read to its end even after pg_restore has what it needs: only there does a
// sealed stream prove that it is whole, and an error of r fails the load.
func (l Loader) Load(ctx context.Context, part Part, r io.Reader) ([]Said, error) {
	cmd, done, err := childCmd(l.Endpoint, l.Tools.Path("pg_restore"))
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", part, err)
	}
	defer done()
	cmd.Args = append(cmd.Args, "--format=custom", "--exit-on-error", "--no-password")
	if l.Elsewhere {
		cmd.Args = append(cmd.Args, "--no-tablespaces", "--no-subscriptions")
	}
	if l.Only != nil {
		list, err := proc.Memfd("entries", entryList(l.Only), l.Endpoint.As())
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", part, err)
		}
		defer func() { _ = list.Close() }()
		cmd.Files = append(cmd.Files, list)
		cmd.Args = append(cmd.Args, fmt.Sprintf("--use-list=/proc/self/fd/%d", 2+len(cmd.Files)))
	}
	stdin := r
	if part == PostData && l.Jobs > 1 {
		file, rest, err := l.whole(r)
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", part, err)
		}
		if stdin = rest; file != nil {
			defer func() { _ = file.Close() }()
			cmd.Files = append(cmd.Files, file)
			cmd.Args = append(cmd.Args, "--jobs="+strconv.Itoa(l.Jobs), fmt.Sprintf("/proc/self/fd/%d", 2+len(cmd.Files)))
		}
	}
	logger := l.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	var said []Said
	cmd.Stdin = stdin
	cmd.Stderr = func(line string) {
		logger.Debug("said", "program", "pg_restore", "line", line)
		if class := Classify("pg_restore", line); class != Harmless {
			said = append(said, Said{Class: class, Text: line})
		}
	}
	if err := l.Runner.Run(ctx, cmd); err != nil {
		return said, fmt.Errorf("load %s: %w", part, err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return said, fmt.Errorf("load %s: %w", part, err)
	}
	return said, nil
}

// wholeLimit is how large a post-data archive may be to be held in memory. It
// holds definitions: this is some hundred thousand of them.
const wholeLimit = 32 << 20

// whole reads an archive into a memory file, as pg_restore needs it to work in
// parallel. One that is too large for that is returned as a stream.
func (l Loader) whole(r io.Reader) (*os.File, io.Reader, error) {
	var archive bytes.Buffer
	if _, err := io.CopyN(&archive, r, wholeLimit); err == nil {
		return nil, io.MultiReader(&archive, r), nil
	} else if !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	file, err := proc.Memfd("archive", archive.Bytes(), l.Endpoint.As())
	return file, nil, err
}

// entryList is what pg_restore --list would print: of each line only the number
// at its start counts.
func entryList(ids []int) []byte {
	var b []byte
	for _, id := range ids {
		b = append(strconv.AppendInt(b, int64(id), 10), ";\n"...)
	}
	return b
}

// Refused reports whether err of Load is the server's or pg_restore's judgement
// on the archive, rather than a server that went away or a program that could
// not run.
func Refused(err error) bool {
	var failed *proc.Error
	if !errors.As(err, &failed) || failed.Err != nil || failed.Signal != nil {
		return false
	}
	for _, line := range failed.Stderr {
		for _, trouble := range []string{
			"server closed the connection", "terminating connection", "connection to server", "could not connect",
			"No space left on device", "out of memory", "the database system is", "out of shared memory",
		} {
			if strings.Contains(line, trouble) {
				return false
			}
		}
	}
	return true
}
