package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// Promise: whenever the program is told to stop, told so twice, or killed, no set
// is there that is not whole, nothing that it started goes on, and the next run
// cleans up and works. Its exit code says which signal it was.
func TestSignalsAtRandom(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	const rows = "20000"
	i := newInstallation(t, "CREATE TABLE thing AS SELECT i, md5(i::text) AS text FROM generate_series(1, 20000) i; CREATE INDEX ON thing (text)")
	i.run(nil, []int{0}, "backup", "db")
	due := catalog.ID("20200101T000000Z")
	operations := []struct {
		name string
		args []string
		took time.Duration
	}{
		{name: "backup", args: []string{"backup", "db"}},
		{name: "prune", args: []string{"backup", "prune", "--yes"}},
		{name: "decode", args: []string{"backup", "verify", "--level", "decode"}},
		{name: "drill", args: []string{"backup", "verify", "--drill"}},
	}
	for n, o := range operations {
		due = catalog.NewID(due.Time().Add(time.Second))
		i.publish(due)
		began := time.Now()
		i.run(nil, []int{0}, o.args...)
		operations[n].took = time.Since(began)
	}
	codes := map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGKILL: 137}
	ended := map[string]int{}
	for round := range signalRounds {
		o := operations[round%len(operations)]
		sig := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL}[random.IntN(3)]
		twice := sig != syscall.SIGKILL && random.IntN(4) == 0
		delay := time.Duration(random.Int64N(int64(o.took * 11 / 10)))
		due = catalog.NewID(due.Time().Add(time.Second))
		i.publish(due)
		what := fmt.Sprintf("%s, %v after %v, twice: %v", o.name, sig, delay, twice)

		s := i.start(nil, o.args...)
		time.Sleep(delay)
		_ = s.Process.Signal(sig)
		told := time.Now()
		if twice {
			time.Sleep(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
			_ = s.Process.Signal(sig)
		}
		code := s.code()
		if twice && time.Since(told) > 20*time.Second {
			t.Errorf("%s: the second signal was not heeded for %v", what, time.Since(told))
		}
		i.ended(s, code, 0, codes[sig])
		ended[fmt.Sprintf("%s %d", o.name, code)]++
		i.whole(rows)

		// What anybody does next. A good run says nothing; a drill says what it found.
		next := i.run(nil, []int{0}, "backup", "db")
		if next.out.Len() > 0 {
			t.Errorf("%s: the next backup says %s", what, next.out.String())
		}
		if o.name == "drill" {
			i.run(nil, []int{0}, o.args...)
			if left, _ := os.ReadDir(filepath.Join(i.place, "state", "scratch")); len(left) > 0 {
				t.Errorf("%s: left by the next drill: %v", what, left)
			}
		}
		if left := i.hidden(); len(left) > 0 {
			t.Errorf("%s: left by the next backup: %q", what, left)
		}
		i.run(nil, []int{0}, "backup", "prune", "--yes")
		if t.Failed() {
			t.Fatal(what)
		}
	}
	t.Logf("ended: %v", ended)
}
