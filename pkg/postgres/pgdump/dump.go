package pgdump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Part is one of the three archives of a dump.
type Part string

// The parts, in the order in which they are restored. Post-data may only start
// when all data is in: it fills materialized views and checks foreign keys.
const (
	PreData  Part = "pre-data"
	Data     Part = "data"
	PostData Part = "post-data"
)

// Dumper runs pg_dump and pg_dumpall against one endpoint.
type Dumper struct {
	Endpoint *postgres.Endpoint
	Tools    postgres.Tools
	Runner   proc.Runner
	Logger   *slog.Logger
}

// Said is a line of stderr that is more than noise.
type Said struct {
	Class Class
	Text  string
}

// ownLockWait is how long pg_dump waits for its own lock on a table that the
// guard has locked already. It only ever waits behind a session that itself
// waits for the guard (an ALTER or TRUNCATE that queued in between), and would
// wait for ever; while it does, the application waits too.
const ownLockWait = 5 * time.Second

// Part writes one archive, custom format without compression, to w, and
// returns what pg_dump had to say. w gets the bytes as they come; when Part
// fails, what w got is worthless.
func (d Dumper) Part(ctx context.Context, part Part, snapshot string, w io.Writer) ([]Said, error) {
	return d.part(ctx, part, snapshot, w)
}

// Rows is Part of the data, or of a share of it.
func (d Dumper) Rows(ctx context.Context, share Share, snapshot string, w io.Writer) ([]Said, error) {
	return d.part(ctx, Data, snapshot, w, share.args()...)
}

func (d Dumper) part(ctx context.Context, part Part, snapshot string, w io.Writer, more ...string) ([]Said, error) {
	said, err := d.run(ctx, "pg_dump", w, append([]string{
		"--format=custom", "--compress=0", "--section=" + string(part),
		"--snapshot=" + snapshot, "--lock-wait-timeout=" + strconv.FormatInt(ownLockWait.Milliseconds(), 10), "--no-password",
	}, more...)...)
	var failed *proc.Error
	if errors.As(err, &failed) && lockTimedOut(failed.Stderr) {
		return said, fmt.Errorf("dump %s: %w", part, &BusyError{Tables: lockedTables(failed.Stderr)})
	}
	if err != nil {
		return said, fmt.Errorf("dump %s: %w", part, err)
	}
	return said, nil
}

func lockTimedOut(stderr []string) bool {
	all := strings.Join(stderr, "\n")
	return strings.Contains(all, "LOCK TABLE") && (strings.Contains(all, "timeout") || strings.Contains(all, "could not obtain lock"))
}

// lockedTables takes the tables out of "query was: LOCK TABLE a, b IN ACCESS SHARE MODE".
func lockedTables(stderr []string) []string {
	for _, line := range stderr {
		_, list, ok := strings.Cut(line, "LOCK TABLE ")
		if !ok {
			continue
		}
		list, _, _ = strings.Cut(list, " IN ACCESS SHARE MODE")
		if len(list) > 200 {
			return []string{"a table"}
		}
		return []string{list}
	}
	return []string{"a table"}
}

// run starts one of the dump programs with a password file in memory, and
// judges each line of its stderr.
func (d Dumper) run(ctx context.Context, program string, w io.Writer, args ...string) ([]Said, error) {
	var said []Said
	cmd, done, err := childCmd(d.Endpoint, d.Tools.Path(program))
	if err != nil {
		return nil, err
	}
	defer done()
	cmd.Args = append(cmd.Args, args...)
	cmd.Stdout = w
	cmd.Stderr = func(line string) {
		class := Classify(program, line)
		d.logger().Debug("said", "program", program, "line", line)
		if class != Harmless {
			said = append(said, Said{Class: class, Text: line})
		}
	}
	err = d.Runner.Run(ctx, cmd)
	return said, err
}

func (d Dumper) logger() *slog.Logger {
	if d.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Logger
}

// childCmd prepares a PostgreSQL client program: connection as conninfo, the
// password through a memory file, the OS user of the endpoint. done closes the file.
func childCmd(e *postgres.Endpoint, path string) (cmd proc.Cmd, done func(), err error) {
	cmd = proc.Cmd{
		Path: path,
		Args: []string{"--dbname=" + e.Conninfo()},
		Env:  e.Environ(),
		As:   e.As(),
		Dir:  "/", // the programs look at where they are, and complain where they may not
	}
	done = func() {}
	passfile := e.Passfile()
	if passfile == nil {
		return cmd, done, nil
	}
	file, err := proc.Memfd("pgpass", passfile, e.As())
	if err != nil {
		return cmd, done, err
	}
	cmd.Files = []*os.File{file}
	cmd.Env = append(cmd.Env, "PGPASSFILE=/proc/self/fd/3")
	cmd.Secrets = []string{e.Password()}
	return cmd, func() { _ = file.Close() }, nil
}
