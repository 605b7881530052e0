package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres/filecolumns"
)

// proposeTime is how long config check asks a database, and waits for it.
const proposeTime = 10 * time.Second

// proposeColumns are columns that media.columns could name. It is a help: whatever
// does not go well, there are none.
func (a *App) proposeColumns(ctx context.Context) []string {
	proposed := []string{}
	root, err := os.OpenRoot(a.loaded.Media.Path)
	if err != nil || len(a.loaded.Media.Columns) > 0 {
		return proposed
	}
	defer root.Close()
	ctx, cancel := context.WithTimeout(ctx, proposeTime)
	defer cancel()
	endpoint, err := a.BackupEndpoint(ctx)
	if err != nil {
		return proposed
	}
	conn, err := endpoint.Connect(ctx)
	if err != nil {
		a.Logger().Info("no columns are proposed: the database does not answer", "error", err)
		return proposed
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	found, err := filecolumns.Propose(ctx, conn, func(name string) bool {
		info, err := root.Stat(filepath.FromSlash(name))
		return err == nil && info.Mode().IsRegular()
	})
	if err != nil {
		a.Logger().Info("not all columns were looked at", "error", err)
	}
	for _, p := range found {
		proposed = append(proposed, p.String())
	}
	return proposed
}
