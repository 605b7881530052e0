package pgdump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

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
	// Loaded hears of each table that was copied over our own connection when its
	// rows are committed; nil: nobody wants to know.
	Loaded func(schema, name string)
}

// Load feeds one archive to pg_restore, which stops at the first error. r is
// read to its end even after pg_restore has what it needs: only there does a
// sealed stream prove that it is whole, and an error of r fails the load.
func (l Loader) Load(ctx context.Context, part Part, r io.Reader) (said []Said, err error) {
	switch {
	case part == Data:
		said, err = l.loadRows(ctx, r)
	case part == PostData && l.Jobs > 1:
		said, err = l.atOnce(ctx, r)
	default:
		said, err = l.run(ctx, archive{stream: r}, l.Only, 1)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if err != nil {
		return said, fmt.Errorf("load %s: %w", part, err)
	}
	return said, nil
}

// archive is what pg_restore reads: a stream, once, or bytes as often as wanted.
type archive struct {
	stream io.Reader
	bytes  []byte
}

// run is one pg_restore of the entries in only; nil: all. With several jobs the
// archive must be bytes.
func (l Loader) run(ctx context.Context, from archive, only []int, jobs int) ([]Said, error) {
	cmd, done, err := childCmd(l.Endpoint, l.Tools.Path("pg_restore"))
	if err != nil {
		return nil, err
	}
	defer done()
	memory := func(name string, data []byte) (path string, err error) {
		file, err := proc.Memfd(name, data, l.Endpoint.As())
		if err != nil {
			return "", err
		}
		cmd.Files = append(cmd.Files, file)
		return fmt.Sprintf("/proc/self/fd/%d", 2+len(cmd.Files)), nil
	}
	own := len(cmd.Files)
	defer func() {
		for _, file := range cmd.Files[own:] {
			_ = file.Close()
		}
	}()
	cmd.Args = append(cmd.Args, "--format=custom", "--exit-on-error", "--no-password")
	if l.Elsewhere {
		cmd.Args = append(cmd.Args, "--no-tablespaces", "--no-subscriptions")
	}
	if only != nil {
		list, err := memory("entries", entryList(only))
		if err != nil {
			return nil, err
		}
		cmd.Args = append(cmd.Args, "--use-list="+list)
	}
	cmd.Stdin = from.stream
	if from.stream == nil {
		path, err := memory("archive", from.bytes)
		if err != nil {
			return nil, err
		}
		cmd.Args = append(cmd.Args, "--jobs="+strconv.Itoa(jobs), path)
	}
	logger := l.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	var said []Said
	cmd.Stderr = func(line string) {
		logger.Debug("said", "program", "pg_restore", "line", line)
		if class := Classify("pg_restore", line); class != Harmless {
			said = append(said, Said{Class: class, Text: line})
		}
	}
	err = l.Runner.Run(ctx, cmd) // fills said
	return said, err
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

// serversOwn are the classes of errors that say nothing about an archive: the
// connection, authorization, a conflict with somebody else, resources, an
// operator, the system (Appendix A of PostgreSQL's documentation).
var serversOwn = []string{"08", "28", "3D", "40", "53", "55", "57", "58"}

// Refused reports whether err of Load is the server's or pg_restore's judgement
// on the archive, rather than a server that went away or a program that could
// not run.
func Refused(err error) bool {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return !slices.Contains(serversOwn, answer.Code[:min(2, len(answer.Code))])
	}
	if errors.Is(err, ErrArchive) {
		return true
	}
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
