package pickle

import (
	"fmt"
	"strings"
	"time"
)

type (
	// Date is a datetime.date.
	Date struct{ Year, Month, Day int }
	// DateTime is a datetime.datetime: what the clock showed, and of which zone it was.
	DateTime struct {
		Date
		Clock
		Zone Value // nil: naive; else an *Object or a Class
	}
	// Time is a datetime.time.
	Time struct {
		Clock
		Zone Value // nil: naive
	}
	// Clock is the part of a time that a clock shows. Fold is 1 for the second of two equal times at the end of summer time.
	Clock struct{ Hour, Minute, Second, Micro, Fold int }
	// Delta is a datetime.timedelta in Python's own form: 0 ≤ Seconds < 86400, 0 ≤ Micros < 1000000.
	Delta struct{ Days, Seconds, Micros int64 }
)

// UTC is the zone that Django 5 and datetime.timezone.utc have.
func UTC() Value {
	return &Object{Class: Class{"datetime", "timezone"}, Args: []Value{Delta{}}}
}

// NewDelta is d, which has whole microseconds.
func NewDelta(days int64, d time.Duration) Delta {
	const day = 86400 * 1000000
	micros := d.Microseconds()
	days += micros / day
	micros %= day
	if micros < 0 {
		micros += day
		days--
	}
	return Delta{days, micros / 1000000, micros % 1000000}
}

// Instant is the point in time, where the zone is one that needs no table: UTC or a fixed offset.
func (d DateTime) Instant() (time.Time, bool) {
	offset, ok := offsetOf(d.Zone)
	if !ok {
		return time.Time{}, false
	}
	t := time.Date(d.Year, time.Month(d.Month), d.Day, d.Hour, d.Minute, d.Second, d.Micro*1000, time.UTC)
	return t.Add(-offset), true
}

// offsetOf knows datetime.timezone and the zones without summer time that Django has used.
func offsetOf(zone Value) (time.Duration, bool) {
	o, ok := zone.(*Object)
	if !ok {
		return 0, false
	}
	switch o.Class.String() {
	case "pytz._UTC":
		return 0, true
	case "datetime.timezone":
		if len(o.Args) > 0 {
			if d, ok := o.Args[0].(Delta); ok {
				return time.Duration(d.Days)*24*time.Hour + time.Duration(d.Seconds)*time.Second + time.Duration(d.Micros)*time.Microsecond, true
			}
		}
	case "pytz._FixedOffset":
		if len(o.Args) > 0 {
			if minutes, ok := o.Args[0].(Int); ok && minutes > -1440 && minutes < 1440 {
				return time.Duration(minutes) * time.Minute, true
			}
		}
	case "zoneinfo.ZoneInfo._unpickle", "pytz._p":
		if len(o.Args) > 0 && o.Args[0] == Value(Str("UTC")) {
			return 0, true
		}
	}
	return 0, false
}

// temporal makes the types of the module datetime; nil for what it is not.
func temporal(c Class, args []Value) Value {
	if c.Module != "datetime" {
		return nil
	}
	if c.Name == "timedelta" {
		return deltaOf(args)
	}
	if len(args) == 0 || len(args) > 2 {
		return nil
	}
	state, ok := args[0].(Bytes)
	if text, isText := args[0].(Str); isText { // a pickle of Python 2
		state, ok = latin1([]Value{text, Str("latin1")}).(Bytes)
	}
	if !ok {
		return nil
	}
	var zone Value
	if len(args) == 2 {
		zone = args[1]
		switch zone.(type) {
		case *Object, Class:
		default:
			return nil
		}
	}
	return clockOf(c.Name, state, zone)
}

func clockOf(name string, state Bytes, zone Value) Value {
	switch {
	case name == "date" && len(state) == 4 && zone == nil:
		if d := (Date{int(state[0])<<8 | int(state[1]), int(state[2]), int(state[3])}); d.valid() {
			return d
		}
	case name == "datetime" && len(state) == 10:
		d := DateTime{Date: Date{int(state[0])<<8 | int(state[1]), int(state[2] & 0x7f), int(state[3])}, Clock: clock(state[4:]), Zone: zone}
		d.Fold = int(state[2] >> 7)
		if d.Date.valid() && d.Clock.valid() {
			return d
		}
	case name == "time" && len(state) == 6:
		fold := int(state[0] >> 7)
		t := Time{clock(Bytes([]byte{state[0] & 0x7f}) + state[1:]), zone}
		t.Fold = fold
		if t.Clock.valid() {
			return t
		}
	}
	return nil
}

func clock(b Bytes) Clock {
	return Clock{Hour: int(b[0]), Minute: int(b[1]), Second: int(b[2]), Micro: int(b[3])<<16 | int(b[4])<<8 | int(b[5])}
}

func (d Date) valid() bool {
	if d.Year < 1 || d.Year > 9999 || d.Month < 1 || d.Month > 12 || d.Day < 1 {
		return false
	}
	return time.Date(d.Year, time.Month(d.Month), d.Day, 0, 0, 0, 0, time.UTC).Day() == d.Day
}

func (c Clock) valid() bool {
	return c.Hour >= 0 && c.Hour < 24 && c.Minute >= 0 && c.Minute < 60 && c.Second >= 0 && c.Second < 60 &&
		c.Micro >= 0 && c.Micro < 1000000 && c.Fold >= 0 && c.Fold <= 1
}

func (d Delta) valid() bool {
	return d.Days >= -999999999 && d.Days <= 999999999 && d.Seconds >= 0 && d.Seconds < 86400 && d.Micros >= 0 && d.Micros < 1000000
}

func deltaOf(args []Value) Value {
	var n [3]int64
	if len(args) > len(n) {
		return nil
	}
	for i, a := range args {
		v, ok := a.(Int)
		if !ok {
			return nil
		}
		n[i] = int64(v)
	}
	if d := (Delta{n[0], n[1], n[2]}); d.valid() {
		return d
	}
	return nil
}

// zoneName is how a zone is shown. It does not look into one that it does not know: that may hold anything, also the time
// that it is the zone of.
func zoneName(zone Value) string {
	o, ok := zone.(*Object)
	if !ok {
		return fmt.Sprint(zone)
	}
	offset, fixed := offsetOf(zone)
	switch {
	case fixed && offset == 0:
		return "utc"
	case strings.HasSuffix(o.Class.Name, "_unpickle") || o.Class.String() == "pytz._p":
		if len(o.Args) > 0 {
			if name, ok := o.Args[0].(Str); ok {
				return Repr(name, 100)
			}
		}
	case fixed:
		return offset.String()
	}
	return o.Class.String()
}
