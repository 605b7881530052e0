// Command bench measures forgectl against what it replaces and against the best line that an expert would type by
// hand, alternately, in one run on one machine, and prints medians and ratios. `make bench` runs it.
//
// The server is a PostgreSQL of its own with the settings that initdb gives, durability included. Everything lives in
// one directory that is removed at the end, or kept with --keep DIR for the next run. No figure is ever asserted: what
// is checked is that the contenders' results are equal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// group is a set of trials on the same data.
type group struct {
	name string
	run  func(context.Context, *bench) error
}

var groups = []group{
	{"database", database},
	{"media", mediaFilesOf},
	{"maintain", maintenance},
	{"cache", cacheOf},
}

func main() {
	runs := flag.Int("runs", 5, "runs of each contender")
	keep := flag.String("keep", "", "a directory for the data, kept for the next run")
	scale := flag.Int("scale", 30, "size of the database: 30 is 870 MB as a dump")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: bench [flags] [group...]\ngroups: %s\n", strings.Join(names(), ", "))
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *keep, *runs, *scale, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func names() []string {
	var all []string
	for _, g := range groups {
		all = append(all, g.name)
	}
	return all
}

func run(ctx context.Context, keep string, runs, scale int, chosen []string) (err error) {
	for _, name := range chosen {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("no group %q: there are %s", name, strings.Join(names(), ", "))
		}
	}
	b, err := open(keep)
	if err != nil {
		return err
	}
	b.runs, b.scale = max(runs, 1), max(scale, 1)
	defer func() { err = errors.Join(err, b.close()) }()
	fmt.Printf("%d cores, %s, %d runs each, medians\n", runtime.NumCPU(), runtime.Version(), b.runs)
	for _, g := range groups {
		if len(chosen) == 0 || slices.Contains(chosen, g.name) {
			if err := g.run(ctx, b); err != nil {
				return fmt.Errorf("%s: %w", g.name, err)
			}
		}
	}
	return nil
}
