package dumpfile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// psql feeds a plain dump to psql, through the scanner.
func (l *loading) psql(ctx context.Context) error {
	restrict, err := l.restricts(ctx)
	if err != nil {
		return err
	}
	if !restrict {
		if len(l.report.unsure) > 0 {
			return &RefusedError{Findings: l.report.unsure}
		}
		l.warn(fmt.Sprintf("psql %s has no \\restrict: only the scan keeps commands of psql out; update the PostgreSQL client", l.o.Tools.Version))
	}
	cmd, done, err := l.command("psql")
	if err != nil {
		return err
	}
	defer done()
	preamble, err := proc.Memfd("preamble", []byte(l.preamble(restrict)), l.as)
	if err != nil {
		return err
	}
	defer preamble.Close()
	cmd.Files = append(cmd.Files, preamble)
	// With a file of its own for our lines, psql counts those of the dump right.
	cmd.Args = append(cmd.Args, "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1",
		fmt.Sprintf("--file=/proc/self/fd/%d", 2+len(cmd.Files)), "--file=-")

	plain, err := l.f.peel(ctx, l.f.Layers)
	if err != nil {
		return err
	}
	defer plain.Close()
	in := newMeter(plain)
	safe, feed := io.Pipe()
	scanned := make(chan error, 1)
	go func() {
		s := newScanner(in, feed)
		s.drop = l.drop
		s.found = func(f Finding) error {
			if f.Kind == Unsure {
				return nil // judged before
			}
			return (&Report{Findings: []Finding{f}}).Refusal(l.o.Trusted)
		}
		err := s.run()
		if err == nil {
			// psql must not see the end of something else than what was examined.
			err = l.sameRest(in)
		}
		_ = feed.CloseWithError(err)
		scanned <- err
	}()
	cmd.Stdin = safe
	err = l.execute(ctx, cmd)
	_ = safe.Close()
	serr := <-scanned
	switch {
	case err == nil && serr != nil:
		return serr
	case serr != nil && !errors.Is(serr, io.ErrClosedPipe) && errors.Is(err, serr):
		return serr // without the program that it was kept from
	}
	return err
}

// drop says which statements are left out.
func (l *loading) drop(st *statement) bool {
	return l.o.NoOwner && (st.newOwner() != "" || st.languageComment()) || l.o.NoPrivileges && st.privileges()
}

// preamble is what psql reads first. From its last line on, psql takes no command but the \unrestrict with our key.
func (l *loading) preamble(restrict bool) string {
	var b strings.Builder
	b.WriteString("SET client_min_messages = warning;\nSET standard_conforming_strings = on;\n")
	if l.role != "" {
		fmt.Fprintf(&b, "SET ROLE %s;\n", postgres.QuoteIdent(l.role))
	}
	if restrict {
		fmt.Fprintf(&b, "\\restrict %s\n", rand.Text())
	}
	return b.String()
}

// restricts asks psql for its version: \restrict came with the minor releases of August 2025.
func (l *loading) restricts(ctx context.Context) (bool, error) {
	out, err := proc.Output(ctx, l.o.Runner, proc.Cmd{Path: l.o.Tools.Path("psql"), Args: []string{"--version"}})
	if err != nil {
		return false, err
	}
	v, err := postgres.ParseVersion(string(out))
	if err != nil {
		return false, err
	}
	return hasRestrict(v), nil
}

func hasRestrict(v postgres.Version) bool {
	since := map[int]int{13: 22, 14: 19, 15: 14, 16: 10, 17: 6}
	minor, known := since[v.Major()]
	return v.Major() >= 18 || known && int(v)%10000 >= minor
}
