package scratch_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

func Example() {
	ctx := context.Background()
	const dir = "/var/lib/forgectl/scratch"
	if _, err := scratch.Sweep(ctx, dir, nil); err != nil {
		fmt.Println(err) // worth a warning, not a reason to stop
	}
	cluster, err := scratch.Start(ctx, scratch.Options{Dir: dir, Runner: proc.System{Environ: os.Environ()}})
	var lacks *scratch.UnavailableError
	if errors.As(err, &lacks) {
		fmt.Println(lacks, lacks.Hint)
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() {
		if err := cluster.Stop(ctx); err != nil {
			fmt.Println(err)
		}
	}()
	fmt.Println(cluster.ConnString("postgres"))
}
