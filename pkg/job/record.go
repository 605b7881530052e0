package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
)

// The outcomes of a run.
const (
	Running     = "running"
	OK          = "ok"
	Warning     = "warning"     // done, but something needs attention
	Failed      = "failed"      // tried and failed, or ran out of time
	Interrupted = "interrupted" // stopped from outside
	Locked      = "locked"      // another run held the lock; nothing was started
	Killed      = "killed"      // never written: what History makes of a dead run
	Unreadable  = "unreadable"  // never written: what History makes of a damaged record
)

// Record is what remains of a run.
type Record struct {
	ID        string         `json:"id"` // the name of its file without ".json"; sorts by time
	Operation string         `json:"operation"`
	Target    string         `json:"target,omitempty"`
	Host      string         `json:"host,omitempty"`
	User      string         `json:"user,omitempty"`
	PID       int            `json:"pid"`
	Process   string         `json:"process,omitempty"` // boot and start of the process: a pid alone is used again
	Version   string         `json:"version,omitempty"`
	Started   time.Time      `json:"started"`
	Finished  time.Time      `json:"finished,omitzero"`
	Outcome   string         `json:"outcome"`
	Error     string         `json:"error,omitempty"`
	Warnings  []string       `json:"warnings,omitempty"`
	Facts     map[string]any `json:"facts,omitempty"`
	Hooks     []HookOutput   `json:"hooks,omitempty"`
	Log       []string       `json:"log,omitempty"`
}

// Duration is how long the run took; 0 while that is not known.
func (r Record) Duration() time.Duration {
	if r.Finished.IsZero() {
		return 0
	}
	return r.Finished.Sub(r.Started)
}

const (
	extension = ".json"
	// timeLayout sorts as text and needs no quoting in a shell.
	timeLayout = "20060102T150405Z"
)

// historyDir is where the records are.
func (r *Runner) historyDir() string { return filepath.Join(r.StateDir, "history") }

// newID finds a name that is free: one process can run the same operation twice
// in a second.
func (r *Runner) newID(started time.Time, operation string) string {
	base := fmt.Sprintf("%s-%s-%d", started.UTC().Format(timeLayout), slug(operation), r.pid())
	id := base
	for n := 2; ; n++ {
		if _, err := os.Lstat(filepath.Join(r.historyDir(), id+extension)); err != nil {
			return id
		}
		id = fmt.Sprintf("%s-%d", base, n)
	}
}

// slug makes a part of a file name from the name of an operation.
func slug(operation string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, operation)
	if s = strings.Trim(s, "-"); s == "" {
		return "run"
	}
	return s[:min(len(s), 60)]
}

func (r *Runner) save(rec Record) error {
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	if err := atomicfile.MkdirAll(r.historyDir(), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(r.historyDir(), rec.ID+extension), 0o600, append(data, '\n'))
}

// load reads one record. What cannot be read is a record too, one that says so.
func (r *Runner) load(id string) (Record, error) {
	data, err := os.ReadFile(filepath.Join(r.historyDir(), id+extension))
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	var rec Record
	if err == nil {
		err = json.Unmarshal(data, &rec)
	}
	if err == nil && rec.Outcome == "" {
		err = errors.New("no outcome")
	}
	if err != nil {
		rec = Record{ID: id, Outcome: Unreadable, Error: "read record: " + err.Error()}
		if stamp, _, ok := strings.Cut(id, "-"); ok {
			rec.Started, _ = time.Parse(timeLayout, stamp)
		}
		return rec, nil
	}
	rec.ID = id
	if rec.Outcome == Running && r.gone(rec) {
		rec.Outcome = Killed
		rec.Error = fmt.Sprintf("process %d ended without writing how", rec.PID)
	}
	return rec, nil
}
