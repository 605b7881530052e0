package catalog

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Set is one published set, as far as it can be seen without reading its artifacts.
type Set struct {
	Ref
	// Manifest is nil when it cannot be had; Problem then says why.
	Manifest *Manifest
	// Bytes is the size of the files in the set's directory, and for a file tree what the manifest says.
	Bytes int64
	// Signed says that there is a signature, right or wrong.
	Signed bool
	// Checks is what happened to the set later, oldest first.
	Checks []Check
	// Problem is the first thing that is wrong: a *DamageError, ErrNewer, or why it could not be read.
	Problem error

	sums [sha256.Size]byte // of the SHA256SUMS that vouches for Manifest
}

// Began is when the run began, as well as can be told now: what the id says, unless that is yet to come. Ids ascend also
// after a clock that was ahead has been put right; then the manifest has what the clock said. A set that was written
// while the clock was ahead stays one from the future.
func (s Set) Began(now time.Time) time.Time {
	began := s.ID.Time()
	if began.After(now) && s.Manifest != nil && !s.Manifest.Started.IsZero() && s.Manifest.Started.Before(began) {
		began = s.Manifest.Started
	}
	return began
}

// Good reports whether the set can be relied on: it is readable, every file is there with its recorded size,
// no failed verify stands, and it is not suspect. If not, why is a short reason that does not repeat the
// set's name. A set that is incomplete is good: its manifest says what it lacks.
func (s Set) Good() (ok bool, why string) {
	if s.Problem != nil {
		var d *DamageError
		switch {
		case errors.As(s.Problem, &d):
			return false, d.Reason()
		case errors.Is(s.Problem, ErrNewer):
			return false, ErrNewer.Error()
		}
		return false, s.Problem.Error()
	}
	if s.Manifest == nil {
		return false, "no manifest"
	}
	if k := s.Failed(); k != nil {
		why := fmt.Sprintf("failed %s check of %s", k.Level, k.Time.UTC().Format(time.RFC3339))
		if len(k.Problems) > 0 {
			why += ": " + strings.TrimPrefix(k.Problems[0], s.Ref.String()+": ")
		}
		return false, why
	}
	if k := s.Suspicion(); k != nil {
		if k.Reason == "" {
			return false, "suspect"
		}
		return false, "suspect: " + k.Reason
	}
	return true, ""
}

// LastCheck is the newest verify that passed at the level or a higher one; nil if there is none.
func (s Set) LastCheck(level string) *Check {
	for _, k := range slices.Backward(s.Checks) {
		if k.What == CheckVerify && k.OK && covers(k.Level, level) {
			return &k
		}
	}
	return nil
}

// Failed is the newest verify that failed and has not been made good; nil if there is none. Only a later pass
// at the same level or a higher one makes a failure good: that every hash is right says nothing about a drill
// that failed.
func (s Set) Failed() *Check {
	var passed []string
	for _, k := range slices.Backward(s.Checks) {
		switch {
		case k.What != CheckVerify:
		case k.OK:
			passed = append(passed, k.Level)
		case !slices.ContainsFunc(passed, func(p string) bool { return covers(p, k.Level) }):
			return &k
		}
	}
	return nil
}

// Damaged are the paths of the set's tree that failed verifies named and that no later one found well. all says that
// there are more than anybody has listed, so that no file of the tree may be relied on unread.
func (s Set) Damaged() (paths []string, all bool) {
	for _, k := range slices.Backward(s.Checks) {
		switch {
		case k.What != CheckVerify:
		case k.OK && covers(k.Level, LevelChecksum):
			return paths, all
		case !k.OK:
			all = all || k.DamagedMore > 0
			for _, p := range k.Damaged {
				paths = append(paths, string(p))
			}
		}
	}
	return paths, all
}

// Pinned reports whether the set is to be kept whatever the retention says.
func (s Set) Pinned() bool { return s.standing(CheckPin, CheckUnpin) != nil }

// Suspect reports whether something about the set is not believable and nobody has accepted it since.
func (s Set) Suspect() bool { return s.Suspicion() != nil }

// Suspicion is the check that makes the set suspect, nil when it is not.
func (s Set) Suspicion() *Check { return s.standing(CheckSuspect, CheckAccept) }

// standing is the newest check of kind set that no later one of kind clear takes back.
func (s Set) standing(set, clear string) *Check {
	for _, k := range slices.Backward(s.Checks) {
		switch k.What {
		case set:
			return &k
		case clear:
			return nil
		}
	}
	return nil
}

// covers reports whether a verify at level done says all that one at level wanted says.
func covers(done, wanted string) bool {
	levels := []string{LevelSample, LevelChecksum, LevelDecode, LevelDrill}
	d, w := slices.Index(levels, done), slices.Index(levels, wanted)
	return done == wanted || w >= 0 && d >= w
}
