package moment_test

import (
	"errors"
	"fmt"
	"testing"
	"time"
	_ "time/tzdata" // a minimal machine has no zones installed

	"github.com/bmad-forge/forgectl/pkg/moment"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// Promise: exact times are taken as they are, wall times in the location's zone,
// also right beside a change of the clocks.
func TestParse(t *testing.T) {
	for _, c := range []struct{ in, loc, want string }{
		{"2026-11-23T02:00:00Z", "Europe/Berlin", "2026-11-23T02:00:00Z"},
		{"2026-11-23T02:00:00+05:30", "Europe/Berlin", "2026-11-22T20:30:00Z"},
		{"2026-11-23 02:00", "Europe/Berlin", "2026-11-23T01:00:00Z"},
		{" 2026-07-01T02:00:30 ", "Europe/Berlin", "2026-07-01T00:00:30Z"},
		{"2026-03-29 01:59:59", "Europe/Berlin", "2026-03-29T00:59:59Z"},
		{"2026-03-29 03:00", "Europe/Berlin", "2026-03-29T01:00:00Z"},
		{"2026-10-25 03:00", "Europe/Berlin", "2026-10-25T02:00:00Z"},
		{"2026-10-25 01:59:59", "Europe/Berlin", "2026-10-24T23:59:59Z"},
		{"2026-11-23 02:00", "Pacific/Kiritimati", "2026-11-22T12:00:00Z"},
		{"2026-11-23 02:00", "UTC", "2026-11-23T02:00:00Z"},
		// Lord Howe Island moves by half an hour.
		{"2026-10-04 02:30", "Australia/Lord_Howe", "2026-10-03T15:30:00Z"},
	} {
		got, err := moment.Parse(c.in, zone(t, c.loc))
		if err != nil || got.UTC().Format(time.RFC3339) != c.want {
			t.Errorf("%s in %s: %v, %v; want %s", c.in, c.loc, got, err, c.want)
		}
	}
}

// Promise: a wall time that names no moment, or two, is never guessed.
func TestParseAmbiguous(t *testing.T) {
	for _, c := range []struct {
		in, loc string
		choices int
	}{
		{"2026-03-29 02:00", "Europe/Berlin", 0},
		{"2026-03-29 02:59:59", "Europe/Berlin", 0},
		{"2026-10-25 02:00", "Europe/Berlin", 2},
		{"2026-10-25 02:59:59", "Europe/Berlin", 2},
		{"2026-10-04 02:15", "Australia/Lord_Howe", 0},
		{"2026-04-05 01:45", "Australia/Lord_Howe", 2},
		{"2011-12-30 12:00", "Pacific/Apia", 0}, // a day that Samoa left out
	} {
		_, err := moment.Parse(c.in, zone(t, c.loc))
		var local *moment.LocalError
		if !errors.As(err, &local) || len(local.Choices) != c.choices {
			t.Errorf("%s in %s: %v, want %d choices", c.in, c.loc, err, c.choices)
			continue
		}
		for _, choice := range local.Choices {
			again, err := moment.Parse(choice.Format(time.RFC3339), zone(t, c.loc))
			if err != nil || !again.Equal(choice) {
				t.Errorf("%s: the offered %v is not taken: %v", c.in, choice, err)
			}
		}
	}
	for _, bad := range []string{"", "yesterday", "2026-11-23", "02:00", "2026-13-01 02:00", "2026-02-30 02:00", "2026-11-23 24:00", "2026-11-23 02:00 CET"} {
		if got, err := moment.Parse(bad, time.UTC); !errors.Is(err, moment.ErrSyntax) {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}

// Promise: what is parsed is what the clocks of the place show at that moment.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"2026-11-23T02:00:00Z", "2026-10-25 02:30", "2026-03-29T02:30:00", "x", "9999-12-31 23:59", "0000-01-01 00:00"} {
		f.Add(s)
	}
	loc := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := moment.Parse(s, loc)
		if err != nil {
			return
		}
		// Before there were zones offsets had seconds, which RFC 3339 cannot write.
		again, err := moment.Parse(got.Format(time.RFC3339), loc)
		if got.Year() >= 1970 && got.Year() <= 9999 && (err != nil || !again.Equal(got.Truncate(time.Second))) {
			t.Errorf("%q is %v, again %v, %v", s, got, again, err)
		}
	})
}

func ExampleParse() {
	loc, _ := time.LoadLocation("Europe/Berlin")
	at, err := moment.Parse("2026-11-23 03:00", loc)
	fmt.Println(moment.Format(at, loc), err)
	_, err = moment.Parse("2026-10-25 02:30", loc)
	fmt.Println(err)
	// Output:
	// 2026-11-23 03:00:00 CET (2026-11-23T02:00:00Z) <nil>
	// 2026-10-25 02:30 exists twice in Europe/Berlin: write 2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00
}
