package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// checkServer is the one that says why the server cannot be asked: a backup
// would fail for the same reason.
func checkServer(ctx context.Context, x *exam) []Finding {
	s, err := x.backupServer(ctx)
	if errors.Is(err, errNotGiven) {
		return unknown(err)
	}
	if err != nil {
		f := found(Critical, []string{"forgectl config show database.url", "pg_lsclusters"}, "%v", err)
		var connect *postgres.ConnectError
		var refused *pgconn.PgError // by the server itself: there is more to say than that it is not there
		if errors.As(err, &connect) && errors.As(err, &refused) && connect.Hint != "" {
			f.Message += "; " + connect.Hint
		}
		return []Finding{f}
	}
	where := "PostgreSQL " + s.Version.String()
	if s.Standby {
		where += ", a standby"
	}
	return ok("%s: %s, %s", s.Endpoint, where, size(s.DatabaseBytes))
}

// checkTools compares the installed programs with the server: pg_dump refuses one
// that is newer than itself, and a drill needs a server of at least its version.
func checkTools(ctx context.Context, x *exam) []Finding {
	s, err := x.reach(ctx)
	if err != nil {
		return unknown(err)
	}
	major := s.Version.Major()
	var all []Finding
	for _, need := range []struct {
		program, purpose, pkg string
		level                 Level
	}{
		{"pg_dump", "backups", "postgresql-client", Critical},
		{"pg_dumpall", "backups", "postgresql-client", Critical},
		{"pg_restore", "restores and drills", "postgresql-client", Critical},
		{"postgres", "drills on this host", "postgresql", Info},
	} {
		tools, err := x.Finder.Find(ctx, need.program, major)
		var missing *postgres.ToolsError
		switch {
		case errors.As(err, &missing):
			remedy := []string{fmt.Sprintf("apt-get install %s-%d", need.pkg, major)}
			all = append(all, found(need.level, remedy, "for %s: %v", need.purpose, err))
		case err != nil:
			all = append(all, unknown(err)...)
		default:
			all = append(all, ok("%s %s fits server %s", tools.Path(need.program), tools.Version, s.Version)...)
		}
	}
	return all
}
