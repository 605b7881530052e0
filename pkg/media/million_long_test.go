//go:build long

package media_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
)

// Promise: memory is bounded: a million files, in a thousand directories and in a single one, take less than 300 MB, also
// when each is looked up in the index of the snapshot before.
func TestMillionFiles(t *testing.T) {
	for name, dirs := range map[string]int{"many directories": 1000, "one directory": 1} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			source := filepath.Join(dir, "source")
			const files = 1_000_000
			for d := range dirs {
				sub := filepath.Join(source, fmt.Sprintf("%04d", d))
				must(t, os.MkdirAll(sub, 0o755))
				for f := range files / dirs {
					fd, err := unix.Open(filepath.Join(sub, fmt.Sprintf("upload-%07d.dat", f)), unix.O_CREAT|unix.O_WRONLY, 0o644)
					must(t, err)
					must(t, unix.Close(fd))
				}
			}
			time.Sleep(50 * time.Millisecond)
			index := filepath.Join(dir, "index")
			for n := range 2 {
				var previous *media.Previous
				if n > 0 {
					f, err := os.Open(index)
					must(t, err)
					defer f.Close()
					previous = &media.Previous{Tree: filepath.Join(dir, "tree-0"), Index: f}
					index += "-next"
				}
				out, err := os.Create(index)
				must(t, err)
				w := media.NewIndexWriter(out)
				peak, stop := watchMemory()
				start := time.Now()
				r, err := media.Snapshot(t.Context(), media.SnapshotOptions{Source: source, Target: filepath.Join(dir, fmt.Sprint("tree-", n)), Previous: previous, Write: w.Write})
				must(t, err)
				stop()
				must(t, w.Close())
				must(t, out.Close())
				t.Logf("%s: %d MB at most, %v, %d linked", name, peak.Load()>>20, time.Since(start).Round(time.Millisecond), r.Linked)
				if peak.Load() > 300<<20 || r.Files != files || n > 0 && r.Linked != files {
					t.Errorf("%d MB, %+v", peak.Load()>>20, r)
				}
			}
		})
	}
}

// watchMemory looks every few milliseconds what the Go runtime has from the system.
func watchMemory() (peak *atomic.Uint64, stop func()) {
	runtime.GC()
	peak = &atomic.Uint64{}
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if n := m.Sys - m.HeapReleased; n > peak.Load() {
				peak.Store(n)
			}
			select {
			case <-end:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return peak, func() { close(end); <-done }
}

// Promise: a sparse file of 10 GB takes neither its size on the disk nor for ever.
func TestLargeSparse(t *testing.T) {
	s := newSeries(t)
	f, err := os.Create(s.path("sparse"))
	must(t, err)
	_, err = f.WriteAt(bytes.Repeat([]byte("x"), 1<<20), 5<<30)
	must(t, err)
	must(t, f.Truncate(10<<30))
	must(t, f.Close())
	s.must(nil)
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(s.tree, "sparse"), &st))
	if st.Size != 10<<30 || st.Blocks*512 > 2<<20 {
		t.Errorf("%d bytes in %d blocks", st.Size, st.Blocks)
	}
	if sum, _, _ := strings.Cut(proctest.Program(t, "sha256sum", s.path("sparse")), " "); sum != s.entries()["sparse"].SHA256 {
		t.Error(sum)
	}
}
