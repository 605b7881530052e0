// Package window knows spans of time that come again, such as the four hours
// after 02:00 on Sundays: those in which the application can bear that something
// is locked.
//
// A window is written as the five fields of cron and a length: "0 2 * * 0 4h".
// The hours are those of the location of the time that is asked about. Where
// both the day of the month and that of the week are given, either will do, as
// for cron itself.
package window

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// ErrSyntax means that a text is no window.
var ErrSyntax = errors.New(`want the five fields of cron and a length, such as "0 2 * * 0 4h"`)

// longest bounds the length, so that a window is not the whole time by mistake.
const longest = 7 * 24 * time.Hour

// Window is a span of time that comes again. The zero value never comes.
type Window struct {
	cron   string
	length time.Duration
}

// Parse reads a window; the empty text is the zero value.
func Parse(text string) (Window, error) {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return Window{}, nil
	}
	if len(fields) != 6 {
		return Window{}, ErrSyntax
	}
	w := Window{cron: strings.Join(fields[:5], " ")}
	if !gronx.IsValid(w.cron) {
		return Window{}, fmt.Errorf("%w: %q is no time of cron", ErrSyntax, w.cron)
	}
	var err error
	if w.length, err = time.ParseDuration(fields[5]); err != nil || w.length < time.Minute || w.length > longest {
		return Window{}, fmt.Errorf("%w: the length is from 1m to 168h, not %q", ErrSyntax, fields[5])
	}
	if _, err := gronx.NextTick(w.cron, false); err != nil {
		return Window{}, fmt.Errorf("%w: %q never comes", ErrSyntax, w.cron)
	}
	return w, nil
}

// Set reports whether there is a window at all.
func (w Window) Set() bool { return w.cron != "" }

// String is the window as Parse reads it.
func (w Window) String() string {
	if !w.Set() {
		return ""
	}
	return w.cron + " " + brief(w.length)
}

// brief drops the empty units of time.Duration's own form: 4h, not 4h0m0s.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Open reports whether now lies within the window, and until when it then is
// open. Windows that overlap are one: the one that began last counts.
func (w Window) Open(now time.Time) (until time.Time, open bool) {
	if !w.Set() {
		return time.Time{}, false
	}
	began, err := gronx.PrevTickBefore(w.cron, now, true)
	if err != nil {
		return time.Time{}, false
	}
	until = began.Add(w.length)
	return until, now.Before(until)
}

// Next is when it begins the next time after now; the zero time when never.
func (w Window) Next(now time.Time) time.Time {
	if !w.Set() {
		return time.Time{}
	}
	next, err := gronx.NextTickAfter(w.cron, now, false)
	if err != nil {
		return time.Time{}
	}
	return next
}
