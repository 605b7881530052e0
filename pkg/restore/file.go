package restore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpfile"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
)

// fileSource is a dump file that is none of our sets. It says nothing about the
// database itself, so that the live one of the name is what the new one is like.
type fileSource struct{ Options }

// ErrNoOwner means that nobody is known to own what a file holds.
var ErrNoOwner = errors.New("the file does not say who is to own the database, and there is no live one to take after")

func (s fileSource) name() string { return s.File.Path }

func (s fileSource) fingerprint() *catalog.Fingerprint { return nil }

// facts reads the whole file: nothing else tells whether it is whole, and what is in it.
func (s fileSource) facts(ctx context.Context) (facts, error) {
	s.Progress("examine", 0, 0)
	report, err := s.File.Examine(ctx)
	if err != nil {
		return facts{}, fmt.Errorf("%s: %w", s.File.Path, err)
	}
	if err := report.Refusal(s.Trusted); err != nil {
		return facts{}, fmt.Errorf("%s: %w", s.File.Path, err)
	}
	// Indexes are not in a dump; a half more is what applications have.
	f := facts{bytes: report.Bytes + report.Bytes/2}
	if v, err := postgres.ParseVersion(report.DumpVersion); err == nil {
		f.dumper = v
	}
	if v, err := postgres.ParseVersion(report.ServerFrom); err == nil {
		f.server = v
	}
	return f, nil
}

func (s fileSource) examine(ctx context.Context) (c contents, err error) {
	report, err := s.File.Examine(ctx) // remembered
	if err != nil {
		return c, err
	}
	live, err := pgdump.Exists(ctx, s.Admin, s.Live)
	switch {
	case err != nil:
		return c, err
	case live:
		c.properties, err = pgdump.PropertiesOf(ctx, s.Admin.WithDatabase(s.Live))
	case len(report.Owners) == 1:
		c.properties, err = pgdump.PropertiesOf(ctx, s.Admin)
		p := &c.properties
		p.Name, p.Owner, p.Comment, p.ACL, p.HasACL, p.Settings, p.ConnectionLimit = s.Live, report.Owners[0], "", nil, false, nil, -1
	default:
		return c, ErrNoOwner
	}
	if err != nil {
		return c, err
	}
	c.properties.IsTemplate = false
	c.needs.Roles = []string{c.properties.Owner}
	if report.TOC != nil && s.Trusted {
		c.tocs = []*pgdump.TOC{report.TOC}
		c.needs = pgdump.NeedsOf(report.TOC, c.properties)
	}
	return c, nil
}

func (s fileSource) load(ctx context.Context, r *Result, c pgdump.Candidate) error {
	report, err := s.File.Examine(ctx) // remembered
	if err != nil {
		return err
	}
	o := dumpfile.LoadOptions{Endpoint: c.Endpoint(), Tools: r.Tools, Runner: s.Runner, Logger: s.Logger, Trusted: s.Trusted, NoPrivileges: !s.Trusted}
	if !s.Trusted || len(report.Owners) == 0 {
		o.AsRole = r.Owner // else the file says who owns what
	}
	if o.NoPrivileges {
		r.Warnings = append(r.Warnings, "everything belongs to "+r.Owner+", and what the file grants to others was left out: --trusted brings owners and privileges as they are in the file")
	}
	start := time.Now()
	s.Progress("load", 0, 0)
	said, err := s.File.Load(ctx, o)
	r.took("load", time.Since(start))
	for _, line := range said {
		r.Warnings = append(r.Warnings, line.Text)
	}
	if err != nil {
		return fmt.Errorf("load %s: %w", s.File.Path, err)
	}
	s.Step("loaded file")
	return nil
}
