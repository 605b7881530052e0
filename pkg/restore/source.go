package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// source is what a database is made from.
type source interface {
	name() string
	// facts is what can be said before the source is read.
	facts(ctx context.Context) (facts, error)
	// examine proves what can be proven without loading, and says what is in it.
	examine(ctx context.Context) (contents, error)
	// load fills an empty candidate.
	load(ctx context.Context, r *Result, c pgdump.Candidate) error
	// fingerprint is what the candidate must then hold; nil: nobody counted.
	fingerprint() *catalog.Fingerprint
}

type facts struct {
	server postgres.Version // that it was taken from; 0: unknown
	dumper postgres.Version // pg_dump that wrote it; 0: unknown
	bytes  int64            // size of the database, about

	signature provenance.Finding
	warnings  []string
}

type contents struct {
	properties pgdump.Properties
	tocs       []*pgdump.TOC
	needs      pgdump.Needs
	roles      pgdump.RoleScript
	globals    pgdump.Globals
	choice     *pgdump.Choice // nil: everything
}

func (o Options) source() source {
	if o.File != nil {
		return fileSource{o}
	}
	return setSource{o}
}

// setSource is a backup set.
type setSource struct{ Options }

func (s setSource) name() string { return s.Set.Ref.String() }

func (s setSource) reader() dumpset.Reader {
	return dumpset.Reader{Catalog: s.Catalog, Set: s.Set, Unlock: s.Unlock}
}

func (s setSource) fingerprint() *catalog.Fingerprint { return s.Set.Manifest.Fingerprint }

func (s setSource) facts(ctx context.Context) (facts, error) {
	if s.Set.Problem != nil {
		return facts{}, s.Set.Problem
	}
	if s.reader().Sealed() && s.Unlock == nil {
		return facts{}, fmt.Errorf("%s: %w", s.Set.Ref, seal.ErrNoSecretKey)
	}
	source, err := s.reader().Source()
	if err != nil {
		return facts{}, err
	}
	f := facts{server: postgres.Version(source.ServerVersionNum), bytes: source.Bytes}
	if v, err := postgres.ParseVersion(s.Set.Manifest.Tools["pg_dump"]); err == nil {
		f.dumper = v
	}
	err = s.provenance(ctx, &f)
	return f, err
}

func (s setSource) examine(ctx context.Context) (c contents, err error) {
	reader := s.reader()
	reader.Progress = meter(s.Options, "checksum", s.Set.Bytes)
	damaged, err := reader.Hash(ctx)
	if err := errors.Join(append(damaged, err)...); err != nil {
		return c, err
	}
	if c.properties, err = reader.Properties(ctx); err != nil {
		return c, err
	}
	if c.tocs, err = reader.Contents(ctx); err != nil {
		return c, err
	}
	if len(s.Tables) > 0 {
		if err := s.choose(ctx, reader, &c); err != nil {
			return c, err
		}
	}
	c.needs = pgdump.NeedsOf(c.tocs[0], c.properties)
	for _, toc := range c.tocs[1:] {
		c.needs.Add(pgdump.NeedsOf(toc, c.properties))
	}
	if c.globals, err = reader.Globals(ctx); err != nil {
		return c, err
	}
	err = reader.GlobalsSQL(ctx, func(plain io.Reader) (err error) {
		c.roles, err = pgdump.ReadRoleScript(plain)
		return err
	})
	return c, err
}

// choose finds what the tables need, and leaves only that in the tables of contents:
// rights and roles for the rest are nobody's business.
func (s setSource) choose(ctx context.Context, reader dumpset.Reader, c *contents) error {
	tocs, err := reader.DataContents(ctx)
	if err != nil {
		return err
	}
	tocs = append(tocs, c.tocs...)
	for i, toc := range tocs {
		if tocs[i], err = toc.Decoded(ctx, s.Admin); err != nil {
			return err
		}
	}
	data, pre, post := tocs[:len(tocs)-2], tocs[len(tocs)-2], tocs[len(tocs)-1]
	if c.choice, err = pgdump.Choose(pre, data, post, s.Tables); err != nil {
		return err
	}
	c.tocs = []*pgdump.TOC{c.tocs[0].Of(c.choice.PreData), c.tocs[1].Of(c.choice.PostData)}
	return nil
}

func (s setSource) load(ctx context.Context, r *Result, c pgdump.Candidate) error {
	reader := s.reader()
	reader.Progress, reader.Choice = meter(s.Options, "load", s.Set.Manifest.RawBytes()), r.Choice
	loader := pgdump.Loader{Endpoint: c.Endpoint(), Tools: r.Tools, Runner: s.Runner, Logger: s.Logger, Jobs: s.Jobs}
	said, err := reader.Load(ctx, loader, func(name string, took time.Duration) {
		r.took(name, took)
		s.Step("loaded " + name)
	})
	for _, line := range said {
		r.Warnings = append(r.Warnings, line.Text)
	}
	return err
}

func meter(o Options, stage string, total int64) func(int64) {
	var done int64
	return func(n int64) {
		done += n
		o.Progress(stage, done, total)
	}
}
