package prune_test

import (
	"context"
	"fmt"
	"log"
	"path/filepath"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/lock"
	"github.com/bmad-forge/forgectl/pkg/prune"
	"github.com/bmad-forge/forgectl/pkg/retention"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// Of one database everything of the last 30 days stays, and the last set of each of 12 months.
func ExampleApply() {
	const repository = "/var/backups/bmad-forge"
	ctx := context.Background()
	place, err := local.Open(repository, local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer place.Close()
	group := catalog.Group{Kind: catalog.KindDatabase, Database: "bmad_forge"}
	take := func(name string) (func() error, error) {
		l, err := lock.Acquire(filepath.Join(repository, name), lock.Holder{Operation: "prune"})
		if err != nil {
			return nil, err
		}
		return l.Release, nil
	}
	options := prune.Options{
		Catalog: catalog.New(place, catalog.Options{}),
		Policy:  retention.Policy{Within: 30 * 24 * time.Hour, Monthly: 12},
		Groups:  []catalog.Group{group},
		Lock:    take,
	}
	plan, err := prune.Decide(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	release, err := take(group.WriteLock())
	if err != nil {
		log.Fatal(err)
	}
	defer release()
	done, err := prune.Apply(ctx, options, group, plan)
	fmt.Println(len(done.Removed), "removed", err)
}
