package restore_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/archive/archivetest"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// mediaRounds is one series of restores, undos and kills.
type mediaRounds struct {
	*files
	random *rand.Rand
	ended  map[string]int
}

// difference is how a tree is not like another one; loose leaves the times of directories out, which change with what is
// exchanged in them.
func difference(t testing.TB, want, got string, loose bool) string {
	t.Helper()
	if loose {
		return archivetest.Difference(t, want, got, "--omit-dir-times")
	}
	return archivetest.Difference(t, want, got)
}

// copyFresh copies a tree to where another may be.
func (m *mediaRounds) copyFresh(from, name string) string {
	m.t.Helper()
	to := filepath.Join(m.dir, name)
	must(m.t, os.RemoveAll(to))
	proctest.Program(m.t, "cp", "-a", from, to)
	return to
}

// kept are the directories that can be gone back to, oldest first.
func (m *mediaRounds) kept() []restore.KeptMedia {
	m.t.Helper()
	kept, err := restore.ListKeptMedia(m.live)
	must(m.t, err)
	return slices.DeleteFunc(kept, func(k restore.KeptMedia) bool { return !k.Usable() })
}

// killAt runs the process and kills it some moments after its line number n; it may be over by then.
func (m *mediaRounds) killAt(v fileVictim, n int, delay time.Duration) (lines int, killed bool) {
	m.t.Helper()
	spec, err := json.Marshal(v)
	must(m.t, err)
	cmd := exec.CommandContext(m.t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), "RESTORE_TEST_MEDIA="+string(spec), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.StdoutPipe()
	must(m.t, err)
	must(m.t, cmd.Start())
	for scan := bufio.NewScanner(out); lines < n && scan.Scan(); {
		lines++
	}
	time.Sleep(delay)
	_ = cmd.Process.Kill()
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return lines, ok && status.Signal() == syscall.SIGKILL
}

// expected are copies of what is live, and of what will be after the operation.
func (m *mediaRounds) expected(v fileVictim) (was, will string) {
	m.t.Helper()
	was = m.copyFresh(m.live, "was")
	switch {
	case v.Undo && v.Paths == nil:
		kept := m.kept()
		return was, m.copyFresh(filepath.Join(kept[len(kept)-1].Path, "tree"), "will")
	case v.Undo:
		return was, filepath.Join(m.dir, "earlier")
	case v.Paths == nil:
		return was, m.original
	}
	will = m.copyFresh(m.live, "will")
	for _, p := range v.Paths {
		proctest.Program(m.t, "rsync", "-aHAX", "--relative", m.original+"/./"+p, will+"/")
	}
	return was, will
}

// live is "was" or "will", and nothing between.
func (m *mediaRounds) liveIs(was, will string, loose bool) string {
	m.t.Helper()
	if difference(m.t, was, m.live, loose) == "" {
		return "was"
	}
	if out := difference(m.t, will, m.live, loose); out != "" {
		m.t.Errorf("the live directory is neither what it was nor what it was to be:\n%.2000s", out)
		return ""
	}
	return "will"
}

// round is one operation that is killed, and what anybody does next.
func (m *mediaRounds) round(v fileVictim) {
	m.t.Helper()
	was, will := m.expected(v)
	loose := v.Paths != nil
	if loose && !v.Undo {
		m.copyFresh(was, "earlier")
	}
	n := m.random.IntN(9)
	lines, killed := m.killAt(v, n, time.Duration(m.random.Int64N(int64(3*time.Millisecond))))
	o := m.options()
	open, err := o.Intents.OpenMedia(m.t.Context(), m.live)
	must(m.t, err)
	if open == nil || !loose && !v.Two { // several paths change places one after the other, and two renames are two moments
		m.liveIs(was, will, loose)
	}
	outcome := "whole"
	if open != nil {
		if _, err := restore.UndoMedia(m.t.Context(), o); err == nil {
			m.t.Error("an undo did not mind what had not been ended")
		}
		r, err := restore.ResumeMedia(m.t.Context(), o, *open)
		must(m.t, err)
		outcome = fmt.Sprint(r.Outcome)
		want := map[restore.Outcome]string{restore.Finished: "will", restore.TakenBack: "was"}[r.Outcome]
		if got := m.liveIs(was, will, loose); got != want && difference(m.t, was, will, loose) != "" {
			m.t.Errorf("%s, and live is what %s", r.Outcome, got)
		}
	}
	what := "restore"
	if v.Undo {
		what = "undo"
	}
	m.ended[fmt.Sprintf("%s after %d steps, killed %v: %s", what, lines, killed, outcome)]++
	// Whatever lies there now can be told what it is, and by whom it was left.
	kept, err := restore.ListKeptMedia(m.live)
	must(m.t, err)
	if n := len(m.beside()); n != len(kept) {
		m.t.Errorf("beside: %q, of which %d are known", m.beside(), len(kept))
	}
	if open, err := o.Intents.List(m.t.Context()); err != nil || len(open) > 0 {
		m.t.Errorf("open: %v, %v", open, err)
	}
}

// Promise: whenever a restore of files or an undo is killed, the live directory is whole, the old one or the new one, or
// there is an intent by which a resume makes it one of them; an undo then works, and nothing is left that nobody knows.
func TestMediaKilledAtRandom(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	m := &mediaRounds{files: newFiles(t), random: rand.New(rand.NewPCG(seed, 1)), ended: map[string]int{}}
	for round := range 2 * killRounds {
		m.spoil()
		must(t, os.WriteFile(filepath.Join(m.live, "uploaded"), fmt.Append(nil, round), 0o600))
		v := fileVictim{Dir: m.dir, Set: m.set.Ref.String(), Tell: true, Two: m.random.IntN(3) == 0}
		if m.random.IntN(2) == 0 {
			v.Paths = []string{"a/one.txt", "a/deep/er/three", "empty"}
		}
		m.round(v)
		if len(m.kept()) > 0 && m.random.IntN(3) > 0 {
			v.Undo = true
			m.round(v)
		}
		if len(m.kept()) > 0 {
			before := m.copyFresh(m.live, "was")
			_, err := restore.UndoMedia(t.Context(), m.options())
			must(t, err)
			_, err = restore.UndoMedia(t.Context(), m.options())
			must(t, err)
			if out := difference(t, before, m.live, true); out != "" {
				t.Errorf("two undos are not nothing:\n%s", out)
			}
		}
		kept, err := restore.ListKeptMedia(m.live)
		must(t, err)
		for _, k := range kept {
			must(t, restore.DropMedia(k))
		}
		m.left()
		if t.Failed() {
			t.Fatalf("round %d: %+v", round, v)
		}
	}
	t.Logf("ended: %v", m.ended)
}
