package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// contender is one way to do what a trial measures.
type contender struct {
	name string
	// before and after are not measured: they make the same start for everybody, and clean up.
	before, after func(context.Context) error
	run           func(context.Context) error
	// bytes, if not nil, is what it wrote, asked after the run.
	bytes func() (int64, error)
}

// trial runs contenders alternately.
type trial struct {
	title      string
	contenders []contender
	// against are the names of the contenders that the others' medians are divided by.
	against []string
}

type figures struct {
	seconds []float64
	bytes   int64
}

func (f figures) median() float64 {
	all := slices.Sorted(slices.Values(f.seconds))
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}

func (b *bench) try(ctx context.Context, t trial) error {
	all := make([]figures, len(t.contenders))
	for round := range b.runs {
		for i := range t.contenders {
			// Nobody pays for what the one before left to be written, and nobody always follows the same one.
			at := (i + round) % len(t.contenders)
			if err := t.contenders[at].once(ctx, &all[at]); err != nil {
				return fmt.Errorf("%s: %s: %w", t.title, t.contenders[at].name, err)
			}
		}
	}
	t.report(all)
	return nil
}

func (c contender) once(ctx context.Context, f *figures) error {
	if c.before != nil {
		if err := c.before(ctx); err != nil {
			return err
		}
	}
	syscall.Sync()
	start := time.Now()
	if err := c.run(ctx); err != nil {
		return err
	}
	f.seconds = append(f.seconds, time.Since(start).Seconds())
	if c.bytes != nil {
		n, err := c.bytes()
		if err != nil {
			return err
		}
		f.bytes = n
	}
	if c.after != nil {
		return c.after(ctx)
	}
	return ctx.Err()
}

// report prints one line a contender: its median, the spread, and how many times faster it is than the others.
func (t trial) report(all []figures) {
	fmt.Printf("\n%s\n", t.title)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	head := []string{"", "median s", "min", "max"}
	for _, name := range t.against {
		head = append(head, "× "+name)
	}
	fmt.Fprintln(w, strings.Join(append(head, "MB"), "\t"))
	for i, c := range t.contenders {
		line := []string{c.name, seconds(all[i].median()), seconds(slices.Min(all[i].seconds)), seconds(slices.Max(all[i].seconds))}
		for _, name := range t.against {
			other := slices.IndexFunc(t.contenders, func(c contender) bool { return c.name == name })
			line = append(line, strconv.FormatFloat(all[other].median()/all[i].median(), 'f', 2, 64))
		}
		if all[i].bytes > 0 {
			line = append(line, strconv.FormatFloat(float64(all[i].bytes)/1e6, 'f', 1, 64))
		}
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
	_ = w.Flush()
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 2, 64) }
