package health_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bmad-forge/forgectl/pkg/health"
)

// app answers in memory, so that time can be the test's: each letter is an
// answer, the last one for ever. h healthy, w warning, c critical, t takes the
// whole time limit.
type app struct {
	answers string
	asked   int
}

func (a *app) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := a.answers[min(a.asked, len(a.answers)-1)]
	a.asked++
	code, body := 200, guide
	switch answer {
	case 'w':
		body = `{"status":"starting"}`
	case 'c':
		code = 502
	case 't':
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (a *app) options() health.Options {
	return health.Options{URL: "http://app/health/", Client: &http.Client{Transport: a}}
}

// Promise: the gate opens when the application was well so often in a row, and
// not before; it gives up at the deadline.
func TestGate(t *testing.T) {
	tests := []struct {
		name    string
		answers string
		o       health.GateOptions
		rows    []int // how often in a row, at each attempt
		took    time.Duration
		failure string
	}{
		{"well at once", "h", health.GateOptions{}, []int{1, 2}, time.Second, ""},
		{"well later", "ccwh", health.GateOptions{}, []int{0, 0, 0, 1, 2}, 4 * time.Second, ""},
		{"flapping, then well", "hchwhh", health.GateOptions{}, []int{1, 0, 1, 0, 1, 2}, 5 * time.Second, ""},
		{"once is enough when asked so", "ch", health.GateOptions{InARow: 1}, []int{0, 1}, time.Second, ""},
		{"three", "hhchhh", health.GateOptions{InARow: 3, Interval: 5 * time.Second}, []int{1, 2, 0, 1, 2, 3}, 25 * time.Second, ""},
		{"slow, then well", "th", health.GateOptions{}, []int{0, 1, 2}, 12 * time.Second, ""},
		{"never", "c", health.GateOptions{Deadline: 3 * time.Second}, []int{0, 0, 0, 0}, 3 * time.Second,
			"health gate: the application is not healthy after 4 attempts in 3s: HTTP 502 Bad Gateway"},
		{"a warning is not well", "w", health.GateOptions{Deadline: 2 * time.Second}, []int{0, 0, 0}, 2 * time.Second,
			"health gate: the application is not healthy after 3 attempts in 2s: the status is starting, not healthy"},
		{"well too late", "ccch", health.GateOptions{Deadline: 3 * time.Second}, []int{0, 0, 0, 1}, 3 * time.Second,
			"health gate: the application is not healthy: well only the last 1 of 4 times within 3s"},
		{"hangs", "t", health.GateOptions{Deadline: 15 * time.Second}, []int{0, 0}, 21 * time.Second,
			"health gate: the application is not healthy after 2 attempts in 21s: no answer within 10s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &app{answers: tt.answers}
				tt.o.Options = a.options()
				var rows []int
				tt.o.Progress = func(at health.Attempt) {
					if rows = append(rows, at.InARow); at.Number != len(rows) {
						t.Errorf("attempt %d is called %d", len(rows), at.Number)
					}
				}
				began := time.Now()
				r, err := health.Gate(t.Context(), tt.o)
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %s, want %s", took, tt.took)
				}
				if !slices.Equal(rows, tt.rows) {
					t.Errorf("in a row %v, want %v", rows, tt.rows)
				}
				if tt.failure == "" {
					if err != nil || !r.Healthy() {
						t.Errorf("got %s, %v", r, err)
					}
					return
				}
				var e *health.GateError
				if !errors.As(err, &e) || !errors.Is(err, health.ErrUnhealthy) || err.Error() != tt.failure {
					t.Fatalf("got  %v\nwant %s", err, tt.failure)
				}
				if e.Attempts != len(rows) || e.Report.Reason != r.Reason || e.Report.Code != r.Code {
					t.Errorf("got %+v", e)
				}
			})
		})
	}
}

// Promise: the end of the context ends the gate, between two questions and in
// the midst of one, and is its error.
func TestGateEndsWithContext(t *testing.T) {
	why := errors.New("the operator said stop")
	for answers, when := range map[string]time.Duration{"c": 2500 * time.Millisecond, "cct": 5 * time.Second, "t": time.Second} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(when, func() { cancel(why) })
			began := time.Now()
			a := &app{answers: answers}
			r, err := health.Gate(ctx, health.GateOptions{Options: a.options()})
			var e *health.GateError
			if !errors.As(err, &e) || !errors.Is(err, why) || errors.Is(err, health.ErrUnhealthy) {
				t.Errorf("%s: got %v", answers, err)
			}
			if took := time.Since(began); took != when {
				t.Errorf("%s: took %s", answers, took)
			}
			if answers != "t" && r.Code != 502 {
				t.Errorf("%s: the last report is %+v", answers, r)
			}
		})
	}
}
