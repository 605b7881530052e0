package job

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
)

const (
	warningLimit = 200     // warnings kept
	logLimit     = 300     // log lines kept
	textLimit    = 4 << 10 // bytes of one warning, log line or error
)

// Run is a run in progress, as the operation sees it. Its methods may be called
// from any goroutine until the operation returns.
type Run struct {
	// Log writes where the Runner logs, and into the record.
	Log *slog.Logger

	mu        sync.Mutex
	rec       Record
	scrub     func(string) string
	unshown   int  // warnings beyond the limit
	unwritten bool // the record could not be stored, and that was said
}

// Warn notes something that needs attention; the run then ends with a warning
// at best.
func (run *Run) Warn(msg string) {
	run.mu.Lock()
	defer run.mu.Unlock()
	if len(run.rec.Warnings) >= warningLimit {
		run.unshown++
		return
	}
	run.rec.Warnings = append(run.rec.Warnings, brief(run.scrub(msg), textLimit))
}

// Fact notes a figure about the run. What v holds at this moment is kept in its
// JSON form; a second value for the same key replaces the first.
func (run *Run) Fact(key string, v any) {
	kept := run.fact(v)
	run.mu.Lock()
	defer run.mu.Unlock()
	if run.rec.Facts == nil {
		run.rec.Facts = make(map[string]any)
	}
	run.rec.Facts[key] = kept
}

func (run *Run) fact(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return run.scrub(fmt.Sprint(v))
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber() // a 64-bit count must not pass through a float
	var plain any
	if err := dec.Decode(&plain); err != nil {
		return run.scrub(string(data))
	}
	return scrubValue(plain, run.scrub)
}

func scrubValue(v any, scrub func(string) string) any {
	switch v := v.(type) {
	case string:
		return scrub(v)
	case []any:
		for i := range v {
			v[i] = scrubValue(v[i], scrub)
		}
	case map[string]any:
		for k := range v {
			v[k] = scrubValue(v[k], scrub)
		}
	}
	return v
}

func (run *Run) addHook(h HookOutput) {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.rec.Hooks = append(run.rec.Hooks, h)
}

// snapshot is the record as it stands.
func (run *Run) snapshot() Record {
	run.mu.Lock()
	defer run.mu.Unlock()
	rec := run.rec
	rec.Warnings = append([]string(nil), rec.Warnings...)
	if run.unshown > 0 {
		rec.Warnings = append(rec.Warnings, fmt.Sprintf("%d more warnings are not shown", run.unshown))
	}
	rec.Facts = maps.Clone(rec.Facts)
	rec.Hooks = append([]HookOutput(nil), rec.Hooks...)
	rec.Log = append([]string(nil), rec.Log...)
	return rec
}

// logWriter puts the lines of a slog handler into the record: the first ones
// and the last ones, which say most.
type logWriter struct {
	run     *Run
	dropped int
}

// Write gets one whole line at a time; slog promises so.
func (w *logWriter) Write(p []byte) (int, error) {
	run := w.run
	run.mu.Lock()
	defer run.mu.Unlock()
	line := brief(run.scrub(strings.TrimRight(string(p), "\n")), textLimit)
	const head = logLimit / 3
	if len(run.rec.Log) >= logLimit {
		w.dropped++
		run.rec.Log = append(run.rec.Log[:head+1], run.rec.Log[head+2:]...)
		run.rec.Log[head] = fmt.Sprintf("… %d lines are not kept …", w.dropped+1)
	}
	run.rec.Log = append(run.rec.Log, line)
	return len(p), nil
}
