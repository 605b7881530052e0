package warm

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Models are the models that the application's database knows (django_content_type), as "app_label.model" in lower case.
// Django adds one when it migrates, and keeps those that are gone until somebody removes them: what is not there is no
// model, but not the other way round. Nil, without an error, where there is no such table or nothing in it.
func Models(ctx context.Context, conn *pgx.Conn) (map[string]bool, error) {
	rows, err := conn.Query(ctx, "SELECT pg_catalog.lower(app_label || '.' || model) FROM django_content_type")
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	var missing *pgconn.PgError
	if errors.As(err, &missing) && missing.Code == "42P01" { // undefined_table
		return nil, nil
	}
	if err != nil || len(names) == 0 {
		return nil, err
	}
	known := make(map[string]bool, len(names))
	for _, name := range names {
		known[name] = true
	}
	return known, nil
}
