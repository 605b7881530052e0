package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
)

// SpaceError means that a set will hardly fit.
type SpaceError struct {
	Need, Free int64 // bytes; Need is an estimate
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("repository has %d MB free, the set needs about %d MB", e.Free>>20, e.Need>>20)
}

// check stops a run that would prove less than somebody meant it to.
func (o DatabaseOptions) check() error {
	switch o.Fingerprint {
	case catalog.FingerprintNone, catalog.FingerprintCounts, catalog.FingerprintFull:
		return o.Sealing.check()
	}
	return fmt.Errorf("unknown fingerprint level %q", o.Fingerprint)
}

// prepare finds the programs that fit the server, and room for the set.
func (r *databaseRun) prepare(ctx context.Context) error {
	conn, err := r.Endpoint.Connect(ctx)
	if err != nil {
		return err
	}
	server, err := postgres.Facts(ctx, conn)
	if err == nil {
		err = server.Measure(ctx, conn)
	}
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
	r.expected = dataBytes(r.earlier)
	return r.hasRoom(ctx, Need(r.earlier, server.DatabaseBytes))
}

// dataBytes is how much the data archive of the last good set held, 0 without one.
func dataBytes(sets []catalog.Set) (n int64) {
	for _, s := range sets {
		if good, _ := s.Good(); !good {
			continue
		}
		n = 0
		for _, a := range s.Manifest.Artifacts {
			if strings.HasPrefix(a.Name, dumpset.DataPrefix) {
				n += a.RawBytes
			}
		}
	}
	return n
}

// Need estimates how large the next set will be: the last good one of sets
// (oldest first) and a quarter, or, for the first one, a third of the database:
// indexes are not dumped, and text compresses to about a quarter.
func Need(sets []catalog.Set, databaseBytes int64) int64 {
	need := databaseBytes / 3
	for _, s := range sets {
		if good, _ := s.Good(); good {
			need = s.Bytes + s.Bytes/4
		}
	}
	return need
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

// migration reads the newest row of django_migrations, as the snapshot sees it:
// the release that fits this data. "" when there is none.
func (r *databaseRun) migration(ctx context.Context) (newest string, err error) {
	i := slices.IndexFunc(r.guard.Relations, func(rel pgdump.Relation) bool { return rel.Name == "django_migrations" })
	if i < 0 {
		return "", nil
	}
	table := postgres.QuoteIdent(r.guard.Relations[i].Schema, r.guard.Relations[i].Name)
	conn, err := r.guard.Session(ctx)
	if err != nil {
		return "", fmt.Errorf("read newest migration: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, "SELECT app || '.' || name FROM "+table+" ORDER BY id DESC LIMIT 1").Scan(&newest)
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return newest, nil
	case errors.As(err, &refused) && refused.Code == "55P03": // lock_not_available
		return "", fmt.Errorf("read newest migration: %w", &pgdump.BusyError{Tables: []string{table}})
	case ctx.Err() != nil:
		return "", fmt.Errorf("read newest migration: %w", context.Cause(ctx))
	}
	// An empty table, or one that is not Django's.
	r.Logger.Info("no newest migration", "error", err)
	return "", nil
}
