package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
)

// ErrPlain means that sealing is required and nobody is named to seal to.
var ErrPlain = errors.New("encryption is required, but there is no recipient")

// SpaceError means that a set will hardly fit.
type SpaceError struct {
	Need, Free int64 // bytes; Need is an estimate
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("repository has %d MB free, the set needs about %d MB", e.Free>>20, e.Need>>20)
}

// checkRecipients stops a run that could not be opened by all who should.
func (o DatabaseOptions) checkRecipients() error {
	if len(o.Seal.Recipients) == 0 {
		if o.RequireSealed {
			return ErrPlain
		}
		return nil
	}
	now := time.Now
	if o.Seal.Now != nil {
		now = o.Seal.Now
	}
	for _, k := range o.Seal.Recipients {
		if err := k.CanEncrypt(now()); err != nil {
			return fmt.Errorf("check recipient: %w", err)
		}
	}
	return nil
}

// preflight finds the programs that fit the server, and room for the set.
func (r *databaseRun) preflight(ctx context.Context) error {
	conn, err := r.Endpoint.Connect(ctx)
	if err != nil {
		return err
	}
	server, err := postgres.Facts(ctx, conn)
	_ = conn.Close(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	tools, err := r.Finder.Find(ctx, "pg_dump", server.Version.Major())
	if err != nil {
		return err
	}
	r.Logger.Info("chosen", "pg_dump", tools.Path("pg_dump"), "version", tools.Version.String(), "server", server.Version.String())
	r.dumper = pgdump.Dumper{Endpoint: r.Endpoint, Tools: tools, Runner: r.Runner, Logger: r.Logger}
	return r.checkSpace(ctx, server.DatabaseBytes)
}

// checkSpace compares the free bytes with an estimate: the last good set and a
// quarter, or, for the first one, a third of the database: indexes are not
// dumped, and text compresses to about a quarter.
func (r *databaseRun) checkSpace(ctx context.Context, databaseBytes int64) error {
	if r.Free == nil {
		return nil
	}
	free, err := r.Free(ctx)
	if err != nil {
		r.Logger.Info("free space of the repository is unknown", "error", err)
		return nil
	}
	need := databaseBytes / 3
	sets, err := r.Catalog.List(ctx, r.group)
	if err != nil {
		return fmt.Errorf("list earlier sets: %w", err)
	}
	for _, s := range sets { // oldest first
		if good, _ := s.Good(); good {
			need = s.Bytes + s.Bytes/4
		}
	}
	if free < need {
		return &SpaceError{Need: need, Free: free}
	}
	return nil
}

// source is what the manifest says of the server and the application.
func (r *databaseRun) source(p pgdump.Properties) *catalog.Source {
	s := r.guard.Server
	return &catalog.Source{
		Database:         p.Name,
		ServerVersion:    s.Version.String(),
		ServerVersionNum: int(s.Version),
		SystemIdentifier: s.SystemIdentifier,
		Encoding:         p.Encoding,
		LocaleProvider:   p.LocaleProvider,
		Collate:          p.Collate,
		CType:            p.CType,
		Bytes:            s.DatabaseBytes,
		Standby:          s.Standby,
		ReleaseDir:       r.Release.Dir,
		GitRevision:      r.Release.Revision,
	}
}

// migration notes the newest row of django_migrations, as the snapshot sees it:
// the release that fits this data.
func (r *databaseRun) migration(ctx context.Context) error {
	for _, rel := range r.guard.Relations {
		if rel.Name != "django_migrations" {
			continue
		}
		conn, err := r.guard.Session(ctx)
		if err != nil {
			return fmt.Errorf("read newest migration: %w", err)
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		var newest string
		err = conn.QueryRow(ctx, "SELECT app || '.' || name FROM "+postgres.QuoteIdent(rel.Schema, rel.Name)+" ORDER BY id DESC LIMIT 1").Scan(&newest)
		if err != nil { // an empty table, or one that is not Django's
			r.Logger.Info("no newest migration", "error", err)
			return nil
		}
		r.manifest.Source.Migration = newest
		return nil
	}
	return nil
}
