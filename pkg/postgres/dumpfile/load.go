package dumpfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// LoadOptions of Load. Endpoint, Tools and Runner are required.
type LoadOptions struct {
	// Endpoint is the database to fill, made by the caller, and the role to administer it with: a superuser, or one that
	// may create roles.
	Endpoint *postgres.Endpoint
	Tools    postgres.Tools // with psql and pg_restore
	Runner   proc.Runner
	Logger   *slog.Logger // nil: silent

	// AsRole owns what was loaded; default: the owner of the database. A superuser must not, unless Trusted: functions of
	// the file would run with its rights.
	AsRole string
	// Trusted loads with the rights of Endpoint's role. Findings of kind Cluster and a missing end marker are forgiven.
	Trusted bool
	// NoOwner leaves out who owns what in the file; implied unless Trusted, since only a member of a role can give it things.
	NoOwner bool
	// NoPrivileges leaves out GRANT, REVOKE and ALTER DEFAULT PRIVILEGES, which need roles that may not exist here. Default
	// privileges FOR ROLE are an error without it, unless Trusted: only a member of the role can set them.
	NoPrivileges bool
}

func (o LoadOptions) logger() *slog.Logger {
	if o.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Logger
}

// Load fills the database of o.Endpoint with the dump. It examines the dump first, unless that was done, and loads nothing
// when there is a refusal. A role that does not exist is a *pgdump.MissingError. The result is what the programs had to
// say beyond errors. After an error the database holds anything from nothing to everything, and is to be dropped.
func (f *File) Load(ctx context.Context, o LoadOptions) ([]pgdump.Said, error) {
	said, err := f.load(ctx, o)
	if err != nil {
		return said, fmt.Errorf("load dump %s: %w", f.Path, err)
	}
	return said, nil
}

func (f *File) load(ctx context.Context, o LoadOptions) ([]pgdump.Said, error) {
	report, err := f.Examine(ctx)
	if err != nil {
		return nil, errors.Unwrap(err) // names the file already
	}
	if err := report.Refusal(o.Trusted); err != nil {
		return nil, err
	}
	o.NoOwner = o.NoOwner || !o.Trusted
	l := &loading{f: f, o: o, report: report, endpoint: o.Endpoint, as: o.Endpoint.As(), role: o.AsRole}
	if o.Trusted {
		err := l.run(ctx)
		return l.said, err
	}
	j, err := newJail(ctx, o)
	if err != nil {
		return nil, err
	}
	if j == nil { // the session's role is an ordinary one
		l.role = ""
		l.warn("loaded with all rights of role " + postgres.QuoteIdent(o.Endpoint.User()) + ", which cannot make a role with fewer")
		err := l.run(ctx)
		return l.said, err
	}
	l.endpoint, l.role = j.endpoint, ""
	l.as = nil
	if f.Format != Directory { // its files may be closed to others
		l.as = nobody(j.endpoint)
	}
	err = l.run(ctx)
	if cerr := j.close(ctx); cerr != nil {
		err = errors.Join(err, cerr)
	}
	return l.said, err
}

// loading is one run of psql or pg_restore.
type loading struct {
	f        *File
	o        LoadOptions
	report   *Report
	endpoint *postgres.Endpoint
	as       *proc.Credential
	role     string // to become; "" stays what the login is

	said     []pgdump.Said
	problems []string
}

func (l *loading) warn(text string) {
	l.o.logger().Warn(text, "dump", l.f.Path)
	l.said = append(l.said, pgdump.Said{Class: pgdump.Unknown, Text: text})
}

func (l *loading) run(ctx context.Context) error {
	if l.f.Format == SQL {
		return l.psql(ctx)
	}
	return l.restore(ctx)
}

// restore runs pg_restore.
func (l *loading) restore(ctx context.Context) error {
	cmd, done, err := l.command("pg_restore")
	if err != nil {
		return err
	}
	defer done()
	cmd.Args = append(cmd.Args, "--exit-on-error", "--no-password")
	if l.o.NoOwner {
		cmd.Args = append(cmd.Args, "--no-owner")
	}
	if l.o.NoPrivileges {
		cmd.Args = append(cmd.Args, "--no-privileges")
	}
	if l.role != "" {
		cmd.Args = append(cmd.Args, "--role="+l.role)
	}
	if l.f.Format == Directory {
		return l.restoreDirectory(ctx, cmd)
	}
	plain, err := l.f.peel(ctx, l.f.Layers)
	if err != nil {
		return err
	}
	defer plain.Close()
	in := newMeter(plain)
	format := "custom"
	if l.f.Format == Tar {
		format = "tar"
	}
	cmd.Args = append(cmd.Args, "--format="+format)
	cmd.Stdin = in
	if err := l.execute(ctx, cmd); err != nil {
		return err
	}
	return l.sameRest(in)
}

// sameRest reads what the program had no need of, and compares the whole.
func (l *loading) sameRest(in *meter) error {
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	return in.same(l.report)
}

func (l *loading) restoreDirectory(ctx context.Context, cmd proc.Cmd) error {
	path, err := filepath.Abs(l.f.Path)
	if err != nil {
		return err
	}
	if err := l.sameState(); err != nil {
		return err
	}
	cmd.Args = append(cmd.Args, "--format=directory", path)
	if err := l.execute(ctx, cmd); err != nil {
		return err
	}
	return l.sameState()
}

func (l *loading) sameState() error {
	state, err := l.f.state()
	if err == nil && state != l.report.state {
		err = ErrChanged
	}
	return err
}

// command prepares a client program.
func (l *loading) command(program string) (cmd proc.Cmd, done func(), err error) {
	cmd = proc.Cmd{
		Path: l.o.Tools.Path(program),
		Args: []string{"--dbname=" + l.endpoint.Conninfo()},
		Env:  l.endpoint.Environ(),
		As:   l.as,
	}
	done = func() {}
	passfile := l.endpoint.Passfile()
	if passfile == nil {
		return cmd, done, nil
	}
	file, err := proc.Memfd("pgpass", passfile, l.as)
	if err != nil {
		return cmd, done, err
	}
	cmd.Files = []*os.File{file}
	cmd.Env = append(cmd.Env, "PGPASSFILE=/proc/self/fd/3")
	cmd.Secrets = []string{l.endpoint.Password()}
	return cmd, func() { _ = file.Close() }, nil
}

// execute runs it and judges its stderr: an error counts also when the program goes on.
func (l *loading) execute(ctx context.Context, cmd proc.Cmd) error {
	program := cmd.DisplayName()
	cmd.Stderr = func(line string) {
		l.o.logger().Debug("said", "program", program, "line", line)
		switch text := serverPrefix.ReplaceAllString(line, ""); {
		case isError(text):
			l.problems = append(l.problems, line)
		case strings.HasPrefix(text, "WARNING:") || strings.HasPrefix(text, "warning:"):
			if pgdump.Classify(program, text) != pgdump.Harmless && len(l.said) < maxSaid {
				l.said = append(l.said, pgdump.Said{Class: pgdump.Unknown, Text: printable(line)})
			}
		}
	}
	err := l.o.Runner.Run(ctx, cmd)
	if err == nil && len(l.problems) > 0 {
		err = fmt.Errorf("%s: %s", program, l.problems[0])
	}
	if err == nil {
		return nil
	}
	var failed *proc.Error
	if !errors.As(err, &failed) || failed.Err == nil {
		for _, line := range l.problems {
			if m := noRole.FindStringSubmatch(line); m != nil {
				return fmt.Errorf("%w: %w", &pgdump.MissingError{Roles: []string{m[1]}}, err)
			}
		}
	}
	return err
}

// maxSaid bounds what a hostile file can make the server say.
const maxSaid = 100

var (
	serverPrefix = regexp.MustCompile(`^(?:psql|pg_restore):(?:[^ :]*:[0-9]+:)? ?`)
	noRole       = regexp.MustCompile(`ERROR: +role "(.*)" does not exist`)
)

func isError(text string) bool {
	return slices.ContainsFunc([]string{"ERROR:", "FATAL:", "PANIC:", "error:", "fatal:"}, func(p string) bool { return strings.HasPrefix(text, p) })
}

// nobody is the user for programs that read a hostile file, as root: they have no need of files, and the server is asked
// for a password. nil where that user cannot reach the server's socket, or the server is elsewhere (then keys for TLS
// may be needed).
func nobody(e *postgres.Endpoint) *proc.Credential {
	if os.Geteuid() != 0 || !e.OnThisHost() {
		return nil
	}
	if e.Socket() {
		params, err := postgres.ParseConninfo(e.Conninfo())
		if err != nil || !reachable(params["host"]) {
			return nil
		}
	}
	user, err := proc.LookupUser("nobody")
	if err != nil || user.UID == 0 {
		return nil
	}
	return user
}

// reachable: anybody may enter the directory.
func reachable(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if dir == "/" || dir == "." {
			return true
		}
	}
}
