package verify_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/store/local"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// The newest set of a database is restored into a throwaway server and compared.
func ExampleVerify() {
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
	runner := proc.System{Environ: os.Environ()}
	verdict, err := verify.Verify(ctx, verify.Options{
		Catalog: sets,
		Unlock:  seal.GPG{Runner: runner}.Unlocker(),
		Level:   catalog.LevelDrill,
		Runner:  runner,
		Finder:  postgres.ToolFinder{Runner: runner, Path: os.Getenv("PATH")},
		Scratch: scratch.Options{Dir: "/var/lib/forgectl/scratch", OSUser: "postgres"},
	}, list[len(list)-1])
	if err != nil {
		log.Fatal("this host cannot tell: ", err)
	}
	fmt.Println(verdict.OK, verdict.Err(), verdict.Seconds())
}
