package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

var (
	// ErrGone means that a directory is not the one that was opened any more, such as a file system that was unmounted.
	ErrGone = errors.New("no longer the directory that was opened")
	// ErrNoLinks means that the file system of the target has no hard links.
	ErrNoLinks = errors.New("the file system has no hard links")
)

// SnapshotOptions say what is kept, and where.
type SnapshotOptions struct {
	Source string // the directory; a link in its own path is followed
	// Target is the tree, which does not exist yet; the directory above it does, and belongs to this run alone. "" is a
	// trial: nothing is written, and nothing but times and sizes is looked at.
	Target   string
	Previous *Previous // nil: there is nothing to link to
	Exclude  Patterns
	Checksum bool // read every file; what has not changed by its content and its metadata is linked
	Copy     bool // also where there are no hard links: then every file is copied each time
	Jobs     int  // at once; 0: as many as cores

	// Write takes the entries, in the order of Compare. It is not called from two goroutines at once.
	Write    func(Entry) error
	Progress func(done Totals) // may be nil
	Logger   *slog.Logger
	// Step, if set, is called at named points with the path that is worked on, for tests that interfere there. From
	// several goroutines.
	Step func(name, path string)
}

// Previous is the newest whole snapshot.
type Previous struct {
	Tree  string
	Index io.Reader // plain
	// Damaged, if set, reports files of the tree that are known to be damaged: they are copied anew. So is a file whose
	// size or time in the tree is not that of the index.
	Damaged func(path string) bool
}

// Report is what became of a snapshot.
type Report struct {
	Totals
	Linked, Copied int64 // files; the names of one file within the tree count each
	CopiedBytes    int64
	Cloned         int64  // of the copied ones: share their blocks with the source
	Unstable       Paths  // changed again and again while they were copied
	Unreadable     Paths  // with the reason; the tree lacks them
	Vanished       int64  // were there when their directory was read, and not any more after that
	Distrusted     Paths  // differed in the previous tree from what its index says
	Unkept         Unkept // metadata of what is new in the tree that only the index has
	Excluded       int64  // directories count once
}

// Paths are some of many, for messages.
type Paths struct {
	First []string // no more than keptPaths, quoted where they need it
	Count int64
}

const keptPaths = 50

func (p *Paths) add(text string) {
	p.Count++
	if len(p.First) < keptPaths {
		p.First = append(p.First, text)
	}
}

// snapshot is one run. A producer walks the directories in order and hands out batches of names; workers look at the
// files, link and copy; a collector writes what they found, in the order of the walk. So memory is for a bounded number
// of batches, and for the names of the directories on the way down.
type snapshot struct {
	SnapshotOptions
	source *openedTree
	target *openedTree // nil: a trial
	old    *openedTree // nil: no previous tree
	prev   *cursor
	links  *linkTable
	dress  *dresser

	noClone atomic.Bool
	noLinks atomic.Bool

	mu     sync.Mutex // of the report
	report Report
}

// Snapshot writes a tree that is like the source, and says what it holds. The tree is on stable storage when it has
// returned without an error: one syncfs of its file system, which waits for all data and all names and reports what
// could not be written, in place of a call for each of a million files. After an error the target is to be removed.
//
// File systems that are mounted below the source are part of it: leaving them out in silence would lose files. What is
// neither file, directory nor symbolic link is listed and never opened. That the source as a whole is not what it was
// at the start is ErrGone.
func Snapshot(ctx context.Context, o SnapshotOptions) (Report, error) {
	report, wait, err := SnapshotUnsynced(ctx, o)
	if err == nil {
		err = wait()
	}
	if err != nil {
		return Report{}, err
	}
	return report, nil
}

// SnapshotUnsynced is Snapshot without the wait for stable storage, for who has something else to do meanwhile. Without an
// error wait is to be called, once; its error means that the tree is to be removed.
func SnapshotUnsynced(ctx context.Context, o SnapshotOptions) (_ Report, wait func() error, _ error) {
	s := &snapshot{SnapshotOptions: o, links: newLinkTable(), dress: newDresser()}
	if s.Jobs <= 0 {
		s.Jobs = runtime.GOMAXPROCS(0)
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if s.Step == nil {
		s.Step = func(string, string) {}
	}
	defer func() {
		s.source.close()
		s.old.close()
		if wait == nil {
			s.target.close()
		}
	}()
	if err := s.open(); err != nil {
		return Report{}, nil, err
	}
	if err := s.run(ctx); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return Report{}, nil, err
	}
	s.Step("written", Root)
	if err := s.source.present(); err != nil {
		return Report{}, nil, err
	}
	s.report.Unkept = s.dress.report()
	return s.report, s.sync, nil
}

func (s *snapshot) open() (err error) {
	if s.source, err = openTree(s.Source); err != nil {
		return err
	}
	if s.Target != "" {
		if err := os.Mkdir(s.Target, 0o700); err != nil {
			return err
		}
		if s.target, err = openTree(s.Target); err != nil {
			return err
		}
		if err := s.probeLinks(); err != nil {
			return err
		}
	}
	if s.Previous == nil {
		s.prev = &cursor{}
		return nil
	}
	s.prev = &cursor{index: NewIndexReader(s.Previous.Index)}
	if s.target != nil && !s.noLinks.Load() {
		s.old, err = openTree(s.Previous.Tree)
	}
	return err
}

// probeLinks tries whether the target's file system has hard links, and whether the previous tree is on the same one.
func (s *snapshot) probeLinks() error {
	const name, second = ".probe", ".probe-link"
	fd, err := unix.Openat(s.target.fd(), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return onPath("create", s.Target, err)
	}
	_ = unix.Close(fd)
	err = unix.Linkat(s.target.fd(), name, s.target.fd(), second, 0)
	if err == nil {
		err = unix.Unlinkat(s.target.fd(), second, 0)
	} else if s.noLinks.Store(true); s.Copy {
		err = nil
	} else {
		err = fmt.Errorf("%s: %w: %w", s.Target, ErrNoLinks, err)
	}
	return errors.Join(err, unix.Unlinkat(s.target.fd(), name, 0))
}

// sync waits until the tree is on stable storage. It uses the descriptor that was opened before anything was written: what could
// not be written since then is reported to that one.
func (s *snapshot) sync() error {
	defer s.target.close()
	if s.target == nil {
		return nil
	}
	if err := unix.Syncfs(s.target.fd()); err != nil {
		return onPath("sync", s.Target, err)
	}
	s.Step("synced", Root)
	return nil
}

// outstanding is how many batches there may be between the walk and the index: while a worker copies a large file, the
// others go on for so long.
const outstanding = 128

func (s *snapshot) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	work := make(chan *batch, outstanding)
	order := make(chan *batch, outstanding)
	group.Go(func() error {
		defer close(work)
		defer close(order)
		return s.walk(ctx, work, order)
	})
	for range s.Jobs {
		group.Go(func() error {
			w := newWorker(ctx, s)
			for b := range work {
				if ctx.Err() != nil {
					b.close()
					continue
				}
				err := w.process(b)
				b.close()
				close(b.done)
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error { return s.collect(ctx, order) })
	err := group.Wait()
	for b := range work { // when workers have ended early
		b.close()
	}
	return err
}

// collect writes the entries in the order of the walk.
func (s *snapshot) collect(ctx context.Context, order <-chan *batch) error {
	var totals Totals
	for b := range order {
		select {
		case <-b.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for i := range b.found {
			totals.add(&b.found[i])
			if s.Write != nil {
				if err := s.Write(b.found[i]); err != nil {
					return err
				}
			}
		}
		if s.Progress != nil {
			s.Progress(totals)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Totals = totals
	return nil
}

// note changes the report.
func (s *snapshot) note(change func(*Report)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.report)
}

// unreadable names what the tree lacks.
func (s *snapshot) unreadable(path string, err error) {
	s.Logger.Info("cannot be read", "path", path, "error", err)
	s.note(func(r *Report) { r.Unreadable.add(Quote(path) + ": " + err.Error()) })
}

func (s *snapshot) vanished(path string) {
	s.Logger.Debug("vanished", "path", path)
	s.note(func(r *Report) { r.Vanished++ })
}

func onPath(op, path string, err error) error {
	return &os.PathError{Op: op, Path: path, Err: err}
}
