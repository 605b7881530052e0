package restore_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// The newest set of a database becomes a new database beside the live one.
func ExampleInto() {
	ctx := context.Background()
	place, err := local.Open("/var/backups/bmad-forge", local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer place.Close()
	sets := catalog.New(place, catalog.Options{})
	list, err := sets.List(ctx, catalog.Group{Kind: catalog.KindDatabase, Database: "bmad_forge"})
	if err != nil || len(list) == 0 {
		log.Fatal("no set: ", err)
	}
	admin, err := postgres.Resolve(ctx, postgres.Target{URL: "postgres:///postgres", OSUser: "postgres", Environ: os.Environ()})
	if err != nil {
		log.Fatal(err)
	}
	runner := proc.System{Environ: os.Environ()}
	o := restore.Options{
		Catalog: sets,
		Set:     list[len(list)-1],
		Unlock:  seal.GPG{Runner: runner}.Unlocker(),
		Admin:   admin,
		Finder:  postgres.ToolFinder{Runner: runner, Path: os.Getenv("PATH")},
		Runner:  runner,
		Into:    "bmad_forge_yesterday",
	}
	plan, err := restore.PlanInto(ctx, o)
	if err != nil {
		log.Fatal("nothing was changed: ", err)
	}
	fmt.Println("about to load", plan.Bytes, "bytes into", plan.Server)
	if _, err := restore.Into(ctx, o); err != nil {
		log.Fatal(err)
	}
}
