package doctor

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// How far this clock and the server's may be apart. Sets are named by ours, and
// ages and what a restore takes "at" a time are read by people from either.
const (
	apart    = 2 * time.Second
	farApart = time.Minute
)

// checkClock compares this clock with the server's, with the newest set, and asks
// the kernel whether somebody keeps it right.
func checkClock(ctx context.Context, x *exam) []Finding {
	all := append(x.clockOfServer(ctx), x.clockOfSets(ctx)...)
	synchronised, err := x.Synch()
	switch {
	case err != nil:
		all = append(all, unknown(fmt.Errorf("ask the kernel about its clock: %w", err))...)
	case !synchronised:
		// Guests whose host keeps the clock right look the same: no warning.
		all = append(all, found(Info, []string{"timedatectl set-ntp true"}, "the kernel does not call its clock synchronised"))
	default:
		all = append(all, found(OK, nil, "the kernel calls its clock synchronised"))
	}
	return all
}

func (x *exam) clockOfServer(ctx context.Context) []Finding {
	s, err := x.reach(ctx)
	if err != nil {
		return unknown(err)
	}
	if s.Socket() {
		return ok("the server has the clock of this host")
	}
	conn, err := s.Connect(ctx)
	if err != nil {
		return unknown(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var theirs time.Time
	before := x.Now()
	if err := conn.QueryRow(ctx, "SELECT now()").Scan(&theirs); err != nil {
		return unknown(fmt.Errorf("ask the server for its time: %w", err))
	}
	return []Finding{judgeClock(before, theirs, x.Now())}
}

// judgeClock: the server looked at its clock at some moment between before and
// after, and gets the benefit of that doubt.
func judgeClock(before, theirs, after time.Time) Finding {
	var off time.Duration
	direction := "behind"
	switch {
	case theirs.Before(before):
		off = before.Sub(theirs)
	case theirs.After(after):
		off, direction = theirs.Sub(after), "ahead of"
	}
	text := fmt.Sprintf("the server's clock is %s %s this one", off.Round(100*time.Millisecond), direction)
	switch remedy := []string{"timedatectl status   # on both hosts"}; {
	case off > farApart:
		return found(Critical, remedy, "%s", text)
	case off > apart:
		return found(Warning, remedy, "%s", text)
	}
	return found(OK, nil, "the server's clock and this one agree")
}

func (x *exam) clockOfSets(ctx context.Context) []Finding {
	sets, err := x.listed(ctx)
	if err != nil || len(sets) == 0 {
		return nil // check "sets" says so
	}
	newest := sets[len(sets)-1]
	if ahead := newest.Began(x.Now()).Sub(x.Now()); ahead > 0 {
		return []Finding{found(Warning, []string{"timedatectl status"}, "set %s is from the future, by %s: this clock was ahead when it was made, or is behind now", newest.Ref, ahead.Round(time.Second))}
	}
	return nil
}

// kernelSynchronised reads the state of the clock, and sets nothing.
func kernelSynchronised() (bool, error) {
	var t unix.Timex // no mode: read only
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, err
	}
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, nil
}
