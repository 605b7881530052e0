package health

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// BodyLimit is the most that is read of an answer.
const BodyLimit = 1 << 20

const defaultTimeout = 10 * time.Second

var (
	// ErrNoURL means that no address is configured.
	ErrNoURL = errors.New("no health URL is configured")
	// ErrURL means that the address is not one of HTTP.
	ErrURL = errors.New("not an address of HTTP")
	// ErrUnhealthy is why a Gate stayed shut when the application is to blame.
	ErrUnhealthy = errors.New("the application is not healthy")
)

// Verdict is what the answer means; the numbers are those of monitoring
// plugins.
type Verdict int

// The verdicts.
const (
	OK       Verdict = 0
	Warning  Verdict = 1
	Critical Verdict = 2
)

func (v Verdict) String() string {
	switch v {
	case OK:
		return "OK"
	case Warning:
		return "WARNING"
	}
	return "CRITICAL"
}

// Options say what is asked.
type Options struct {
	URL     string
	Timeout time.Duration // for the whole answer; default 10 s
	// Client replaces our own, which uses no proxy and keeps no connection. What
	// it says about redirects counts.
	Client *http.Client
}

// Report is one answer.
type Report struct {
	URL     string        // without password and query
	Verdict Verdict       //
	Reason  string        // why it is not OK; empty when it is
	Note    string        // what is worth knowing although it is OK
	Hint    string        // what may be done about it, if that is known
	Code    int           // HTTP status; 0 when there was none
	Status  string        // what the application says: "healthy"
	App     string        // its name, if it says so
	Version string        // its version, if it says so
	Checks  []Subcheck    // what the application has checked, by name
	Took    time.Duration // until the answer was read, or given up
	Body    string        // the beginning of the answer, when it is not OK
	Err     error         // the cause, when there was no answer
}

// Subcheck is a member of "checks".
type Subcheck struct {
	Name  string
	Value string // as it was given
	OK    bool
}

// Failed are the names of the checks that are not well.
func (r Report) Failed() []string {
	var out []string
	for _, c := range r.Checks {
		if !c.OK {
			out = append(out, c.Name)
		}
	}
	return out
}

// Healthy says whether the verdict is OK.
func (r Report) Healthy() bool { return r.Verdict == OK }

// String is one line for people.
func (r Report) String() string {
	switch {
	case r.Verdict != OK:
		return r.Reason
	case r.Note != "":
		return r.Note
	}
	return r.Status
}

// Check asks once.
func Check(ctx context.Context, o Options) (Report, error) {
	target, err := parse(o.URL)
	if err != nil {
		return Report{}, err
	}
	r := Report{URL: shown(target)}
	if ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	limit := o.Timeout
	if limit <= 0 {
		limit = defaultTimeout
	}
	inner, cancel := context.WithTimeoutCause(ctx, limit, &timeoutError{after: limit})
	defer cancel()
	began := time.Now()
	ask(inner, o.client(), target, &r)
	r.Took = time.Since(began)
	if r.Err != nil && ctx.Err() != nil {
		// Not the application's fault, so it is no verdict on it.
		return r, context.Cause(ctx)
	}
	return r, nil
}

// timeoutError is what a slow application gets.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("no answer within %s", e.after) }
func (e *timeoutError) Timeout() bool { return true }

func parse(text string) (*url.URL, error) {
	if text == "" {
		return nil, ErrNoURL
	}
	u, err := url.Parse(text)
	if err != nil {
		// Its error has the whole text, in which there may be a password.
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("%w: %q", ErrURL, shown(u))
	}
	return u, nil
}

// shown is an address as it may be shown to anybody.
func shown(u *url.URL) string {
	plain := *u
	plain.User, plain.Fragment, plain.RawFragment = nil, "", ""
	if plain.RawQuery != "" {
		plain.RawQuery = "…"
	}
	return plain.String()
}
