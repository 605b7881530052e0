package backup_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// A database is backed up into a directory, sealed to a key file, by whoever
// holds the lock of the repository.
func ExampleDatabase() {
	ctx := context.Background()
	place, err := local.Open("/var/backups/bmad-forge", local.Options{Create: true})
	if err != nil {
		log.Fatal(err)
	}
	defer place.Close()
	recipients, err := seal.ReadKeyFile("/etc/bmad-forge/backup.asc")
	if err != nil {
		log.Fatal(err)
	}
	database, err := postgres.Resolve(ctx, postgres.Target{URL: "postgres:///bmad_forge", Environ: os.Environ()})
	if err != nil {
		log.Fatal(err)
	}
	runner := proc.System{Environ: os.Environ()}
	result, err := backup.Database(ctx, backup.DatabaseOptions{
		SetOptions: backup.SetOptions{Catalog: catalog.New(place, catalog.Options{}), Free: place.Free, Release: backup.FindRelease("/var/www/bmad-forge")},
		Sealing:    backup.Sealing{Seal: seal.Options{Recipients: recipients}, RequireSealed: true},
		Endpoint:   database,
		Finder:     postgres.ToolFinder{Runner: runner, Path: os.Getenv("PATH")},
		Runner:     runner,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Set.Ref, result.Set.Bytes, result.Warnings)
}
